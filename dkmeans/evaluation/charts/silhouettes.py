"""The silhouettes of a sample of rows, cluster by cluster."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.charts.sampled import SampledRows
from dkmeans.evaluation.silhouettes.formula import silhouettes
from dkmeans.evaluation.silhouettes.sampled import silhouette_of
from dkmeans.kernels.block import Array
from dkmeans.kernels.pairwise import distance_sums
from dkmeans.kernels.sums import weight_by_label
from dkmeans.kernels.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class Silhouettes:
    """How much nearer rows are to their own cluster than to the next, from -1 to 1."""

    clusters: tuple[ChartCluster, ...]
    """By id; those without rows left out."""

    values: tuple[Array, ...]
    """Of each cluster `(n_sampled_of_it,)` float64: the silhouettes of its sampled rows,
    descending. If `is_all` is false, distances to clusters are estimated from the sample."""

    shares: tuple[Array, ...]
    """Of each cluster, the share of its rows that each value stands for: of the shape of `values`,
    1 in sum."""

    weights: Array
    """`(n_shown,)` float64: rows of each cluster, or the sum of their weights."""

    means: Array
    """`(n_shown,)` float64: the mean of each cluster; NaN where the sample does not tell."""

    mean: float
    """Of all rows, those of clusters that are not shown included."""

    low: float
    """Lower end of the 95 % confidence interval of `mean`; `mean` if it is exact."""

    high: float
    negative: Array
    """`(n_shown,)` float64: share of the rows of each cluster with a negative silhouette."""

    n_rows: int
    n_sampled: int
    is_all: bool
    """Whether all rows were measured."""

    n_clusters: int
    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(cls, found: SampledRows, *, most_clusters: int = MOST_CLUSTERS) -> Self:
        """Measure the rows that a pass has drawn. Makes none.

        `means` and `mean` are those of `evaluate`'s silhouette for the same rows, which take the
        bias of the sample off.

        Raises
        ------
        ArgumentError
            If no rows were drawn for it, or they are of fewer than two clusters.
        """
        sample, model = found.for_silhouettes, found.model
        if sample is None:
            raise ArgumentError("silhouettes need silhouette_size above 0.")
        k = model.n_clusters
        estimate = silhouette_of(
            sample.X,
            sample.labels,
            k,
            weight=sample.weight,
            stands_for=None if sample.is_all else sample.stands_for,
            cluster_weight=found.weights,
        )
        of_rows = row_silhouettes(
            sample.X, sample.labels, sample.weight, sample.stands_for, found.weights
        )
        there = np.flatnonzero(found.weights > 0)
        faces = Faces(model.cluster_ids, found.weights, model.cluster_names, model.cluster_colors)
        clusters, notes = faces.chosen(None, most_clusters)
        if len(there) < k:
            clusters = tuple(one for one in clusters if found.weights[one.label] > 0)
            notes = (*notes, f"without {k - len(there):,} empty clusters")
        values, shares, negative = [], [], []
        for one in clusters:
            rows = np.flatnonzero(sample.labels == one.label)
            rows = rows[np.argsort(-of_rows[rows], kind="stable")]
            values.append(of_rows[rows])
            shares.append(sample.stands_for[rows] / (sample.stands_for[rows].sum() or 1.0))
            negative.append(float(shares[-1][values[-1] < 0].sum()) if len(rows) else np.nan)
        labels = np.array([one.label for one in clusters], np.int64)
        return cls(
            clusters,
            tuple(values),
            tuple(shares),
            found.weights[labels],
            estimate.cluster_score[labels],
            estimate.score,
            estimate.low,
            estimate.high,
            np.array(negative),
            found.n_rows,
            len(sample.X),
            sample.is_all,
            k,
            notes,
        )


def row_silhouettes(
    X: Array, labels: Array, weight: Array, stands_for: Array, cluster_weight: Array
) -> Array:
    """Return the silhouette of each row, `(n_rows,)` float64: exact, or with estimated distances.

    Parameters
    ----------
    X
        `(n_rows, n_features)`: all rows, or a sample of them.
    labels
        `(n_rows,)`: the cluster of each.
    weight, stands_for
        `(n_rows,)` float64: sample weights, and these over the probability of being drawn.
    cluster_weight
        `(n_clusters,)` float64: the weight of all rows of each cluster.

    Notes
    -----
    A row of weight w is w rows; one that is alone in its cluster has 0, and so has one that is the
    only one of its cluster in a sample.
    """
    k = len(cluster_weight)
    totals = weight_by_label(labels, stands_for, k)
    out = np.empty(len(X))
    # rows of a cluster together: near tiles are measured well
    order = np.argsort(labels, kind="stable")
    with one_blas_thread():
        for at, found in distance_sums(X[order], X[order], labels[order], stands_for[order], k):
            rows = order[at]
            own, i = labels[rows], np.arange(len(rows))
            copy = np.minimum(weight[rows], 1.0)
            # a row's own copies are at distance 0; its other copies count as others
            others = totals[own] - stands_for[rows]
            within = cluster_weight[own] - weight[rows]
            left = cluster_weight[own] - copy
            sums = found[:, 0]
            with np.errstate(divide="ignore", invalid="ignore"):
                a = np.where(others > 1e-12 * totals[own], sums[i, own] / others, 0.0)
                a *= np.where(left > 0, within / left, 0.0)
                means = sums / totals
            means[:, totals == 0] = np.inf
            means[i, own] = np.inf
            is_alone = (left <= 1e-12 * cluster_weight[own]) | (
                (others <= 1e-12 * totals[own]) & (within > 1e-12 * cluster_weight[own])
            )
            out[rows] = np.where(is_alone, 0.0, silhouettes(a, means.min(axis=1)))
    return out
