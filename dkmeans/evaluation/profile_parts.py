"""What a profile holds beside moments: quantiles with their bounds, histograms, example rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.shown import plain
from dkmeans.kernels.block import Array


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Quantiles of each feature in each cluster, each proven to lie within bounds.

    NaN where a cluster is empty.

    Raises
    ------
    ArgumentError
        If shapes do not agree, or a value lies beyond its bounds.
    """

    probabilities: Array
    """`(n_quantiles,)` float64: 0.5 is the median; increasing, 0 to 1."""

    value: Array
    """`(n_clusters, n_features, n_quantiles)` float64, in the units of the data."""

    low: Array
    """Of the shape of `value`: the true quantile is no less."""

    high: Array
    """Of the shape of `value`: the true quantile is no more."""

    def __post_init__(self) -> None:
        shapes = {self.value.shape, self.low.shape, self.high.shape}
        if len(shapes) > 1 or self.value.shape[2:] != self.probabilities.shape:
            raise ArgumentError(
                f"value {self.value.shape}, low {self.low.shape} and high {self.high.shape} must "
                f"have one shape, which ends with {len(self.probabilities)}, the number of "
                "probabilities."
            )
        if ((self.value < self.low) | (self.value > self.high)).any():
            raise ArgumentError("value must lie between low and high in every quantile.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantiles: p05 for the probability 0.05."""
        return tuple(f"p{100 * p:02g}" for p in self.probabilities)

    def at(self, probability: float) -> Array | None:
        """Return `value` of one probability, `(n_clusters, n_features)`; None if not held."""
        found = np.flatnonzero(np.isclose(self.probabilities, probability, rtol=0, atol=1e-9))
        return self.value[:, :, found[0]] if len(found) else None

    def uncertainty(self, scale: Array) -> float:
        """Return the largest distance of a value to its bounds, as a share of `scale`.

        Parameters
        ----------
        scale
            `(n_features,)`: what to measure by, such as standard deviations; features where it is
            not above 0 are left out.
        """
        beyond = np.maximum(self.high - self.value, self.value - self.low)[:, scale > 0]
        beyond = beyond / scale[scale > 0][:, None]
        known = beyond[~np.isnan(beyond)]
        return float(known.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Histogram:
    """How the values of each feature are spread in each cluster, over bins that clusters share.

    Raises
    ------
    ArgumentError
        If there is not one more edge than bins, or features differ.
    """

    edges: Array
    """`(n_features, n_bins + 1)` float64, increasing, in the units of the data. The first and last
    bin may hold all that lies beyond, too."""

    counts: Array
    """`(n_clusters, n_features, n_bins)` float64: sums of weights."""

    def __post_init__(self) -> None:
        _, n_features, n_bins = self.counts.shape
        if self.edges.shape != (n_features, n_bins + 1):
            raise ArgumentError(
                f"edges {self.edges.shape} must be {(n_features, n_bins + 1)}, one more than the "
                f"bins of counts {self.counts.shape}."
            )


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of the data that show what clusters are, in order of cluster and then of merit.

    Raises
    ------
    ArgumentError
        If the fields do not have the same number of rows.
    """

    labels: Array
    """`(n_examples,)` int: the cluster of each row, by label."""

    X: Array
    """`(n_examples, n_features)` float64, in the units of the data."""

    distances: Array
    """`(n_examples,)` float64: distance to the center of the cluster."""

    second_labels: Array | None = None
    """`(n_examples,)` int: the next nearest cluster, by label; None if it is not known."""

    second_distances: Array | None = None
    """`(n_examples,)` float64: distance to the center of that cluster."""

    rows: Array | None = None
    """`(n_examples,)`: number or key by which each row can be found in the data; None if there is
    none."""

    def __post_init__(self) -> None:
        others = (self.second_labels, self.second_distances, self.rows)
        parts = (self.labels, self.X, self.distances, *(one for one in others if one is not None))
        lengths = [len(part) for part in parts]
        if len(set(lengths)) > 1:
            raise ArgumentError(f"All fields must have one entry per example; they have {lengths}.")

    def columns(
        self, feature_names: tuple[str, ...], cluster_ids: Array
    ) -> dict[str, list[object]]:
        """Return the examples as plain columns, clusters by the numbers that users see."""
        found: dict[str, list[object]] = {"cluster_id": plain(cluster_ids[self.labels])}
        if self.rows is not None:
            found["row"] = plain(self.rows)
        found["distance"] = plain(self.distances)
        if self.second_labels is not None:
            found["second_cluster_id"] = plain(cluster_ids[self.second_labels])
        if self.second_distances is not None:
            found["second_distance"] = plain(self.second_distances)
        # a feature may have the name of a column that stands before it
        for i, feature in enumerate(feature_names):
            key = feature if feature not in found else f"feature {feature}"
            found[key] = plain(self.X[:, i])
        return found


def check_shapes(found: Mapping[str, Any], expected: tuple[int, ...]) -> None:
    """Check the shapes of statistics.

    Parameters
    ----------
    found
        Arrays by name; None for those that were not computed.
    expected
        The shape that all must have.

    Raises
    ------
    ArgumentError
        If one of them has another shape.
    """
    for name, one in found.items():
        if one is not None and np.shape(one) != expected:
            raise ArgumentError(
                f"{name} {np.shape(one)} must be {expected}, like the other statistics."
            )
