"""Greedy k-means++ on weighted rows in memory."""

import numpy as np

from dkmeans.algorithms.drive import drive_in_memory
from dkmeans.algorithms.lloyd import Fit, LloydState, least, lloyd_passes
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.greedy import greedy_rows
from dkmeans.kernels.swaps import with_swaps

SWAPS_BY_CLUSTER = 2
"""Rows to try, for each center. They pay more than as much time for more restarts: of one start,
the inertia of 50 clusters of `a3` came out 15 % above the best that is known without them, and
0.01 % with them."""


def greedy_plus_plus(
    X: Array, weight: Array, n_clusters: int, generator: np.random.Generator
) -> Array:
    """Choose centers among the rows, each by its squared distance to those chosen before.

    Of `2 + log(n_clusters)` rows drawn for each center, the one that lowers the cost most is kept.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64; feature-major, or else it may be copied.
    weight
        `(n_rows,)`, not negative, some positive.
    n_clusters
        Centers to choose; fewer distinct rows give repeated ones.
    generator
        Source of randomness.

    Returns
    -------
    centers
        `(n_clusters, n_features)` float64.

    References
    ----------
    .. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    n_trials = 2 + int(np.log(n_clusters))
    return X[greedy_rows(X, weight, n_clusters, n_trials, generator)].astype(np.float64)


def best_of_restarts(
    X: Array, weight: Array, n_clusters: int, generator: np.random.Generator, n_restarts: int
) -> Fit:
    """Run Lloyd several times from `swapped_plus_plus`; return the fit of least inertia."""
    block = Block(np.asfortranarray(X, np.float64), ((0, len(X)),), weight.astype(np.float64))
    fits = [
        drive_in_memory(
            block,
            lloyd_passes(
                LloydState.start(swapped_plus_plus(block.X, weight, n_clusters, generator)),
                max_iter=100,
                tol=1e-4,
            ),
        )
        for _ in range(n_restarts)
    ]
    return fits[least([fit.inertia for fit in fits])]


def swapped_plus_plus(
    X: Array, weight: Array, n_clusters: int, generator: np.random.Generator
) -> Array:
    """Choose centers by `greedy_plus_plus`, and swap some for rows where that lowers the cost."""
    centers = greedy_plus_plus(X, weight, n_clusters, generator)
    return with_swaps(X, weight, centers, SWAPS_BY_CLUSTER * n_clusters, generator)
