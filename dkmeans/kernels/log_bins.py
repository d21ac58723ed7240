"""Logarithmic bins that need no knowledge of the data: cut by exponent and some mantissa bits.

The bits of a float, read as an integer, grow with its magnitude, so that the highest of them number
bins whose edges are exact: which bin a value lies in depends on nothing but the value. A bin of
`bits` mantissa bits is 2^-bits of its lower edge wide at most, and half of that at least.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import are_compiled

FEATURE_BITS = 3
"""Mantissa bits of the bins of features: as wide as an eighth of the distance to the origin."""

_MANTISSA = 52
_BIAS = 1023
_TILE_ROWS = 2**16

_BELOW, _OCTAVES = 24, 48
"""Doublings of squared distances below the unit that are told apart, and all of them."""

_MOST_BITS = 5
_MOST_TABLE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class DistanceBins:
    """Bins of squared distances: equal for all that is to be merged or compared.

    The first holds what lies below 2^exponent, the last all from 2^(exponent + 48) on.
    """

    exponent: int
    """The second bin begins at 2 to this power."""

    bits: int
    """Mantissa bits: of 5, bins of distances are from 0.8 to 1.6 % wide."""

    @classmethod
    def of(cls, mean_sq_distance: float, n_clusters: int) -> Self:
        """Choose bins around a typical squared distance, as fine as so many clusters allow.

        Distances from 1/4096 of its root to 4096 times as much are told apart. More than 1 300
        clusters have coarser bins, so that a table of all takes 16 MiB.
        """
        _, power = np.frexp(mean_sq_distance if 0 < mean_sq_distance < np.inf else 1.0)
        bits = _MOST_BITS
        while bits and n_clusters * ((_OCTAVES << bits) + 2) * 8 > _MOST_TABLE_BYTES:
            bits -= 1
        exponent = min(max(int(power) - _BELOW, 1 - _BIAS), _BIAS - _OCTAVES)
        return cls(exponent, bits)

    @property
    def n_cells(self) -> int:
        """Number of bins."""
        return (_OCTAVES << self.bits) + 2

    @property
    def edges(self) -> Array:
        """Lower edges, ascending, `(n_cells,)` float64: squared distances; the first is 0."""
        numbers = np.arange(1, self.n_cells, dtype=np.int64) + self.low
        return np.concatenate([[0.0], (numbers << (_MANTISSA - self.bits)).view(np.float64)])

    @property
    def low(self) -> int:
        """What is taken off the leading bits of a squared distance, to number its bin."""
        return ((_BIAS + self.exponent) << self.bits) - 1

    @property
    def shift(self) -> int:
        """How many bits of a float do not matter."""
        return _MANTISSA - self.bits

    def table(
        self, sq_distances: Array, labels: Array, weight: Array | None, n_clusters: int
    ) -> Array:
        """Add up the weight of rows by cluster and bin, `(n_clusters, n_cells)` float64.

        Parameters
        ----------
        sq_distances
            `(n_rows,)` float32 or float64, not negative.
        labels
            `(n_rows,)` in 0..n_clusters-1.
        weight
            `(n_rows,)` float64; None for ones.
        n_clusters
            The number of clusters.
        """
        out = np.zeros((n_clusters, self.n_cells))
        if are_compiled(len(labels), 1):
            from dkmeans.kernels.log_bins_loops import add_distances

            add_distances(sq_distances, labels, weight, self.shift, self.low, out)
            return out
        for start in range(0, len(labels), _TILE_ROWS):
            rows = slice(start, start + _TILE_ROWS)
            wide = sq_distances[rows].astype(np.float64)
            cells = np.clip((wide.view(np.int64) >> self.shift) - self.low, 0, self.n_cells - 1)
            cells += labels[rows].astype(np.int64) * self.n_cells
            some = None if weight is None else weight[rows]
            out += np.bincount(cells, some, minlength=out.size).reshape(out.shape)
        return out


def n_signed_cells(bits: int) -> int:
    """Return the number of bins of values of either sign."""
    return 1 << (64 - _MANTISSA + bits)


def signed_edges(cells: Array, bits: int) -> tuple[Array, Array]:
    """Return between what values bins of either sign lie, lower and upper, float64.

    Bins of positive values hold their lower edge, bins of negative ones their upper edge.
    """
    half = n_signed_cells(bits) // 2
    is_positive = cells >= half
    magnitude = np.where(is_positive, cells - half, half - 1 - cells).astype(np.int64)
    # the exponent of infinities begins where the bins of finite values end
    most = np.int64(2047 << bits)
    shift = _MANTISSA - bits
    near = (np.minimum(magnitude, most) << shift).view(np.float64)
    far = (np.minimum(magnitude + 1, most) << shift).view(np.float64)
    return np.where(is_positive, near, -far), np.where(is_positive, far, -near)


def signed_sums(X: Array, weight: Array | None, origin: Array, bits: int) -> tuple[Array, Array]:
    """Add up the weight of the values of each feature, measured from `origin`, by bin.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, finite.
    weight
        `(n_rows,)` float64, not negative; None for ones.
    origin
        `(n_features,)` float64.
    bits
        Mantissa bits of the bins.

    Returns
    -------
    keys, sums
        `(n_found,)` int64, ascending, and float64: the bin, plus the number of bins times the
        number of the feature, and the weight in it, positive.
    """
    n_rows, n_features = X.shape
    if are_compiled(n_rows, n_features):
        from dkmeans.kernels.log_bins_loops import add_features

        return add_features(X, weight, origin, _MANTISSA - bits)
    n_cells = n_signed_cells(bits)
    able = None if weight is None else weight > 0
    some = None if weight is None else weight[able]
    keys: list[Any] = [np.empty(0, np.int64)]
    sums: list[Any] = [np.empty(0)]
    for feature in range(n_features):
        column = X[:, feature] if able is None else X[able, feature]
        found, of_row = np.unique(_signed_cells(column, origin[feature], bits), return_inverse=True)
        keys.append(found + feature * n_cells)
        sums.append(np.bincount(of_row, some, minlength=len(found)).astype(np.float64))
    return np.concatenate(keys), np.concatenate(sums)


def _signed_cells(column: Array, origin: float, bits: int) -> Array:
    """The bin of each value less the origin, int64; ascending as the values do."""
    # adding zero makes one of the two zeros
    moved = column.astype(np.float64) - origin + 0.0
    half = n_signed_cells(bits) // 2
    magnitude = np.abs(moved).view(np.int64) >> (_MANTISSA - bits)
    return np.where(np.signbit(moved), half - 1 - magnitude, half + magnitude)
