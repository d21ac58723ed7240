"""The weight of values in logarithmic bins: of distances by cluster, of features."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.log_bins import DistanceBins, signed_sums


@dataclass(frozen=True, eq=False)
class LogHistograms:
    """Several histograms as one list of the bins that have weight.

    Bins are fixed, so that histograms merge exactly.
    """

    keys: Array
    """`(n_bins,)` int64, ascending: number of the histogram times bins of one, plus that of the
    bin."""

    weights: Array
    """`(n_bins,)` float64, positive: sums of the sample weights."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls) -> Self:
        """Return the contribution of no rows."""
        return cls(np.empty(0, np.int64), np.empty(0), 0)

    @classmethod
    def of_features(cls, block: Block, origin: Array, bits: int) -> Self:
        """Count the values of each feature, measured from `origin`; see `signed_sums`."""
        return cls(*signed_sums(block.X, block.weight, origin, bits), block.n_rows)

    @classmethod
    def of_distances(
        cls,
        sq_distances: Array,
        labels: Array,
        weight: Array | None,
        n_clusters: int,
        bins: DistanceBins,
    ) -> Self:
        """Count the squared distances of the rows of each cluster, `(n_rows,)`."""
        table = bins.table(sq_distances, labels, weight, n_clusters).ravel()
        keys = np.flatnonzero(table)
        return cls(keys, table[keys], len(labels))

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        n_rows = self.n_rows + other.n_rows
        if np.array_equal(self.keys, other.keys):
            return type(self)(self.keys, self.weights + other.weights, n_rows)
        keys, of_bin = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        both = np.concatenate([self.weights, other.weights])
        return type(self)(keys, np.bincount(of_bin, both, minlength=len(keys)), n_rows)

    def dense(self, n_histograms: int, n_cells: int) -> Array:
        """Return all bins, `(n_histograms, n_cells)` float64."""
        out = np.zeros(n_histograms * n_cells)
        out[self.keys] = self.weights
        return out.reshape(n_histograms, n_cells)
