"""Where rows lie that are farther from their centers than nearly all rows of the fit were."""

from dataclasses import dataclass

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.partials.weighted_sample import WeightedSample

COMPACT_SHARE = 0.7
"""Share of the rows beyond, but for those that were there before, that one compact region has."""

_CANDIDATES = 300
_STEPS = 10


@dataclass(frozen=True, eq=False)
class Region:
    """The densest part of what lies beyond the limits of a baseline, found from sampled rows."""

    center: Array
    """`(n_features,)` float64: mean of its rows, in the units of the data."""

    share: float
    """Share of all rows that lie in it, estimated."""

    share_error: float
    """Standard error of that; 0 if all rows beyond were sampled."""

    radius: float
    """Of the ball that was looked for, where distances are measured: of which 99 % of rows of the
    baseline were nearer to their center."""

    cluster_id: int
    """The cluster that most of its rows are assigned to."""

    distance: float
    """From its center to that of this cluster, where distances are measured."""

    shift: Array
    """`(n_features,)` float64: the same, feature by feature: its center, less that of the
    cluster."""

    compact: bool
    """Whether it has nearly all of the rows that are beyond and were not expected there."""

    n_sampled: int
    """Rows that it was found from."""


def densest(
    sample: WeightedSample, beyond: float, weight: float, expected: float, radius: float
) -> tuple[Array, float, float, bool] | None:
    """Find the ball with the most rows beyond.

    Parameters
    ----------
    sample
        Of the rows beyond, by weight.
    beyond
        Their weight.
    weight
        That of all rows.
    expected
        The share of rows that lay beyond in the baseline.
    radius
        Of the ball.

    Returns
    -------
    center, share, share_error, compact
        `(n_features,)` float64, in the space of the rows, and as `Region` has them; None if there
        are no rows.
    """
    X = sample.X.astype(np.float64)
    if len(X) == 0 or not beyond > 0:
        return None
    stands_for = sample.expanded_weight
    center, best = X[0], -1.0
    for candidate in X[:_CANDIDATES]:
        inside = _inside(X, candidate, radius)
        if stands_for[inside].sum() > best:
            center, best = candidate, float(stands_for[inside].sum())
    for _ in range(_STEPS):
        inside = _inside(X, center, radius)
        mean = np.average(X[inside], axis=0, weights=stands_for[inside])
        found = _inside(X, mean, radius)
        if stands_for[found].sum() < stands_for[inside].sum() or np.array_equal(mean, center):
            break
        center = mean
    inside = _inside(X, center, radius)
    center = np.average(X[inside], axis=0, weights=stands_for[inside])
    part = float(stands_for[inside].sum() / stands_for.sum())
    error = 0.0
    if sample.threshold != np.inf:
        error = float(np.sqrt(part * (1 - part) / len(X))) * beyond / weight
    share = part * beyond / weight
    excess = beyond / weight - expected
    return center, share, error, bool(excess > 0 and share >= COMPACT_SHARE * excess)


def _inside(X: Array, center: Array, radius: float) -> Array:
    return ((X - center) ** 2).sum(axis=1) <= radius**2
