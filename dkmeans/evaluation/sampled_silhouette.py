"""The silhouette by Euclidean distances: of rows in memory, or of all rows from a sample of them.

All pairs of rows are measured, each once. The error of an estimate comes from a jackknife: groups
of rows are left out in turn.
"""

from dataclasses import dataclass

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.delete_a_group import (
    LEAST_GROUPS,
    Groups,
    degrees_of_freedom,
    deviations,
    unbiased,
)
from dkmeans.evaluation.silhouette_replicates import (
    NOTHING,
    MeasuredRows,
    replicated_scores,
)
from dkmeans.kernels.block import Array
from dkmeans.kernels.threads import one_blas_thread

N_GROUPS = 32
"""Groups of the jackknife: the interval is some 4 % longer than with many more."""


_ROWS_WANTED = 30
"""Sampled rows of a cluster from which its nearness to others is well known."""


@dataclass(frozen=True, eq=False)
class SilhouetteEstimate:
    """The silhouette of all rows and of each cluster, with what is known of its error."""

    score: float
    """The weighted mean of the rows' silhouettes, from -1 to 1."""

    low: float
    """Lower end of the confidence interval; `score` if exact."""

    high: float
    """Upper end of the confidence interval; `score` if exact."""

    standard_error: float
    """Of `score`; 0 if exact."""

    exact: bool
    """Whether all rows were measured, not a sample."""

    cluster_score: Array
    """`(n_clusters,)` float64: the mean of each cluster, NaN where no row tells."""

    cluster_standard_error: Array
    """`(n_clusters,)` float64: of `cluster_score`; NaN where that is, or comes from one row."""

    cluster_n_sampled: Array
    """`(n_clusters,)` int64: rows of positive weight of each cluster in the sample."""


def importance_of_clusters(cluster_weight: Array, size: int) -> Array:
    """Say how much more often rows of small clusters should be sampled than by their weight.

    A small cluster that is the nearest of many rows matters more than its weight. With weight times
    this as importance, some 30 rows are of each cluster that has them, or fewer, so that small
    clusters take at most half of the sample.

    Parameters
    ----------
    cluster_weight
        `(n_clusters,)` float64: the weight of all rows of each cluster.
    size
        Rows of the sample.

    Returns
    -------
    importance
        `(n_clusters,)` float64, at least 1.
    """
    there = cluster_weight > 0
    wanted = min(float(_ROWS_WANTED), size / (2 * max(int(there.sum()), 1)))
    by_weight = size * cluster_weight / (cluster_weight.sum() or 1)
    return np.maximum(wanted / np.where(there, by_weight, wanted), 1)


def silhouette_of(
    X: Array,
    labels: Array,
    n_clusters: int,
    *,
    weight: Array | None = None,
    stands_for: Array | None = None,
    cluster_weight: Array | None = None,
    seed: int = 0,
    n_groups: int = N_GROUPS,
    confidence: float = 0.95,
) -> SilhouetteEstimate:
    """Measure the silhouette of all rows, or estimate it from a sample.

    A row of weight w is w rows, exactly. With `a` the mean distance of a row to the other rows of
    its cluster and `b` the least mean distance to the rows of another cluster, its silhouette is
    `(b - a) / max(a, b)`; 0 if it is alone in its cluster, or both are 0. One copy of the row is
    not among the others; if it weighs less than 1, all of it.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, finite: all rows, or a sample without
        replacement. Distances are float64.
    labels
        `(n_rows,)` in 0..n_clusters-1.
    n_clusters
        The number of clusters; some may be empty.
    weight
        `(n_rows,)` float64, not negative: the sample weights; None stands for ones.
    stands_for
        `(n_rows,)` float64: `weight` over the probability that the row is in the sample; None if
        `X` is all rows. Samples may be drawn by weight or by any other importance.
    cluster_weight
        `(n_clusters,)` float64: the weight of all rows of each cluster. Only for a sample.
    seed
        Deals the rows to groups.
    n_groups
        Groups of the jackknife, at least 3.
    confidence
        Share of samples whose interval holds the silhouette of all rows.

    Returns
    -------
    SilhouetteEstimate
        Of all rows, equal to scikit-learn's `silhouette_score` of each row repeated as often as
        it weighs.

    Raises
    ------
    ArgumentError
        If there are fewer than two clusters, all rows are alone in theirs, or the sample tells of
        fewer than two clusters; if a parameter is out of range.

    Notes
    -----
    The mean silhouette of each cluster is estimated by itself; their mean is by `cluster_weight`,
    which is known, so that what clusters a sample happens to hit adds no error. The least of mean
    distances that are estimates is too small: in clusters of few sampled rows, this bias is larger
    than the standard error. The jackknife takes it off: groups of rows, dealt evenly from each
    cluster, are left out in turn both as rows that are measured and as rows that are measured to.
    Clusters of fewer rows than groups are thinned instead, as far as gives the right variance [1]_.
    Changes are scaled by the root of 1 less a row's probability, so that variance and bias are
    those of a finite population, and vanish as the sample becomes all rows.

    The interval is Student's, with the degrees of freedom that the replicates show: fewer where few
    groups make most of the variance. A cluster of which no row is sampled may be the nearest of
    some rows; the error allows for as much as the sampled clusters make on the root mean square
    when left out, and for as much as a cluster of one sampled row makes itself. This is a guess.
    Draw with `importance_of_clusters`, and it is not needed: where clusters are of very unequal
    sizes, intervals become several times shorter, too.

    References
    ----------
    .. [1] P. Kott, "The delete-a-group jackknife", Journal of Official Statistics 17(4), 2001.
    """
    _check(stands_for, cluster_weight, n_groups, confidence)
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, np.float64)
    stands_for = weight if stands_for is None else np.asarray(stands_for, np.float64)
    # rows of a cluster together: those of no weight are not there
    order = np.argsort(labels, kind="stable")
    order = order[weight[order] > 0]
    rows = MeasuredRows(
        X[order],
        np.asarray(labels)[order].astype(np.intp),
        weight[order],
        np.maximum(stands_for[order], weight[order]),
        n_clusters,
    )
    if cluster_weight is None:
        cluster_weight = rows.by_cluster(rows.weight)
    exact = not rows.noise.any()
    _check_clusters(rows, cluster_weight, exact)
    groups = Groups.random(rows.labels, n_clusters, 0 if exact else n_groups, seed)
    with one_blas_thread():
        scores, without = replicated_scores(rows, groups, cluster_weight)
    if np.isnan(scores).all():
        raise ArgumentError(
            f"the sample of {len(rows.X)} rows has no two of one cluster; sample more rows"
        )
    if exact:
        score = _mean(scores[0], cluster_weight)
        no_error = np.where(np.isnan(scores[0]), np.nan, 0.0)
        return SilhouetteEstimate(
            score, score, score, 0.0, True, scores[0], no_error, rows.n_sampled
        )
    return _estimate(rows, scores, without, cluster_weight, confidence)


def _estimate(
    rows: MeasuredRows, scores: Array, without: Array, cluster_weight: Array, confidence: float
) -> SilhouetteEstimate:
    from scipy.special import stdtrit

    told = ~np.isnan(scores[0])
    overall = np.array([_mean(replicate, cluster_weight) for replicate in scores])
    variance = float((deviations(overall) ** 2).sum())
    freedom = degrees_of_freedom(deviations(overall))

    # clusters that tell nothing of themselves are taken to be spread as the others
    untold = cluster_weight[~told].sum() / cluster_weight.sum()
    apart = (scores[0] - overall[0]) ** 2
    variance += untold**2 * _mean(apart, cluster_weight)
    # nor is it known how near the clusters are that are not there, or there by one row
    n = rows.n_sampled
    n_unseen = np.count_nonzero((n == 0) & (cluster_weight > 0))
    variance += n_unseen * float((without[n > 0] ** 2).mean())
    variance += float((without[n == 1] ** 2).sum())

    error = float(np.sqrt(variance))
    score = float(np.clip(unbiased(overall), -1, 1))
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return SilhouetteEstimate(
        score,
        max(score - reach, -1.0),
        min(score + reach, 1.0),
        error,
        False,
        np.clip(unbiased(scores), -1, 1),
        np.where(n > 1, np.sqrt((deviations(scores) ** 2).sum(axis=0)), np.nan),
        n,
    )


def _mean(of_clusters: Array, cluster_weight: Array) -> float:
    """Return the weighted mean of the clusters that tell."""
    told = ~np.isnan(of_clusters)
    return float(np.average(of_clusters[told], weights=cluster_weight[told]))


def _check(
    stands_for: Array | None, cluster_weight: Array | None, n_groups: int, confidence: float
) -> None:
    if stands_for is not None and cluster_weight is None:
        raise ArgumentError("cluster_weight=None goes with all rows; give that of all rows, too")
    if n_groups < LEAST_GROUPS:
        raise ArgumentError(f"n_groups={n_groups} must be at least {LEAST_GROUPS}")
    if not 0 < confidence < 1:
        raise ArgumentError(f"confidence={confidence} must be between 0 and 1")


def _check_clusters(rows: MeasuredRows, cluster_weight: Array, exact: bool) -> None:
    """Refuse what scikit-learn refuses, in its words."""
    n_labels = np.count_nonzero(cluster_weight)
    others = cluster_weight[rows.labels] - np.minimum(rows.weight, 1)
    if n_labels < 2 or (exact and (others <= NOTHING * cluster_weight[rows.labels]).all()):
        raise ArgumentError(
            f"Number of labels is {n_labels}. Valid values are 2 to n_samples - 1 (inclusive)"
        )
    n_seen = np.count_nonzero(rows.n_sampled)
    if n_seen < 2:
        raise ArgumentError(
            f"the sample of {len(rows.X)} rows has rows of {n_seen} of {n_labels} clusters, and "
            f"the silhouette compares clusters; sample more rows"
        )
