"""What a report tells of a model and rows, found in two passes over these."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dkmeans.evaluation.asked import opened
from dkmeans.evaluation.charts.sampled import (
    MAP_ROWS,
    SILHOUETTE_ROWS,
    SampledRows,
    has_scatter,
    sample_request,
    samples_of,
)
from dkmeans.evaluation.demand import (
    baseline_demand,
    chart_demand,
    evaluation_demand,
    flow_demand,
    profile_demand,
    shared_demand,
)
from dkmeans.evaluation.drift.drift import drift_of
from dkmeans.evaluation.drift.passes import drift_request, missing_of
from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.evaluate import evaluation_of, known_of_fit
from dkmeans.evaluation.evaluation import Evaluation
from dkmeans.evaluation.lineage.flow import check_features, flow_request, of_nothing
from dkmeans.evaluation.lineage.match import match
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.evaluation.metrics import METRICS
from dkmeans.evaluation.passes import Wants, side_by_side, wants_of_model
from dkmeans.evaluation.profiles.passes import known_rows, wants_of_profile
from dkmeans.evaluation.profiles.profile import QUANTILES, profile_of
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.evaluation.sight import Sight, one_request
from dkmeans.evaluation.statistics import Need, Sampling
from dkmeans.models.model import Model
from dkmeans.rows.demand import Demand
from dkmeans.rows.for_model import left_out
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits
from dkmeans.storage.filesystem import redact

EXAMPLES = 3
"""Rows nearest to each center, and so many on its boundary, where rows may be shown."""

# the silhouette of rows comes from the sample that charts draw
_METRICS = tuple(metric for metric in METRICS if metric.name != "silhouette")


@dataclass(frozen=True, eq=False)
class Source:
    """What the rows of a report are."""

    files: tuple[str, ...]
    """URLs without secrets; none if rows did not come from files."""

    filters: tuple[str, ...]
    weight: str | None
    """Column of weights."""

    keys: tuple[str, ...]
    missing: str
    n_missing: int
    """Rows left out for want of values."""

    skipped: tuple[tuple[str, str], ...]
    """Files left out, each with the reason."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What passes over the rows of a report have found."""

    model: Model
    against: Model | None
    evaluation: Evaluation
    """All metrics but the silhouette by distances between rows."""

    profile: Profile
    samples: SampledRows
    drift: Drift | None
    """None if the model has no baseline."""

    lineage: Lineage | None
    """None if there is no other model."""

    source: Source
    n_passes: int


def findings(
    model: Model,
    X: Any,
    *,
    sample_weight: Any = None,
    against: Model | None = None,
    n_examples: int = EXAMPLES,
    seed: int = 0,
) -> Findings:
    """Find all that a report tells, in two passes over the rows.

    The first assigns rows, and finds their moments, samples, what is compared with the baseline,
    and the clusters that they have in the other model; the second counts values, and finds what
    depends on the means of clusters. One more pass counts rows of unknown number (Dask DataFrames),
    or is made where rows are very far from the centers.

    Parameters and errors are those of `dkmeans.report`.
    """
    if against is not None:
        check_features(against, model)
    # so that missing values come as such, and are counted; each request fills them in
    reader = model
    if model.filling is not None:
        reader = replace(model, filling=of_nothing(model.n_features))
    with opened(reader, X, sample_weight) as given:
        rows = given.scaled(None)
        rows.prepare()
        check_fits(rows, report_demand(model, rows, against), rows.engine.slots())
        before = rows.n_passes
        while True:
            # what was found so far is of files, too, that had to be left out
            with suppress(RowsChanged):
                return _found(model, rows, against, n_examples, seed, before)


def _found(
    model: Model, rows: Rows, against: Model | None, n_examples: int, seed: int, before: int
) -> Findings:
    scaled, filled = Sight.scaled(model), Sight.filled(model)
    known = known_of_fit(model, given_as_fitted(rows, model))
    samples = sample_request(model, known_rows(rows), MAP_ROWS, SILHOUETTE_ROWS, seed)
    needs: frozenset[Need] = frozenset(need for metric in _METRICS for need in metric.needs)
    wanting: dict[str, Wants[Any]] = {
        "profile": filled.through(
            wants_of_profile(model, given_as_fitted(rows, model), n_examples=n_examples, seed=seed)
        ),
        "metrics": scaled.through(wants_of_model(model, needs, known=known)),
        "samples": scaled.through(one_request(samples)),
    }
    drifting = None
    if model.baseline is not None:
        drifting = drift_request(model, scaled=False, seed=seed)
        wanting["drift"] = one_request(drifting)
    if against is not None:
        wanting["flow"] = one_request(flow_request(against, model))
    found = dict(zip(wanting, side_by_side(rows, list(wanting.values())), strict=True))
    n_passes = rows.n_passes - before
    drift = None
    if drifting is not None:
        answer = found["drift"]
        missing = missing_of(rows, answer["missing"].weight) if rows.missing == "drop" else None
        drift = drift_of(model, answer, drifting, missing, n_passes=n_passes)
    statistics = found["metrics"]
    reused = known is not None and statistics.inertias is known.inertias
    return Findings(
        model,
        against,
        evaluation_of(model, statistics, _METRICS, n_passes=n_passes, reused=reused),
        profile_of(model, rows, found["profile"], np.array(QUANTILES)),
        samples_of(model, found["samples"], samples),
        drift,
        None if against is None else match(against, model, found["flow"]),
        _source(rows),
        n_passes,
    )


def given_as_fitted(rows: Rows, model: Model) -> Rows:
    """Return rows as the model fills them."""
    return rows if model.filling is None else rows.filled(model.filling)


def report_demand(model: Model, rows: Rows, against: Model | None = None) -> Demand:
    """Return what a report asks of rows of the features of its model."""
    needs: frozenset[Need] = frozenset(need for metric in _METRICS for need in metric.needs)
    demands = [
        profile_demand(model, EXAMPLES),
        evaluation_demand(model, needs, Sampling(1, 0)),
        chart_demand(model, MAP_ROWS + SILHOUETTE_ROWS, has_scatter(model.n_features)),
    ]
    if model.baseline is not None:
        k, d = model.n_clusters, model.n_features
        demands.append(baseline_demand([k], d, model.dtype, scaled=False, compares=True))
    if against is not None:
        demands.append(flow_demand(against, model))
    # filled, and scaled
    return shared_demand(demands, 2 * rows.n_features * np.dtype(model.dtype).itemsize)


def _source(rows: Rows) -> Source:
    lost, plan = left_out(rows), rows.parquet
    skipped = tuple((one["url"], one["reason"]) for one in lost["skipped_files"])
    if plan is None:
        return Source((), (), None, (), rows.missing, lost["rows_missing"], skipped)
    return Source(
        tuple(redact(file.url) for file in plan.files),
        tuple(
            " and ".join(f"{one.column} {one.op} {one.value}" for one in group)
            for group in plan.filters
        ),
        plan.weight,
        tuple(plan.keys),
        rows.missing,
        lost["rows_missing"],
        skipped,
    )
