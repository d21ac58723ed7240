"""The cell of each value between ascending edges, exactly, by a binary search without branches."""

import numpy as np

from dkmeans.kernels.block import Array

_TILE_ROWS = 2**14
"""Rows that are searched at a time: what the search touches stays near the processor."""


def padded(edges: Array) -> Array:
    """Pad edges with inf to a power of two, of which the last is always inf.

    Parameters
    ----------
    edges
        `(..., n_edges)`, ascending, perhaps padded with inf already.

    Returns
    -------
    padded
        `(..., width)` float64, C order.
    """
    width = 1 << edges.shape[-1].bit_length()
    out = np.full((*edges.shape[:-1], width), np.inf)
    out[..., : edges.shape[-1]] = edges
    return out


def cells_of(values: Array, edges: Array, which: Array | None) -> Array:
    """Find the cell of each value: `2 i` below edge i and above the one before, `2 i + 1` at it.

    Parameters
    ----------
    values
        `(n_rows,)` float32 or float64, finite. Float32 values are compared as the float64 values
        that they equal, so that every comparison is exact.
    edges
        `(n_lists, width)` float64: lists of edges as `padded` gives them.
    which
        `(n_rows,)`: the list that each value is searched in; None if there is one for all.

    Returns
    -------
    cells
        `(n_rows,)` intp: the cell, plus `2 width` times the number of its list.
    """
    width = edges.shape[1]
    flat = edges.ravel()
    out = np.empty(len(values), np.intp)
    size = min(len(values), _TILE_ROWS)
    found, is_less, steps = np.empty(size), np.empty(size, bool), np.empty(size, np.intp)
    for start in range(0, len(values), _TILE_ROWS):
        stop = min(start + _TILE_ROWS, len(values))
        n = stop - start
        some = values[start:stop].astype(np.float64)
        # how many edges lie below, plus where the list begins
        at = out[start:stop]
        at[:] = 0 if which is None else which[start:stop]
        at *= width
        half = width // 2
        while half:
            flat[half - 1 :].take(at, out=found[:n], mode="clip")
            np.less(found[:n], some, out=is_less[:n])
            np.multiply(is_less[:n], half, out=steps[:n])
            at += steps[:n]
            half //= 2
        flat.take(at, out=found[:n], mode="clip")
        at += at
        at += np.equal(found[:n], some, out=is_less[:n])
    return out
