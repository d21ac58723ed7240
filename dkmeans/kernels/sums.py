"""Weights and sums of the rows of each cluster, in float64."""

import numpy as np

from dkmeans.kernels.block import Array


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
    sums = np.empty((n_clusters, X.shape[1]))
    labels = labels.astype(np.intp)
    for feature in range(X.shape[1]):
        column = X[:, feature].astype(np.float64)
        column -= origin[feature]
        if weight is not None:
            column *= weight
        sums[:, feature] = np.bincount(labels, column, minlength=n_clusters)
    return sums
