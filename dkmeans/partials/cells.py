"""The weight of each cluster in cells between edges, exactly, and the quantiles that follow."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.cells import cells_of, padded


@dataclass(frozen=True, eq=False)
class Cells:
    """Weight of each cluster between edges and at them, feature by feature.

    Cells alternate between open intervals and points: below the first edge, at it, between it and
    the second, at that, ..., above the last. So what lies at an edge, a category or the zeros of a
    sparse feature, is counted apart, and exactly.

    Edges are lists of ascending values, one for each cluster and feature, `(n_clusters, n_features,
    n_edges)`, or one for each feature, `(1, n_features, n_edges)`. Shorter lists are padded with
    inf; their last cell is the interval above their last edge. They are the same for all that
    merge.
    """

    weight: Array
    """`(n_clusters, n_features, 2 n_edges + 1)` float64: sum of the sample weights in each cell."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, n_clusters: int, edges: Array) -> Self:
        """Return the contribution of no rows."""
        _, d, n_edges = edges.shape
        return cls(np.zeros((n_clusters, d, 2 * n_edges + 1)), 0)

    @classmethod
    def from_block(cls, block: Block, labels: Array, n_clusters: int, edges: Array) -> Self:
        """Count the rows of `block`.

        Parameters
        ----------
        block
            The rows, in the units of the edges.
        labels
            `(n_rows,)`: the cluster of each.
        n_clusters
            The number of clusters.
        edges
            `(n_clusters or 1, n_features, n_edges)` float64.
        """
        weight = cls.zero(n_clusters, edges).weight
        n_cells, stride = weight.shape[2], 2 * padded(edges[:1, :1]).shape[2]
        shared = len(edges) == 1
        for rows, tile in block.tiles():
            which = labels[rows].astype(np.intp)
            # from where the cells of a list are found to where those of the cluster are counted
            moved = which * (n_cells if shared else n_cells - stride)
            for feature in range(block.n_features):
                # padded for one feature at a time: for all they may take more than the block
                lists = padded(edges[:, feature])
                cells = cells_of(tile.X[:, feature], lists, None if shared else which)
                cells += moved
                counts = np.bincount(cells, tile.weight, minlength=n_clusters * n_cells)
                weight[:, feature] += counts.reshape(n_clusters, n_cells)
        return cls(weight, block.n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(self.weight + other.weight, self.n_rows + other.n_rows)

    def regrouped(self, edges: Array, fewer: Array) -> Self:
        """Return the weight in the cells of fewer edges.

        Parameters
        ----------
        edges
            Those that our cells are between.
        fewer
            `(1, n_features, n_fewer)` float64, padded with inf: edges that are in every list.
        """
        out = type(self).zero(len(self.weight), fewer)
        lists, n_cells = padded(fewer[0]), out.weight.shape[2]
        cluster = np.arange(len(self.weight))[:, None] * n_cells
        for feature in range(edges.shape[1]):
            own = edges[:, feature]
            at = cells_of(own.ravel(), lists[feature][None], None).reshape(own.shape)
            cells = np.zeros((len(own), 2 * own.shape[1] + 1), np.intp)
            cells[:, 1::2] = at
            # an interval lies where the edge before it does, or right of that
            cells[:, 2::2] = (at + 1) // 2 * 2
            # beyond the last edge there are only empty cells
            np.minimum(cells, n_cells - 1, out=cells)
            cells = np.broadcast_to(cells, (len(self.weight), cells.shape[1])) + cluster
            counts = np.bincount(
                cells.ravel(), self.weight[:, feature].ravel(), minlength=out.weight[:, 0].size
            )
            out.weight[:, feature] = counts.reshape(-1, n_cells)
        return replace(out, n_rows=self.n_rows)

    def quantiles(
        self, levels: Array, edges: Array, minimum: Array, maximum: Array
    ) -> tuple[Array, Array, Array]:
        """Return quantiles of each cluster and feature, and bounds that hold them.

        The quantile at q is the least value such that it and what lies below have at least the
        share q of the weight: NumPy's `method="inverted_cdf"`. It lies in the cell where that share
        is reached. If that is a point, the quantile is the edge, exactly; if it is an interval, its
        ends, and the range of the cluster, are the bounds, and the value is found by linear
        interpolation. Weights that are no integers are added up with rounding errors, which may
        decide between neighboring cells.

        Parameters
        ----------
        levels
            `(n_levels,)`, from 0 to 1.
        edges
            Those that the cells are between.
        minimum, maximum
            `(n_clusters, n_features)`: the range of the rows of positive weight.

        Returns
        -------
        values, low, high
            `(n_levels, n_clusters, n_features)` float64 each, with `low <= values <= high`; NaN for
            empty clusters.
        """
        ends = np.cumsum(self.weight, axis=2)
        found = [self._quantile(float(q), ends, edges, minimum, maximum) for q in levels]
        values, low, high = (np.array(part).reshape(-1, *minimum.shape) for part in zip(*found))
        return values, low, high

    def _quantile(
        self, q: float, ends: Array, edges: Array, minimum: Array, maximum: Array
    ) -> tuple[Array, Array, Array]:
        total = ends[:, :, -1]
        rank = q * total
        reached = (ends >= rank[:, :, None]) & (ends > 0)
        cell = reached.argmax(axis=2)[:, :, None]
        low = np.maximum(self._edge(edges, (cell - 1) // 2), minimum)
        high = np.minimum(self._edge(edges, cell // 2), maximum)
        inside = np.take_along_axis(self.weight, cell, axis=2)[:, :, 0]
        below = np.take_along_axis(ends, cell, axis=2)[:, :, 0] - inside
        share = np.clip((rank - below) / np.where(total > 0, inside, 1.0), 0.0, 1.0)
        with np.errstate(invalid="ignore"):
            value = np.where(low == high, low, low + share * (high - low))
        value = np.clip(value, low, high)
        low, high, value = (np.where(total > 0, one, np.nan) for one in (low, high, value))
        return value, low, high

    def _edge(self, edges: Array, number: Array) -> Array:
        """Edges by number, `(n_clusters, n_features)`: -inf before the first, inf after all."""
        beyond = np.full((*edges.shape[:2], 1), np.inf)
        framed = np.concatenate([-beyond, edges, beyond], axis=2)
        framed = np.broadcast_to(framed, (len(self.weight), *framed.shape[1:]))
        return np.take_along_axis(framed, number + 1, axis=2)[:, :, 0]
