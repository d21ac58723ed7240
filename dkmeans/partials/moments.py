"""Count, weight, mean, variance and range of each feature."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.choice import are_compiled

_TILE_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums, sums of squares and range of each feature, measured from a fixed origin.

    The origin should lie within the data (a first block's mean does): then nothing is lost to
    cancellation, and unlike merged means and variances the sums are exactly associative on
    integers.
    """

    origin: Array
    """`(n_features,)` float64: the point that the sums are measured from, the same for all that
    merge."""

    n_rows: int
    """Rows counted, those of weight zero included."""

    weight: float
    """Sum of the sample weights."""

    sums: Array
    """`(n_features,)` float64: weighted sum of `x - origin`."""

    sq_sums: Array
    """`(n_features,)` float64: weighted sum of `(x - origin)^2`."""

    minimum: Array
    """`(n_features,)` float64: least value among rows of positive weight; +inf if there are
    none."""

    maximum: Array
    """`(n_features,)` float64: greatest value among rows of positive weight; -inf if there are
    none."""

    @classmethod
    def zero(cls, origin: Array) -> Self:
        """Return the contribution of no rows."""
        d = len(origin)
        return cls(
            origin, 0, 0.0, np.zeros(d), np.zeros(d), np.full(d, np.inf), np.full(d, -np.inf)
        )

    @classmethod
    def from_block(cls, block: Block, origin: Array) -> Self:
        """Add up the rows of `block`."""
        if are_compiled(block.n_rows, block.n_features):
            return cls._compiled(block, origin)
        so_far = cls.zero(origin)
        for start in range(0, block.n_rows, _TILE_ROWS):
            weight = None if block.weight is None else block.weight[start : start + _TILE_ROWS]
            so_far = so_far.merge(cls._of_tile(block.X[start : start + _TILE_ROWS], weight, origin))
        return so_far

    @classmethod
    def _compiled(cls, block: Block, origin: Array) -> Self:
        from dkmeans.kernels.moments import sums_of

        return cls(
            origin, block.n_rows, block.total_weight, *sums_of(block.X, block.weight, origin)
        )

    @classmethod
    def _of_tile(cls, X: Array, weight: Array | None, origin: Array) -> Self:
        n_rows = len(X)
        if weight is not None:
            X, weight = X[weight > 0], weight[weight > 0]
        if len(X) == 0:
            return replace(cls.zero(origin), n_rows=n_rows)
        moved = X - origin
        weighted = moved if weight is None else moved * weight[:, None]
        return cls(
            origin,
            n_rows,
            float(len(X)) if weight is None else float(weight.sum()),
            weighted.sum(axis=0),
            np.einsum("ij,ij->j", weighted, moved),
            X.min(axis=0).astype(np.float64),
            X.max(axis=0).astype(np.float64),
        )

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            self.origin,
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.sums + other.sums,
            self.sq_sums + other.sq_sums,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
        )

    def at(self, origin: Array) -> Self:
        """Return the same, measured from another origin."""
        # not the mean less the origin, which far from zero costs digits
        moved = (self.origin - origin) + self.sums / (self.weight or 1.0)
        return replace(
            self,
            origin=origin,
            sums=self.weight * moved,
            sq_sums=self.weight * (self.variance + moved**2),
        )

    def join(self, other: Self) -> Self:
        """Merge with moments that are measured from another origin.

        Both are moved to the mean of all rows, where the squares are as small as they can be.
        """
        share = other.weight / ((self.weight + other.weight) or 1.0)
        origin = self.mean + share * (other.mean - self.mean)
        return self.at(origin).merge(other.at(origin))

    @property
    def mean(self) -> Array:
        """Weighted mean of each feature; the origin if there is no weight."""
        return self.origin + self.sums / (self.weight or 1.0)

    @property
    def variance(self) -> Array:
        """Weighted population variance of each feature."""
        weight = self.weight or 1.0
        return np.maximum(self.sq_sums / weight - (self.sums / weight) ** 2, 0.0)

    @property
    def constant(self) -> Array:
        """Which features have one value in all rows, up to rounding, `(n_features,)` bool."""
        largest = np.maximum(np.abs(self.minimum), np.abs(self.maximum))
        return self.maximum - self.minimum <= 4 * np.finfo(np.float64).eps * largest
