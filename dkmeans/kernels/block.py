"""A block: rows in memory that one task works on, and where in the stored data they come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

TILE_ROWS = 2**17
"""Rows of a tile: enough that what is done once a tile does not matter."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What some rows are called by others: their true classes, or clusters found elsewhere."""

    codes: Array
    """`(n_rows,)` int32: index into `values`."""

    values: tuple[Any, ...]
    """The distinct labels: text, integers, floats or booleans. Each block numbers its own."""

    def __getitem__(self, rows: Any) -> "Labels":
        return Labels(self.codes[rows], self.values)

    @classmethod
    def joined(cls, parts: "Sequence[Labels]") -> "Labels":
        """Put the labels of several blocks behind each other, under one numbering."""
        numbers: dict[Any, int] = {}
        codes = [np.empty(0, np.int32)]
        for part in parts:
            new = [numbers.setdefault(value, len(numbers)) for value in part.values]
            codes.append(np.array(new, np.int32)[part.codes])
        return cls(np.concatenate(codes), tuple(numbers))


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows, in the order in which they are stored."""

    X: Array
    """`(n_rows, n_features)` float32 or float64, finite, feature-major (Fortran order)."""

    ranges: tuple[tuple[int, int], ...]
    """Half-open ranges of source row numbers that the block covers, ascending."""

    weight: Array | None = None
    """`(n_rows,)` float64, not negative; None stands for ones."""

    kept: Array | None = None
    """`(n_source_rows,)` bool: which of the covered source rows `X` holds; None stands for all."""

    n_missing_rows: int = 0
    """How many of the rows that `kept` leaves out were dropped because a value is missing."""

    labels: tuple[Labels, ...] = ()
    """Labels that the rows came with, of `(n_rows,)` each, in the order in which they were asked
    for."""

    @property
    def n_rows(self) -> int:
        """Rows in `X`."""
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        """Columns of `X`."""
        return int(self.X.shape[1])

    @property
    def n_source_rows(self) -> int:
        """Stored rows that the block covers, those that a filter drops included."""
        return sum(stop - first for first, stop in self.ranges)

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the block holds."""
        held = (self.X, self.weight, self.kept, *(labels.codes for labels in self.labels))
        return sum(int(array.nbytes) for array in held if array is not None)

    def only(self, among: Array, kept: Array) -> "Block":
        """Return some of the rows, with all that goes with them.

        Parameters
        ----------
        among
            Indices into the rows of `X`, ascending.
        kept
            `(n_source_rows,)` bool: the same rows among those that the block covers.
        """
        return replace(
            self,
            X=np.take(self.X.T, among, axis=1).T,
            weight=None if self.weight is None else self.weight[among],
            kept=kept,
            labels=tuple(one[among] for one in self.labels),
        )

    def tiles(self, most_rows: int = TILE_ROWS) -> "Iterator[tuple[slice, Block]]":
        """Cut the block into blocks that cover at most `most_rows` source rows each.

        Yields which rows of `X` a tile has, and the tile, whose arrays are views. What takes memory
        by the row is computed tile by tile, so that it takes little beside the block.
        """
        seen = at = 0
        for first, stop in self.ranges:
            for start in range(first, stop, most_rows):
                end = min(start + most_rows, stop)
                kept = None if self.kept is None else self.kept[seen : seen + end - start]
                seen += end - start
                rows = slice(at, at + (end - start if kept is None else int(kept.sum())))
                at = rows.stop
                weight = None if self.weight is None else self.weight[rows]
                labels = tuple(one[rows] for one in self.labels)
                yield rows, Block(self.X[rows], ((start, end),), weight, kept, labels=labels)

    @property
    def row_numbers(self) -> Array:
        """The source row number of each row of `X`, `(n_rows,)` int64."""
        parts = [np.arange(first, stop) for first, stop in self.ranges]
        numbers = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return numbers if self.kept is None else numbers[self.kept]

    @property
    def weights(self) -> Array:
        """`weight`, with the ones written out."""
        return np.ones(self.n_rows) if self.weight is None else self.weight

    @property
    def total_weight(self) -> float:
        """The sum of the weights."""
        return float(self.n_rows) if self.weight is None else float(self.weight.sum())
