"""Coresets of several partitions as one: a coreset of all their rows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.algorithms.scaling import learned_in_memory, scaling_from
from dkmeans.algorithms.windows.partition import PartitionCoreset
from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.sums import weight_by_label
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.arrays import wrong_width
from dkmeans.models.columns import feature_names
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.moments import Moments


def joined_moments(parts: Sequence[PartitionCoreset]) -> Moments:
    """Return the exact moments of all rows of some partitions, at least one."""
    return reduce(Moments.join, [part.moments for part in parts])


def learned_scaling(kind: str | None, parts: Sequence[PartitionCoreset]) -> AnyScaling | None:
    """Return the scaling of all rows: exact, but for "robust", whose quantiles are estimates."""
    columns = parts[0].columns
    names = None if columns is None else feature_names(columns)
    if kind != "robust":
        return scaling_from(kind, joined_moments(parts), names)
    X, weight = joined(parts, None).part(1.0)
    return learned_in_memory(kind, Block(np.asfortranarray(X), ((0, len(X)),), weight))


def joined(parts: Sequence[PartitionCoreset], scaling: AnyScaling | None) -> Coreset:
    """Return the coreset of all rows of some partitions, scaled.

    Each partition keeps its cells, so that weights add up to its exact ones.
    """
    coresets = [part.coreset for part in parts]
    n_cells = [len(one.cell_weight) for one in coresets]
    first_cell = np.cumsum([0, *n_cells[:-1]])
    first_row = np.cumsum([0, *(part.n_source_rows for part in parts[:-1])])
    depth = np.concatenate([one.depth for one in coresets])
    numbers = [one.row_numbers + first for one, first in zip(coresets, first_row, strict=True)]
    row_numbers = np.concatenate(numbers)
    order = np.lexsort((row_numbers, depth))
    cells = [one.cell + first for one, first in zip(coresets, first_cell, strict=True)]
    X = np.concatenate([one.X for one in coresets])[order]
    return Coreset(
        _scaled(X, scaling),
        depth[order],
        np.concatenate([one.rate for one in coresets])[order],
        np.concatenate([one.weight for one in coresets])[order],
        row_numbers[order],
        np.concatenate(cells)[order].astype(np.int32),
        np.concatenate([one.cell_weight for one in coresets]),
        _scaled(np.concatenate([one.cell_centers for one in coresets]), scaling),
        sum(part.n_rows for part in parts),
    )


def lessened(coreset: Coreset, size: int, centers: Array, seed: int) -> Coreset:
    """Return a coreset of about `size` rows of a coreset, drawn by what they matter here.

    Rows of partitions were drawn by what they matter in theirs, in the scale and near the centers
    that were known then. As for the first draw, half of the rows are drawn by their squared
    distances to the centers, and half by the inverse of the weight of their cluster. Sums over the
    result are estimates of those over all rows, as those over the coreset are.

    Parameters
    ----------
    coreset
        As scaled as the window.
    size
        About how many rows to draw; rows that would be drawn more than once come once.
    centers
        `(n_centers, n_features)`, scaled.
    seed
        Of the draws.
    """
    if size >= len(coreset.depth):
        return coreset
    X, weight = coreset.part(1.0)
    with one_blas_thread():
        labels, sq_distances = nearest(X, centers, by_row=True)
    cost = weight * sq_distances.astype(np.float64)
    in_clusters = weight_by_label(labels, weight, len(centers))
    expected = 0.5 * size * weight / (in_clusters[labels] * np.count_nonzero(in_clusters))
    if cost.sum() > 0:
        expected += 0.5 * size * cost / cost.sum()
    random = generator(seed, "coreset", "window")
    drawn = random.random(len(expected)) < expected
    # in the coreset, and then drawn from it
    chance = -np.expm1(-coreset.rate[drawn]) * np.minimum(1.0, expected[drawn])
    is_sure = chance >= 1.0
    rate = np.where(is_sure, np.inf, -np.log1p(-np.where(is_sure, 0.0, chance)))
    depth = np.zeros(len(rate))
    depth[~is_sure] = -np.log1p(-(random.random(len(rate)) * chance)[~is_sure]) / rate[~is_sure]
    order = np.argsort(depth, kind="stable")
    return replace(
        coreset,
        X=np.asfortranarray(coreset.X[drawn][order]),
        depth=depth[order],
        rate=rate[order],
        weight=coreset.weight[drawn][order],
        row_numbers=coreset.row_numbers[drawn][order],
        cell=coreset.cell[drawn][order],
    )


def check_alike(parts: Sequence[tuple[str, PartitionCoreset]], champion: Model | None) -> None:
    """Raise if partitions, by name, do not have the same features, or others than the champion.

    Raises
    ------
    SchemaMismatch, FeaturesMismatch
        If they have not.
    """
    first_name, first = parts[0]
    for name, part in parts:
        if part.columns != first.columns:
            raise SchemaMismatch(
                f"partition {name} has the feature columns {_names(part)}, {first_name} has "
                f"{_names(first)}; pass columns=."
            )
    width = first.coreset.X.shape[1]
    if champion is not None and champion.n_features != width:
        raise FeaturesMismatch(wrong_width(width, champion.n_features))


def _names(part: PartitionCoreset) -> list[str]:
    return [column.name for column in part.columns or ()]


def _scaled(X: Array, scaling: AnyScaling | None) -> Array:
    return np.asfortranarray(X if scaling is None else scaling.transform(X))
