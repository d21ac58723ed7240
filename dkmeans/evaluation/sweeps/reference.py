"""The silhouette of rows without clusters: what k-means finds in noise of the same spread.

It always finds clusters, and these have a silhouette above zero: the further above, the fewer axes
the rows spread along. Only what exceeds that tells of clusters.
"""

import numpy as np

from dkmeans.algorithms.plus_plus import best_of_restarts
from dkmeans.evaluation.silhouettes.formula import silhouettes
from dkmeans.kernels.block import Array
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest_two
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.weighted_sample import WeightedSample

SPREAD_ROWS = 2_000
"""Sampled rows from which the spread is learned."""

_LEAST_ROWS, _MOST_ROWS = 2_000, 20_000
_ROWS_OF_ALL_DRAWS = 10_000
_ROWS_OF_A_CLUSTER = 20
_FEWEST_ROWS_OF_A_CLUSTER = 4
_MOST_TIMES = 10


def spread_of(sample: WeightedSample) -> Array:
    """Return the standard deviations along the principal axes of sampled rows, descending.

    `(n_axes,)` float64, of no more axes than there are rows.
    """
    few = sample.first(SPREAD_ROWS)
    X, weight = few.X.astype(np.float64), few.expanded_weight
    if len(X) == 0:
        return np.zeros(0)
    share = weight / weight.sum()
    with one_blas_thread():
        X -= share @ X
        X *= np.sqrt(share)[:, None]
        square = X.T @ X if X.shape[1] <= len(X) else X @ X.T
        variances = np.linalg.eigvalsh(square)[::-1]
    return np.sqrt(np.maximum(variances, 0.0))


def reference_silhouette(
    spread: Array, n_rows: int, n_clusters: int, seed: int = 0
) -> float | None:
    """Return the mean silhouette, by distances to centers, of k-means on rows without clusters.

    These are spread evenly over a box along the principal axes, with sides in proportion to the
    standard deviations: silhouettes know no scale. From 2 000 to 20 000 rows are drawn, never more
    than there are, and if they are few the mean of several draws is taken: with it, the standard
    error was 0.0025 where measured. Here, in memory.

    Parameters
    ----------
    spread
        `(n_axes,)` float64: the standard deviations.
    n_rows
        How many rows there are.
    n_clusters
        How many clusters.
    seed
        Of the draws.

    Returns
    -------
    silhouette
        None where there are too few rows for so many clusters, or no spread.

    References
    ----------
    .. [1] R. Tibshirani, G. Walther, T. Hastie, "Estimating the number of clusters in a data set
       via the gap statistic", J. Royal Statistical Society B 63(2), 2001: there of the inertia.
    """
    k = n_clusters
    size = min(n_rows, max(_LEAST_ROWS, _ROWS_OF_A_CLUSTER * k), _MOST_ROWS)
    is_enough = size == n_rows or size >= _FEWEST_ROWS_OF_A_CLUSTER * k
    if not (1 < k < size and is_enough and spread.any()):
        return None
    n_times = min(-(-_ROWS_OF_ALL_DRAWS // size), _MOST_TIMES)
    found = []
    with one_blas_thread():
        for time in range(n_times):
            random = generator(seed, "rows without clusters", time)
            X = np.asfortranarray(random.uniform(-spread, spread, (size, len(spread))))
            fit = best_of_restarts(X, np.ones(size), k, random, 1)
            own, other = np.sqrt(nearest_two(X, fit.centers)[1]).T
            found.append(float(silhouettes(own, other).mean()))
    return float(np.mean(found))
