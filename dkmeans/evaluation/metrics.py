"""Metrics: what each needs of the passes, and what it makes of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.silhouettes.sampled import importance_of_clusters, silhouette_of
from dkmeans.evaluation.statistics import Clusters, Need, Statistics
from dkmeans.kernels.block import Array
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter


@dataclass(frozen=True, eq=False)
class Figure:
    """The value of a metric."""

    value: float
    per_cluster: Array | None = None
    """`(n_clusters,)` float64; NaN for clusters without weight."""

    per_cluster_error: Array | None = None
    """`(n_clusters,)` float64: standard errors of these; None where they are exact."""

    low: float | None = None
    """Lower end of a 95 % confidence interval; None where the value is exact."""

    high: float | None = None
    """Upper end of it."""

    n_sampled: int | None = None
    """Rows that the value is estimated from; None where it is exact."""


@dataclass(frozen=True)
class Metric:
    """A figure of merit, and what it needs."""

    name: str
    needs: frozenset[Need]
    of: Callable[[Statistics], Figure]
    """Raises `ArgumentError` where the metric is not defined."""

    title: str
    """Its name and its range, for people."""


def inertia(found: Statistics) -> Figure:
    """Weighted sum of squared distances to centers."""
    assert found.inertias is not None
    return Figure(float(found.inertias.sum()), found.inertias)


def explained_share(found: Statistics) -> Figure:
    """Share of the squared distances to the mean of all rows that the centers take away."""
    assert found.inertias is not None
    clusters = found.clusters
    total = clusters.sq_between + clusters.sq_within
    if total <= 0:
        raise ArgumentError("all rows are equal: there is nothing that clusters could explain.")
    return Figure(1.0 - float(found.inertias.sum()) / total)


def calinski_harabasz(found: Statistics) -> Figure:
    """Variance between clusters over variance within, each by its degrees of freedom."""
    clusters = found.clusters
    k = check_n_labels(clusters)
    within, n = clusters.sq_within, clusters.total_weight
    if n <= k:
        raise ArgumentError(
            f"the weights add up to {n:g}, for {k} clusters: they should be counts of rows."
        )
    if within == 0:
        return Figure(1.0)
    return Figure(clusters.sq_between * (n - k) / (within * (k - 1)))


def davies_bouldin(found: Statistics) -> Figure:
    """Mean over clusters of the worst ratio of spreads to the distance of the means."""
    clusters = found.clusters
    check_n_labels(clusters)
    assert found.spread is not None
    full = clusters.full
    spread = found.spread[full] / clusters.weight[full]
    means = clusters.means[full]
    per_cluster = np.full(len(full), np.nan)
    per_cluster[full], farthest = _worst_ratios(spread, means)
    # as scikit-learn has it
    if np.allclose(spread, 0) or np.allclose(farthest, 0):
        per_cluster[full] = 0.0
    return Figure(float(np.nanmean(per_cluster)), per_cluster)


def _worst_ratios(spread: Array, means: Array) -> tuple[Array, float]:
    """The worst ratio of each cluster, `(n_clusters,)`, and the greatest distance of two means."""
    worst, farthest = np.empty(len(spread)), 0.0
    # one at a time: of very many clusters, all distances would not fit in memory
    for j, mean in enumerate(means):
        apart = np.sqrt(((means - mean) ** 2).sum(axis=1))
        farthest = max(farthest, float(apart.max()))
        apart[apart == 0] = np.inf
        worst[j] = ((spread[j] + spread) / apart).max()
    return worst, farthest


def silhouette_squared(found: Statistics) -> Figure:
    """Mean silhouette by squared distances."""
    check_two_labels(found.clusters)
    assert found.squared is not None
    return _mean(found.squared, found.clusters)


def silhouette_simplified(found: Statistics) -> Figure:
    """Mean silhouette by distances to centers."""
    check_n_labels(found.clusters)
    assert found.margins is not None
    clusters = found.clusters
    # a row that is alone lies on its center, which says nothing
    nothing = 1e-12 * (clusters.sq_between + clusters.sq_within)
    alone = (clusters.weight <= 1) & (clusters.sq_spread <= nothing)
    return _mean(np.where(alone, 0.0, found.margins), clusters)


def silhouette_sampled(found: Statistics) -> Figure:
    """Mean silhouette by distances between rows, of a sample of them."""
    check_n_labels(found.clusters)
    assert found.sample is not None
    sample, weight = found.sample, found.clusters.weight
    X, labels = sample.X[:, :-1], sample.X[:, -1].astype(np.int64)
    reporter().note(f"silhouette: distances between {len(X):,} rows")
    oftener = importance_of_clusters(weight, sample.size)[labels]
    return silhouette_of_sample(found.clusters, sample, X, labels, sample.weight * oftener)


def silhouette_of_sample(
    clusters: Clusters, sample: WeightedSample, X: Array, labels: Array, importance: Array
) -> Figure:
    """Mean silhouette of rows `X` that were sampled by `importance`, and belong to `labels`."""
    is_all = sample.threshold == np.inf
    stands_for = None
    if not is_all:
        # weight over probability
        stands_for = sample.weight / -np.expm1(-importance * sample.threshold)
    estimate = silhouette_of(
        X,
        labels,
        len(clusters.weight),
        weight=sample.weight,
        stands_for=stands_for,
        cluster_weight=clusters.weight,
    )
    if is_all:
        return Figure(estimate.score, estimate.cluster_score)
    return Figure(
        estimate.score,
        estimate.cluster_score,
        estimate.cluster_standard_error,
        estimate.low,
        estimate.high,
        len(X),
    )


METRICS = (
    Metric("inertia", frozenset(("inertias",)), inertia, "Inertia (less is better)"),
    Metric(
        "explained_share", frozenset(("inertias", "within")), explained_share, "Explained share"
    ),
    Metric("calinski_harabasz", frozenset(("within",)), calinski_harabasz, "Calinski-Harabasz"),
    Metric(
        "davies_bouldin", frozenset(("spread",)), davies_bouldin, "Davies-Bouldin (less is better)"
    ),
    Metric("silhouette", frozenset(("sample",)), silhouette_sampled, "Silhouette (-1 to 1)"),
    Metric(
        "silhouette_squared",
        frozenset(("spread", "squared")),
        silhouette_squared,
        "Silhouette by squared distances",
    ),
    Metric(
        "silhouette_simplified",
        frozenset(("margins",)),
        silhouette_simplified,
        "Silhouette by distances to centers",
    ),
)
"""In the order in which they are shown."""


def check_two_labels(clusters: Clusters) -> int:
    """Return how many clusters have weight; raise `ArgumentError` if it is one."""
    if clusters.n_full < 2:
        raise ArgumentError(
            f"Number of labels is {clusters.n_full}. Valid values are 2 to n_samples - 1 "
            "(inclusive)."
        )
    return clusters.n_full


def check_n_labels(clusters: Clusters) -> int:
    """Return how many clusters have weight; raise `ArgumentError` if one, or one for each row."""
    k, n = clusters.n_full, clusters.total_weight
    # weights that are shares, not counts, may add up to less
    if not 1 < k < (n if n >= k else clusters.n_rows):
        raise ArgumentError(
            f"Number of labels is {k}. Valid values are 2 to n_samples - 1 (inclusive)."
        )
    return k


def _mean(totals: Array, clusters: Clusters) -> Figure:
    """Mean over all rows, and over those of each cluster, of what `totals` adds up."""
    per_cluster = np.full(len(totals), np.nan)
    per_cluster[clusters.full] = totals[clusters.full] / clusters.weight[clusters.full]
    return Figure(float(totals[clusters.full].sum()) / clusters.total_weight, per_cluster)
