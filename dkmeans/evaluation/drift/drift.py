"""Whether rows are still like those that a model was fitted to."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.demand import baseline_demand
from dkmeans.evaluation.drift.checks import checked
from dkmeans.evaluation.drift.comparison import ClusterDrift, FeatureDrift
from dkmeans.evaluation.drift.passes import as_stored, drift_request, missing_of, one_pass
from dkmeans.evaluation.drift.region import Region, densest
from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.drift.sentences import reasons
from dkmeans.evaluation.drift.survey import to_units
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.statistics import check_integer
from dkmeans.kernels.block import Array
from dkmeans.models.baseline import Baseline, missing_shares
from dkmeans.models.limits import Limits
from dkmeans.models.model import Model
from dkmeans.models.shares import Shares
from dkmeans.partials.together import Together
from dkmeans.rows.requests import Reduce
from dkmeans.rows.task_memory import check_fits


def drift(
    model: Any,
    X: Any,
    *,
    sample_weight: Any = None,
    thresholds: Mapping[str, float] | Thresholds | None = None,
    random_state: int = 0,
) -> Drift:
    """Compare rows with the baseline of a model: one pass over them.

    One more pass counts rows of unknown number (Dask DataFrames). Missing values are counted, and
    filled as the model has it; rows that lack one, of a model that fills none, count for nothing
    else. `Rows` that refuse or drop rows with missing values do so.

    Parameters
    ----------
    model
        A `Model`, or a fitted estimator, with a baseline: see `with_baseline`.
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row, also for what chance may give. For `Rows`,
        name the column there.
    thresholds
        Others than the defaults of `Thresholds`, by name.
    random_state
        Seed of the sample of rows that lie beyond, of which a new region is found.

    Returns
    -------
    Drift
        Shown as text or in a notebook; `verdict`, `reasons`; `to_frame()` has a row for each
        figure.

    Raises
    ------
    ArgumentError
        If the model has no baseline, or a threshold cannot be.
    FeaturesMismatch
        If X has other features than the model.
    TooLarge
        If a task does not fit in the memory of the workers.

    Examples
    --------
    >>> import numpy as np
    >>> from dkmeans import KMeans, with_baseline
    >>> X = np.random.default_rng(0).normal(size=(2000, 2))
    >>> model = with_baseline(KMeans(2, random_state=0).fit(X), X)
    >>> drift(model, X[:1000]).verdict
    'no drift'
    >>> drift(model, X * [3.0, 1.0]).verdict
    'drift'
    """
    model = model_of(model)
    asked = Thresholds.checked(thresholds)
    seed = check_integer("random_state", random_state, 0)
    baseline_of(model)
    with as_stored(model, X, sample_weight) as (rows, scaled):
        demand = baseline_demand(
            [model.n_clusters], rows.n_features, rows.dtype, scaled=scaled, compares=True
        )
        check_fits(rows, demand, rows.engine.slots())
        before = rows.n_passes
        request = drift_request(model, scaled=scaled, seed=seed)
        found = one_pass(rows, request)
        missing = missing_of(rows, found["missing"].weight) if scaled else None
        n_passes = rows.n_passes - before
    return drift_of(model, found, request, missing, asked, n_passes)


def baseline_of(model: Model) -> Baseline:
    """Return the baseline of a model.

    Raises
    ------
    ArgumentError
        If it has none.
    """
    if model.baseline is None:
        raise ArgumentError(
            "the model has no baseline to compare rows with; fit it with --baseline yes, or give "
            "it one: dkmeans.with_baseline(model, rows of the fit)."
        )
    return model.baseline


def drift_of(
    model: Model,
    found: Together,
    request: Reduce,
    missing: tuple[Array, float] | None = None,
    thresholds: Thresholds | None = None,
    n_passes: int = 1,
) -> Drift:
    """Compare what a pass has found, perhaps among other things, with the baseline of a model.

    Parameters
    ----------
    model
        That of the request.
    found, request
        The answer to a `drift_request`, and that.
    missing
        As for `baselines_of`.
    thresholds
        None for the defaults.
    n_passes
        Passes made, to be told.
    """
    baseline = baseline_of(model)
    (survey,) = request.broadcast
    limits: Limits = survey.limits
    shares_missing, incomplete = missing_shares(found["missing"]) if missing is None else missing
    sums, distances = found["sums 0"], found["distances 0"]
    clusters = ClusterDrift.between(model, baseline, sums, distances)
    features = FeatureDrift.between(
        model, baseline, found["moments"], found["features"], found["outside"], shares_missing
    )
    table = distances.dense(model.n_clusters, baseline.bins.n_cells)
    shares = Shares.between(
        model,
        limits,
        weight=float(sums.weight.sum()),
        beyond=float(limits.beyond(table).sum()),
        outside=found["outside"].rows,
        incomplete=incomplete,
        read=found["missing"].weight,
    )
    asked = Thresholds() if thresholds is None else thresholds
    checks = checked(clusters, features, shares, asked)
    region = None
    if any(one.drifts for one in checks if one.metric == "beyond_share"):
        region = _region(model, baseline, found, shares)
    return Drift(
        found.n_rows,
        baseline.n_rows,
        checks,
        reasons(checks, clusters, features, shares, region, model.cluster_names),
        clusters,
        features,
        shares,
        region,
        asked,
        n_passes,
        dict(model.cluster_names),
    )


def _region(model: Model, baseline: Baseline, found: Together, shares: Shares) -> Region | None:
    radius, sample = baseline.p99_distance, found["beyond"]
    dense = densest(sample, shares.beyond * shares.rows, shares.rows, shares.base_beyond, radius)
    if dense is None:
        return None
    center, part, error, is_compact = dense
    apart = np.sqrt(((model.scaled_centers - center) ** 2).sum(axis=1))
    nearest = int(apart.argmin())
    return Region(
        to_units(model, center[None])[0],
        part,
        error,
        radius,
        int(model.cluster_ids[nearest]),
        float(apart[nearest]),
        center - model.scaled_centers[nearest],
        is_compact,
        len(sample.X),
    )
