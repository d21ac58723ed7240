"""What missing values are replaced by, feature by feature."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from dkmeans.errors import BadValues
from dkmeans.kernels.block import Array
from dkmeans.partials.present_sums import PresentSums


@dataclass(frozen=True, eq=False)
class Filling:
    """A value for each feature, which stands for NaN."""

    values: Array
    """`(n_features,)` float64, in the units of the data, finite."""

    @cached_property
    def name(self) -> str:
        """A short name, equal for equal fillings."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()[:16]

    @classmethod
    def from_sums(cls, sums: PresentSums, names: Sequence[str] | None = None) -> Self:
        """Fill with the weighted means of the values that are there.

        Raises
        ------
        BadValues
            If a feature has no values at all.
        """
        empty = np.flatnonzero(sums.weight <= 0)
        if len(empty):
            name = repr(names[empty[0]]) if names else f"number {empty[0]}"
            raise BadValues(f"column {name} has no values to fill others with; leave it out.")
        return cls(sums.sums / sums.weight)

    def transform(self, X: Array) -> Array:
        """Return rows `(n_rows, n_features)` with NaN replaced, in `X`'s dtype, feature-major."""
        if len(X) == 0 or not np.isnan(X.min(axis=0)).any():
            return X
        return np.asfortranarray(np.where(np.isnan(X), self.values.astype(X.dtype), X))
