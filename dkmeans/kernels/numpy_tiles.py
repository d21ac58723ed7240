"""The nearest centers of each row by NumPy: for small inputs, which wait for no compiler.

A tile of `TILE_ROWS` rows is scored against `TILE_CENTERS` centers at a time by one matrix product;
the score is `||c||^2 - 2 x.c` about the centers' middle, with the norm as one more feature of the
product. Tiles are of one size, whatever the number of rows, so that this makes no difference to the
bits. Scratch is bounded whatever the number of rows and centers.
"""

from collections.abc import Iterator

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.tables import MOST_IN_MEDIAN

TILE_ROWS = 2048
TILE_CENTERS = 512
_PAD = 16
"""Centers are padded to a multiple of this, so that every tile takes the same path through BLAS."""

_LEAST_COLUMNS = 2
"""einsum adds up a column alone in another order than the same column beside others."""


def nearest(X: Array, centers: Array, n_best: int) -> tuple[Array, Array]:
    """See `nearest.nearest` and `nearest.nearest_two`; returns `(n_rows, n_best)`."""
    moved, shift = about_middle(centers, X.dtype)
    repeats, twin = find_repeats(moved)
    scorers = _scorers(moved, np.where(repeats, np.inf, 0.0))
    by_feature = np.ascontiguousarray(moved.T)
    labels = np.empty((len(X), n_best), np.int32)
    sq_distances = np.empty((len(X), n_best), X.dtype)
    scores = _scratch(scorers)
    for rows, tile, width in _tiles(X, shift):
        m = rows.stop - rows.start
        best = _best_of_tile(tile, scorers, scores, n_best)[:width]
        if n_best == 2:
            # as near as the nearest is whoever repeats it
            best[:, 1] = np.where(twin[best[:, 0]] >= 0, twin[best[:, 0]], best[:, 1])
        labels[rows] = best[:m]
        for b in range(n_best):
            sq_distances[rows, b] = _sq_distances_of_tile(tile, by_feature, best[:, b])[:m]
    return labels, sq_distances


def nearest_other(
    X: Array, centers: Array, labels: Array, offsets: Array | None
) -> tuple[Array, Array]:
    """See `nearest.nearest_other`."""
    moved, shift = about_middle(centers, X.dtype)
    scorers = _scorers(moved, np.zeros(len(centers)) if offsets is None else offsets)
    by_feature = np.ascontiguousarray(moved.T)
    others, sq_distances = np.empty(len(X), np.int32), np.empty(len(X), X.dtype)
    scores, own = _scratch(scorers), np.zeros(TILE_ROWS, np.intp)
    for rows, tile, width in _tiles(X, shift):
        m = rows.stop - rows.start
        own[:m] = labels[rows]
        best = _best_of_tile(tile, scorers, scores, 1, own)[:width, 0]
        others[rows] = best[:m]
        sq_distances[rows] = _sq_distances_of_tile(tile, by_feature, best)[:m]
    return others, sq_distances


def bring_up_to_date(
    X: Array, newest: Array, first_label: int, labels: Array, sq_distances: Array
) -> None:
    """See `nearest.bring_up_to_date`."""
    new_labels, new_sq_distances = nearest(X, newest, 1)
    nearer = new_sq_distances[:, 0] < sq_distances
    np.copyto(sq_distances, new_sq_distances[:, 0], where=nearer)
    np.copyto(labels, new_labels[:, 0] + np.int32(first_label), where=nearer)


def sq_distances_to(X: Array, centers: Array, labels: Array) -> Array:
    """See `nearest.sq_distances_to`."""
    moved, shift = about_middle(centers, X.dtype)
    by_feature = np.ascontiguousarray(moved.T)
    sq_distances, own = np.empty(len(X), X.dtype), np.zeros(TILE_ROWS, np.intp)
    for rows, tile, width in _tiles(X, shift):
        m = rows.stop - rows.start
        own[:m] = labels[rows]
        sq_distances[rows] = _sq_distances_of_tile(tile, by_feature, own[:width])[:m]
    return sq_distances


def distances(X: Array, centers: Array) -> Array:
    """See `nearest.distances`."""
    out = np.empty((X.shape[0], centers.shape[0]), X.dtype)
    moved, shift = about_middle(centers, X.dtype)
    for rows, tile, width in _tiles(X, shift):
        for j, center in enumerate(moved):
            difference = tile[:-1, :width] - center[:, None]
            out[rows, j] = _sq_norms(difference)[: rows.stop - rows.start]
    return np.sqrt(out, out=out)


def sums_by_label(
    X: Array, labels: Array, weight: Array | None, origin: Array, n_clusters: int
) -> Array:
    """See `sums.sums_by_label`."""
    sums = np.empty((n_clusters, X.shape[1]))
    labels = labels.astype(np.intp)
    for feature in range(X.shape[1]):
        column = X[:, feature].astype(np.float64)
        column -= origin[feature]
        if weight is not None:
            column *= weight
        sums[:, feature] = np.bincount(labels, column, minlength=n_clusters)
    return sums


def sums_of_nearest(
    X: Array, weight: Array | None, centers: Array, origin: Array
) -> tuple[Array, Array, Array]:
    """See `sums.sums_of_nearest`."""
    k = len(centers)
    labels, sq_distances = (of_best[:, 0] for of_best in nearest(X, centers, 1))
    wide = sq_distances.astype(np.float64)
    if weight is not None:
        wide *= weight
    return (
        np.bincount(labels, weight, minlength=k).astype(np.float64, copy=False),
        sums_by_label(X, labels, weight, origin, k),
        np.bincount(labels, wide, minlength=k).astype(np.float64, copy=False),
    )


def _sq_norms(columns: Array) -> Array:
    return np.einsum("ij,ij->j", columns, columns)


def about_middle(centers: Array, dtype: np.dtype) -> tuple[Array, Array]:
    """Return centers measured from their middle, and this, in a dtype."""
    centers = np.ascontiguousarray(centers)
    shift = _shift(centers, dtype)
    return (centers - shift).astype(dtype), shift


def _tiles(X: Array, shift: Array) -> Iterator[tuple[slice, Array, int]]:
    """Copy rows, measured from `shift`, into a tile, `TILE_ROWS` at a time.

    Yields which rows they are, the tile `(n_features + 1, TILE_ROWS)`, whose last row is ones, and
    how many of its columns to compute with, at least. Columns beyond those rows are what was there.
    """
    # feature-major, as blocks are: nothing is transposed on the way
    tile = np.zeros((X.shape[1] + 1, TILE_ROWS), X.dtype)
    tile[-1] = 1
    for start in range(0, len(X), TILE_ROWS):
        rows = slice(start, min(start + TILE_ROWS, len(X)))
        m = rows.stop - rows.start
        np.subtract(X[rows].T, shift[:, None], out=tile[:-1, :m])
        yield rows, tile, max(m, _LEAST_COLUMNS)


def _sq_distances_of_tile(tile: Array, by_feature: Array, labels: Array) -> Array:
    """Squared distance of each of the first columns of a tile to the center of its label."""
    difference = by_feature.take(labels, axis=1)
    np.subtract(tile[:-1, : len(labels)], difference, out=difference)
    return _sq_norms(difference)


def _shift(centers: Array, dtype: np.dtype) -> Array:
    # see `tables.fill_panels`
    some = centers[:: -(-len(centers) // MOST_IN_MEDIAN)]
    return np.sort(some, axis=0)[(len(some) - 1) // 2].astype(dtype)


def find_repeats(centers: Array) -> tuple[Array, Array]:
    """Which centers repeat an earlier one, bool; and the next one that repeats each, -1 if none.

    BLAS may round the scores of equal centers differently, by their place in the matrix.
    """
    repeats, twin = np.zeros(len(centers), bool), np.full(len(centers), -1)
    latest: dict[bytes, int] = {}
    for i, center in enumerate(centers + 0.0):  # -0.0 becomes 0.0
        before = latest.get(center.tobytes())
        if before is not None:
            repeats[i], twin[before] = True, i
        latest[center.tobytes()] = i
    return repeats, twin


def _scorers(centers: Array, offsets: Array) -> list[Array]:
    """Matrices of up to TILE_CENTERS rows whose product with `(x, 1)` is the score.

    The `offsets`, `(n_centers,)` float64, are added to it.
    """
    scorers = []
    for start in range(0, len(centers), TILE_CENTERS):
        part = centers[start : start + TILE_CENTERS]
        scorer = np.zeros((-(-len(part) // _PAD) * _PAD, centers.shape[1] + 1), centers.dtype)
        scorer[: len(part), :-1] = -2 * part
        wide = part.astype(np.float64)
        sq_norms = np.einsum("ij,ij->i", wide, wide)
        scorer[: len(part), -1] = sq_norms + offsets[start : start + TILE_CENTERS]
        scorer[len(part) :, -1] = np.inf
        scorers.append(scorer)
    return scorers


def _scratch(scorers: list[Array]) -> Array:
    return np.empty((TILE_ROWS, max(len(scorer) for scorer in scorers)), scorers[0].dtype)


def _best_of_tile(
    tile: Array, scorers: list[Array], scores: Array, n_best: int, left_out: Array | None = None
) -> Array:
    """Indices of the lowest scores of each row, best first, `(TILE_ROWS, n_best)`.

    The centers `left_out`, `(TILE_ROWS,)`, are none of them.
    """
    every_row = np.arange(TILE_ROWS)
    found, values = [], []
    for number, scorer in enumerate(scorers):
        part = scores[:, : len(scorer)]
        np.matmul(tile.T, scorer.T, out=part)
        if left_out is not None:
            here = left_out - number * TILE_CENTERS
            among = np.flatnonzero((here >= 0) & (here < len(scorer)))
            part[among, here[among]] = np.inf
        for b in range(n_best):
            index = part.argmin(axis=1)
            found.append(index + number * TILE_CENTERS)
            if len(scorers) > 1:
                values.append(part[every_row, index])
            if b + 1 < n_best:
                part[every_row, index] = np.inf
    if len(scorers) == 1:
        return np.stack(found, axis=1)
    # stable, and parts come in the order of the centers: ties go to the lowest index
    order = np.stack(values, axis=1).argsort(axis=1, kind="stable")[:, :n_best]
    return np.take_along_axis(np.stack(found, axis=1), order, axis=1)
