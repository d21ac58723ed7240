"""The rows that lie farthest from their centers: where empty clusters are moved to."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest


@dataclass(frozen=True, eq=False)
class Farthest:
    """The rows of positive weight with the greatest squared distances to their nearest centers."""

    size: int
    """Rows wanted; fewer are there when fewer have a positive distance."""

    sq_distances: Array
    """`(size,)` or fewer, descending, positive; equal ones are ordered by row number."""

    X: Array
    """`(len(sq_distances), n_features)`: the rows."""

    weight: Array
    """`(len(sq_distances),)` float64: their sample weights."""

    labels: Array
    """`(len(sq_distances),)` int32: their clusters."""

    row_numbers: Array
    """`(len(sq_distances),)` int64: their source row numbers."""

    n_rows: int
    """Rows seen."""

    @classmethod
    def zero(cls, size: int, n_features: int, dtype: np.dtype) -> Self:
        """Return the farthest of no rows."""
        empty = np.empty(0)
        return cls(
            size,
            empty,
            np.empty((0, n_features), dtype),
            empty,
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            0,
        )

    @classmethod
    def from_block(cls, block: Block, centers: Array, size: int) -> Self:
        """Find the farthest rows of `block`, those that coincide with their center left out."""
        labels, sq_distances = nearest(block.X, centers)
        so_far = cls.zero(size, block.n_features, block.X.dtype)
        for rows, tile in block.tiles():
            so_far = so_far.merge(cls._of_tile(tile, labels[rows], sq_distances[rows], size))
        return so_far

    @classmethod
    def _of_tile(cls, block: Block, labels: Array, sq_distances: Array, size: int) -> Self:
        able = np.flatnonzero((sq_distances > 0) & (block.weights > 0))
        numbers = block.row_numbers[able]
        order = np.lexsort((numbers, -sq_distances[able]))[:size]
        rows = able[order]
        return cls(
            size,
            sq_distances[rows].astype(np.float64),
            np.ascontiguousarray(block.X[rows]),
            block.weights[rows].copy(),
            labels[rows],
            numbers[order],
            block.n_rows,
        )

    def merge(self, other: Self) -> Self:
        """Find the farthest in the union of two disjoint sets of rows."""
        sq_distances = np.concatenate([self.sq_distances, other.sq_distances])
        numbers = np.concatenate([self.row_numbers, other.row_numbers])
        order = np.lexsort((numbers, -sq_distances))[: self.size]
        return type(self)(
            self.size,
            sq_distances[order],
            np.concatenate([self.X, other.X])[order],
            np.concatenate([self.weight, other.weight])[order],
            np.concatenate([self.labels, other.labels])[order],
            numbers[order],
            self.n_rows + other.n_rows,
        )
