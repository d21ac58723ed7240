"""A sample of rows without replacement, with probabilities proportional to their importance."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import exponentials


@dataclass(frozen=True, eq=False)
class WeightedSample:
    """The rows with the smallest exponential keys, and the total importance of all rows.

    A row of importance w gets the key `E / w`, E a standard exponential that belongs to the row.
    The `size` smallest keys are a sample without replacement, each draw proportional to importance,
    whatever the order in which the rows are seen. One more row is kept: its key is the threshold
    that the inclusion probabilities depend on.

    References
    ----------
    .. [1] P. Efraimidis, P. Spirakis, "Weighted random sampling with a reservoir", Information
       Processing Letters 97(5), 2006.
    """

    size: int
    """Rows wanted; fewer are there when fewer have positive importance."""

    keys: Array
    """`(size + 1,)` or fewer, float64, ascending; equal keys are ordered by row number."""

    X_kept: Array
    """`(len(keys), n_features)`, feature-major: the rows of the keys."""

    weight_kept: Array
    """`(len(keys),)` float64: the sample weights of those rows."""

    row_numbers_kept: Array
    """`(len(keys),)` int64: the source row numbers of those rows."""

    total: float
    """Sum of the importance of all rows seen."""

    n_rows: int
    """Rows seen, whatever their importance."""

    @classmethod
    def zero(cls, size: int, n_features: int, dtype: np.dtype) -> Self:
        """Return the sample of no rows."""
        return cls(
            size,
            np.empty(0),
            np.empty((0, n_features), dtype, order="F"),
            np.empty(0),
            np.empty(0, np.int64),
            0.0,
            0,
        )

    @classmethod
    def from_block(
        cls,
        block: Block,
        size: int,
        seed: int,
        purpose: tuple[str | int, ...],
        importance: Array | None = None,
        most_key: float = float("inf"),
    ) -> Self:
        """Sample the rows of `block`.

        Parameters
        ----------
        block
            The rows.
        size
            Rows wanted.
        seed, purpose
            Name the random numbers: the same names give each source row the same number.
        importance
            `(n_rows,)`, not negative; rows of importance zero are never drawn. None stands for the
            sample weights.
        most_key
            Rows with keys from here on are left out: of n rows of importance one, keys below
            `4 * size / n` hold the sample but for bad luck, and blocks contribute little else.
        """
        so_far = cls.zero(size, block.n_features, block.X.dtype)
        for rows, tile in block.tiles():
            given = None if importance is None else importance[rows]
            so_far = so_far.merge(cls._of_tile(tile, size, seed, purpose, given, most_key))
        return so_far

    @classmethod
    def _of_tile(
        cls,
        block: Block,
        size: int,
        seed: int,
        purpose: tuple[str | int, ...],
        importance: Array | None,
        most_key: float,
    ) -> Self:
        importance = block.weights if importance is None else importance.astype(np.float64)
        able = np.flatnonzero(importance > 0)
        keys = exponentials(block, seed, *purpose)[able] / importance[able]
        if most_key < np.inf:
            below = keys < most_key
            keys, able = keys[below], able[below]
        numbers = block.row_numbers[able]
        order = _smallest(keys, numbers, size + 1)
        rows = able[order]
        return cls(
            size,
            keys[order],
            _rows_of(block.X, rows),
            block.weights[rows].copy(),
            numbers[order],
            float(importance.sum()),
            block.n_rows,
        )

    def merge(self, other: Self) -> Self:
        """Sample from the union of two disjoint sets of rows."""
        keys = np.concatenate([self.keys, other.keys])
        numbers = np.concatenate([self.row_numbers_kept, other.row_numbers_kept])
        order = _smallest(keys, numbers, self.size + 1)
        return type(self)(
            self.size,
            keys[order],
            _rows_of(np.concatenate([self.X_kept, other.X_kept]), order),
            np.concatenate([self.weight_kept, other.weight_kept])[order],
            numbers[order],
            self.total + other.total,
            self.n_rows + other.n_rows,
        )

    def first(self, size: int) -> Self:
        """Return what a sample of fewer rows would have been."""
        if size >= self.size:
            return self
        kept = slice(size + 1)
        return type(self)(
            size,
            self.keys[kept],
            self.X_kept[kept],
            self.weight_kept[kept],
            self.row_numbers_kept[kept],
            self.total,
            self.n_rows,
        )

    @property
    def X(self) -> Array:
        """The sampled rows in the order of their draws, `(size or fewer, n_features)`."""
        return self.X_kept[: self.size]

    @property
    def weight(self) -> Array:
        """Sample weights of the sampled rows."""
        return self.weight_kept[: self.size]

    @property
    def row_numbers(self) -> Array:
        """Source row numbers of the sampled rows."""
        return self.row_numbers_kept[: self.size]

    @property
    def expanded_weight(self) -> Array:
        """What each sampled row stands for if rows were sampled by weight: weight over probability.

        Summed over the sample, an unbiased estimate of a sum over all rows.
        """
        if self.threshold == np.inf:
            return self.weight.copy()
        return self.weight / -np.expm1(-self.weight * self.threshold)

    @property
    def threshold(self) -> float:
        """The key that a row had to stay below to be sampled; infinite when every row was."""
        return float(self.keys[self.size]) if len(self.keys) > self.size else float("inf")


def _rows_of(X: Array, rows: Array) -> Array:
    """Return some rows, feature-major: taken feature by feature."""
    return np.take(X.T, rows, axis=1).T


def _smallest(keys: Array, numbers: Array, size: int) -> Array:
    """Indices of the `size` smallest keys, ascending, ties by row number."""
    likely = np.arange(len(keys))
    if len(keys) > size:
        likely = np.flatnonzero(keys <= np.partition(keys, size - 1)[size - 1])
    # runs that are sorted already, as samples that are merged, are found and merged
    order = likely[np.argsort(keys[likely], kind="stable")]
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = likely[np.lexsort((numbers[likely], keys[likely]))]
    return order[:size]
