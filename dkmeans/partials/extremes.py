"""The few rows of each cluster that are most typical of it, or least."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.by_label import ByLabel


@dataclass(frozen=True, eq=False)
class Extremes:
    """The rows of positive weight with the smallest values, a few of each cluster.

    Sorted by cluster, then by value; equal values are ordered by row number.
    """

    size: int
    """Rows wanted of each cluster; fewer are there when it has fewer."""

    labels: Array
    """`(n_found,)` int32: their clusters."""

    values: Array
    """`(n_found,)` float64: what they were chosen by."""

    distances: Array
    """`(n_found, 2)` float64: distances to the nearest and the second nearest center, as given."""

    X: Array
    """`(n_found, n_features)`: the rows."""

    weight: Array
    """`(n_found,)` float64: their sample weights."""

    row_numbers: Array
    """`(n_found,)` int64: their source row numbers."""

    n_rows: int
    """Rows seen."""

    @classmethod
    def zero(cls, size: int, n_features: int, dtype: np.dtype) -> Self:
        """Return the extremes of no rows."""
        return cls(
            size,
            np.empty(0, np.int32),
            np.empty(0),
            np.empty((0, 2)),
            np.empty((0, n_features), dtype),
            np.empty(0),
            np.empty(0, np.int64),
            0,
        )

    @classmethod
    def from_block(
        cls, block: Block, labels: Array, values: Array, distances: Array, size: int
    ) -> Self:
        """Find the extremes of `block`.

        Parameters
        ----------
        block
            The rows.
        labels
            `(n_rows,)`: the cluster of each.
        values
            `(n_rows,)`, no NaN: what rows are chosen by.
        distances
            `(n_rows, 2)`: what is told of them beside that.
        size
            Rows wanted of each cluster.
        """
        so_far = cls.zero(size, block.n_features, block.X.dtype)
        for rows, tile in block.tiles():
            part = so_far._of_tile(tile, labels[rows], values[rows], distances[rows])
            so_far = so_far.merge(part)
        return so_far

    def _of_tile(self, block: Block, labels: Array, values: Array, distances: Array) -> Self:
        """Find the extremes of a tile, but for those that are surely beyond ours."""
        n_clusters = max(int(one.max(initial=0)) for one in (labels, self.labels)) + 1
        most = self._most(n_clusters)
        able = values <= most[labels]
        if block.weight is not None:
            able &= block.weight > 0
        # what is surely beyond others of the tile goes before anything is sorted
        by_label = ByLabel.of(labels, n_clusters, able)
        ordered = values[by_label.order]
        for label, run in by_label.runs():
            if run.stop - run.start > self.size:
                most[label] = np.partition(ordered[run], self.size - 1)[self.size - 1]
        among = np.flatnonzero(able & (values <= most[labels]))
        numbers = block.row_numbers[among]
        order = _first_of_each(labels[among], values[among], numbers, self.size)
        rows = among[order]
        return type(self)(
            self.size,
            labels[rows].astype(np.int32),
            values[rows].astype(np.float64),
            distances[rows].astype(np.float64),
            np.ascontiguousarray(block.X[rows]),
            block.weights[rows].copy(),
            numbers[order],
            block.n_rows,
        )

    def _most(self, n_clusters: int) -> Array:
        """The greatest value that a row of each cluster can have to be among the extremes."""
        most = np.full(n_clusters, np.inf)
        present, starts, counts = np.unique(self.labels, return_index=True, return_counts=True)
        full = counts == self.size
        most[present[full]] = self.values[starts[full] + self.size - 1]
        return most

    def merge(self, other: Self) -> Self:
        """Find the extremes of the union of two disjoint sets of rows."""
        labels, values, distances, X, weight, numbers = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("labels", "values", "distances", "X", "weight", "row_numbers")
        )
        order = _first_of_each(labels, values, numbers, self.size)
        return type(self)(
            self.size,
            labels[order],
            values[order],
            distances[order],
            X[order],
            weight[order],
            numbers[order],
            self.n_rows + other.n_rows,
        )


def _first_of_each(labels: Array, values: Array, numbers: Array, size: int) -> Array:
    """Indices of the `size` smallest values of each label, in order; ties by row number."""
    order = np.lexsort((numbers, values, labels))
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    ranks = np.arange(len(order)) - np.repeat(starts, counts)
    return np.asarray(order[ranks < size])
