"""Swap centers for rows of a weighted sample in memory, where that lowers the cost."""

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import are_compiled
from dkmeans.kernels.greedy import drawn, in_range


def with_swaps(
    X: Array, weight: Array, centers: Array, n_swaps: int, generator: np.random.Generator
) -> Array:
    """Improve centers by local search: put a row in the place of one of them, again and again.

    Each of `n_swaps` times, a row is drawn by its weighted squared distance to its nearest center.
    It takes the place of the center that is missed least, if that lowers the cost. Between seeding
    and Lloyd's iterations, it moves centers from where there are too many to where there are too
    few, which Lloyd cannot. About as many swaps as centers pay best.

    Large samples are measured by compiled loops, in the rows' dtype, without Python's lock and in
    one thread.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, finite; feature-major, or else it is copied.
    weight
        `(n_rows,)`, not negative, some positive.
    centers
        `(n_clusters, n_features)`. Not modified.
    n_swaps
        Rows to try.
    generator
        Source of randomness.

    Returns
    -------
    centers
        `(n_clusters, n_features)` float64; of no higher cost, but for rounding.

    References
    ----------
    .. [1] S. Lattanzi, C. Sohler, "A better k-means++ algorithm via local search", ICML 2019.
    """
    out = np.array(centers, np.float64)
    if len(out) < 2 or n_swaps < 1:
        return out
    rows = _rows_in_place(X, weight, out, generator.random(n_swaps))
    swapped = np.flatnonzero(rows >= 0)
    out[swapped] = X[rows[swapped]]
    return out


def _rows_in_place(X: Array, weight: Array, centers: Array, uniforms: Array) -> Array:
    if not are_compiled(X.shape[0], X.shape[1], len(centers)):
        return plain(X, weight, centers, uniforms)
    from dkmeans.kernels.greedy_loops import Swaps

    swaps = Swaps(X, weight, centers)
    if not in_range(swaps.sq_distances):
        swaps = Swaps(X.astype(np.float64), weight, centers)
    return swaps.tried(uniforms)


def plain(X: Array, weight: Array, centers: Array, uniforms: Array) -> Array:
    """Swap centers in NumPy and float64: for small samples, which wait for no compiler.

    Parameters
    ----------
    X, weight
        See `with_swaps`.
    centers
        `(n_clusters, n_features)` float64, two at least.
    uniforms
        `(n_swaps,)`: a number in [0, 1) for each row to draw.

    Returns
    -------
    rows
        `(n_clusters,)` intp: the row in the place of each center, -1 where it has stayed.
    """
    X = X.astype(np.float64)
    rows = np.full(len(centers), -1)
    far = np.stack([_sq_distances(X, center) for center in centers], axis=1)
    nearest, (near, second) = far.argmin(axis=1), np.partition(far, 1, axis=1).T[:2]
    for uniform in uniforms:
        importance = weight * near
        if not importance.any():
            break
        row = int(drawn(importance, np.array([uniform]))[0])
        new = _sq_distances(X, X[row])
        with_it = np.minimum(near, new)
        missed = weight * (np.minimum(second, new) - with_it)
        losses = np.bincount(nearest, missed, len(centers))
        out = int(losses.argmin())
        if weight @ with_it + losses[out] < importance.sum():
            rows[out], far[:, out] = row, new
            nearest, (near, second) = far.argmin(axis=1), np.partition(far, 1, axis=1).T[:2]
    return rows


def _sq_distances(X: Array, center: Array) -> Array:
    return np.square(X - center).sum(axis=1)
