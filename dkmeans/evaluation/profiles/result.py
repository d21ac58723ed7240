"""What the clusters of a model are: their size, their features, and what sets them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.profiles import frames as profile_frames
from dkmeans.evaluation.profiles import words
from dkmeans.evaluation.profiles.anova import Anova, one_way
from dkmeans.evaluation.profiles.assumptions import Assumptions, assumptions
from dkmeans.evaluation.profiles.cluster import ClusterProfile
from dkmeans.evaluation.profiles.comparison import Comparison, all_pairs, welch
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.profiles.parts import Examples, Histogram, Quantiles, check_shapes
from dkmeans.evaluation.profiles.sections import of_profile
from dkmeans.evaluation.profiles.shape import Shape
from dkmeans.evaluation.shown import Section, Shown
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Profile(Shown):
    """Statistics of each feature in each cluster, tests between clusters, and words for them.

    Empty clusters have NaN for statistics. Standard deviations are of the population: divided by
    the weight.
    """

    feature_names: tuple[str, ...]
    """The features, `n_features` of them."""

    cluster_ids: Array
    """`(n_clusters,)` int64: the numbers that users see, by label."""

    moments: GroupMoments
    """Weight, mean and variance of the clusters, in the units of the data."""

    minimum: Array
    """`(n_clusters, n_features)` float64."""

    maximum: Array
    """`(n_clusters, n_features)` float64."""

    assumptions: Assumptions
    """Whether the clusters are what k-means takes them for."""

    quantiles: Quantiles | None = None
    """Quantiles with their bounds; None unless computed."""

    histogram: Histogram | None = None
    """How values are spread; None unless computed."""

    representatives: Examples | None = None
    """Rows nearest to the centers; None unless asked for."""

    boundary: Examples | None = None
    """Rows about as near to another center as to their own; None unless asked for."""

    weighted: bool = False
    """Whether rows had weights; shares and counts are of weights then."""

    cluster_names: Mapping[int, str] = field(default_factory=dict)
    """What clusters are called, by cluster id; not all need a name."""

    @classmethod
    def from_statistics(
        cls,
        *,
        feature_names: Sequence[str] | None,
        cluster_ids: Array | None,
        weight: Array,
        mean: Array,
        variance: Array,
        minimum: Array,
        maximum: Array,
        spread: Array,
        scaled_mean: Array,
        scaled_variance: Array | None = None,
        scatter: Array | None = None,
        quantiles: Quantiles | None = None,
        histogram: Histogram | None = None,
        representatives: Examples | None = None,
        boundary: Examples | None = None,
        weighted: bool = False,
        cluster_names: Mapping[int, str] | None = None,
    ) -> Self:
        """Build a profile from what passes over the rows have found.

        Parameters
        ----------
        feature_names
            One for each feature; None for x0, x1 and so on.
        cluster_ids
            `(n_clusters,)`: the numbers that users see, by label; None for the labels themselves.
        weight
            `(n_clusters,)`: sum of the sample weights.
        mean, variance
            `(n_clusters, n_features)`, in the units of the data; the variance is that of the
            population. Anything where a cluster is empty.
        minimum, maximum
            `(n_clusters, n_features)`; inf and -inf where a cluster is empty.
        spread
            `(n_clusters,)`: root mean squared distance to the center, in the space where distances
            are measured.
        scaled_mean, scaled_variance
            `(n_clusters, n_features)`: of the clusters in that space; None for the variance is the
            diagonal of `scatter`, and not known without one.
        scatter
            `(n_clusters, n_features, n_features)`: covariances in that space, divided by the
            weight; None if they would be too large.
        quantiles, histogram, representatives, boundary
            None if not computed.
        weighted
            Whether the rows had weights.
        cluster_names
            What clusters are called, by cluster id; None for nothing.

        Raises
        ------
        ArgumentError
            If shapes do not agree.
        """
        k, d = np.shape(mean)
        names = tuple(feature_names or (f"x{i}" for i in range(d)))
        ids = np.arange(k) if cluster_ids is None else np.asarray(cluster_ids)
        check_shapes({"feature_names": names}, (d,))
        check_shapes({"cluster_ids": ids, "weight": weight, "spread": spread}, (k,))
        check_shapes({"variance": variance, "minimum": minimum, "maximum": maximum}, (k, d))
        check_shapes({"scaled_mean": scaled_mean, "scaled_variance": scaled_variance}, (k, d))
        check_shapes({"scatter": scatter}, (k, d, d))
        if quantiles is not None:
            check_shapes({"quantiles": quantiles.value[:, :, 0]}, (k, d))
        if histogram is not None:
            check_shapes({"histogram": histogram.counts[:, :, 0]}, (k, d))
        empty = ~(weight > 0)[:, None]
        # what has one value has no variance, and that value for a mean, whatever was rounded
        one_value = (minimum == maximum) & ~empty
        moments = GroupMoments(
            np.asarray(weight, np.float64),
            np.where(empty, np.nan, np.where(one_value, minimum, mean)),
            np.where(empty, np.nan, np.where(one_value, 0.0, variance)),
        )
        if scaled_variance is None:
            scaled_variance = (
                np.full((k, d), np.nan) if scatter is None else np.einsum("kii->ki", scatter)
            )
        scaled = GroupMoments(moments.weight, np.asarray(scaled_mean), scaled_variance)
        shape = (
            Shape.not_known(k, d) if scatter is None else Shape.from_covariances(scatter, scaled)
        )
        return cls(
            names,
            ids,
            moments,
            np.where(empty, np.nan, minimum),
            np.where(empty, np.nan, maximum),
            assumptions(scaled, spread, shape, names, ids),
            quantiles,
            histogram,
            representatives,
            boundary,
            weighted,
            dict(cluster_names or {}),
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters, empty ones among them."""
        return len(self.cluster_ids)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.feature_names)

    @property
    def count(self) -> Array:
        """Rows of each cluster, `(n_clusters,)` float64: the sum of their weights."""
        return self.moments.weight

    @property
    def share(self) -> Array:
        """Share of each cluster in all rows, `(n_clusters,)` float64."""
        return self.count / (self.moments.total or np.nan)

    @property
    def mean(self) -> Array:
        """Mean of each feature in each cluster, `(n_clusters, n_features)` float64."""
        return self.moments.mean

    @cached_property
    def std(self) -> Array:
        """Standard deviation of each feature in each cluster, of the shape of `mean`."""
        return np.sqrt(self.moments.real_variance)

    @property
    def overall_mean(self) -> Array:
        """Mean of each feature in all rows, `(n_features,)` float64."""
        return self.moments.overall_mean

    @cached_property
    def overall_std(self) -> Array:
        """Standard deviation of each feature in all rows, `(n_features,)` float64."""
        return np.sqrt(self.moments.overall_variance)

    @cached_property
    def difference(self) -> Array:
        """Mean less overall mean, in overall standard deviations, of the shape of `mean`.

        NaN for constant features.
        """
        return words.differences(self.mean, self.overall_mean, self.overall_std)

    @cached_property
    def rank(self) -> Array:
        """Rank of each feature by `difference` within its cluster, 1 for the largest."""
        return words.ranks(self.difference)

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """What sets each cluster apart, in words, without its share."""
        return tuple(words.phrase(row, self.feature_names) for row in self.difference)

    @cached_property
    def descriptions(self) -> tuple[str, ...]:
        """What sets each cluster apart, and its share of the rows, in one line each."""
        return tuple(
            words.sentence(phrase, weight, self.moments.total, self.unit)
            for phrase, weight in zip(self.phrases, self.count, strict=True)
        )

    @property
    def unit(self) -> str:
        """What is counted: "rows", or "the weight" if the rows have weights."""
        return "the weight" if self.weighted else "rows"

    @cached_property
    def anova(self) -> Anova:
        """One-way analysis of variance of each feature over the clusters."""
        return one_way(self.moments, self.feature_names)

    @property
    def clusters(self) -> "pd.DataFrame":
        """One row per cluster: id, name, count, share, spread, elongation, description."""
        return profile_frames.clusters(self)

    def compare(self, a: int | None = None, b: int | None = None) -> Comparison:
        """Test whether means differ between clusters `a` and `b`, by cluster id.

        Without clusters, all pairs of clusters that have rows are compared, and p values are
        corrected for all of them together. Makes no pass.

        Raises
        ------
        ArgumentError
            If only one cluster is given, or one that does not exist.
        TooLarge
            If all pairs and features would be more tests than fit in memory.
        """
        if (a is None) != (b is None):
            raise ArgumentError(f"a={a}, b={b} must both be cluster ids, or both be left out.")
        if a is not None and b is not None:
            pairs = np.array([[self._label(a, "a"), self._label(b, "b")]])
        else:
            pairs = all_pairs(self.moments)
        return welch(self.moments, pairs, self.feature_names, self.cluster_ids)

    def describe(self, cluster_id: int) -> ClusterProfile:
        """Return all features of one cluster, those that set it apart first.

        Raises
        ------
        ArgumentError
            If there is no such cluster.
        """
        return ClusterProfile(self, self._label(cluster_id, "cluster_id"))

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per cluster and feature, in the order of both."""
        return profile_frames.statistics(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it but comparisons of pairs as plain values; infinities and NaN as None."""
        return profile_frames.as_dict(self)

    def sections(self) -> tuple[Section, ...]:
        """Return the clusters in words, their leading features, ANOVA, and assumptions."""
        return of_profile(self)

    def _label(self, cluster_id: int, parameter: str) -> int:
        found = np.flatnonzero(self.cluster_ids == cluster_id)
        if not len(found):
            first = ", ".join(map(str, self.cluster_ids[:10]))
            more = ", ..." if self.n_clusters > 10 else ""
            raise ArgumentError(
                f"{parameter}={cluster_id!r} is not the id of a cluster; there are {first}{more}."
            )
        return int(found[0])
