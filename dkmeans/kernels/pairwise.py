"""Sums of Euclidean distances from rows to the rows of each cluster, in float64, tile by tile.

Squared distances come from one matrix product per tile, measured from the mean of the tile's rows
of `Y`. Where the product cancels, they are taken from the differences instead. Scratch is bounded
whatever the number of rows.
"""

from collections.abc import Iterator

import numpy as np

from dkmeans.kernels.block import Array

TILE_ROWS = 512
"""Rows of `X` that are measured together, or fewer where there are many sums."""

TILE_OTHERS = 512
"""Rows of `Y` that are measured together: with `TILE_ROWS`, what fits a core's cache."""

_SUMS_BYTES = 2**23
"""Most bytes of the sums of a tile."""

_DIRECT_BELOW = 1e-6
"""Share of the squared norms below which a squared distance is taken from the differences.

The product is wrong by some 1e-16 of the squared norms: distances keep nine digits, or ten.
"""

_GATHERED = 2**20
"""Most values of differences that are held at a time."""


def distance_sums(
    X: Array,
    Y: Array,
    labels: Array,
    weight: Array | None,
    n_clusters: int,
    groups: Array | None = None,
    n_groups: int = 1,
) -> Iterator[tuple[slice, Array]]:
    """Add up the weighted distances of each row of `X` to the rows of `Y` of each cluster.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout.
    Y
        `(n_others, n_features)`. Fastest and most accurate where rows of `X` that are of one
        cluster stand together.
    labels
        `(n_others,)` in 0..n_clusters-1: the clusters of the rows of `Y`.
    weight
        `(n_others,)` float64, or None for ones.
    n_clusters
        The number of clusters.
    groups, n_groups
        `(n_others,)` in 0..n_groups-1: parts of `Y` that are added up apart; None for one part.

    Yields
    ------
    rows, sums
        Which rows of `X`, in their order, and `(rows, n_groups, n_clusters)` float64: the sums,
        0 where a cluster has no rows.
    """
    cells = labels.astype(np.intp) * n_groups
    if groups is not None:
        cells += groups
    order = np.argsort(cells, kind="stable")
    cells = cells[order]
    n_cells = n_groups * n_clusters
    tile_rows = int(np.clip(_SUMS_BYTES // (8 * max(n_cells, 1)), 1, TILE_ROWS))
    scratch = np.empty((tile_rows, min(TILE_OTHERS, len(order))))
    for start in range(0, X.shape[0], tile_rows):
        rows = slice(start, min(start + tile_rows, X.shape[0]))
        here = np.ascontiguousarray(X[rows], np.float64)
        sums = np.zeros((len(here), n_cells))
        for first in range(0, len(order), TILE_OTHERS):
            some = order[first : first + TILE_OTHERS]
            out = scratch[: len(here), : len(some)]
            _distances(here, Y[some].astype(np.float64), out)
            if weight is not None:
                out *= weight[some]
            of = cells[first : first + TILE_OTHERS]
            starts = np.flatnonzero(np.diff(of, prepend=-1))
            sums[:, of[starts]] += np.add.reduceat(out, starts, axis=1)
        yield rows, sums.reshape(len(here), n_clusters, n_groups).transpose(0, 2, 1)


def _distances(X: Array, Y: Array, out: Array) -> None:
    """Write the distance of each row of `X` to each row of `Y` to `out`."""
    origin = Y.mean(axis=0)
    X_moved, Y_moved = X - origin, Y - origin
    X_norms = np.einsum("ij,ij->i", X_moved, X_moved)
    Y_norms = np.einsum("ij,ij->i", Y_moved, Y_moved)
    # the norms are two more features of the product
    left = np.column_stack([X_moved, X_norms, np.ones(len(X))])
    right = np.column_stack([-2 * Y_moved, np.ones(len(Y)), Y_norms])
    np.matmul(left, right.T, out=out)
    # far from each other, as most tiles are, rows are not looked at one by one
    if out.min() < _DIRECT_BELOW * (X_norms.max() + Y_norms.max()):
        _measure_near(X, Y, X_norms, Y_norms, out)
    np.sqrt(out, out=out)


def _measure_near(X: Array, Y: Array, X_norms: Array, Y_norms: Array, out: Array) -> None:
    """Write squared distances that the product has lost digits of to `out`."""
    # the differences are of the rows as they came: to move them has rounded them
    lost = np.flatnonzero(out < _DIRECT_BELOW * (X_norms[:, None] + Y_norms))
    step = max(_GATHERED // X.shape[1], 1)
    for first in range(0, len(lost), step):
        i, j = np.divmod(lost[first : first + step], len(Y))
        difference = X[i]
        difference -= Y[j]
        out[i, j] = np.einsum("ij,ij->i", difference, difference)
