"""Sums, sums of squares and range of each feature, compiled: one streaming pass over a block.

Imported when the first large block arrives, as importing and compiling take longer than a small
block does. The specification is `Moments` in NumPy.
"""

import numpy as np
from numba import njit

from dkmeans.kernels.block import Array
from dkmeans.kernels.jit import jitted

_TILE_ROWS = 8192
"""Rows whose weights stay in the cache while each feature passes by."""

_LANES = 32
"""Running sums of a feature: rows are dealt to them in turn, which vector units do side by side.
Their number is part of the order of additions, so it is no machine's."""


def sums_of(X: Array, weight: Array | None, origin: Array) -> tuple[Array, Array, Array, Array]:
    """Add up the rows of `X`, measured from `origin`, and their squares; find their range.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, finite.
    weight
        `(n_rows,)` float64, not negative; None for ones.
    origin
        `(n_features,)` float64.

    Returns
    -------
    sums, sq_sums, minimum, maximum
        `(n_features,)` float64 each: weighted sums of `x - origin` and of its square; range among
        rows of positive weight, +inf and -inf where there are none.
    """
    n_rows, n_features = X.shape
    flat, step = feature_major(X)
    sums, sq_sums = np.zeros(n_features), np.zeros(n_features)
    minimum, maximum = np.full(n_features, np.inf), np.full(n_features, -np.inf)
    if weight is not None:
        weight = np.ascontiguousarray(weight).view()
        weight.flags.writeable = False
    _add_up(flat, step, n_rows, weight, origin, sums, sq_sums, minimum, maximum)
    return sums, sq_sums, minimum, maximum


def feature_major(X: Array) -> tuple[Array, int]:
    """Return the values of X in one dimension, for compiled loops: feature j lies at `j * step`.

    Returns
    -------
    flat, step
        `(n,)`, not writable, a view of X if its columns are contiguous; and the step.
    """
    n_rows, n_features = X.shape
    if X.strides[0] != X.itemsize or X.strides[1] % X.itemsize or X.strides[1] < 0:
        X = np.asfortranarray(X)
    step = X.strides[1] // X.itemsize
    # a tile of a block is no contiguous matrix; in one dimension all are of one kind
    flat = np.lib.stride_tricks.as_strided(
        X, ((n_features - 1) * step + n_rows,), (X.itemsize,), writeable=False
    )
    return flat, step


@jitted
def _add_up(
    flat: Array,
    step: int,
    n_rows: int,
    weight: Array | None,
    origin: Array,
    sums: Array,
    sq_sums: Array,
    minimum: Array,
    maximum: Array,
) -> None:
    """Add rows to sums of them; feature j lies at `j * step`."""
    of_lanes = np.empty(_LANES), np.empty(_LANES)
    range_of_lanes = np.empty(_LANES, flat.dtype), np.empty(_LANES, flat.dtype)
    found = of_lanes + range_of_lanes
    for first in range(0, n_rows, _TILE_ROWS):
        n = min(_TILE_ROWS, n_rows - first)
        n_even = n // _LANES * _LANES
        of_row = _some(weight, first, n)
        for j in range(len(origin)):
            column = flat[j * step + first : j * step + first + n]
            for lane in range(_LANES):
                found[0][lane] = found[1][lane] = 0.0
                found[2][lane], found[3][lane] = np.inf, -np.inf
            for i in range(0, n_even, _LANES):
                for lane in range(_LANES):
                    _add_row(found, lane, column, of_row, i + lane, origin[j])
            for i in range(n_even, n):
                _add_row(found, i - n_even, column, of_row, i, origin[j])
            sums[j] += found[0].sum()
            sq_sums[j] += found[1].sum()
            minimum[j] = min(minimum[j], np.float64(found[2].min()))
            maximum[j] = max(maximum[j], np.float64(found[3].max()))


@njit(nogil=True, inline="always")
def _some(weight: Array | None, first: int, n: int) -> Array | None:
    if weight is None:
        return None
    return weight[first : first + n]


@njit(nogil=True, inline="always")
def _add_row(
    found: tuple[Array, ...], lane: int, column: Array, weight: Array | None, i: int, origin: float
) -> None:
    sums, sq_sums, least, greatest = found
    x = column[i]
    w = 1.0 if weight is None else weight[i]
    moved = np.float64(x) - origin
    sums[lane] += moved * w
    sq_sums[lane] += moved * w * moved
    # chosen rather than branched to, for vector units
    least[lane] = x if (x < least[lane]) & (w > 0) else least[lane]
    greatest[lane] = x if (x > greatest[lane]) & (w > 0) else greatest[lane]
