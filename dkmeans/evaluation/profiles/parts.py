"""What a profile holds beside moments: quantiles with their bounds, histograms, example rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.profiles.edges import Bins
from dkmeans.evaluation.profiles.survey import margins
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

    def uncertainty(self, scale: Array) -> tuple[float, int, int]:
        """Return the largest distance of a value to its bounds, as a share of `scale`, and where.

        Parameters
        ----------
        scale
            `(n_features,)`: what to measure by, such as standard deviations; features where it is
            not above 0 are left out.

        Returns
        -------
        distance, label, feature
            The distance, and the cluster and feature that it is of.
        """
        beyond = np.maximum(self.high - self.value, self.value - self.low)
        beyond = beyond / np.where(scale > 0, scale, np.inf)[:, None]
        beyond = np.where(np.isnan(beyond), 0.0, beyond)
        label, feature, _ = np.unravel_index(beyond.argmax(), beyond.shape)
        return float(beyond.max()), int(label), int(feature)


@dataclass(frozen=True, eq=False)
class Histogram:
    """How the values of each feature are spread in each cluster, over bins that clusters share.

    Raises
    ------
    ArgumentError
        If shapes do not agree.
    """

    bins: Bins
    """The bins of each feature."""

    counts: Array
    """`(n_clusters, n_features, n_edges)` float64: sums of weights; see `Bins.counts`."""

    other: Array
    """`(n_clusters, n_features)` float64: the weight that has none of the values of a discrete
    feature, 0 for other features."""

    def __post_init__(self) -> None:
        expected = (len(self.counts), *self.bins.edges.shape)
        check_shapes({"counts": self.counts}, expected)
        check_shapes({"other": self.other}, expected[:2])

    def of(self, feature: int) -> tuple[Array, Array]:
        """Return the bins of one feature, and what they hold of each cluster.

        Returns
        -------
        edges, counts
            Of a discrete feature its `(n_values,)` values, and `(n_clusters, n_values)`; of others
            `(n_bins + 1,)` edges, and `(n_clusters, n_bins)`: the first and the last bin hold all
            that lies beyond, too.
        """
        edges = self.bins.edges[feature]
        edges = edges[np.isfinite(edges)]
        n_bins = len(edges) if self.bins.discrete[feature] else max(len(edges) - 1, 0)
        return edges, self.counts[:, feature, :n_bins]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the bins of each feature, and what they hold, as plain values."""
        out = []
        for feature, discrete in enumerate(self.bins.discrete.tolist()):
            edges, counts = self.of(feature)
            name = "values" if discrete else "edges"
            out.append(
                {
                    name: plain(edges),
                    "counts": plain(counts),
                    "other": plain(self.other[:, feature]),
                }
            )
        return out


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of the data that show what clusters are, in order of cluster and then of merit.

    Raises
    ------
    ArgumentError
        If the fields do not have the same number of rows.
    """

    labels: Array
    """`(n_examples,)` int32: the cluster of each row, by label."""

    X: Array
    """`(n_examples, n_features)`, in the units of the data."""

    row_numbers: Array
    """`(n_examples,)` int64: their source row numbers."""

    distances: Array
    """`(n_examples,)` float64: distance to the center of the cluster, in the space of the model."""

    second_labels: Array
    """`(n_examples,)` int32: the next nearest cluster, by label; -1 if there is none."""

    second_distances: Array
    """`(n_examples,)` float64: distance to the center of that cluster; NaN if there is none."""

    keys: Mapping[str, list[Any]]
    """Key columns of Parquet input, with a value for each row; empty for other input."""

    def __post_init__(self) -> None:
        arrays = (self.labels, self.X, self.row_numbers, self.distances, self.second_labels)
        lengths = [len(part) for part in (*arrays, self.second_distances)]
        lengths += [len(values) for values in self.keys.values()]
        if len(set(lengths)) > 1:
            raise ArgumentError(f"All fields must have one entry per example; they have {lengths}.")

    def only(self, among: Array) -> Self:
        """Return some of the rows; `among` is `(n_examples,)` bool."""
        keys = {
            name: [value for value, is_in in zip(values, among, strict=True) if is_in]
            for name, values in self.keys.items()
        }
        return replace(
            self,
            labels=self.labels[among],
            X=self.X[among],
            row_numbers=self.row_numbers[among],
            distances=self.distances[among],
            second_labels=self.second_labels[among],
            second_distances=self.second_distances[among],
            keys=keys,
        )

    @property
    def margins(self) -> Array:
        """How much nearer each row is to its center than to the next, `(n_examples,)`.

        From 0 on the boundary between two clusters to 1 on the center; NaN for a single cluster.
        """
        return margins(np.column_stack([self.distances, self.second_distances]))

    def columns(
        self, feature_names: tuple[str, ...], cluster_ids: Array
    ) -> dict[str, list[object]]:
        """Return the examples as plain columns, clusters by the numbers that users see."""
        second = [None if j < 0 else cluster_ids[j].item() for j in self.second_labels]
        found: dict[str, list[object]] = {
            "cluster_id": plain(cluster_ids[self.labels]),
            "row": plain(self.row_numbers),
            "distance": plain(self.distances),
            "second_cluster_id": second,
            "second_distance": plain(self.second_distances),
        }
        # keys and features may have names of columns that stand before them
        for key, values in self.keys.items():
            found[key if key not in found else f"key {key}"] = plain(list(values))
        for i, feature in enumerate(feature_names):
            found[feature if feature not in found else f"feature {feature}"] = plain(self.X[:, i])
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
