"""Features as charts show them: which of them, and in which order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array

MOST_FEATURES = 30
"""Features that a chart shows; those that set clusters apart the most, if there are more."""


def separations(z: Array, weights: Array) -> Array:
    """Return how far each feature sets clusters apart, `(n_features,)` float64.

    The weighted mean of squared z-scores: if these are of means of clusters in standard deviations
    of rows, the share of the variance of the feature that lies between clusters (eta squared).

    Parameters
    ----------
    z
        `(n_clusters, n_features)`; NaN counts as 0.
    weights
        `(n_clusters,)` float64.
    """
    total = weights.sum()
    shares = weights / total if total > 0 else np.full(len(weights), 1 / max(len(weights), 1))
    return np.asarray(shares @ np.nan_to_num(z) ** 2)


def leading(separation: Array, most: int = MOST_FEATURES) -> tuple[Array, tuple[str, ...]]:
    """Choose the features that are shown, those that set clusters apart the most first.

    Returns
    -------
    features, notes
        `(n_shown,)` int64, of equal ones the first first; and a sentence on what is left out, if
        anything is.
    """
    order = np.argsort(-separation, kind="stable")
    if len(order) <= most:
        return order, ()
    which = "feature that sets" if most == 1 else f"{most} features that set"
    return order[:most], (f"the {which} clusters apart the most, of {len(order):,}",)


def named(features: Any, feature_names: Sequence[str]) -> Array:
    """Return the numbers of features that are given by name or number, one or several.

    Raises
    ------
    ArgumentError
        If there is no such feature, or none is given.
    """
    several: list[Any] = (
        [features] if isinstance(features, (str, int, np.integer)) else list(features)
    )
    places: dict[Any, int] = {name: i for i, name in enumerate(feature_names)}
    found = []
    for one in several:
        is_number = isinstance(one, (int, np.integer)) and not isinstance(one, bool)
        if is_number and one not in places and 0 <= one < len(feature_names):
            found.append(int(one))
        elif one in places:
            found.append(places[one])
        else:
            known = ", ".join(map(repr, list(feature_names)[:8]))
            more = ", ..." if len(feature_names) > 8 else ""
            raise ArgumentError(f"features={one!r} is not a feature; there are {known}{more}.")
    if not found:
        raise ArgumentError("features=[] chooses none; leave it out for the leading ones.")
    return np.array(found, np.int64)


def names_of(feature_names: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    """Return the names of features; x0, x1 and so on where they have none."""
    return tuple(feature_names or (f"x{j}" for j in range(n_features)))
