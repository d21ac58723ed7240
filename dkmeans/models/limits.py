"""What rows of a baseline seldom exceed: the range of each feature, and distances to centers."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.log_bins import DistanceBins
from dkmeans.models.baseline import Baseline
from dkmeans.models.model import Model

_FAR = 0.99
_OWN_LIMIT_ROWS = 1_000.0
"""Clusters of less weight have not ten rows beyond their 99th percentile: their limit is that of
all rows."""


@dataclass(frozen=True, eq=False)
class Limits:
    """What rows of a baseline did not exceed, or few of them did."""

    minimum: Array
    """`(n_features,)` float64."""

    maximum: Array
    """`(n_features,)` float64."""

    cells: Array
    """`(n_clusters,)` int64: the bin of squared distances from which on rows lie beyond."""

    sq_distances: Array
    """`(n_clusters,)` float64: its lower edge."""

    n_own: int
    """Limits that were chosen by rows of the baseline: one for all, and those of clusters."""

    @classmethod
    def of(cls, baseline: Baseline) -> Self:
        """Take the range of each feature, and the least edge that 1 % of rows or fewer exceed.

        At the edge of a bin, so that the share beyond is known exactly. Of each cluster by itself,
        if it has 1 000 rows or more, else of all rows together.
        """
        table, weights = baseline.distance_table, baseline.cluster_weights
        overall = _edge_beyond(table.sum(axis=0))
        own = weights >= _OWN_LIMIT_ROWS
        cells = np.array(
            [_edge_beyond(row) if is_own else overall for row, is_own in zip(table, own)], np.int64
        )
        return cls(
            baseline.minimum,
            baseline.maximum,
            cells,
            baseline.bins.edges[cells],
            int(own.sum()) + int(not own.all()),
        )

    def beyond(self, table: Array) -> Array:
        """Return the weight that lies beyond, of each cluster: `(n_clusters,)` float64.

        Parameters
        ----------
        table
            `(n_clusters, n_cells)`: the weight in each bin.
        """
        return np.array([row[cell:].sum() for row, cell in zip(table, self.cells)])


def _edge_beyond(row: Array) -> int:
    """The first bin from which on at most 1 % of the weight lies; the last one at most."""
    beyond = row.sum() - np.concatenate([[0.0], np.cumsum(row)[:-1]])
    few = np.flatnonzero(beyond <= (1 - _FAR) * row.sum() * (1 + 1e-12))
    return int(few[0]) if len(few) else len(row) - 1


def distance_bins(model: Model) -> DistanceBins:
    """Return bins of squared distances around the mean one of the rows of the fit."""
    typical = model.inertia / (float(model.weights.sum()) or 1.0)
    if not typical > 0:
        # all rows lie on their centers; others may lie between these
        typical = float(model.scaled_centers.var(axis=0).sum())
    return DistanceBins.of(typical, model.n_clusters)
