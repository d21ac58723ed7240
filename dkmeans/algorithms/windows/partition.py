"""The coreset of one partition: rows in the units of the data that stand for all of it."""

import warnings
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from dkmeans.algorithms.coreset.pilot import Pilot, n_cells, pilot_of, pilot_size
from dkmeans.algorithms.coreset.precision import better_pilot, pilot_near
from dkmeans.algorithms.coreset.solve import rough_solution
from dkmeans.algorithms.coreset.survey import Coreset, coreset_of, survey_request
from dkmeans.algorithms.drive import FINDINGS, Record
from dkmeans.algorithms.scaling import scaling_from
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.errors import ConstantFeature
from dkmeans.kernels.block import Array
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling, Scaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.together import Together
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows

_ALIKE = 1.25
"""By what factor the scale of a feature, as a few rows tell it, may be off. Where partitions are
in an order of their own, the few are unlike the others: in `kddcup99` as it is stored, far rows of
such features were drawn so seldom that windows came out up to 3 % worse than refits."""


@dataclass(frozen=True, eq=False)
class PartitionCoreset:
    """What is kept of a partition."""

    coreset: Coreset
    """Its rows and the centers of its cells are in the units of the data."""

    moments: Moments
    """Of all rows, in the units of the data, exactly."""

    columns: tuple[FeatureColumn, ...] | None
    dtype: str
    size: int
    """Rows that it was to have."""

    n_source_rows: int
    """Stored rows, those that filters drop included."""

    n_missing_rows: int
    """Rows that were dropped because a value is missing."""

    skipped: tuple[tuple[str, str], ...]
    """Files that were left out, each with the reason."""

    @property
    def n_rows(self) -> int:
        """Rows that it stands for."""
        return self.coreset.n_rows

    @property
    def n_coreset_rows(self) -> int:
        """Rows that it has."""
        return len(self.coreset.depth)


def draw(
    rows: Rows, settings: KMeansSettings, champion: Model | None
) -> tuple[PartitionCoreset, list[Record]]:
    """Draw the coreset of a partition, in one read.

    With a champion, its centers are the cells that rows are drawn by, and nothing is looked at
    before. If what was drawn does not stand for the rows, as when much of the partition is where
    the champion has seen nothing, or if they have another scale than those that were looked at,
    there is a second read, which staged blocks answer.

    Parameters
    ----------
    rows
        Those of the partition, unscaled.
    settings
        `coreset_size`, and the clusters and the seed that cells are found with.
    champion
        None for a look at a few rows instead.

    Returns
    -------
    coreset, history
        What was drawn, and a record of each read.
    """
    while True:
        with suppress(RowsChanged):
            return _draw(rows, settings, champion)


def _draw(
    rows: Rows, settings: KMeansSettings, champion: Model | None
) -> tuple[PartitionCoreset, list[Record]]:
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    size, seed = settings.n_coreset_rows, settings.seed
    pilot = None
    if (rows.n_source_rows or 0) > size:
        pilot = _pilot(rows, settings, champion, history)
    origin = _origin(rows, pilot, champion)
    record: Record = dict.fromkeys(FINDINGS)
    moments_request = Reduce("moments", Moments.from_block, (origin,))
    answer, moments = rows.run([survey_request(pilot, size, seed), moments_request], record)
    assert isinstance(answer, Together)
    assert isinstance(moments, Moments)
    record["kind"] = "read"
    reporter().ended(record)
    history.append(record)
    coreset = coreset_of(answer, pilot, None)
    if pilot is not None and moments.weight > 0:
        better = _better(coreset, pilot, moments, settings, champion)
        if better is not None:
            pilot, record = better, dict.fromkeys(FINDINGS)
            (answer,) = rows.run([survey_request(pilot, size, seed)], record)
            assert isinstance(answer, Together)
            record["kind"] = "second read"
            reporter().ended(record)
            history.append(record)
            coreset = coreset_of(answer, pilot, None)
    in_data_units = moments.mean[None] if pilot is None else _unscaled(pilot.centers, pilot.scaling)
    coreset = replace(coreset, cell_centers=in_data_units)
    kept = PartitionCoreset(
        coreset,
        moments,
        rows.columns,
        rows.dtype,
        size,
        rows.n_source_rows or 0,
        rows.known.n_missing_rows,
        () if rows.parquet is None else rows.parquet.skipped,
    )
    return kept, history


def _pilot(
    rows: Rows, settings: KMeansSettings, champion: Model | None, history: list[Record]
) -> Pilot | None:
    if champion is not None and (champion.weights > 0).any():
        filled = champion.weights > 0
        weight, centers = champion.weights[filled], champion.scaled_centers[filled]
        mean = _unscaled((weight @ centers / weight.sum())[None], champion.scaling)[0]
        return Pilot(mean, champion.scaling, centers, weight)
    row_bytes = rows.n_features * np.dtype(rows.dtype).itemsize
    found = rows.pilot(pilot_size(settings.n_clusters, row_bytes), settings.seed)
    history.append({**dict.fromkeys(FINDINGS), **found.record})
    if len(found.X) == 0:
        return None
    return pilot_of(found, settings.scale, settings.n_clusters, settings.seed)


def _origin(rows: Rows, pilot: Pilot | None, champion: Model | None) -> Array:
    """Return a point that is likely to lie within the data."""
    if pilot is not None:
        return pilot.mean
    if champion is not None:
        return champion.centers.mean(axis=0)
    return rows.pilot_mean()


def _better(
    coreset: Coreset,
    pilot: Pilot,
    moments: Moments,
    settings: KMeansSettings,
    champion: Model | None,
) -> Pilot | None:
    """Return what to draw by instead; None if what was drawn stands for all rows."""
    k, scaling = settings.n_clusters, pilot.scaling
    # a champion's scale is that of its window, which partitions differ from
    if champion is None and isinstance(scaling, Scaling) and settings.scale != "robust":
        with warnings.catch_warnings():
            # other partitions may have rows that differ in them
            warnings.simplefilter("ignore", ConstantFeature)
            exact = scaling_from(settings.scale, moments)
        if isinstance(exact, Scaling) and not _is_alike(scaling, exact):
            scaled = replace(coreset, X=_scaled(coreset.X, exact))
            centers = rough_solution(scaled, n_cells(k), settings.seed).centers
            return pilot_near(scaled, centers, moments.mean, exact)
    scaled = replace(coreset, X=_scaled(coreset.X, scaling))
    centers = rough_solution(scaled, k, settings.seed).centers
    better = better_pilot(scaled, centers, moments, scaling)
    # it was found in the pilot's scale, and rows are read unscaled again
    return None if better is None else replace(better, mean=moments.mean, scaling=scaling)


def _is_alike(scaling: Scaling, exact: Scaling) -> bool:
    """Whether distances in two scales are about the same."""
    ratio = exact.factor / scaling.factor
    return bool((np.maximum(ratio, 1 / ratio) <= _ALIKE).all())


def _scaled(X: Array, scaling: AnyScaling | None) -> Array:
    return np.asfortranarray(X if scaling is None else scaling.transform(X))


def _unscaled(X: Array, scaling: AnyScaling | None) -> Array:
    return X if scaling is None else scaling.inverse_transform(X)
