"""Weights in logarithmic bins, compiled. The specification is `log_bins` in NumPy.

Imported when the first large block arrives, as importing and compiling take longer than a small
block does.
"""

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.jit import jitted
from dkmeans.kernels.moments import feature_major

_TILE_ROWS = 1024
"""Values whose bits are looked at together: they stay in the nearest cache."""


def add_distances(
    sq_distances: Array, labels: Array, weight: Array | None, shift: int, low: int, table: Array
) -> None:
    """Add the weight of rows to `table`, `(n_clusters, n_cells)`; see `DistanceBins.table`."""
    _add_distances(_readable(sq_distances), _readable(labels), _readable(weight), shift, low, table)


def add_features(X: Array, weight: Array | None, origin: Array, shift: int) -> tuple[Array, Array]:
    """Return keys and sums; see `log_bins.signed_sums`."""
    flat, step = feature_major(X)
    found: tuple[Array, Array] = _add_features(
        flat, step, len(X), _readable(weight), np.ascontiguousarray(origin), shift
    )
    return found


def _readable(values: Array | None) -> Array | None:
    """The same as one kind of array, whatever may be written to."""
    if values is None:
        return None
    values = np.ascontiguousarray(values).view()
    values.flags.writeable = False
    return values


@jitted
def _add_distances(
    sq_distances: Array, labels: Array, weight: Array | None, shift: int, low: int, table: Array
) -> None:
    wide = np.empty(_TILE_ROWS)
    raw = wide.view(np.int64)
    last = table.shape[1] - 1
    for first in range(0, len(labels), _TILE_ROWS):
        n = min(_TILE_ROWS, len(labels) - first)
        for i in range(n):
            wide[i] = sq_distances[first + i]
        for i in range(n):
            cell = min(max((raw[i] >> shift) - low, 0), last)
            w = 1.0 if weight is None else weight[first + i]
            table[labels[first + i], cell] += w


@jitted
def _add_features(
    flat: Array, step: int, n_rows: int, weight: Array | None, origin: Array, shift: int
) -> tuple[Array, Array]:
    """Feature j lies at `j * step`.

    Bins are in the order of their bits here, in which negative values come last and descend.
    """
    n_features = len(origin)
    n_cells = 1 << (64 - shift)
    half, mask = n_cells // 2, n_cells - 1
    # where rows are few, most bins are not touched: those that are get remembered
    remembers = n_rows < n_cells
    table = np.zeros(n_cells)
    touched = np.empty(n_cells, np.int64)
    moved = np.empty(_TILE_ROWS)
    raw = moved.view(np.int64)
    at = np.empty(_TILE_ROWS, np.int64)
    keys, sums = np.empty(256 * n_features, np.int64), np.empty(256 * n_features)
    n_found = 0
    for j in range(n_features):
        n_touched = 0
        for first in range(0, n_rows, _TILE_ROWS):
            n = min(_TILE_ROWS, n_rows - first)
            start = j * step + first
            for i in range(n):
                # adding zero makes one of the two zeros
                moved[i] = np.float64(flat[start + i]) - origin[j] + 0.0
            for i in range(n):
                at[i] = (raw[i] >> shift) & mask
            if remembers:
                for i in range(n):
                    w = 1.0 if weight is None else weight[first + i]
                    if w > 0 and table[at[i]] == 0.0:
                        touched[n_touched] = at[i]
                        n_touched += 1
                    table[at[i]] += w
            else:
                for i in range(n):
                    table[at[i]] += 1.0 if weight is None else weight[first + i]
        if not remembers:
            for cell in range(n_cells):
                if table[cell] > 0.0:
                    touched[n_touched] = cell
                    n_touched += 1
        if n_found + n_touched > len(keys):
            room = 2 * (n_found + n_touched)
            more_keys, more_sums = np.empty(room, np.int64), np.empty(room)
            more_keys[:n_found], more_sums[:n_found] = keys[:n_found], sums[:n_found]
            keys, sums = more_keys, more_sums
        for i in range(n_touched):
            cell = touched[i]
            touched[i] = cell + half if cell < half else n_cells - 1 - cell
        for cell in np.sort(touched[:n_touched]):
            bits = cell - half if cell >= half else n_cells - 1 - cell
            keys[n_found] = j * n_cells + cell
            sums[n_found] = table[bits]
            table[bits] = 0.0
            n_found += 1
    return keys[:n_found].copy(), sums[:n_found].copy()
