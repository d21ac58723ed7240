"""How much is missing: by feature, and by row."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array


@dataclass(frozen=True, eq=False)
class MissingValues:
    """The weight of values that are missing, and of rows that lack one."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    weight: float
    """Sum of the sample weights of all rows."""

    by_feature: Array
    """`(n_features,)` float64: sum of those of the rows that lack the feature."""

    incomplete: float
    """Sum of those of the rows that lack any."""

    @classmethod
    def zero(cls, n_features: int) -> Self:
        """Return the contribution of no rows."""
        return cls(0, 0.0, np.zeros(n_features), 0.0)

    @classmethod
    def from_lacking(
        cls, lacking: Array | None, weight: Array | None, shape: tuple[int, int]
    ) -> Self:
        """Count `lacking`, bool of that shape, `(n_rows, n_features)`; None for none at all."""
        n_rows, n_features = shape
        total = float(n_rows) if weight is None else float(weight.sum())
        if lacking is None:
            return cls(n_rows, total, np.zeros(n_features), 0.0)
        of_row = np.ones(n_rows) if weight is None else weight
        # a matrix product would add up in an order of its own
        by_feature = [of_row[lacking[:, j]].sum() for j in range(n_features)]
        incomplete = float(of_row[lacking.any(axis=1)].sum())
        return cls(n_rows, total, np.array(by_feature, np.float64), incomplete)

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.by_feature + other.by_feature,
            self.incomplete + other.incomplete,
        )
