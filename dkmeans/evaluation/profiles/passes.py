"""The two passes that describe clusters."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from dkmeans.evaluation.demand import profile_demand
from dkmeans.evaluation.passes import Wants, side_by_side
from dkmeans.evaluation.profiles.edges import Bins, joined, most_edges, own_edges
from dkmeans.evaluation.profiles.parts import Examples, Histogram
from dkmeans.evaluation.profiles.statistics import ProfileStatistics
from dkmeans.evaluation.profiles.survey import Count, Survey, profile_step
from dkmeans.kernels.block import Array
from dkmeans.kernels.nearest import nearest, nearest_other
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization
from dkmeans.partials.cells import Cells
from dkmeans.partials.cluster_scatter import ClusterScatter
from dkmeans.partials.extremes import Extremes
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Scan
from dkmeans.rows.row_lookup import lookup
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits

MOST_MARGIN = 0.5
"""Rows that are less than half as far from their own center as from the next are on no boundary,
however small their cluster."""


def profile_statistics(
    model: Model, rows: Rows, *, n_examples: int = 0, seed: int = 0
) -> ProfileStatistics:
    """Describe the clusters of a model by rows, in two passes.

    The first assigns each row, adds up moments and products, and draws a sample, from which edges
    are chosen; the second counts exactly what lies between these. Rows of unknown number, or whose
    missing values nobody can fill yet, are passed over once more before; so are rows that are so
    far from the centers of the model that digits would be lost. Examples take their key columns
    from the row groups that hold them.

    Parameters
    ----------
    model
        The model.
    rows
        The samples, with the features, the dtype and the filling of the model, scaled or not.
    n_examples
        Typical rows, and rows on the boundary, to find of each cluster.
    seed
        Of the sample: the same seed draws the same rows, however they are cut into blocks.

    Raises
    ------
    TooLarge
        If a task does not fit in the memory of the workers.
    """
    rows = rows.scaled(None)
    rows.prepare()
    check_fits(rows, profile_demand(model, n_examples), rows.engine.slots())
    while True:
        # what was found so far is of files, too, that had to be left out
        with suppress(RowsChanged):
            wants = wants_of_profile(model, rows, n_examples=n_examples, seed=seed)
            (found,) = side_by_side(rows, [wants])
            return found


def wants_of_profile(
    model: Model, rows: Rows, *, n_examples: int = 0, seed: int = 0
) -> Wants[ProfileStatistics]:
    """`profile_statistics`, as an evaluation that can share its passes: of rows not scaled yet.

    `rows` are those that it will see, prepared.
    """
    pilot = rows.pilot_mean() if isinstance(model.scaling, Normalization) else None
    survey = Survey.of(model, pilot, known_rows(rows), n_examples, seed)
    name, first = yield from _surveyed(survey)
    if not first["moments"].precise:
        # centers are far from their rows: once more, from where the rows are
        means = np.where(first["moments"].empty[:, None], survey.origins, first["moments"].mean)
        survey = replace(survey, origins=means)
        name, first = yield from _surveyed(survey)
    moments, sample = first["moments"], first["sample"]
    scatter = first.parts.get("scatter")
    assert scatter is None or isinstance(scatter, ClusterScatter)
    edges, bins = _cuts(survey, sample)
    both = ((survey,), (Count(edges),))
    cells = yield Scan("cells", profile_step, both, name, last=True)
    assert isinstance(cells, Cells)
    counts, other = bins.counts(cells.regrouped(edges, bins.edges[None]).weight)
    found = [first[name] for name in ("typical", "boundary") if name in first]
    examples = _examples(found, model, rows)
    empty = moments.empty[:, None]
    return ProfileStatistics(
        n_rows=moments.n_rows,
        weight=moments.weight,
        mean=moments.mean,
        variance=moments.variance,
        minimum=np.where(empty, np.nan, moments.minimum),
        maximum=np.where(empty, np.nan, moments.maximum),
        sq_distances=moments.sq_distances,
        covariance=None if scatter is None else scatter.covariance,
        cells=cells,
        edges=edges,
        histogram=Histogram(bins, counts, other),
        n_sampled=len(sample.X),
        typical=examples[0] if examples else None,
        boundary=examples[1].only(examples[1].margins <= MOST_MARGIN)
        if len(examples) > 1
        else None,
    )


def _surveyed(survey: Survey) -> Wants[tuple[str, Together]]:
    """Make the first pass of a scan; return the scan's name, too."""
    name = f"profile-{uuid.uuid4().hex}"
    first = yield Scan("profile", profile_step, ((survey,),), name)
    assert isinstance(first, Together)
    return name, first


def _cuts(survey: Survey, sample: WeightedSample) -> tuple[Array, Bins]:
    """Edges, those of bins among them, and bins, from the sample."""
    model = survey.model
    k, d = model.n_clusters, model.n_features
    if len(sample.X) == 0:
        return np.full((k, d, 1), np.inf), Bins.none(d)
    with one_blas_thread():
        labels = nearest(model.scale(np.asfortranarray(sample.X)), model.scaled_centers)[0]
    weight = survey.sampled_weight(sample, labels)
    most_own, most_shared = most_edges(k, d)
    bins = Bins.of(sample.X, weight, most_shared - 1)
    own = own_edges(sample.X, labels, weight, k, most_own)
    return joined(own, bins.edges), bins


def known_rows(rows: Rows) -> int | None:
    """How many rows, all of weight one, a pass uses; None where that is not known before."""
    if rows.weighted:
        return None
    if rows.known.n_samples is not None:
        return rows.known.n_samples
    drops = rows.missing == "drop" or (rows.parquet is not None and bool(rows.parquet.filters))
    return None if drops else rows.n_source_rows


def _examples(extremes: Sequence[Extremes], model: Model, rows: Rows) -> list[Examples]:
    """What rows of the first pass are, with their keys, which are looked up all at once."""
    if not extremes:
        return []
    names = () if rows.parquet is None else rows.parquet.keys
    numbers = np.concatenate([one.row_numbers for one in extremes])
    keys = lookup(rows, numbers.tolist(), names)
    out, first = [], 0
    for one in extremes:
        last = first + len(one.row_numbers)
        out.append(
            Examples(
                labels=one.labels,
                X=one.X,
                row_numbers=one.row_numbers,
                distances=one.distances[:, 0],
                second_labels=_next(model, one),
                second_distances=one.distances[:, 1],
                keys={name: values[first:last] for name, values in keys.items()},
            )
        )
        first = last
    return out


def _next(model: Model, one: Extremes) -> Array:
    """The second nearest cluster of each row, `(n_found,)` int32; -1 for a single cluster."""
    if model.n_clusters == 1:
        return np.full(len(one.labels), -1, np.int32)
    with one_blas_thread():
        scaled = model.scale(np.asfortranarray(one.X))
        return nearest_other(scaled, model.scaled_centers, one.labels)[0]
