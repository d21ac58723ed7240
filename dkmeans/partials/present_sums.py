"""Weight and sum of the values of each feature that are not missing."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block


@dataclass(frozen=True, eq=False)
class PresentSums:
    """What the means of the values that are there are made from; NaN stands for a missing one."""

    weight: Array
    """`(n_features,)` float64: weights of the rows that have a value."""

    sums: Array
    """`(n_features,)` float64: weighted sums of the values."""

    n_rows: int
    """Rows seen."""

    @classmethod
    def zero(cls, n_features: int) -> Self:
        """Return the contribution of no rows."""
        return cls(np.zeros(n_features), np.zeros(n_features), 0)

    @classmethod
    def from_block(cls, block: Block, n_features: int) -> Self:
        """Add up the rows of `block`."""
        weight, sums = np.zeros(n_features), np.zeros(n_features)
        for feature in range(n_features):
            column = block.X[:, feature].astype(np.float64)
            present = ~np.isnan(column)
            weights = block.weights[present]
            weight[feature] = weights.sum()
            sums[feature] = column[present] @ weights
        return cls(weight, sums, block.n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.weight + other.weight, self.sums + other.sums, self.n_rows + other.n_rows
        )
