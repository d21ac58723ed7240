"""Measure champion and challenger on the same new rows, in the same passes: one, or two.

One pass finds all where both models see the rows alike. Where the challenger has a scaling of its
own, or missing values are filled in, rows are looked at as they are stored, too: by a second pass.
"""

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.demand import baseline_demand, evaluation_demand, flow_demand
from dkmeans.evaluation.drift.drift import drift_of
from dkmeans.evaluation.drift.passes import (
    baseline_request,
    baselines_of,
    drift_request,
    missing_of,
)
from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.lineage.flow import flow_request, scale_alike, unfilled
from dkmeans.evaluation.passes import side_by_side, wants_of_model
from dkmeans.evaluation.statistics import Need, Sampling, Statistics
from dkmeans.kernels.block import Array
from dkmeans.models.baseline import missing_shares
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization
from dkmeans.partials.contingency import Contingency
from dkmeans.partials.together import Together
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits

_NEEDS: frozenset[Need] = frozenset(("inertias", "margins"))


@dataclass(frozen=True, eq=False)
class Measured:
    """What the passes have found."""

    challenger: Model
    """With the baseline of these rows."""

    found: Statistics
    """Of the challenger, in the space of the champion."""

    of_champion: Statistics | None
    flow: Contingency | None
    drift: Drift | None
    """None without a champion, or if that has no baseline."""

    survey: Together | None
    """What drift was found from."""

    missing_share: float | None
    """Share of rows that lack a value and were filled in; None if none are filled in."""

    n_passes: int


def measure(
    rows: Rows, champion: Model | None, challenger: Model, thresholds: Thresholds
) -> Measured:
    """Evaluate both models, count the rows that move, find drift and the challenger's baseline.

    Parameters
    ----------
    rows
        The new rows, with the features of both models, unscaled.
    champion
        None for a first model.
    challenger
        Its labels matter, its ids do not.
    thresholds
        Of drift.

    Raises
    ------
    ArgumentError
        If one model measures the directions of rows and the other does not.
    TooLarge
        If a task does not fit in the memory of the workers.
    """
    _check_fits(rows, champion, challenger)
    while True:
        # files were left out: these are other rows
        with suppress(RowsChanged):
            return _measured(rows, champion, challenger, thresholds)


def _measured(
    rows: Rows, champion: Model | None, challenger: Model, thresholds: Thresholds
) -> Measured:
    space = challenger if champion is None else champion
    compares = champion is not None and champion.baseline is not None
    in_one = scale_alike(space, challenger) and rows.missing != "mean"
    drifts = drift_request(space, scaled=in_one) if compares else None
    bases = baseline_request(challenger, scaled=in_one)
    flows = None if champion is None else flow_request(champion, challenger, scaled=in_one)
    models = [_seen_from(space, challenger)]
    models += [] if champion is None else [champion]
    evaluated = [wants_of_model(model, _NEEDS) for model in models]
    others: list[Reduce] = [one for one in (bases, drifts, flows) if one is not None]
    filled = rows if space.filling is None else rows.filled(space.filling)
    seen = filled.scaled(space.scaling)
    if in_one:
        answers = _answers(seen, [*evaluated, *map(_once, others)])
        found, rest = answers[: len(models)], answers[len(models) :]
    else:
        found = _answers(seen, evaluated)
        rest = _answers(unfilled(rows).scaled(None), list(map(_once, others)))
    partials = dict(zip((one.kind for one in others), rest, strict=True))
    survey = partials.get("drift")
    weight = partials["baseline"]["missing"].weight
    missing = missing_of(rows, weight) if in_one else None
    (baseline,) = baselines_of(partials["baseline"], bases, missing)
    drift = None
    if drifts is not None:
        drift = drift_of(space, partials["drift"], drifts, missing, thresholds)
    return Measured(
        replace(challenger, baseline=baseline),
        found[0],
        None if champion is None else found[1],
        partials.get("row flow"),
        drift,
        survey,
        None if in_one else _incomplete(partials["baseline"]),
        1 if in_one else 2,
    )


def _once(request: Request) -> Generator[Request, Any, Any]:
    """Want one pass."""
    return (yield request)


def _answers(rows: Rows, wanting: Sequence[Generator[Request, Any, Any]]) -> list[Any]:
    return side_by_side(rows, wanting)


def _incomplete(found: Together) -> float:
    """The share of rows that lack a value."""
    return float(missing_shares(found["missing"])[1])


def _seen_from(space: Model, challenger: Model) -> Model:
    """Return the challenger with its centers where the other model measures."""
    if scale_alike(space, challenger):
        return challenger
    kinds = (space.scaling, challenger.scaling)
    if any(isinstance(one, Normalization) for one in kinds):
        if all(isinstance(one, Normalization) for one in kinds):
            return challenger
        raise ArgumentError(
            "scale: one of champion and challenger measures the directions of rows and the other "
            "does not, so that they cannot be compared; write the champion's scale, or begin "
            "another registry."
        )
    centers = challenger.centers
    if space.scaling is not None:
        centers = space.scaling.transform(centers)
    return replace(
        challenger,
        scaling=space.scaling,
        filling=space.filling,
        scaled_centers=np.ascontiguousarray(centers, np.float64),
        baseline=None,
    )


def _check_fits(rows: Rows, champion: Model | None, challenger: Model) -> None:
    slots, d = rows.engine.slots(), rows.n_features
    both = [challenger] if champion is None else [champion, challenger]
    demands = [evaluation_demand(one, _NEEDS, Sampling(1, 0)) for one in both]
    demands += [
        baseline_demand([one.n_clusters], d, rows.dtype, scaled=True, compares=True) for one in both
    ]
    if champion is not None:
        demands.append(flow_demand(champion, challenger))
    for demand in demands:
        check_fits(rows, demand, slots)


def beyond_share(champion: Model, survey: Together) -> float:
    """Return the share of rows farther from all centers than 99 % of the baseline's rows were.

    Of all clusters together: at the least edge of a bin that 1 % of the baseline's rows, or fewer,
    lie beyond.
    """
    baseline = champion.baseline
    assert baseline is not None
    table: Array = survey["distances 0"].dense(champion.n_clusters, baseline.bins.n_cells)
    now, then = table.sum(axis=0), baseline.distance_table.sum(axis=0)
    beyond = then.sum() - np.concatenate([[0.0], np.cumsum(then)[:-1]])
    few = np.flatnonzero(beyond <= 0.01 * then.sum() * (1 + 1e-12))
    cell = int(few[0]) if len(few) else len(then) - 1
    total = float(now.sum())
    return float(now[cell:].sum()) / total if total > 0 else float("nan")
