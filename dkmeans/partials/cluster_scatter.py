"""Products of the features of each cluster's rows: what covariances follow from."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.by_label import ByLabel

_TILE_BYTES = 4 * 2**20
"""Rows of a tile that are copied at a time, as float64."""


@dataclass(frozen=True, eq=False)
class ClusterScatter:
    """Sums of `x - center` and of its products with itself, of the rows of each cluster."""

    centers: Array
    """`(n_clusters, n_features)` float64: what the sums of each cluster are measured from, the same
    for all that merge."""

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights."""

    sums: Array
    """`(n_clusters, n_features)` float64: weighted sum of `x - center`."""

    products: Array
    """`(n_clusters, n_features, n_features)` float64: weighted sum of the outer product of
    `x - center` with itself."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, centers: Array) -> Self:
        """Return the contribution of no rows."""
        k, d = centers.shape
        return cls(centers, np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), 0)

    @classmethod
    def from_block(cls, block: Block, labels: Array, centers: Array) -> Self:
        """Add up the rows of `block`.

        Parameters
        ----------
        block
            The rows, in the space of the centers.
        labels
            `(n_rows,)`: the cluster of each.
        centers
            `(n_clusters, n_features)` float64.
        """
        k, d = centers.shape
        weight, sums, products = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        for tile_rows, tile in block.tiles(max(1024, _TILE_BYTES // (8 * d))):
            by_label = ByLabel.of(labels[tile_rows], k)
            # feature-major, as blocks are: each feature is gathered from what lies together
            columns = np.take(tile.X.T, by_label.order, axis=1).astype(np.float64, copy=False)
            columns -= np.repeat(centers[by_label.labels].T, by_label.counts, axis=1)
            w = None if tile.weight is None else tile.weight[by_label.order]
            for label, rows in by_label.runs():
                own = columns[:, rows]
                weighted = own if w is None else own * w[rows]
                weight[label] += own.shape[1] if w is None else w[rows].sum()
                sums[label] += weighted.sum(axis=1)
                products[label] += weighted @ own.T
        return cls(centers, weight, sums, products, block.n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.centers,
            self.weight + other.weight,
            self.sums + other.sums,
            self.products + other.products,
            self.n_rows + other.n_rows,
        )

    @property
    def covariance(self) -> Array:
        """Weighted population covariance of each cluster, `(n_clusters, n_features, n_features)`.

        Symmetric; NaN for empty clusters.
        """
        weight = np.where(self.weight <= 0, np.nan, self.weight)
        means = self.sums / weight[:, None]
        out = self.products / weight[:, None, None] - means[:, :, None] * means[:, None, :]
        return np.asarray((out + out.transpose(0, 2, 1)) / 2)
