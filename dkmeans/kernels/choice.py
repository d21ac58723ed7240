"""Which kernels compute: compiled ones, or NumPy's where a compiler is not worth waiting for."""

import os
from types import ModuleType

from dkmeans.kernels import compiled, numpy_tiles
from dkmeans.kernels.block import Array

_ENOUGH = 2**18
"""Size from which loops are compiled: importing Numba takes half a second, and compiling takes some
on a new machine. NumPy takes some ms for a block of less, and up to 40 where many centers have many
features: it scores a whole tile of rows, however few there are."""

COMPILER_BYTES = 220 * 2**20
"""What Numba, what it has compiled, and compiling take in a process, once: measured were 127 MiB
where all comes from the cache, 201 where nothing does."""


def size(n_rows: int, n_features: int, n_centers: int = 0) -> float:
    """Return how many values rows have and score, and 64 products count as one."""
    return n_rows * (n_features + n_centers + n_features * n_centers / 64)


def are_compiled(n_rows: int, n_features: int, n_centers: int = 0) -> bool:
    """Whether so many rows are left to compiled loops, with so many centers to score them by."""
    enough = size(n_rows, n_features, n_centers) >= _ENOUGH
    return enough and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


def kernels(X: Array, n_centers: int, by_row: bool = False) -> ModuleType:
    """Choose kernels for rows by their shape alone: never by timing, which bits must not depend on.

    Whatever is large is left to compiled loops. BLAS alone may do more operations a second, where
    it has code for the widest vectors; but its scores go through memory, and then have to be
    compared. Compiled loops give a row the same bits whatever rows are beside it, as BLAS does not:
    where `by_row` asks for that, they are chosen for few rows, too.
    """
    n_rows, n_features = X.shape
    n_rows = _ENOUGH if by_row else n_rows
    return compiled if are_compiled(n_rows, n_features, n_centers) else numpy_tiles


def scratch_bytes(n_features: int, n_centers: int, itemsize: int, adds: bool = True) -> int:
    """Return the most that either of them takes beside the rows and the results, in bytes.

    Whether they add rows up near so many centers, or find the nearest only.
    """
    n_tile = min(n_centers, numpy_tiles.TILE_CENTERS)
    tile = numpy_tiles.TILE_ROWS * (n_features + 1 + n_tile) * itemsize
    # in panels, and in float64 in entries of a table, which have sums, too, if rows are added up
    entry = (n_features + 16) * 16 if adds else (n_features + 8) * 8
    by_center = n_centers * ((n_features + 8) * itemsize + entry)
    return max(tile, by_center)
