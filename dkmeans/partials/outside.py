"""The weight of rows that lie outside a range."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block


@dataclass(frozen=True, eq=False)
class Outside:
    """The weight of rows beyond the limits of each feature, and of any."""

    rows: float
    """Sum of the sample weights of the rows that have a feature outside of its limits."""

    below: Array
    """`(n_features,)` float64: the same below the lower limit of each feature."""

    above: Array
    """`(n_features,)` float64: the same above the upper limit of each feature."""

    n_rows: int
    """Rows counted, those inside and those of weight zero included."""

    @classmethod
    def zero(cls, n_features: int) -> Self:
        """Return the contribution of no rows."""
        return cls(0.0, np.zeros(n_features), np.zeros(n_features), 0)

    @classmethod
    def from_block(cls, block: Block, minimum: Array, maximum: Array) -> Self:
        """Count the rows of `block` outside of `minimum` to `maximum`, `(n_features,)` each."""
        below, above = np.zeros(block.n_features), np.zeros(block.n_features)
        rows = 0.0
        for _, tile in block.tiles():
            is_out = np.zeros(tile.n_rows, bool)
            for feature in range(tile.n_features):
                column = tile.X[:, feature]
                if not len(column) or (
                    column.min() >= minimum[feature] and column.max() <= maximum[feature]
                ):
                    continue
                is_below, is_above = column < minimum[feature], column > maximum[feature]
                below[feature] += _weight(is_below, tile.weight)
                above[feature] += _weight(is_above, tile.weight)
                is_out |= is_below | is_above
            rows += _weight(is_out, tile.weight)
        return cls(rows, below, above, block.n_rows)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.rows + other.rows,
            self.below + other.below,
            self.above + other.above,
            self.n_rows + other.n_rows,
        )


def _weight(which: Array, weight: Array | None) -> float:
    return float(which.sum()) if weight is None else float(weight[which].sum())
