"""The pass that a baseline or a comparison with one takes: one, whatever is asked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.errors import TooFewRows
from dkmeans.evaluation.asked import answers, opened
from dkmeans.evaluation.demand import baseline_demand
from dkmeans.evaluation.drift.survey import Survey, survey_block
from dkmeans.kernels.block import Array
from dkmeans.kernels.log_bins import FEATURE_BITS
from dkmeans.models.baseline import Baseline, missing_shares
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.partials.together import Together
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits


def baseline_request(*models: Model, scaled: bool) -> Reduce:
    """Ask a pass for what baselines of some models are made of; `baselines_of` takes the answer.

    Parameters
    ----------
    models
        At least one; all of one scaling, filling and dtype, as those of a sweep. What is found of
        features is found once for all.
    scaled
        Whether the rows come in the space of the models, as `rows.scaled(model.scaling)` gives
        them, filled; else as they are stored, where NaN is a missing value, which is counted.
    """
    return Reduce("baseline", survey_block, (Survey.of(models, scaled=scaled),))


def drift_request(model: Model, *, scaled: bool, seed: int = 0) -> Reduce:
    """Ask a pass for what `drift_of` compares with the baseline of a model, which it must have.

    Parameters as for `baseline_request`; `seed` is that of a sample of rows. `baselines_of` takes
    the answer, too: a baseline with the bins of that of the model.
    """
    assert model.baseline is not None
    survey = Survey.like(model, model.baseline, scaled=scaled, seed=seed)
    return Reduce("drift", survey_block, (survey,))


def baselines_of(
    found: Together, request: Reduce, missing: tuple[Array, float] | None = None
) -> list[Baseline]:
    """Return the baseline of each model of a request.

    Parameters
    ----------
    found
        What the pass found.
    request
        What it was asked.
    missing
        The share of rows that lacks each feature, `(n_features,)`, and that of rows that lack any,
        where the pass did not see what is missing; None if it did.

    Raises
    ------
    TooFewRows
        If no row has any weight.
    """
    (survey,) = request.broadcast
    if not found["moments"].weight > 0:
        raise TooFewRows(
            f"a baseline needs a row of positive weight that lacks nothing; the data has "
            f"{found.n_rows} rows."
        )
    shares = missing_shares(found["missing"]) if missing is None else missing
    return [
        Baseline.of(
            found[f"sums {i}"],
            found[f"distances {i}"],
            survey.bins[i],
            found["moments"],
            found["features"],
            FEATURE_BITS,
            centers,
            *shares,
        )
        for i, centers in enumerate(survey.centers)
    ]


def found_baselines(
    models: Sequence[Model], rows: Rows, scaled: bool, record: dict[str, Any]
) -> list[Baseline]:
    """Make the pass that finds the baselines of some models; `record` gets what it cost.

    Raises
    ------
    TooFewRows
        If no row has any weight.
    TooLarge
        If a task does not fit in the memory of the workers.
    """
    counts = [model.n_clusters for model in models]
    demand = baseline_demand(counts, rows.n_features, rows.dtype, scaled=scaled)
    check_fits(rows, demand, rows.engine.slots())
    request = baseline_request(*models, scaled=scaled)
    found = one_pass(rows, request, record)
    missing = missing_of(rows, found["missing"].weight) if scaled else None
    return baselines_of(found, request, missing)


def one_pass(rows: Rows, request: Reduce, record: dict[str, Any] | None = None) -> Together:
    """Make one pass; again if files had to be left out meanwhile."""
    while True:
        with suppress(RowsChanged):
            (found,) = answers(rows, [request], record)
            assert isinstance(found, Together)
            return found


@contextmanager
def as_stored(model: Model, X: Any, sample_weight: Any) -> Iterator[tuple[Rows, bool]]:
    """Open X so that missing values come as NaN, for a while; `Rows` that refuse or drop rows do.

    Yields the rows, and whether they come scaled.
    """
    nothing = Filling(np.full(model.n_features, np.nan))
    with opened(replace(model, filling=nothing), X, sample_weight) as rows:
        if rows.missing == "mean":
            yield rows.scaled(None), False
        else:
            yield rows.scaled(model.scaling), True


@contextmanager
def as_kept(model: Model, X: Any, sample_weight: Any) -> Iterator[tuple[Rows, bool]]:
    """Open X as the fit saw it, if its blocks may be kept so; else as `as_stored`."""
    if isinstance(X, Rows) and (X.missing != "mean" or _is_filled_alike(X, model)):
        with opened(model, X, sample_weight) as rows:
            yield rows.scaled(model.scaling), True
        return
    with as_stored(model, X, sample_weight) as found:
        yield found


def missing_of(rows: Rows, weight: float) -> tuple[Array, float]:
    """Return what is known of missing values of rows that passes see without.

    `(n_features,)` shares of rows that lack each feature, and the share that lack any; NaN where
    nobody counted. `weight` is that of all rows of the pass.
    """
    d = rows.n_features
    if rows.missing == "raise":
        return np.zeros(d), 0.0
    if rows.missing == "drop":
        n_used, n_missing = rows.known.n_samples or 0, rows.known.n_missing_rows
        return np.full(d, np.nan), n_missing / max(1, n_used + n_missing)
    present = rows.known.present_weight
    if present is None:
        return np.full(d, np.nan), float("nan")
    return np.clip(1.0 - present / (weight or 1.0), 0.0, 1.0), float("nan")


def _is_filled_alike(rows: Rows, model: Model) -> bool:
    ours, theirs = rows.known.filling, model.filling
    return ours is not None and theirs is not None and ours.name == theirs.name
