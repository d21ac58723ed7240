"""Greedy k-means++ on weighted rows in memory."""

import numpy as np

from dkmeans.algorithms.drive import drive_in_memory
from dkmeans.algorithms.lloyd import Fit, LloydState, least, lloyd_passes
from dkmeans.kernels.block import Array, Block


def greedy_plus_plus(
    X: Array, weight: Array, n_clusters: int, generator: np.random.Generator
) -> Array:
    """Choose centers among the rows, each by its squared distance to those chosen before.

    Of `2 + log(n_clusters)` rows drawn for each center, the one that lowers the cost most is kept.

    Parameters
    ----------
    X
        `(n_rows, n_features)`.
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
    wide = X.astype(np.float64)
    wide -= wide.mean(axis=0)
    sq_norms = np.einsum("ij,ij->i", wide, wide)
    n_trials = 2 + int(np.log(n_clusters))
    chosen = [int(_draw(weight, 1, generator)[0])]
    sq_distances = _sq_distances(wide, sq_norms, chosen)[0]
    while len(chosen) < n_clusters:
        importance = weight * sq_distances
        if not importance.any():
            # every row coincides with a center: repeat some, for the caller to relocate or warn of
            chosen += [int(row) for row in _draw(weight, n_clusters - len(chosen), generator)]
            break
        tried = _draw(importance, n_trials, generator)
        lowered = np.minimum(_sq_distances(wide, sq_norms, tried), sq_distances)
        best = int((lowered @ weight).argmin())
        chosen.append(int(tried[best]))
        sq_distances = lowered[best]
    return X[chosen].astype(np.float64)


def best_of_restarts(
    X: Array, weight: Array, n_clusters: int, generator: np.random.Generator, n_restarts: int
) -> Fit:
    """Seed by `greedy_plus_plus` and run Lloyd, several times; return the fit of least inertia."""
    block = Block(np.asfortranarray(X, np.float64), ((0, len(X)),), weight.astype(np.float64))
    fits = [
        drive_in_memory(
            block,
            lloyd_passes(
                LloydState.start(greedy_plus_plus(X, weight, n_clusters, generator)),
                max_iter=100,
                tol=1e-4,
            ),
        )
        for _ in range(n_restarts)
    ]
    return fits[least([fit.inertia for fit in fits])]


def _draw(importance: Array, size: int, generator: np.random.Generator) -> Array:
    """Indices of rows, each draw proportional to importance; never one of importance zero."""
    cumulated = np.cumsum(importance)
    drawn = np.searchsorted(cumulated, generator.random(size) * cumulated[-1], side="right")
    return np.minimum(drawn, int(np.flatnonzero(importance)[-1]))


def _sq_distances(X: Array, sq_norms: Array, rows: Array | list[int]) -> Array:
    """Squared distances of all rows to some, `(len(rows), n_rows)`; to draw by, not to report."""
    out = X[rows] @ X.T
    out *= -2
    out += sq_norms
    out += sq_norms[rows][:, None]
    np.maximum(out, 0, out=out)
    out[np.arange(len(out)), rows] = 0
    return out
