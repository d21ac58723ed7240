"""Mean silhouettes of clusters by the rows in hand, and by each replicate of a jackknife.

Each pair of rows is measured once, tile by tile; what a tile takes is bounded.
"""

from dataclasses import dataclass

import numpy as np

from dkmeans.evaluation.silhouettes.delete_a_group import Groups
from dkmeans.evaluation.silhouettes.formula import silhouettes
from dkmeans.kernels.block import Array
from dkmeans.kernels.pairwise import distance_sums
from dkmeans.kernels.sums import weight_by_label

NOTHING = 1e-12
"""Share of a cluster's weight that is rounding."""


@dataclass(frozen=True, eq=False)
class MeasuredRows:
    """The rows in hand, those of a cluster together."""

    X: Array
    labels: Array

    weight: Array
    """Copies that each row is."""

    stands_for: Array
    """Copies of rows, sampled or not, that each row stands for."""

    n_clusters: int

    def by_cluster(self, values: Array) -> Array:
        """Add up values of rows, `(n_clusters,)`."""
        return weight_by_label(self.labels, values, self.n_clusters)

    @property
    def n_sampled(self) -> Array:
        """`(n_clusters,)` int64."""
        return np.bincount(self.labels, minlength=self.n_clusters)

    def is_one_of_several(self, cluster_weight: Array) -> Array:
        """`(n_clusters,)` bool: whether one sampled row stands for others of its cluster."""
        others = cluster_weight - self.by_cluster(self.weight)
        return (self.n_sampled == 1) & (others > NOTHING * cluster_weight)

    @property
    def noise(self) -> Array:
        """`(n_rows,)`: the root of 1 - p, for rows that are in the sample with probability p.

        That is their standard deviation, over that of draws with replacement.
        """
        return np.sqrt(1 - self.weight / self.stands_for)


@dataclass(frozen=True, eq=False)
class ReplicatedScores:
    """Mean silhouettes of clusters, by the whole sample and without each group.

    The least of mean distances is the least of estimates, and so smaller than the mean distance to
    the cluster that it belongs to. If a replicate chooses the nearest cluster, and the group that
    it leaves out measures, chance has no part in both.
    """

    least: Array
    """`(n_groups + 1, n_clusters)`: each replicate chooses and measures; the first is the whole."""

    chosen: Array
    """`(n_groups, n_clusters)`: each replicate chooses, and the whole sample measures.

    Not of clusters of which one row of several is sampled: it may be near by chance.
    """

    chosen_without: Array
    """`(n_groups, n_clusters)`: the same, measured by the replicate itself."""

    without: Array
    """`(n_clusters,)`: how much higher the score of all rows would be if a cluster were not there
    as another to be near to."""


def replicated_scores(
    rows: MeasuredRows, groups: Groups, cluster_weight: Array
) -> ReplicatedScores:
    """Compute the mean silhouette of each cluster in each replicate.

    Each pair of rows is measured once. Clusters that are not in the sample are NaN.
    """
    n_replicates, n_clusters = groups.outside.shape
    n, noise = rows.n_sampled, rows.noise
    guessed = rows.is_one_of_several(cluster_weight)
    Y, others, of, stands_for = rows.X, rows.labels, groups.of_row, rows.stands_for
    alike = np.ptp(noise) == 0
    if not alike:
        # each row twice: what varies, in its group, and what does not, in group 0
        Y, others = np.concatenate([Y, Y]), np.concatenate([others, others])
        of = np.concatenate([of, np.zeros_like(of)])
        stands_for = np.concatenate([stands_for * noise, stands_for * (1 - noise)])

    def replicates(parts: Array) -> Array:
        whole = parts.sum(axis=-2)
        varying = parts * noise[0] if alike else parts
        varying[..., 0, :] = 0
        return groups.replicates(whole, varying)

    weights = np.zeros((n_replicates, n_clusters))
    np.add.at(weights, (of, others), stands_for)
    weights = replicates(weights)
    scores, masses = np.zeros((3, n_replicates, n_clusters)), np.zeros((n_replicates, n_clusters))
    without = np.zeros(n_clusters)
    for at, sums in distance_sums(rows.X, Y, others, stands_for, n_clusters, of, n_replicates):
        labels, i = rows.labels[at], np.arange(len(sums))
        mass = rows.stands_for[at, None] * (1 + noise[at, None] * groups.changes(at, labels))
        weight, total = rows.weight[at], cluster_weight[labels]
        alone = total - np.minimum(weight, 1) <= NOTHING * total
        copies = total - weight <= NOTHING * total
        unknown = ~(alone | copies) & (n[labels] == 1)

        means = replicates(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            a = means[i, :, labels] / (weights.T[labels] - mass)
            a *= ((total - weight) / (total - np.minimum(weight, 1)))[:, None]
            means /= weights
        a[copies | unknown] = 0
        means[..., n == 0] = np.inf
        means[i, :, labels] = np.inf
        found = np.zeros((3, *a.shape))
        found[0] = silhouettes(a, means.min(axis=2))
        whole = means[:, 0].copy()
        nearest = whole.argmin(axis=1)
        whole[i, nearest] = np.inf
        otherwise = silhouettes(a[:, 0], whole.min(axis=1))
        if n_replicates > 1:
            means[..., guessed] = np.inf
            choices = means.argmin(axis=2)
            found[1] = silhouettes(a[:, :1], np.take_along_axis(means[:, 0], choices, axis=1))
            found[2] = silhouettes(a, np.take_along_axis(means, choices[..., None], 2)[..., 0])
        found[:, alone] = otherwise[alone] = 0

        share = mass[:, 0] / weights[0, labels] * total / cluster_weight.sum()
        share[unknown] = mass[unknown] = 0
        without += np.bincount(nearest, share * (otherwise - found[0, :, 0]), n_clusters)
        # the rows that the whole sample measures are all of them
        found[0] *= mass
        found[1] *= mass[:, :1]
        found[2] *= mass
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        scores[..., labels[starts]] += np.add.reduceat(found, starts, axis=1).transpose(0, 2, 1)
        masses[:, labels[starts]] += np.add.reduceat(mass, starts, axis=0).T
    with np.errstate(invalid="ignore"):
        return ReplicatedScores(
            scores[0] / masses, (scores[1] / masses[0])[1:], (scores[2] / masses)[1:], without
        )
