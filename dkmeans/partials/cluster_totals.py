"""Weighted sums, by cluster, of values that each row has: distances, silhouettes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.sums import weight_by_label


@dataclass(frozen=True, eq=False)
class ClusterTotals:
    """Weighted sums of some values of the rows of each cluster."""

    totals: Array
    """`(n_values, n_clusters)` float64."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    @classmethod
    def zero(cls, n_values: int, n_clusters: int) -> Self:
        """Return the contribution of no rows."""
        return cls(np.zeros((n_values, n_clusters)), 0)

    @classmethod
    def of(
        cls, values: Sequence[Array], labels: Array, weight: Array | None, n_clusters: int
    ) -> Self:
        """Add up values, each `(n_rows,)` float64, of rows with labels `(n_rows,)`."""
        weighted = values if weight is None else [one * weight for one in values]
        totals = np.stack([weight_by_label(labels, one, n_clusters) for one in weighted])
        return cls(totals, len(labels))

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(self.totals + other.totals, self.n_rows + other.n_rows)
