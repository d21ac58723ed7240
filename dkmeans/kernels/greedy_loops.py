"""Steps of greedy k-means++, and swaps of centers, compiled: a streaming pass over the rows each.

Imported when the first large sample arrives, as importing and compiling take longer than a small
one does. The specifications are `greedy.Plain` and `swaps.plain`, in NumPy. Distances are sums of
squared differences, of the rows' dtype: exact zeros where rows coincide, and no digits lost to a
common offset. Weighted sums of them are float64.

All in one file: Numba's cache looks at the file of a loop alone to tell whether it is out of date.
"""

import numpy as np
from numba import njit

from dkmeans.kernels.block import Array
from dkmeans.kernels.compiled import nearest
from dkmeans.kernels.jit import jitted

_TILE_BYTES = 2**15
"""Values of a feature in a tile of rows: runs of memory long enough to be fetched ahead, and few
enough that the distances to all that are tried stay in the second cache."""

_AT_A_TIME = 8
"""Features whose squares are added up before a sum goes back to memory."""


def _read_only(X: Array, weight: Array) -> tuple[Array, int, Array]:
    """All values of the rows in one dimension, how far features lie apart, and weights."""
    n_rows, n_features = X.shape
    if X.strides[0] != X.itemsize or X.strides[1] % X.itemsize or X.strides[1] < 0:
        X = np.asfortranarray(X)
    step = X.strides[1] // X.itemsize
    # some rows of more are no contiguous matrix; in one dimension all are of one kind
    flat = np.lib.stride_tricks.as_strided(
        X, ((n_features - 1) * step + n_rows,), (X.itemsize,), writeable=False
    )
    weight = np.ascontiguousarray(weight, np.float64).view()
    weight.flags.writeable = False
    return flat, step, weight


class Compiled:
    """See `greedy.Plain`.

    Beside the rows, takes `n_trials + 1` values of their dtype for each row: distances to each
    that is tried are kept, as reading all rows again for the best of them takes longer.
    """

    def __init__(self, X: Array, weight: Array, n_trials: int) -> None:
        n_rows, self._n_features = X.shape
        self._flat, self._step, self._weight = _read_only(X, weight)
        tile_rows = _TILE_BYTES // X.itemsize
        n_tiles = -(-n_rows // tile_rows)
        self._sq_distances = np.full(n_rows, np.inf, X.dtype)
        self._lowered = np.empty((n_tiles, n_trials, tile_rows), X.dtype)
        self._costs = np.empty((n_tiles, n_trials))
        self._importance = np.empty(n_tiles)

    @property
    def sq_distances(self) -> Array:
        """Squared distances to the nearest chosen row, `(n_rows,)` of the rows' dtype."""
        return self._sq_distances

    def begin(self, row: int) -> None:
        """Choose the first row."""
        self._choose(np.array([row]), np.empty(0))

    def choose(self, uniforms: Array) -> int:
        """Draw as many rows as there are `uniforms`; choose and return the best, -1 if none is."""
        return self._choose(np.zeros(len(uniforms), np.intp), uniforms)

    def _choose(self, tried: Array, uniforms: Array) -> int:
        rows = self._flat, self._step, self._n_features, self._weight
        state = self._sq_distances, self._lowered, self._costs, self._importance
        return int(_choose(*rows, tried, uniforms, *state))


class Swaps:
    """See `swaps.plain`. Takes three values of the rows' dtype and two labels for each row."""

    def __init__(self, X: Array, weight: Array, centers: Array) -> None:
        self._rows = _read_only(X, weight)
        labels, sq_distances = nearest(X, centers, 2)
        self._labels = np.ascontiguousarray(labels.T)
        self._sq_distances = np.ascontiguousarray(sq_distances.T)
        self._columns = np.ascontiguousarray(centers.T, X.dtype)

    @property
    def sq_distances(self) -> Array:
        """Squared distances to the nearest center, `(n_rows,)` of the rows' dtype."""
        return self._sq_distances[0]

    def tried(self, uniforms: Array) -> Array:
        """Try a row for each of the `uniforms`; return which rows are in the centers' places."""
        rows, tile_rows = np.full(self._columns.shape[1], -1), _TILE_BYTES // self._columns.itemsize
        state = self._columns, self._sq_distances, self._labels
        _swap(*self._rows, uniforms, *state, rows, tile_rows)
        return rows


@jitted
def _choose(
    flat: Array,
    step: int,
    n_features: int,
    weight: Array,
    tried: Array,
    uniforms: Array,
    sq_distances: Array,
    lowered: Array,
    costs: Array,
    importance: Array,
) -> int:
    """Choose the best of the rows `tried`, which are drawn first if there are `uniforms`.

    `importance`, by tile, and `sq_distances` are brought up to date; `lowered` and `costs` are
    written to: squared distances and costs by tile and by row that is tried. Feature j of the rows
    lies at `j * step`.
    """
    n_rows = len(sq_distances)
    n_tiles, _, tile_rows = lowered.shape
    if len(uniforms) and not _draw(importance, weight, sq_distances, tile_rows, uniforms, tried):
        return -1
    totals = np.zeros(len(tried))
    for tile in range(n_tiles):
        first = tile * tile_rows
        n = min(tile_rows, n_rows - first)
        into = lowered[tile]
        _measure(flat, step, n_features, first, n, tried, into)
        for t in range(len(tried)):
            costs[tile, t] = _lower(
                into[t, :n], sq_distances[first : first + n], weight[first : first + n]
            )
            totals[t] += costs[tile, t]
    best = int(totals.argmin())
    for tile in range(n_tiles):
        first = tile * tile_rows
        n = min(tile_rows, n_rows - first)
        sq_distances[first : first + n] = lowered[tile, best, :n]
        importance[tile] = costs[tile, best]
    return tried[best]


@njit(nogil=True)
def _draw(
    importance: Array, weight: Array, sq_distances: Array, tile_rows: int, uniforms: Array,
    tried: Array,
) -> bool:  # fmt: skip
    """Draw rows by importance, first a tile and then a row of it; False if all of it is zero."""
    total, last = 0.0, -1
    for tile in range(len(importance)):
        total += importance[tile]
        if importance[tile] > 0:
            last = tile
    if last < 0:
        return False
    for t in range(len(uniforms)):
        wanted = uniforms[t] * total
        tile, before = 0, 0.0
        # rounding may leave a little more to be wanted than there is
        while tile < last and before + importance[tile] <= wanted:
            before += importance[tile]
            tile += 1
        for row in range(tile * tile_rows, min((tile + 1) * tile_rows, len(weight))):
            share = weight[row] * np.float64(sq_distances[row])
            if share > 0:
                tried[t] = row
                before += share
                if before > wanted:
                    break
    return True


@njit(nogil=True, fastmath={"contract"})
def _measure(
    flat: Array, step: int, n_features: int, first: int, n: int, tried: Array, into: Array
) -> None:
    """Take squared distances of a tile's rows to all that are tried."""
    rest = n_features % _AT_A_TIME
    for t in range(len(tried)):
        out = into[t, :n]
        out[:] = 0
        for j in range(rest):
            x, c = flat[j * step + first :][:n], flat[j * step + tried[t]]
            for i in range(n):
                out[i] += (x[i] - c) * (x[i] - c)
    for j in range(rest, n_features, _AT_A_TIME):
        x0, x1 = flat[j * step + first :][:n], flat[(j + 1) * step + first :][:n]
        x2, x3 = flat[(j + 2) * step + first :][:n], flat[(j + 3) * step + first :][:n]
        x4, x5 = flat[(j + 4) * step + first :][:n], flat[(j + 5) * step + first :][:n]
        x6, x7 = flat[(j + 6) * step + first :][:n], flat[(j + 7) * step + first :][:n]
        for t in range(len(tried)):
            c = flat[j * step + tried[t] :]
            c0, c1, c2, c3 = c[0], c[step], c[2 * step], c[3 * step]
            c4, c5, c6, c7 = c[4 * step], c[5 * step], c[6 * step], c[7 * step]
            out = into[t, :n]
            for i in range(n):
                d0, d1, d2, d3 = x0[i] - c0, x1[i] - c1, x2[i] - c2, x3[i] - c3
                d4, d5, d6, d7 = x4[i] - c4, x5[i] - c5, x6[i] - c6, x7[i] - c7
                # two sums, neither of which waits for the other
                half = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3
                out[i] = (out[i] + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7) + half


@njit(nogil=True, fastmath={"contract", "reassoc"})
def _lower(lowered: Array, sq_distances: Array, weight: Array) -> float:
    """Replace squared distances by those so far where these are less; add them up, weighted."""
    total = 0.0
    for i in range(len(lowered)):
        # chosen rather than branched to, for vector units
        lowered[i] = lowered[i] if lowered[i] < sq_distances[i] else sq_distances[i]
    for i in range(len(lowered)):
        total += weight[i] * np.float64(lowered[i])
    return total


@jitted
def _swap(
    flat: Array,
    step: int,
    weight: Array,
    uniforms: Array,
    columns: Array,
    sq_distances: Array,
    labels: Array,
    rows: Array,
    tile_rows: int,
) -> None:
    """Swap centers for rows, see `swaps.plain`.

    All arrays but the first four are written to. `columns` are the centers, feature by feature;
    `sq_distances` and `labels` those of the nearest and the second nearest of them.
    """
    n_features, k = columns.shape
    n_tiles = -(-len(weight) // tile_rows)
    far = np.empty((n_tiles, 1, tile_rows), flat.dtype)
    importance, losses, losses_then = np.empty(n_tiles), np.empty(k), np.empty(k)
    tried, scores = np.zeros(1, np.intp), np.empty(k, flat.dtype)
    near, second = sq_distances
    cost = _add_up(near, second, labels[0], weight, tile_rows, importance, losses)
    for u in range(len(uniforms)):
        if not _draw(importance, weight, near, tile_rows, uniforms[u : u + 1], tried):
            break
        cost_then = cost
        losses_then[:] = losses
        for tile in range(n_tiles):
            first = tile * tile_rows
            n = min(tile_rows, len(weight) - first)
            _measure(flat, step, n_features, first, n, tried, far[tile])
            for row, new in zip(range(first, first + n), far[tile, 0]):
                # few rows are any nearer to the one that is tried
                if new < second[row]:
                    w, d, old = weight[row], np.float64(new), np.float64(near[row])
                    losses_then[labels[0, row]] += w * (d - min(d, old) - (second[row] - old))
                    cost_then += w * (min(d, old) - old)
        out = int(losses_then.argmin())
        if cost_then + losses_then[out] >= cost:
            continue
        rows[out] = tried[0]
        for j in range(n_features):
            columns[j, out] = flat[j * step + tried[0]]
        for tile in range(n_tiles):
            first = tile * tile_rows
            n = min(tile_rows, len(weight) - first)
            for row, new in zip(range(first, first + n), far[tile, 0]):
                was_nearest, was_second = labels[0, row] == out, labels[1, row] == out
                if new >= second[row] and not (was_nearest or was_second):
                    continue
                if new < near[row] and not was_nearest:
                    second[row], labels[1, row] = near[row], labels[0, row]
                    near[row], labels[0, row] = new, out
                elif was_nearest and new <= second[row]:
                    near[row] = new
                elif not was_nearest and new <= second[row]:
                    second[row], labels[1, row] = new, out
                else:
                    _find_two(flat, step, row, columns, scores, sq_distances, labels)
        cost = _add_up(near, second, labels[0], weight, tile_rows, importance, losses)


@njit(nogil=True)
def _add_up(
    near: Array, second: Array, labels: Array, weight: Array, tile_rows: int, importance: Array,
    losses: Array,
) -> float:  # fmt: skip
    """Add up costs by tile, and by center what its rows would lose with it; return the cost."""
    losses[:] = 0
    for tile in range(len(importance)):
        cost = 0.0
        for row in range(tile * tile_rows, min((tile + 1) * tile_rows, len(weight))):
            d = np.float64(near[row])
            cost += weight[row] * d
            losses[labels[row]] += weight[row] * (second[row] - d)
        importance[tile] = cost
    return importance.sum()


@njit(nogil=True, fastmath={"contract"})
def _find_two(
    flat: Array, step: int, row: int, columns: Array, scores: Array, sq_distances: Array,
    labels: Array,
) -> None:  # fmt: skip
    """Find the two nearest centers of a row; of equally near ones those that come first."""
    scores[:] = 0
    for j in range(len(columns)):
        x = flat[j * step + row]
        for c in range(len(scores)):
            scores[c] += (x - columns[j, c]) * (x - columns[j, c])
    sq_distances[:, row] = np.inf
    for c in range(len(scores)):
        if scores[c] < sq_distances[0, row]:
            sq_distances[1, row], labels[1, row] = sq_distances[0, row], labels[0, row]
            sq_distances[0, row], labels[0, row] = scores[c], c
        elif scores[c] < sq_distances[1, row]:
            sq_distances[1, row], labels[1, row] = scores[c], c
