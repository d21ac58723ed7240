"""The read: exact totals of each cell, and rows drawn by what they matter.

A row is drawn by its squared distance to the center of its cell, as the far ones make the inertia,
or by the inverse of the weight of its cell, so that small and dense ones get their share. The two
draws are made apart, each of half the rows: how the one is scaled does not matter to the other,
whatever the pilot has not seen.
"""

import uuid
from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.coreset.pilot import Pilot
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.sums import weight_by_label
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import Partial
from dkmeans.partials.cluster_totals import ClusterTotals
from dkmeans.partials.limits import limit_of
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.requests import Reduce

_DRAWS = ("by distance", "by cell")


@dataclass(frozen=True, eq=False)
class Coreset:
    """Weighted rows that stand for all, the ones that a smaller coreset has before the others."""

    X: Array
    """`(n_rows, n_features)`, scaled, feature-major, of the dtype of the rows."""

    depth: Array
    """`(n_rows,)` float64, ascending: the row belongs to every coreset whose share of this one is
    larger."""

    rate: Array
    """`(n_rows,)` float64: a coreset of share s has the row with the probability
    `1 - exp(-s * rate)`; infinite where all rows are here."""

    weight: Array
    """`(n_rows,)` float64: the sample weights of the rows."""

    row_numbers: Array
    """`(n_rows,)` int64: source row numbers."""

    cell: Array
    """`(n_rows,)` int32: the pilot's cell that each row is in."""

    cell_weight: Array
    """`(n_cells,)` float64: the exact weight of all rows in each cell."""

    cell_centers: Array
    """`(n_cells, n_features)` float64, in the pilot's scale."""

    n_rows: int
    """How many rows it stands for."""

    @property
    def is_everything(self) -> bool:
        """Whether it has all rows that have a weight."""
        return bool(np.isinf(self.rate).all())

    def part(self, share: float) -> tuple[Array, Array]:
        """Return a smaller coreset, rows `(n, n_features)` and weights `(n,)` float64.

        Weights are calibrated: in each cell they add up to the weight of all its rows. A cell
        without rows gives its weight to the nearest one that has some.
        """
        n = int(np.searchsorted(self.depth, share))
        weight = self.weight[:n] / -np.expm1(-share * self.rate[:n])
        return self.X[:n], weight * self._calibration(weight)[self.cell[:n]]

    def _calibration(self, weight: Array) -> Array:
        """Return by what the weights of the first rows are multiplied in each cell."""
        found = weight_by_label(self.cell[: len(weight)], weight, len(self.cell_weight))
        exact, filled = self.cell_weight.copy(), np.flatnonzero(found)
        orphans = np.flatnonzero((found == 0) & (exact > 0))
        if len(orphans) and len(filled):
            heirs = nearest(self.cell_centers[orphans], self.cell_centers[filled])[0]
            np.add.at(exact, filled[heirs], exact[orphans])
        return np.asarray(exact / np.where(found > 0, found, 1.0))


def survey_request(pilot: Pilot | None, size: int, seed: int) -> Reduce:
    """Return what the read is to compute: for about `size` rows, or all if there is no pilot."""
    if pilot is None:
        return Reduce("read", _all_rows, (size, seed))
    return Reduce("read", _survey, (pilot, -(-size // 2), seed, uuid.uuid4().hex))


def _survey(block: Block, pilot: Pilot, half: int, seed: int, name: str) -> Together:
    zero = WeightedSample.zero(half, block.n_features, block.X.dtype)
    parts: dict[str, Partial] = {
        "cells": ClusterTotals.zero(1, len(pilot.centers)),
        **dict.fromkeys(_DRAWS, zero),
    }
    so_far = Together(parts)
    for _, tile in block.tiles():
        cell, importances = _importances(tile.X, tile.weights, pilot)
        of_tile: dict[str, Partial] = {
            "cells": ClusterTotals.of([tile.weights], cell, None, len(pilot.centers))
        }
        for draw, importance in zip(_DRAWS, importances, strict=True):
            limit = limit_of(f"{name} {draw}", half)
            sample = WeightedSample.from_block(
                tile, half, seed, ("coreset", draw), importance, limit.key
            )
            limit.add(sample.keys)
            of_tile[draw] = sample
        so_far = so_far.merge(Together(of_tile))
    return so_far


def _all_rows(block: Block, size: int, seed: int) -> Together:
    return Together({"rows": WeightedSample.from_block(block, size, seed, ("coreset", "rows"))})


def _importances(X: Array, weight: Array, pilot: Pilot) -> tuple[Array, tuple[Array, Array]]:
    """Return the cell of each row, and its importance for each draw."""
    scaled = X if pilot.scaling is None else pilot.scaling.transform(X)
    # the same rows are to be drawn however blocks are cut
    cell, sq_distances = nearest(scaled, pilot.centers, by_row=True)
    return cell, (weight * sq_distances.astype(np.float64), weight / pilot.weight[cell])


def coreset_of(answer: Together, pilot: Pilot | None, scaling: AnyScaling | None) -> Coreset:
    """Put together what the read has drawn, in the scale of all rows."""
    if pilot is None:
        rows: WeightedSample = answer["rows"]
        order = np.argsort(rows.row_numbers)
        n = len(order)
        return Coreset(
            _scaled(rows.X[order], scaling),
            np.zeros(n),
            np.full(n, np.inf),
            rows.weight[order],
            rows.row_numbers[order],
            np.zeros(n, np.int32),
            np.array([rows.weight.sum()]),
            np.zeros((1, rows.X.shape[1])),
            rows.n_rows,
        )
    samples: list[WeightedSample] = [answer[draw] for draw in _DRAWS]
    thresholds = [sample.threshold for sample in samples]
    numbers = np.concatenate([sample.row_numbers for sample in samples])
    depth = np.concatenate(
        [
            sample.keys[: sample.size] / threshold
            for sample, threshold in zip(samples, thresholds, strict=True)
        ]
    )
    # a row may be drawn twice: it counts where it comes first
    order = np.lexsort((depth, numbers))
    order = order[np.concatenate([[True], numbers[order][1:] != numbers[order][:-1]])]
    order = order[np.lexsort((numbers[order], depth[order]))]
    X = np.asfortranarray(np.concatenate([sample.X for sample in samples])[order])
    weight = np.concatenate([sample.weight for sample in samples])[order]
    cell, importances = _importances(X, weight, pilot)
    rate = sum(
        importance * threshold if threshold < np.inf else np.where(importance > 0, np.inf, 0.0)
        for importance, threshold in zip(importances, thresholds, strict=True)
    )
    cells: ClusterTotals = answer["cells"]
    return Coreset(
        _scaled(X, scaling),
        depth[order],
        np.asarray(rate),
        weight,
        numbers[order],
        cell,
        cells.totals[0],
        pilot.centers,
        cells.n_rows,
    )


def _scaled(X: Array, scaling: AnyScaling | None) -> Array:
    return np.asfortranarray(X if scaling is None else scaling.transform(X))
