"""Weighted quantiles of each feature: exact for few distinct values, t-digests for more.

The digests are crick's. Of the maintained libraries it alone gives the same bits from the same
rows, takes weights, and is as cheap to send as its arrays: the KLL and classic sketches of
datasketches draw random bits that no seed controls, and its t-digest takes no weights and was more
than ten times less accurate on merged parts.

**Error.** Up to `MOST_EXACT` distinct values a quantile is exact. Beyond, its *rank*, the share of
the weight below it, differs from the one asked for by at most `RANK_ERROR`. That is measured, not
proven: tests check it on normal, lognormal, tied, sorted and weighted rows in hundreds of parts.

**Memory.** At most 64 KiB per feature, `MOST_EXACT` values and weights; a digest takes 25 KiB.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from crick import TDigest

from dkmeans.kernels.block import Array, Block

MOST_EXACT = 4096
"""Points of a feature that are kept as they are."""

RANK_ERROR = 0.002
"""Greatest error of the rank of a quantile of a digest, as a share of the weight."""

_COMPRESSION = 1000.0
"""Of the digests; the greatest that crick takes: their points have at most 0.16 % of the weight."""

_HEAVY = 1 / 512
"""A point with a greater share of the weight than a digest's is one value, of many rows."""

_SLICES = 2**13
"""Points that sorted rows are thinned to before a digest sees them."""

_Points = tuple[Array, Array]
"""Values, ascending, and their weights, both float64."""


@dataclass(frozen=True, eq=False)
class Quantiles:
    """What quantiles of each feature follow from: values, or means of close ones, with weights.

    Weight w means w copies, of which each is of weight 1, or of the least weight of a row if that
    is below 1. Quantiles interpolate linearly between copies, as NumPy's do.
    """

    n_rows: int
    """Rows counted, those of weight zero included."""

    weight: float
    """Sum of the sample weights."""

    unit: float
    """Weight of one copy: 1, or the least positive weight of a row if that is below 1."""

    values: Array
    """`(n_points,)` float64: those of the first feature, ascending, then of the second, ..."""

    weights: Array
    """`(n_points,)` float64: the weight of each, positive."""

    ends: Array
    """`(n_features,)` int64: where each feature's points end."""

    exact: Array
    """`(n_features,)` bool: whether its points are all its distinct values."""

    minimum: Array
    """`(n_features,)` float64: least value among rows of positive weight; +inf if there are
    none."""

    maximum: Array
    """`(n_features,)` float64: greatest value among rows of positive weight; -inf if there are
    none."""

    @classmethod
    def zero(cls, n_features: int) -> Self:
        """Return the contribution of no rows."""
        return cls(
            0,
            0.0,
            1.0,
            np.empty(0),
            np.empty(0),
            np.zeros(n_features, np.int64),
            np.ones(n_features, bool),
            np.full(n_features, np.inf),
            np.full(n_features, -np.inf),
        )

    @classmethod
    def from_block(cls, block: Block) -> Self:
        """Sort the rows of `block`, feature by feature."""
        so_far = cls.zero(block.n_features)
        for _, tile in block.tiles():
            so_far = so_far.merge(cls._of_tile(tile))
        return so_far

    @classmethod
    def _of_tile(cls, block: Block) -> Self:
        X, weight = block.X, block.weight
        able = np.ones(block.n_rows, bool) if weight is None else weight > 0
        if not able.any():
            return replace(cls.zero(block.n_features), n_rows=block.n_rows)
        weight = None if weight is None else weight[able]
        # feature by feature, so that a tile takes little; adding zero makes one of the two zeros
        points = (_distinct(X[able, j] + 0.0, weight) for j in range(block.n_features))
        return cls(
            block.n_rows,
            float(able.sum()) if weight is None else float(weight.sum()),
            1.0 if weight is None else min(1.0, float(weight.min())),
            *_joined(points, np.ones(block.n_features, bool)),
            X.min(axis=0, initial=np.inf, where=able[:, None]).astype(np.float64) + 0.0,
            X.max(axis=0, initial=-np.inf, where=able[:, None]).astype(np.float64) + 0.0,
        )

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        if self.weight == 0 or other.weight == 0:
            some = self if other.weight == 0 else other
            return replace(some, n_rows=self.n_rows + other.n_rows)
        both = (
            (np.concatenate(pair) for pair in zip(self._points(j), other._points(j), strict=True))
            for j in range(len(self.ends))
        )
        points = (_distinct(values, weights) for values, weights in both)
        return type(self)(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            min(self.unit, other.unit),
            *_joined(points, self.exact & other.exact),
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
        )

    def quantile(self, q: float) -> Array:
        """Return the quantile at `q`, from 0 to 1, of each feature: `(n_features,)` float64.

        There must be rows of positive weight.
        """
        return np.array([self._quantile(feature, q) for feature in range(len(self.ends))])

    def _quantile(self, feature: int, q: float) -> float:
        values, weights = self._points(feature)
        ends = np.cumsum(weights)
        if self.exact[feature]:
            return _between_copies(values, ends, self.unit, q)
        # half the weight of a point lies below its mean; all of a heavy value is that value
        edge = np.minimum(weights, ends[-1] * _HEAVY) / 2
        ranks = np.column_stack([ends - weights + edge, ends - edge]).ravel()
        ranks = np.concatenate([[0.0], ranks, ends[-1:]])
        low, high = self.minimum[feature], self.maximum[feature]
        reached = np.concatenate([[low], np.repeat(values, 2), [high]])
        return float(np.interp(q * ends[-1], ranks, reached))

    def _points(self, feature: int) -> _Points:
        points = slice(self.ends[feature - 1] if feature else 0, self.ends[feature])
        return self.values[points], self.weights[points]


def _joined(points: Iterable[_Points], exact: Array) -> tuple[Array, Array, Array, Array]:
    """Values, weights and ends of the points of all features, fewer where many, and `exact`."""
    kept, few = [], []
    for one in points:
        few.append(len(one[0]) <= MOST_EXACT)
        kept.append(one if few[-1] else _digest(*_thinned(*one)))
    values, weights = zip(*kept, strict=True)
    ends = np.cumsum([len(one) for one in values])
    return np.concatenate(values), np.concatenate(weights), ends, exact & few


def _distinct(values: Array, weight: Array | None) -> _Points:
    """Sort values and add up the weights of equal ones; None stands for ones."""
    if weight is None:
        values = np.sort(values)
    else:
        order = np.argsort(values)
        if len(_starts(values[order])) < len(values):
            # the order of equals decides the bits of sums, and is the processor's in a fast sort
            order = np.argsort(values, kind="stable")
        values, weight = values[order], weight[order]
    starts = _starts(values)
    if weight is None:
        sums = np.diff(starts, append=len(values)).astype(np.float64)
    else:
        sums = np.add.reduceat(weight, starts)
    return values[starts].astype(np.float64), sums


def _starts(values: Array) -> Array:
    """Where runs of equal values begin; there is at least one value."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _thinned(values: Array, weights: Array) -> _Points:
    """Replace neighbours within a slice of the weight by their mean: a digest is slow to take in.

    Points that weigh more than two slices share none.
    """
    if len(values) <= _SLICES:
        return values, weights
    ends = np.cumsum(weights)
    starts = _starts(np.floor((ends - weights / 2) * (_SLICES / ends[-1])))
    sums = np.add.reduceat(weights, starts)
    shares = weights / np.repeat(sums, np.diff(starts, append=len(values)))
    return np.add.reduceat(values * shares, starts), sums


def _digest(values: Array, weights: Array) -> _Points:
    """Return the points of a digest; values that weigh more than its points come out alone."""
    # crick drops weights below 1e-15; powers of two cost no digits
    exponent = 40 - int(np.frexp(weights.sum())[1])
    digest = TDigest(_COMPRESSION)
    digest.update(values, np.ldexp(weights, exponent))
    points = digest.centroids()
    return points["mean"].copy(), np.ldexp(points["weight"], -exponent)


def _between_copies(values: Array, ends: Array, unit: float, q: float) -> float:
    """Interpolate between copies of weight `unit`, by the formula and roundings of NumPy."""
    at = q * (ends[-1] - unit)
    point = min(int(np.searchsorted(ends, at, side="right")), len(values) - 1)
    share = (at - (ends[point] - unit)) / unit
    low = float(values[point])
    if share <= 0 or point == len(values) - 1:
        return low
    high = float(values[point + 1])
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share
