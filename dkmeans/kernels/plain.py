"""What `simd` computes, in loops that anybody can read.

The tested specification of those, and what takes their place where vectors do not compile.
"""

import numpy as np

from dkmeans.kernels.block import Array

PANEL = 8
_TILE_ROWS = 256


def assign(
    XT: Array,
    shift: Array,
    panels: Array,
    norms: Array,
    centers: Array,
    n_best: int,
    own: Array,
    first_label: int,
    labels: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    sums: Array,
    totals: Array,
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
        for j in range(len(centers)):
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
            for b in range(max(len(labels), 1)):
                j = found[b, i]
                measured = 0.0
                for t in range(n_features):
                    measured += (XT[t, row] - centers[j, t]) ** 2
                if labels.size:
                    added[0] = measured
                    if added[0] < sq_distances[b, row]:
                        sq_distances[b, row], labels[b, row] = added[0], j + first_label
                if sums.size:
                    totals[j, 0] += share
                    totals[j, 1] += share * measured
                    for t in range(n_features):
                        sums[j, t] += share * (XT[t, row] - origin[t])


def measure(
    XT: Array,
    labels: Array,
    centers: Array,
    sq_distances: Array,
    weight: Array,
    origin: Array,
    sums: Array,
) -> None:
    """Measure rows from the centers of their labels, and add them up: see `simd.measure`."""
    n_features, n_rows = XT.shape
    for i in range(n_rows):
        j = labels[i]
        share = weight[i] if weight.size else 1.0
        measured = 0.0
        for t in range(n_features):
            measured += (XT[t, i] - centers[j, t]) ** 2
        sq_distances[i] = measured
        if sums.size:
            for t in range(n_features):
                sums[j, t] += share * (XT[t, i] - origin[t])


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
