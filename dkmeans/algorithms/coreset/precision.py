"""How well a coreset stands for all rows, and where to draw another from if it does not.

What a pilot has not seen, features that are constant in it above all, makes importances wrong: rows
that have a large part of the inertia are then drawn as seldom as others.
"""

import numpy as np

from dkmeans.algorithms.coreset.pilot import Pilot
from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.kernels.block import Array
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.sums import weight_by_label
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.scaling import Normalization, Scaling
from dkmeans.partials.moments import Moments

_MOST = 3.0
"""How many times the error of independent draws from much alike rows, `1 / sqrt(n)`, is allowed."""

_LEAST = 0.01
"""What is allowed however many rows there are."""


def better_pilot(
    coreset: Coreset,
    centers: Array,
    moments: object,
    scaling: Scaling | Normalization | None,
) -> Pilot | None:
    """Return what to draw another coreset by, from scaled rows; None if it is good enough.

    Parameters
    ----------
    coreset
        As it was drawn.
    centers
        `(n_centers, n_features)` float64, scaled: a solution of it.
    moments
        What the read has found of all rows, unscaled; looked at if it is `Moments`.
    scaling
        That of the coreset.
    """
    if coreset.is_everything:
        return None
    X, weight = coreset.part(1.0)
    with one_blas_thread():
        labels, sq_distances = nearest(X, centers)
    cost = weight * sq_distances.astype(np.float64)
    errors = [standard_error(cost, coreset.rate)]
    if isinstance(moments, Moments) and not isinstance(scaling, Normalization):
        errors.append(_total_error(X, weight, moments, scaling))
    if max(errors) <= max(_LEAST, _MOST / np.sqrt(len(X))):
        return None
    in_cells = weight_by_label(labels, weight, len(centers))
    filled = in_cells > 0
    return Pilot(weight @ X / weight.sum(), None, centers[filled], in_cells[filled])


def standard_error(cost: Array, rate: Array) -> float:
    """Relative standard error of the sum of `cost`, of rows that were drawn at some rates."""
    total = cost.sum()
    return float(np.sqrt(np.exp(-rate) @ cost**2) / total) if total > 0 else 0.0


def _total_error(X: Array, weight: Array, moments: Moments, scaling: Scaling | None) -> float:
    """Relative error of the sum of squared distances to the mean, which is known of all rows."""
    exact = moments.sq_sums - moments.sums**2 / moments.weight
    if scaling is not None:
        exact = exact / scaling.factor**2
    found = 0.0
    for feature in range(X.shape[1]):
        column = X[:, feature].astype(np.float64)
        column -= weight @ column / weight.sum()
        found += float(weight @ column**2)
    return abs(found / float(exact.sum()) - 1) if exact.sum() > 0 else 0.0
