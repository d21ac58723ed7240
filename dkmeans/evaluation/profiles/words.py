"""What sets each cluster apart from all rows, in numbers and in words."""

from collections.abc import Sequence

import numpy as np

from dkmeans.evaluation.shown import name, number, share
from dkmeans.kernels.block import Array

HIGH = 0.5
"""Overall standard deviations from the overall mean from which on a cluster is high or low."""

VERY_HIGH = 2.0
"""The same for very high or very low."""

_NAMED_FEATURES = 3


def differences(mean: Array, overall_mean: Array, overall_std: Array) -> Array:
    """Return how far each cluster's mean is from the overall mean, in standard deviations.

    Parameters
    ----------
    mean
        `(n_clusters, n_features)`; NaN where a cluster is empty.
    overall_mean, overall_std
        `(n_features,)`: of all rows.

    Returns
    -------
    Array
        `(n_clusters, n_features)` float64; NaN for constant features and empty clusters.
    """
    scale = np.where(overall_std > 0, overall_std, np.nan)
    return (mean - overall_mean) / scale


def ranks(difference: Array) -> Array:
    """Return the rank of each feature within its cluster, 1 for the largest difference.

    Ties go to the feature that comes first; NaN comes last.

    Parameters
    ----------
    difference
        `(n_clusters, n_features)`, of `differences`.

    Returns
    -------
    Array
        `(n_clusters, n_features)` int64, each row a permutation of 1 to n_features.
    """
    order = np.argsort(-np.abs(difference), axis=1, kind="stable")
    return np.argsort(order, axis=1, kind="stable") + 1


def phrase(difference: Array, feature_names: Sequence[str]) -> str:
    """Say in a few words what sets one cluster apart: `very high income, low age`.

    At most three features are named, the largest differences first, of those that are at least
    `HIGH` standard deviations from the overall mean.

    Parameters
    ----------
    difference
        `(n_features,)`: the cluster's mean less the overall mean, in overall standard deviations;
        NaN for features that are never named.
    feature_names
        One for each feature.
    """
    order = np.argsort(-np.abs(difference), kind="stable")
    named = [i for i in order if abs(difference[i]) >= HIGH][:_NAMED_FEATURES]
    if named:
        return ", ".join(f"{_level(difference[i])} {name(feature_names[i])}" for i in named)
    return "near the average in all features"


def sentence(words: str, weight: float, total: float, unit: str = "rows") -> str:
    """Add to a phrase how much of all rows the cluster is: `high income: 12% of rows`.

    Shares too small for a percentage are given as numbers of rows.
    """
    if weight <= 0:
        return "empty: no rows"
    part = share(weight, total)
    if part.startswith("<"):
        return f"{words}: {number(weight)} of {number(total)} {unit}"
    return f"{words}: {part} of {unit}"


def _level(difference: float) -> str:
    side = "high" if difference > 0 else "low"
    return f"very {side}" if abs(difference) >= VERY_HIGH else side
