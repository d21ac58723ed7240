"""What `simd` computes, in loops that anybody can read.

The tested specification of those, and what takes their place where vectors do not compile.
"""

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.jit import jitted

PANEL, DOUBLES = 8, 1
FEW_CENTERS = FEW_FEATURES = 0
_TILE_ROWS = 256


def width(itemsize: int) -> int:
    """Rows are taken one by one."""
    return 1


def assign(
    XT: Array,
    shift: Array,
    panels: Array,
    norms: Array,
    table: Array,
    n_copies: int,
    n_best: int,
    own: Array,
    first_label: int,
    labels: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    columns: Array,
) -> None:
    """Find the nearest centers of rows, and what the rows contribute to them: see `simd.assign`."""
    n_features, n_rows = XT.shape
    moved = np.empty((n_features, _TILE_ROWS), XT.dtype)
    added = np.empty(_TILE_ROWS, XT.dtype)
    scores, found = np.empty((2, _TILE_ROWS), XT.dtype), np.empty((2, _TILE_ROWS), np.int32)
    for start in range(0, n_rows, _TILE_ROWS):
        m = min(_TILE_ROWS, n_rows - start)
        for t in range(n_features):
            for i in range(m):
                moved[t, i] = XT[t, start + i] - shift[t]
        scores[:] = np.inf
        found[:] = 0
        for j in range(len(table)):
            added[:] = norms[j]
            for t in range(n_features):
                value = panels[(j // PANEL * n_features + t) * PANEL + j % PANEL]
                for i in range(m):
                    added[i] += value * moved[t, i]
            for i in range(m):
                # not less or equal: ties go to the lowest index
                if added[i] < scores[0, i]:
                    scores[1, i], found[1, i] = scores[0, i], found[0, i]
                    scores[0, i], found[0, i] = added[i], j
                elif added[i] < scores[1, i]:
                    scores[1, i], found[1, i] = added[i], j
        for i in range(m):
            row = start + i
            if own.size and found[0, i] == own[row]:
                found[0, i] = found[1, i]
            share = weight[row] if weight.size else 1.0
            if n_copies:
                _add(XT, row, table[found[0, i]], share, origin)
            for b in range(len(labels)):
                # of the rows' dtype
                added[0] = _sq_distance(XT, row, table[found[b, i]])
                if added[0] < sq_distances[b, row]:
                    sq_distances[b, row], labels[b, row] = added[0], found[b, i] + first_label


def measure(
    XT: Array,
    labels: Array,
    table: Array,
    n_copies: int,
    sq_distances: Array,
    weight: Array,
    origin: Array,
) -> None:
    """Measure rows from the centers of their labels, or add them up: see `simd.measure`."""
    for i in range(XT.shape[1]):
        entry = table[labels[i]]
        if n_copies:
            share = weight[i] if weight.size else 1.0
            for t in range(len(XT)):
                entry[t] += share * (XT[t, i] - origin[t])
        else:
            sq_distances[i] = _sq_distance(XT, i, entry)


@jitted
def _sq_distance(XT: Array, row: int, center: Array) -> float:
    total = 0.0
    for t in range(len(XT)):
        total += (XT[t, row] - center[t]) ** 2
    return total


@jitted
def _add(XT: Array, row: int, entry: Array, share: float, origin: Array) -> None:
    """Add a row to an entry of a table: see `tables`."""
    entry[1] += share
    for t in range(len(XT)):
        entry[0] += share * (XT[t, row] - entry[2 * t + 2]) ** 2
        entry[2 * t + 3] += share * (XT[t, row] - origin[t])


def distances(XT: Array, centers: Array, out: Array) -> None:
    """Take the distance of each row to each center.

    Parameters
    ----------
    XT
        `(n_features, n_rows)` float64, contiguous.
    centers
        `(n_centers, n_features)` float64.
    out
        `(n_rows, n_centers)`: written to.
    """
    n_features, n_rows = XT.shape
    sq_distances = np.empty(n_rows)
    for j in range(len(centers)):
        sq_distances[:] = 0
        for t in range(n_features):
            center = centers[j, t]
            for i in range(n_rows):
                off = XT[t, i] - center
                sq_distances[i] += off * off
        for i in range(n_rows):
            out[i, j] = np.sqrt(sq_distances[i])
