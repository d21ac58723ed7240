"""Centers as the compiled loops want them, and sums of their rows taken out again; compiled, too.

Panels hold centers to score rows with, a few beside each other for each feature. A table has an
entry for each center, padded by zeros to whole vectors of `n_lanes` float64:

- to measure distances only, the features of the center; to add up rows only, their sums;
- to do both, two vectors of totals, then two of each `n_lanes` features: those of the center,
  and the sums of its rows. The first vector of totals adds up to the weighted squared distances of
  the rows, the second to their weight;
- to do both with few features near few centers, one vector, or one of 4: the sums, and last the
  weight of the rows, and their weighted squared distances.

An entry may have copies, which rows are added to by turns: processors wait for what was just
written, if it is needed at once.
"""

import numpy as np

from dkmeans.kernels.block import Array

MOST_IN_MEDIAN = 64
"""Centers, evenly spread, that stand for all where a point in their middle is wanted."""


def entry_length(n_features: int, n_lanes: int, both: bool) -> int:
    """Return the values of an entry, to measure or to add up, or both."""
    n_vectors = -(-n_features // n_lanes)
    return n_lanes * (2 * n_vectors + 2 if both else n_vectors)


def fill_panels(
    centers: Array, offsets: Array, panel: int, shift: Array, panels: Array, norms: Array
) -> None:
    """Write what rows are scored with.

    Parameters
    ----------
    centers
        `(n_centers, n_features)` float64.
    offsets
        `(n_centers,)` float64, or of no elements: added to squared distances.
    panel
        Centers of a panel.
    shift
        `(n_features,)`: written to; the median of the centers, or of some of them. Without moving
        them by it, float32 at an offset of 1e3 labels 13 % of the rows wrongly. (Moved by their
        mean, all rows lose digits where one center is very far.)
    panels
        `(n_panels * n_features * panel,)` of the dtype of `shift`, zeros: written to; -2 times the
        moved centers.
    norms
        `(n_panels * panel,)` of the same dtype, infinite: written to; squared norms of the moved
        centers, and offsets.
    """
    k, d = centers.shape
    apart = -(-k // MOST_IN_MEDIAN)
    some = np.empty(-(-k // apart))
    for t in range(d):
        for i in range(len(some)):
            value, at = centers[i * apart, t], i
            while at > 0 and some[at - 1] > value:
                some[at] = some[at - 1]
                at -= 1
            some[at] = value
        shift[t] = some[(len(some) - 1) // 2]
    for j in range(k):
        norm = 0.0
        for t in range(d):
            place = (j // panel * d + t) * panel + j % panel
            panels[place] = centers[j, t] - shift[t]
            # as it is after rounding
            norm += float(panels[place]) * float(panels[place])
            panels[place] *= -2
        if offsets.size:
            norm += offsets[j]
        norms[j] = norm


def fill_table(centers: Array, n_copies: int, n_lanes: int, table: Array) -> None:
    """Write centers to a table of zeros, to measure and to add up; without copies, to measure."""
    k, d = centers.shape
    for copy in range(max(n_copies, 1)):
        for j in range(k):
            for first in range(0, d, n_lanes):
                place = 2 * (first + n_lanes) if n_copies else first
                for lane in range(min(n_lanes, d - first)):
                    table[copy * k + j, place + lane] = centers[j, first + lane]


def read_table(
    table: Array, n_copies: int, n_lanes: int, weight: Array, sums: Array, sq_distances: Array
) -> None:
    """Add up the copies of entries, and write what is in them: `(n_centers,)` and so on."""
    k, d = sums.shape
    weight[:] = 0
    sums[:] = 0
    sq_distances[:] = 0
    for copy in range(n_copies):
        for j in range(k):
            entry = table[copy * k + j]
            for lane in range(n_lanes):
                sq_distances[j] += entry[lane]
                weight[j] += entry[n_lanes + lane]
            for first in range(0, d, n_lanes):
                place = 2 * (first + n_lanes) + n_lanes
                for lane in range(min(n_lanes, d - first)):
                    sums[j, first + lane] += entry[place + lane]
