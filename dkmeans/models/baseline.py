"""What the rows of a fit were like, in aggregates: what later rows are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.log_bins import DistanceBins, n_signed_cells
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.log_histograms import LogHistograms
from dkmeans.partials.missing_values import MissingValues
from dkmeans.partials.moments import Moments

_COUNTS = ("n_rows", "exponent", "distance_bits", "feature_bits", "distance_bins", "feature_bins")
_MOST_BITS = 8
_UNKNOWN = -1.0
"""Stands for NaN where a model is saved: what is saved is finite."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """Aggregates of rows under a model, in the space where it measures distances.

    No row can be read from it, but for what the range of a feature tells. A weight of w means w
    copies of a row; rows of weight zero, and rows that lack a value which the model does not fill
    in, count for nothing but what is missing.
    """

    n_rows: int
    """Rows seen."""

    cluster_weights: Array
    """`(n_clusters,)` float64: sum of the sample weights of the rows of each cluster."""

    cluster_sq_distances: Array
    """`(n_clusters,)` float64: weighted sum of their squared distances to the center."""

    cluster_means: Array
    """`(n_clusters, n_features)` float64; the center for a cluster without rows."""

    bins: DistanceBins
    """Of squared distances."""

    distances: LogHistograms
    """Squared distances to the center, of each cluster."""

    origin: Array
    """`(n_features,)` float64: what features are measured from in their bins."""

    feature_bits: int
    """Mantissa bits of the bins of features."""

    features: LogHistograms
    """Values of each feature, less the origin."""

    mean: Array
    """`(n_features,)` float64."""

    variance: Array
    """`(n_features,)` float64: of the population."""

    minimum: Array
    """`(n_features,)` float64: least value among rows of positive weight."""

    maximum: Array
    """`(n_features,)` float64: greatest value among rows of positive weight."""

    missing: Array
    """`(n_features,)` float64: share of the weight of all rows that lacks the feature; NaN where
    that is not known."""

    incomplete: float
    """Share of the rows that lack any feature; NaN if that is not known."""

    @classmethod
    def of(
        cls,
        sums: ClusterSums,
        distances: LogHistograms,
        bins: DistanceBins,
        moments: Moments,
        features: LogHistograms,
        feature_bits: int,
        centers: Array,
        missing: Array,
        incomplete: float,
    ) -> Self:
        """Take together what one pass has found; there must be rows of positive weight."""
        return cls(
            n_rows=sums.n_rows,
            cluster_weights=sums.weight,
            cluster_sq_distances=sums.sq_distances,
            cluster_means=sums.centers(otherwise=centers),
            bins=bins,
            distances=distances,
            origin=moments.origin,
            feature_bits=feature_bits,
            features=features,
            mean=moments.mean,
            variance=moments.variance,
            minimum=moments.minimum,
            maximum=moments.maximum,
            missing=missing,
            incomplete=incomplete,
        )

    @property
    def weight(self) -> float:
        """Sum of the sample weights of the rows that have a cluster."""
        return float(self.cluster_weights.sum())

    @property
    def shares(self) -> Array:
        """Share of each cluster, `(n_clusters,)` float64."""
        return self.cluster_weights / self.weight

    @cached_property
    def distance_table(self) -> Array:
        """Weight of the rows of each cluster by bin, `(n_clusters, n_cells)` float64."""
        return self.distances.dense(len(self.cluster_weights), self.bins.n_cells)

    @property
    def p99_distance(self) -> float:
        """The 99th percentile of the distances of all rows to their centers.

        As all percentiles here it is interpolated within a bin, whose width is its resolution.
        """
        return float(quantiles(self.distance_table.sum(axis=0)[None], self.bins, 0.99)[0])

    @property
    def p99_distances(self) -> Array:
        """The same of each cluster, `(n_clusters,)` float64; NaN where there are no rows."""
        return quantiles(self.distance_table, self.bins, 0.99)

    def to_plain(self) -> dict[str, int]:
        """Return what is told of a baseline beside its numbers, for JSON."""
        counts = (
            self.n_rows,
            self.bins.exponent,
            self.bins.bits,
            self.feature_bits,
            len(self.distances.keys),
            len(self.features.keys),
        )
        return dict(zip(_COUNTS, counts, strict=True))

    def to_numbers(self) -> Array:
        """Return its numbers, one after the other, float64 and finite."""
        missing = np.append(self.missing, self.incomplete)
        parts = (
            self.cluster_weights,
            self.cluster_sq_distances,
            self.cluster_means.ravel(),
            self.origin,
            self.mean,
            self.variance,
            self.minimum,
            self.maximum,
            np.where(np.isnan(missing), _UNKNOWN, missing),
            # numbers of bins are far below 2^53
            self.distances.keys.astype(np.float64),
            self.distances.weights,
            self.features.keys.astype(np.float64),
            self.features.weights,
        )
        return np.concatenate(parts)

    @staticmethod
    def count_numbers(plain: Any, n_clusters: int, n_features: int) -> int | None:
        """Return how many numbers a baseline has of which `plain` is told; None if it is none."""
        if not isinstance(plain, dict) or not all(type(plain.get(name)) is int for name in _COUNTS):
            return None
        n_rows, exponent, *bits, n_distances, n_features_bins = (plain[name] for name in _COUNTS)
        fits = -1022 <= exponent <= 1023 - 48 and all(0 <= one <= _MOST_BITS for one in bits)
        if n_rows < 1 or not fits or min(n_distances, n_features_bins) < 1:
            return None
        k, d = n_clusters, n_features
        return 2 * k + k * d + 6 * d + 1 + 2 * (n_distances + n_features_bins)

    @classmethod
    def from_numbers(
        cls, plain: Mapping[str, int], numbers: Array, n_clusters: int, n_features: int
    ) -> Self | None:
        """Return what `to_plain` and `to_numbers` told; None if they contradict themselves.

        `numbers` is `(count_numbers(...),)` float64, finite.
        """
        k, d = n_clusters, n_features
        n_rows, exponent, bits, feature_bits, n_distances, n_bins = (plain[one] for one in _COUNTS)
        sizes = [k, k, k * d, d, d, d, d, d, d + 1, n_distances, n_distances, n_bins, n_bins]
        parts = np.split(numbers, np.cumsum(sizes)[:-1])
        weights, sq_distances, means, origin, mean, variance, low, high, lacking = parts[:9]
        bins = DistanceBins(exponent, bits)
        distances = _histograms(parts[9], parts[10], k * bins.n_cells, n_rows)
        features = _histograms(parts[11], parts[12], d * n_signed_cells(feature_bits), n_rows)
        if distances is None or features is None:
            return None
        found = np.zeros(k)
        np.add.at(found, distances.keys // bins.n_cells, distances.weights)
        is_sound = (
            (weights >= 0).all()
            and weights.sum() > 0
            and np.allclose(found, weights)
            and (sq_distances >= 0).all()
            and (variance >= 0).all()
            and (low <= high).all()
            and (((lacking >= 0) & (lacking <= 1)) | (lacking == _UNKNOWN)).all()
        )
        if not is_sound:
            return None
        missing = np.where(lacking == _UNKNOWN, np.nan, lacking)
        return cls(
            n_rows=n_rows,
            cluster_weights=weights,
            cluster_sq_distances=sq_distances,
            cluster_means=means.reshape(k, d),
            bins=bins,
            distances=distances,
            origin=origin,
            feature_bits=feature_bits,
            features=features,
            mean=mean,
            variance=variance,
            minimum=low,
            maximum=high,
            missing=missing[:-1],
            incomplete=float(missing[-1]),
        )


def quantiles(table: Array, bins: DistanceBins, level: float) -> Array:
    """Return a quantile of the distances of each histogram, `(n_histograms,)` float64.

    Between the edges of a bin distances are taken to be evenly spread.

    Parameters
    ----------
    table
        `(n_histograms, n_cells)`: the weight in each bin of squared distances.
    bins
        The bins.
    level
        From 0 to 1.
    """
    edges = np.sqrt(bins.edges)
    out = np.full(len(table), np.nan)
    for i, row in enumerate(table):
        ends = np.cumsum(row)
        if ends[-1] > 0:
            target = level * ends[-1]
            cell = min(int(np.searchsorted(ends, target)), len(row) - 1)
            upper = edges[min(cell + 1, len(edges) - 1)]
            part = 1.0 - (ends[cell] - target) / row[cell] if row[cell] > 0 else 0.0
            out[i] = edges[cell] + part * (upper - edges[cell])
    return out


def missing_shares(found: MissingValues) -> tuple[Array, float]:
    """Return the share of the weight that lacks each feature, and that of rows that lack any."""
    weight = found.weight or 1.0
    return found.by_feature / weight, found.incomplete / weight


def _histograms(keys: Array, weights: Array, n_keys: int, n_rows: int) -> LogHistograms | None:
    """Return what was saved as float64, unless it can be no list of bins."""
    whole = (keys == np.floor(keys)).all() and (keys >= 0).all() and (keys < n_keys).all()
    if not whole or not (np.diff(keys) > 0).all() or not (weights > 0).all():
        return None
    return LogHistograms(keys.astype(np.int64), weights, n_rows)
