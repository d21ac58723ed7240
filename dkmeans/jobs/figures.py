"""The figures that a gate judges, and how they come from what a retraining measures anyway."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.jobs.metrics import METRICS
from dkmeans.kernels.block import Array


@dataclass(frozen=True)
class Figures:
    """What was measured of a model on the new rows, and of these rows; None where it was not.

    See `METRICS` for what each is.
    """

    inertia_per_row: float | None = None
    """In the space of the champion's scaler, where both models measure."""

    silhouette: float | None = None
    """Simplified: by distances to centers; 0 of a model of one cluster."""

    smallest_share: float | None = None
    churn: float | None = None
    drift: float | None = None
    misfit: float | None = None
    new_region: float | None = None
    outside_range: float | None = None
    mean_shift: float | None = None
    spread_change: float | None = None
    """Infinite if a feature has become constant, or is no longer."""

    rows: float | None = None
    n_rows: float | None = None
    bad_files: float | None = None
    missing_share: float | None = None

    @classmethod
    def of(cls, *parts: Mapping[str, float | None]) -> "Figures":
        """Put together what `quality`, `reading` and the like have found.

        Raises
        ------
        ArgumentError
            If a name is no metric.
        """
        values: dict[str, float | None] = {}
        for part in parts:
            for name, value in part.items():
                if name not in METRICS:
                    raise ArgumentError(
                        f"{name!r} is no metric of gates; use {', '.join(METRICS)}."
                    )
                values[name] = None if value is None else float(value)
        return cls(**values)

    def __getitem__(self, name: str) -> float | None:
        """Return the value of a metric; None if it was not measured."""
        value: float | None = getattr(self, METRICS[name].name)
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return what was measured, as plain values; infinities as texts, which JSON takes."""
        return {
            name: value if math.isfinite(value) else str(value)
            for name, value in asdict(self).items()
            if value is not None
        }


def quality(metrics: Mapping[str, float], weights: Array) -> dict[str, float | None]:
    """Return the figures of how good a model is on some rows.

    Parameters
    ----------
    metrics
        Values of an `Evaluation` by name: "inertia", and "silhouette_simplified" where it is
        defined.
    weights
        `(n_clusters,)`: its sum of sample weights of each cluster.
    """
    total = float(np.sum(weights))
    if total <= 0:
        return {"inertia_per_row": math.nan, "silhouette": math.nan, "smallest_share": math.nan}
    return {
        "inertia_per_row": metrics["inertia"] / total,
        "silhouette": metrics.get("silhouette_simplified"),
        "smallest_share": float(np.min(weights)) / total,
    }


def churn(before: Array, after: Array, flow: Array) -> dict[str, float | None]:
    """Return the share of rows whose cluster id changes.

    Parameters
    ----------
    before
        `(n_before,)`: cluster ids of the champion, by label.
    after
        `(n_after,)`: cluster ids of the challenger, by label, after they were continued.
    flow
        `(n_before, n_after)`: weight of the rows that each pair of labels has.
    """
    total = float(flow.sum())
    kept = float(flow[np.equal.outer(before, after)].sum())
    return {"churn": math.nan if total <= 0 else 1.0 - kept / total}


def misfit(new_inertia_per_row: float, fit_inertia: float, fit_weight: float) -> dict[str, float]:
    """Return how much worse the champion fits the new rows than those of its own fit.

    Parameters
    ----------
    new_inertia_per_row
        Of the champion on the new rows.
    fit_inertia
        `Model.inertia` of the champion.
    fit_weight
        The sum of its `weights`.
    """
    of_fit = fit_inertia / fit_weight if fit_weight > 0 else math.nan
    return {"misfit": _ratio(new_inertia_per_row, of_fit)}


def stability(before: Array, after: Array, *, least: float = 1e-4) -> float:
    """Return the population stability index of two sets of shares.

    Parameters
    ----------
    before, after
        `(n_clusters,)`: weights of the same clusters, then and now.
    least
        Shares below it count as it: the index of a share of zero would be infinite.

    References
    ----------
    .. [1] B. Yurdakul, J. Naranjo, "Statistical properties of the population stability index",
       Journal of Risk Model Validation 14(4), 2020.
    """
    then = np.maximum(before / np.sum(before), least)
    now = np.maximum(after / np.sum(after), least)
    return float(((now - then) * np.log(now / then)).sum())


def shifts(mean: Array, std: Array, new_mean: Array, new_std: Array) -> dict[str, float]:
    """Return how far the features' means and standard deviations have moved, at the most.

    Parameters
    ----------
    mean, std
        `(n_features,)`: of the champion's rows.
    new_mean, new_std
        `(n_features,)`: of the new rows, in the same units.
    """
    moved, pairs = np.abs(new_mean - mean), list(zip(new_std.tolist(), std.tolist()))
    factors = [max(_ratio(now, then), _ratio(then, now)) for now, then in pairs]
    in_stds = [
        _ratio(float(step), float(width)) if step else 0.0 for step, width in zip(moved, std)
    ]
    # max() alone would lose a NaN that does not come first
    return {"mean_shift": float(np.max(in_stds)), "spread_change": float(np.max(factors))}


def reading(
    n_rows: int,
    *,
    expected: int | None = None,
    n_missing: int = 0,
    n_bad_files: int = 0,
) -> dict[str, float | None]:
    """Return the figures of what was read.

    Parameters
    ----------
    n_rows
        Rows used, those with filled values included.
    expected
        Rows of the champion's run, or what the user expects; None if neither is known.
    n_missing
        Rows that lacked a value and were dropped.
    n_bad_files
        Files left out.
    """
    read = n_rows + n_missing
    return {
        "n_rows": float(n_rows),
        "rows": None if expected is None else _ratio(n_rows, expected),
        "missing_share": n_missing / read if read else math.nan,
        "bad_files": float(n_bad_files),
    }


def _ratio(value: float, of: float) -> float:
    """A ratio of what is not negative; 1 where both are zero: nothing has changed."""
    if of == 0:
        return 1.0 if value == 0 else math.nan if value != value else math.inf
    return value / of
