"""The silhouette of all rows as two estimates from a sample tell it, with its interval.

One estimate is too low, and one too high, where it is not clear which cluster is nearest.
"""

from dataclasses import dataclass

import numpy as np

from dkmeans.evaluation.silhouettes.delete_a_group import (
    degrees_of_freedom,
    deviations,
    pseudo_values,
)
from dkmeans.evaluation.silhouettes.replicates import MeasuredRows, ReplicatedScores
from dkmeans.kernels.block import Array

_TOWARDS_HIGH = 0.25
"""Where the score is put between two estimates, of which it is near the lower or halfway."""

_LEFT_OPEN = 0.6
"""Share of the difference of the two estimates that is an error, from the middle between them.

Half of it takes the interval beyond both; a little more, as it is itself an estimate.
"""


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
    """Of `score`, with what is left open by not knowing the nearest clusters; 0 if exact."""

    exact: bool
    """Whether all rows were measured, not a sample."""

    cluster_score: Array
    """`(n_clusters,)` float64: the mean of each cluster, NaN where no row tells."""

    cluster_standard_error: Array
    """`(n_clusters,)` float64: of `cluster_score`; NaN where that is, or comes from one row."""

    cluster_n_sampled: Array
    """`(n_clusters,)` int64: rows of positive weight of each cluster in the sample."""


def estimated(
    rows: MeasuredRows, found: ReplicatedScores, cluster_weight: Array, confidence: float
) -> SilhouetteEstimate:
    """Make an estimate of the replicates of a sample; NaN are clusters that do not tell."""
    from scipy.special import stdtrit

    low = pseudo_values(found.least[0], found.least[1:])
    high = pseudo_values(found.chosen, found.chosen_without)
    between = (high - low).mean(axis=0)
    scores = low.mean(axis=0) + _TOWARDS_HIGH * between
    middle = (low + high) / 2
    cluster_variance = (deviations(middle) ** 2).sum(axis=0) + (_LEFT_OPEN * between) ** 2

    told = ~np.isnan(scores)
    score = mean_of_clusters(scores, cluster_weight)
    overall = np.array([mean_of_clusters(one, cluster_weight) for one in middle])
    parts = deviations(overall)
    left_open = _LEFT_OPEN * mean_of_clusters(between, cluster_weight)
    variance = float((parts**2).sum()) + left_open**2

    # clusters that tell nothing of themselves are taken to be spread as the others
    untold = cluster_weight[~told].sum() / cluster_weight.sum()
    variance += untold**2 * mean_of_clusters((scores - score) ** 2, cluster_weight)
    # nor is it known how near the clusters are that are not there, or there by one row
    n = rows.n_sampled
    n_unseen = np.count_nonzero((n == 0) & (cluster_weight > 0))
    variance += n_unseen * float((found.without[n > 0] ** 2).mean())
    variance += float((found.without[rows.is_one_of_several(cluster_weight)] ** 2).sum())

    error = float(np.sqrt(variance))
    reach = float(stdtrit(degrees_of_freedom(parts), (1 + confidence) / 2)) * error
    center = float(overall.mean())
    return SilhouetteEstimate(
        float(np.clip(score, -1, 1)),
        float(np.clip(center - reach, -1, 1)),
        float(np.clip(center + reach, -1, 1)),
        error,
        False,
        np.clip(scores, -1, 1),
        np.where(n > 1, np.sqrt(cluster_variance), np.nan),
        n,
    )


def mean_of_clusters(of_clusters: Array, cluster_weight: Array) -> float:
    """Return the weighted mean of the clusters that tell."""
    told = ~np.isnan(of_clusters)
    return float(np.average(of_clusters[told], weights=cluster_weight[told]))
