"""The nearest centers of each row, exactly, in tiles whose size never depends on the block.

A tile of `TILE_ROWS` rows is scored against `TILE_CENTERS` centers at a time by one matrix product;
the score is `||c||^2 - 2 x.c` about the centers' mean, with the norm as one more feature of the
product. The score only ranks: distances are taken directly from the differences, so that they lose
nothing to cancellation. Scratch is bounded whatever the number of rows and centers.
"""

import numpy as np

from dkmeans.kernels.block import Array

TILE_ROWS = 2048
TILE_CENTERS = 512
_PAD = 16
"""Centers are padded to a multiple of this, so that every tile takes the same path through BLAS."""

_LEAST_COLUMNS = 2
"""einsum adds up a column alone in another order than the same column beside others."""


def nearest(X: Array, centers: Array) -> tuple[Array, Array]:
    """Find the nearest center of each row; ties go to the lowest index.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout.
    centers
        `(n_centers, n_features)`, at least one.

    Returns
    -------
    labels, sq_distances
        `(n_rows,)` int32, and `(n_rows,)` of `X`'s dtype: the squared Euclidean distances.
    """
    labels, sq_distances = _nearest(X, centers, 1)
    return labels[:, 0], sq_distances[:, 0]


def nearest_two(X: Array, centers: Array) -> tuple[Array, Array]:
    """Find the nearest and the second nearest center of each row.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, any layout.
    centers
        `(n_centers, n_features)`, at least two.

    Returns
    -------
    labels, sq_distances
        `(n_rows, 2)` int32 and of `X`'s dtype, the nearer center first.
    """
    return _nearest(X, centers, 2)


def distances(X: Array, centers: Array) -> Array:
    """Return the Euclidean distance of each row to each center, `(n_rows, n_centers)`.

    The result is as large as it says: only for rows that a user wants in this form.
    """
    out = np.empty((X.shape[0], centers.shape[0]), X.dtype)
    centers = np.ascontiguousarray(centers)
    shift = _shift(centers, X.dtype)
    moved = (centers - shift).astype(X.dtype)
    tile = np.zeros((X.shape[1], TILE_ROWS), X.dtype)
    for start in range(0, X.shape[0], TILE_ROWS):
        m = min(TILE_ROWS, X.shape[0] - start)
        np.subtract(X[start : start + m].T, shift[:, None], out=tile[:, :m])
        for j, center in enumerate(moved):
            difference = tile[:, : max(m, _LEAST_COLUMNS)] - center[:, None]
            out[start : start + m, j] = _sq_norms(difference)[:m]
    return np.sqrt(out, out=out)


def _sq_norms(columns: Array) -> Array:
    return np.einsum("ij,ij->j", columns, columns)


def _nearest(X: Array, centers: Array, n_best: int) -> tuple[Array, Array]:
    n_rows, n_features = X.shape
    centers = np.ascontiguousarray(centers)
    shift = _shift(centers, X.dtype)
    moved = (centers - shift).astype(X.dtype)
    repeats, twin = _repeats(moved)
    scorers = _scorers(moved, repeats)
    by_feature = np.ascontiguousarray(moved.T)
    labels = np.empty((n_rows, n_best), np.int32)
    sq_distances = np.empty((n_rows, n_best), X.dtype)
    # feature-major, as blocks are: nothing is transposed on the way
    tile = np.zeros((n_features + 1, TILE_ROWS), X.dtype)
    tile[-1] = 1
    scores = np.empty((TILE_ROWS, max(len(scorer) for scorer in scorers)), X.dtype)
    for start in range(0, n_rows, TILE_ROWS):
        m = min(TILE_ROWS, n_rows - start)
        np.subtract(X[start : start + m].T, shift[:, None], out=tile[:-1, :m])
        width = max(m, _LEAST_COLUMNS)
        best = _best_of_tile(tile, scorers, scores, n_best)[:width]
        if n_best == 2:
            # as near as the nearest is whoever repeats it
            best[:, 1] = np.where(twin[best[:, 0]] >= 0, twin[best[:, 0]], best[:, 1])
        labels[start : start + m] = best[:m]
        for b in range(n_best):
            difference = by_feature.take(best[:, b], axis=1)
            np.subtract(tile[:-1, :width], difference, out=difference)
            sq_distances[start : start + m, b] = _sq_norms(difference)[:m]
    return labels, sq_distances


def _shift(centers: Array, dtype: np.dtype) -> Array:
    # without it, float32 at an offset of 1e3 labels 13 % of the rows wrongly
    return centers.mean(axis=0, dtype=np.float64).astype(dtype)


def _repeats(centers: Array) -> tuple[Array, Array]:
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


def _scorers(centers: Array, left_out: Array) -> list[Array]:
    """Matrices of up to TILE_CENTERS rows whose product with `(x, 1)` is the score.

    Centers that are `left_out`, `(n_centers,)` bool, score infinity.
    """
    scorers = []
    for start in range(0, len(centers), TILE_CENTERS):
        part = centers[start : start + TILE_CENTERS]
        scorer = np.zeros((-(-len(part) // _PAD) * _PAD, centers.shape[1] + 1), centers.dtype)
        scorer[: len(part), :-1] = -2 * part
        wide = part.astype(np.float64)
        scorer[: len(part), -1] = np.einsum("ij,ij->i", wide, wide)
        scorer[: len(part), -1][left_out[start : start + TILE_CENTERS]] = np.inf
        scorer[len(part) :, -1] = np.inf
        scorers.append(scorer)
    return scorers


def _best_of_tile(tile: Array, scorers: list[Array], scores: Array, n_best: int) -> Array:
    """Indices of the lowest scores of each row, best first, `(TILE_ROWS, n_best)`."""
    every_row = np.arange(TILE_ROWS)
    found, values = [], []
    for number, scorer in enumerate(scorers):
        part = scores[:, : len(scorer)]
        np.matmul(tile.T, scorer.T, out=part)
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
