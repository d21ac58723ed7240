"""How much weight has each pair of a true label and a cluster: all that agreement is told from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.errors import BadValues
from dkmeans.kernels.block import TILE_ROWS, Array, Block, Labels

MOST_LABELS = 65_536
"""A column with more distinct values tells rows apart, and is no label."""

_DENSE_CELLS = 2**18
"""Tables with no more cells are counted without sorting."""

_PREFERRED = (int, float, bool)
"""Of equal numbers, the one of the first of these types stands for all."""


@dataclass(frozen=True, eq=False)
class Contingency:
    """The weight of the rows of each pair of labels, those of weight zero left out.

    Labels are told apart as Python does: text is never a number, and numbers are compared by value,
    so that 1, 1.0 and True are one label. Of these the integer stands for all, else the float.
    Numbers stand before text, both in ascending order.
    """

    values_true: tuple[Any, ...]
    """The true labels that have any weight, in order: text, integers, floats or booleans."""

    values_pred: tuple[Any, ...]
    """The clusters that have any weight, in order."""

    pairs: Array
    """`(n_pairs, 2)` int64: indices into `values_true` and `values_pred`, ascending."""

    weight: Array
    """`(n_pairs,)` float64: the weight of the rows of each pair, positive."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls) -> Self:
        """Return the contribution of no rows."""
        return cls((), (), np.empty((0, 2), np.int64), np.empty(0), 0)

    @classmethod
    def from_block(cls, block: Block) -> Self:
        """Count the pairs of the first two labels that the rows of `block` came with.

        The first are the true ones, the second the clusters.

        Raises
        ------
        BadValues
            As `from_pairs`.
        """
        return cls.from_pairs(block.labels[0], block.labels[1], block.weight)

    @classmethod
    def from_pairs(cls, true: Labels, pred: Labels, weight: Array | None = None) -> Self:
        """Count the pairs of labels of some rows.

        Parameters
        ----------
        true, pred
            The labels of `(n_rows,)` each.
        weight
            `(n_rows,)`, not negative; None for ones.

        Raises
        ------
        BadValues
            If there are more than `MOST_LABELS` different ones on either side, or one is neither
            text nor a number.
        """
        n_rows, width = len(true.codes), max(1, len(pred.values))
        n_cells = len(true.values) * width
        sums = np.zeros(n_cells if n_cells <= _DENSE_CELLS else 0)
        cells = np.arange(len(sums))
        for start in range(0, n_rows, TILE_ROWS):
            rows = slice(start, start + TILE_ROWS)
            of_tile = _cells(true.codes[rows], pred.codes[rows], width)
            given = None if weight is None else weight[rows]
            if n_cells <= _DENSE_CELLS:
                sums += np.bincount(of_tile, given, n_cells)
            else:
                more, counts = _added(of_tile, given)
                cells, sums = _added(np.append(cells, more), np.append(sums, counts))
        cells, sums = cells[sums > 0], sums[sums > 0]
        rows_true, rows_pred = np.divmod(cells, width)
        return cls._of(
            *_numbered(rows_true, true.values), *_numbered(rows_pred, pred.values), sums, n_rows
        )

    @classmethod
    def _of(
        cls,
        true: Array,
        values_true: tuple[Any, ...],
        pred: Array,
        values_pred: tuple[Any, ...],
        weight: Array,
        n_rows: int,
    ) -> Self:
        """Add up pairs, given by indices into their values, and put them in order."""
        for values, side in ((values_true, "true labels"), (values_pred, "clusters")):
            if len(values) > MOST_LABELS:
                raise BadValues(
                    f"the {side} have more than {MOST_LABELS} different values: what differs so "
                    "from row to row is no label; name a column with fewer values, or put values "
                    "into groups."
                )
        width = max(1, len(values_pred))
        cells, sums = _added(_cells(true, pred, width), weight)
        pairs = np.stack(np.divmod(cells, width), axis=1)
        return cls(values_true, values_pred, pairs, sums, n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the counts of two disjoint sets of rows."""
        true, values_true = _numbered(
            np.concatenate([self.pairs[:, 0], other.pairs[:, 0] + len(self.values_true)]),
            self.values_true + other.values_true,
        )
        pred, values_pred = _numbered(
            np.concatenate([self.pairs[:, 1], other.pairs[:, 1] + len(self.values_pred)]),
            self.values_pred + other.values_pred,
        )
        weight = np.concatenate([self.weight, other.weight])
        n_rows = self.n_rows + other.n_rows
        return self._of(true, values_true, pred, values_pred, weight, n_rows)

    @property
    def weight_true(self) -> Array:
        """The weight of each true label, `(len(values_true),)` float64."""
        return np.bincount(self.pairs[:, 0], self.weight, len(self.values_true))

    @property
    def weight_pred(self) -> Array:
        """The weight of each cluster, `(len(values_pred),)` float64."""
        return np.bincount(self.pairs[:, 1], self.weight, len(self.values_pred))

    @property
    def total_weight(self) -> float:
        """The weight of all rows."""
        return float(self.weight.sum())


def ordered(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return the different ones of some labels, numbers before text, ascending.

    Raises
    ------
    BadValues
        If one is neither text nor a number.
    """
    different: dict[Any, Any] = {}
    for value in map(_plain, values):
        known = different.setdefault(value, value)
        if _rank(value) < _rank(known):
            different[value] = value
    return tuple(sorted(different.values(), key=lambda value: (isinstance(value, str), value)))


def _plain(value: Any) -> Any:
    """A label as a value of Python."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if type(value) not in _PREFERRED or value != value:
        raise BadValues(
            f"{value!r} is no label: labels are text, integers, floats or booleans; leave such "
            "rows out, or turn their labels into text."
        )
    return 0.0 if value == 0 and isinstance(value, float) else value  # -0.0 is no other label


def _rank(value: Any) -> int:
    return 0 if isinstance(value, str) else _PREFERRED.index(type(value))


def _numbered(codes: Array, values: tuple[Any, ...]) -> tuple[Array, tuple[Any, ...]]:
    """Number codes anew, by the values that occur, in order; return these, too."""
    used = np.unique(codes)
    given = [values[code] for code in used.tolist()]
    if {type(value) for value in given} == {int}:
        # as clusters are: many, of small blocks
        different: tuple[Any, ...] = tuple(sorted(set(given)))
    else:
        given = [_plain(value) for value in given]
        different = ordered(given)
    numbers = {value: number for number, value in enumerate(different)}
    new = np.array([numbers[value] for value in given], np.int64)
    return new[np.searchsorted(used, codes)], different


def _cells(first: Array, second: Array, width: int) -> Array:
    return first.astype(np.int64) * width + second


def _added(cells: Array, weight: Array | None) -> tuple[Array, Array]:
    """The different cells, ascending, and the weight of each, float64."""
    different, which = np.unique(cells, return_inverse=True)
    return different, np.bincount(which, weight, len(different)).astype(np.float64)
