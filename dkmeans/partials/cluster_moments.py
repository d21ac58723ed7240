"""Weight, mean, variance and range of each feature of each cluster, in the units of the data."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.by_label import ByLabel

_LOST = 1e6
"""How many times a variance the square of what is taken off may be."""


@dataclass(frozen=True, eq=False)
class ClusterMoments:
    """Sums, sums of squares and range of the rows of each cluster, measured from its own origin.

    An origin should lie within its cluster (its center does): then nothing is lost to cancellation,
    however far the cluster lies from zero and from the others.
    """

    origins: Array
    """`(n_clusters, n_features)` float64: the point that the sums of each cluster are measured
    from, the same for all that merge."""

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights."""

    sq_distances: Array
    """`(n_clusters,)` float64: weighted sum of the squared distances to the center, as given."""

    sums: Array
    """`(n_clusters, n_features)` float64: weighted sum of `x - origin`."""

    sq_sums: Array
    """`(n_clusters, n_features)` float64: weighted sum of `(x - origin)^2`."""

    minimum: Array
    """`(n_clusters, n_features)` float64: least value among rows of positive weight; +inf if there
    are none."""

    maximum: Array
    """`(n_clusters, n_features)` float64: greatest value among rows of positive weight; -inf if
    there are none."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, origins: Array) -> Self:
        """Return the contribution of no rows."""
        k, shape = len(origins), origins.shape
        return cls(
            origins,
            np.zeros(k),
            np.zeros(k),
            np.zeros(shape),
            np.zeros(shape),
            np.full(shape, np.inf),
            np.full(shape, -np.inf),
            0,
        )

    @classmethod
    def from_block(cls, block: Block, labels: Array, sq_distances: Array, origins: Array) -> Self:
        """Add up the rows of `block`.

        Parameters
        ----------
        block
            The rows, in the units of the data.
        labels
            `(n_rows,)`: the cluster of each.
        sq_distances
            `(n_rows,)`: squared distance of each to its center, in the space of the model.
        origins
            `(n_clusters, n_features)` float64.
        """
        so_far = cls.zero(origins)
        for rows, tile in block.tiles():
            part = cls._of_tile(tile, labels[rows], sq_distances[rows], origins)
            so_far = part if so_far.n_rows == 0 else so_far.merge(part)
        return so_far

    @classmethod
    def _of_tile(cls, block: Block, labels: Array, sq_distances: Array, origins: Array) -> Self:
        out = cls.zero(origins)
        rows = ByLabel.of(labels, len(origins), None if block.weight is None else block.weight > 0)
        if len(rows.order):
            weight = None if block.weight is None else block.weight[rows.order]
            out._add(block.X, sq_distances, weight, rows)
        return replace(out, n_rows=block.n_rows)

    def _add(self, X: Array, sq_distances: Array, weight: Array | None, rows: ByLabel) -> None:
        """Write the sums of a tile into our arrays, which nobody else has seen yet."""
        present, starts = rows.labels, rows.starts
        counts = rows.counts
        self.weight[present] = counts if weight is None else np.add.reduceat(weight, starts)
        far = sq_distances[rows.order].astype(np.float64)
        far = far if weight is None else far * weight
        self.sq_distances[present] = np.add.reduceat(far, starts)
        for feature in range(X.shape[1]):
            column = X[:, feature][rows.order]
            self.minimum[present, feature] = np.minimum.reduceat(column, starts)
            self.maximum[present, feature] = np.maximum.reduceat(column, starts)
            moved = column - np.repeat(self.origins[present, feature], counts)
            weighted = moved if weight is None else moved * weight
            self.sums[present, feature] = np.add.reduceat(weighted, starts)
            np.multiply(weighted, moved, out=moved)
            self.sq_sums[present, feature] = np.add.reduceat(moved, starts)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.origins,
            self.weight + other.weight,
            self.sq_distances + other.sq_distances,
            self.sums + other.sums,
            self.sq_sums + other.sq_sums,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.n_rows + other.n_rows,
        )

    @property
    def empty(self) -> Array:
        """Which clusters have no weight, `(n_clusters,)` bool."""
        return self.weight <= 0

    @property
    def mean(self) -> Array:
        """Weighted mean of each feature, `(n_clusters, n_features)`; NaN for empty clusters."""
        return self.origins + self._divided(self.sums)

    @property
    def variance(self) -> Array:
        """Weighted population variance, `(n_clusters, n_features)`; NaN for empty clusters."""
        return np.maximum(self._divided(self.sq_sums) - self._divided(self.sums) ** 2, 0.0)

    @property
    def precise(self) -> bool:
        """Whether no variance lost more than a few digits, because its origin was far away."""
        varied = ~self.empty[:, None] & (self.minimum < self.maximum)
        moved = np.where(varied, self._divided(self.sums), 0.0) ** 2
        return not (varied & (moved > _LOST * self.variance)).any()

    def _divided(self, sums: Array) -> Array:
        weight = np.where(self.empty, np.nan, self.weight)
        return np.asarray(sums / weight[:, None])
