"""Weights and sums of the rows of each cluster, in float64."""

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import kernels


def weight_by_label(labels: Array, values: Array | None, n_clusters: int) -> Array:
    """Add up `values` (ones if None) of the rows of each label, `(n_clusters,)` float64."""
    return np.bincount(labels, values, minlength=n_clusters).astype(np.float64, copy=False)


def sums_by_label(
    X: Array, labels: Array, weight: Array | None, origin: Array, n_clusters: int
) -> Array:
    """Add up the weighted rows of each label, measured from `origin`.

    Parameters
    ----------
    X
        `(n_rows, n_features)`, fastest feature-major.
    labels
        `(n_rows,)` in 0..n_clusters-1.
    weight
        `(n_rows,)` float64, or None for ones.
    origin
        `(n_features,)` float64.
    n_clusters
        The number of clusters.

    Returns
    -------
    sums
        `(n_clusters, n_features)` float64.
    """
    return kernels(X, 1).sums_by_label(X, labels, weight, origin, n_clusters)


def sums_of_nearest(
    X: Array, weight: Array | None, centers: Array, origin: Array
) -> tuple[Array, Array, Array]:
    """Add up the rows nearest to each center, in one go over the rows.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout; fastest feature-major.
    weight
        `(n_rows,)` float64, or None for ones.
    centers
        `(n_centers, n_features)`, at least one.
    origin
        `(n_features,)` float64.

    Returns
    -------
    weight, sums, sq_distances
        `(n_centers,)`, `(n_centers, n_features)` and `(n_centers,)` float64: of the rows nearest to
        each center the weight, the weighted sum measured from `origin`, and the weighted sum of the
        squared distances to the center.
    """
    return kernels(X, len(centers)).sums_of_nearest(X, weight, centers, origin)
