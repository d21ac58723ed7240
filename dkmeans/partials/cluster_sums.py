"""Weight, sum and squared distance of each cluster's rows: all that an iteration needs."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.sums import sums_by_label, sums_of_nearest, weight_by_label


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """What rows contribute to the centers that they are nearest to."""

    origin: Array
    """`(n_features,)` float64: the point that `sums` are measured from, the same for all that
    merge.

    Fixed for a whole run: rows far from zero lose no digits, and unchanged labels give bitwise
    unchanged centers.
    """

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights."""

    sums: Array
    """`(n_clusters, n_features)` float64: weighted sum of `x - origin`."""

    sq_distances: Array
    """`(n_clusters,)` float64: weighted sum of squared distances to the center of the cluster."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, n_clusters: int, origin: Array) -> Self:
        """Return the contribution of no rows."""
        k, d = n_clusters, len(origin)
        return cls(origin, np.zeros(k), np.zeros((k, d)), np.zeros(k), 0)

    @classmethod
    def from_block(cls, block: Block, centers: Array, origin: Array) -> Self:
        """Assign each row of `block` to the nearest of `centers` and add up what it contributes."""
        found = sums_of_nearest(block.X, block.weight, centers, origin)
        return cls(origin, *found, block.n_rows)

    @classmethod
    def from_labels(
        cls, block: Block, labels: Array, sq_distances: Array, n_clusters: int, origin: Array
    ) -> Self:
        """Add up rows whose clusters and squared distances are known, both `(n_rows,)`."""
        weight, of_distances = np.zeros(n_clusters), np.zeros(n_clusters)
        for rows, tile in block.tiles():
            weight += weight_by_label(labels[rows], tile.weight, n_clusters)
            wide = sq_distances[rows].astype(np.float64)
            if tile.weight is not None:
                wide *= tile.weight
            of_distances += weight_by_label(labels[rows], wide, n_clusters)
        sums = sums_by_label(block.X, labels, block.weight, origin, n_clusters)
        return cls(origin, weight, sums, of_distances, block.n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.origin,
            self.weight + other.weight,
            self.sums + other.sums,
            self.sq_distances + other.sq_distances,
            self.n_rows + other.n_rows,
        )

    def decay(self, factor: float) -> Self:
        """Return what rows count for that have lost part of their weight; `factor` is left."""
        return type(self)(
            self.origin,
            self.weight * factor,
            self.sums * factor,
            self.sq_distances * factor,
            self.n_rows,
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters, empty ones included."""
        return len(self.weight)

    @property
    def empty(self) -> Array:
        """Which clusters have no weight, `(n_clusters,)` bool."""
        return self.weight <= 0

    @property
    def inertia(self) -> float:
        """Weighted sum of the squared distances of all rows to their centers."""
        return float(self.sq_distances.sum())

    def centers(self, otherwise: Array) -> Array:
        """Return the mean of each cluster, and the row of `otherwise` for those that are empty."""
        weight = np.where(self.empty, 1.0, self.weight)[:, None]
        return np.where(self.empty[:, None], otherwise, self.origin + self.sums / weight)

    def gain(self, centers: Array) -> float:
        """Return what moving `centers` to their rows' means lowers the inertia by, labels fixed.

        A lower bound of what the next iteration brings.
        """
        weight = np.where(self.empty, 1.0, self.weight)[:, None]
        residuals = self.sums - self.weight[:, None] * (centers - self.origin)
        return float((residuals**2 / weight).sum())

    def without(self, clusters: Array) -> Self:
        """Return the same with some clusters emptied, `(n_clusters,)` bool."""
        kept = ~clusters
        return type(self)(
            self.origin,
            self.weight * kept,
            self.sums * kept[:, None],
            self.sq_distances * kept,
            self.n_rows,
        )

    def move(self, sources: Array, targets: Array, X: Array, weight: Array) -> Self:
        """Take rows out of clusters `sources`, each to be the only row of its new cluster.

        Parameters
        ----------
        sources, targets
            `(n_moved,)` cluster indices; targets are empty and distinct.
        X, weight
            The rows, `(n_moved, n_features)`, and their weights, `(n_moved,)`.
        """
        new_weight, new_sums = self.weight.copy(), self.sums.copy()
        contributions = weight[:, None] * (X - self.origin)
        np.subtract.at(new_weight, sources, weight)
        np.subtract.at(new_sums, sources, contributions)
        new_weight[targets], new_sums[targets] = weight, contributions
        return type(self)(self.origin, new_weight, new_sums, self.sq_distances, self.n_rows)
