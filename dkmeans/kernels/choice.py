"""Which kernels compute: compiled ones, or NumPy's where a compiler is not worth waiting for."""

import os
from types import ModuleType

from dkmeans.kernels import compiled, numpy_tiles
from dkmeans.kernels.block import Array

_ENOUGH = 2**18
"""Values of rows, and scores, from which loops are compiled: importing Numba takes a second, and
compiling takes some on a new machine."""

COMPILER_BYTES = 180 * 2**20
"""What Numba, what it has compiled, and compiling take in a process, once."""


def are_compiled(n_rows: int, n_values: int) -> bool:
    """Whether so many rows of so many values and scores each are left to compiled loops."""
    return n_rows * n_values >= _ENOUGH and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def kernels(X: Array, n_centers: int) -> ModuleType:
    """Choose kernels for rows by their shape alone: never by timing, which bits must not depend on.

    Where they are compiled, the loops are the fastest at every shape: on tiles that fit BLAS best
    they do as many operations a second as BLAS, and what follows costs them less.
    """
    n_rows, n_features = X.shape
    return compiled if are_compiled(n_rows, n_features + n_centers) else numpy_tiles


def scratch_bytes(n_features: int, n_centers: int, itemsize: int) -> int:
    """Return the most that either of them takes beside the rows and the results, in bytes."""
    n_tile = min(n_centers, numpy_tiles.TILE_CENTERS)
    tile = numpy_tiles.TILE_ROWS * (n_features + 1 + n_tile) * itemsize
    # centers in panels, and these turned; then, beside the latter, in float64 with padded features
    by_center = n_centers * (n_features + 8) * max(2 * itemsize, itemsize + 8)
    return max(tile, by_center)
