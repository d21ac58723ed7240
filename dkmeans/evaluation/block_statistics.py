"""What one block contributes to the statistics that metrics are computed from."""

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from dkmeans.evaluation.silhouettes.formula import silhouettes
from dkmeans.evaluation.silhouettes.sampled import importance_of_clusters
from dkmeans.evaluation.statistics import Clusters, Task
from dkmeans.kernels.block import Array, Block, Labels
from dkmeans.kernels.nearest import nearest, nearest_other, nearest_two, sq_distances_to
from dkmeans.partials.base import Partial
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.cluster_totals import ClusterTotals
from dkmeans.partials.contingency import Contingency
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample

_Parts = dict[str, Partial]


def of_block(block: Block, labels: Array | None, task: Task) -> tuple[Together, Array]:
    """Find what `task` asks of a block, and the cluster of each row.

    Parameters
    ----------
    block
        The rows.
    labels
        Their clusters, `(n_rows,)` int32, if an earlier pass has found them.
    task
        What to find.
    """
    found = np.empty(block.n_rows, np.int32) if labels is None else labels
    answers = []
    for rows, tile in block.tiles():
        answer, of_tile = _of_tile(tile, None if labels is None else labels[rows], task)
        if labels is None:
            found[rows] = of_tile
        answers.append(answer)
    if not answers:
        answers = [_of_tile(block, labels, task)[0]]
    return reduce(Together.merge, answers), found


def _of_tile(tile: Block, labels: Array | None, task: Task) -> tuple[Together, Array]:
    parts: _Parts = {}
    if labels is None:
        if task.centers is None:
            labels = _numbered(tile.labels[0], task.values)
        else:
            labels, parts = _assigned(tile, task.centers, task)
    if "truth" in task.needs:
        predicted = Labels(labels, task.values)
        parts["truth"] = Contingency.from_pairs(tile.labels[0], predicted, tile.weight)
    if task.clusters is not None:
        parts |= _about_means(tile, labels, task, task.clusters)
    if "sample" in task.needs:
        parts["sample"] = _sampled(tile, labels, task)
    return Together(parts), labels


def _numbered(labels: Labels, values: tuple[Any, ...]) -> Array:
    """Number the labels that rows came with by their place in `values`."""
    place = {value: i for i, value in enumerate(values)}
    at = np.array([place[value] for value in labels.values], np.int32)
    return at[labels.codes]


def _assigned(tile: Block, centers: Array, task: Task) -> tuple[Array, _Parts]:
    """Assign rows to their nearest centers; find what depends on the distances to centers."""
    parts: _Parts = {}
    k = len(centers)
    if "margins" in task.needs and k > 1:
        both, sq_both = nearest_two(tile.X, centers)
        labels, sq_distances = np.ascontiguousarray(both[:, 0]), sq_both[:, 0]
        own, other = np.sqrt(sq_both.astype(np.float64)).T
        parts["margins"] = ClusterTotals.of([silhouettes(own, other)], labels, tile.weight, k)
    else:
        labels, sq_distances = nearest(tile.X, centers)
    if "inertias" in task.needs:
        origin = centers.mean(axis=0)
        parts["inertias"] = ClusterSums.from_labels(tile, labels, sq_distances, k, origin)
    return labels, parts


def _about_means(tile: Block, labels: Array, task: Task, clusters: Clusters) -> _Parts:
    """Find what depends on the distances to the means of clusters."""
    needs, k, weight = task.needs, task.n_clusters, tile.weight
    by_means = needs & {"within", "spread", "squared"}
    if task.centers is None:
        by_means |= needs & {"margins"}
    if not by_means:
        return {}
    parts: _Parts = {}
    own = sq_distances_to(tile.X, clusters.means, labels).astype(np.float64)
    if by_means & {"within", "spread"}:
        parts["spread"] = ClusterTotals.of([own, np.sqrt(own)], labels, weight, k)
    if "squared" in by_means:
        within = (own + clusters.variances[labels]) * _others_factor(tile, labels, clusters)
        found = silhouettes(within, _to_others(tile, labels, clusters, clusters.variances))
        parts["squared"] = ClusterTotals.of([found], labels, weight, k)
    if "margins" in by_means:
        nowhere = np.where(clusters.full, 0.0, np.inf)
        found = silhouettes(np.sqrt(own), np.sqrt(_to_others(tile, labels, clusters, nowhere)))
        parts["margins"] = ClusterTotals.of([found], labels, weight, k)
    return parts


def _to_others(tile: Block, labels: Array, clusters: Clusters, offsets: Array) -> Array:
    """Least squared distance plus offset to the mean of another cluster, `(n_rows,)` float64."""
    others, sq_distances = nearest_other(tile.X, clusters.means, labels, offsets)
    return sq_distances.astype(np.float64) + offsets[others]


def _others_factor(tile: Block, labels: Array, clusters: Clusters) -> Array:
    """What turns a mean over the rows of a cluster into one over those but one copy of the row.

    `(n_rows,)` float64; NaN for rows that are alone in their cluster.
    """
    copy = np.minimum(tile.weights, 1.0)
    weight = clusters.weight[labels]
    left = weight - copy
    alone = left <= 1e-12 * weight
    return np.where(alone, np.nan, weight / np.where(alone, 1.0, left))


def _sampled(tile: Block, labels: Array, task: Task) -> WeightedSample:
    """Sample rows; the number of its cluster, which floats hold exactly, is one more feature."""
    assert task.sampling is not None
    assert task.clusters is not None
    sampling = task.sampling
    importance = tile.weights * importance_of_clusters(task.clusters.weight, sampling.size)[labels]
    sample = WeightedSample.from_block(
        tile, sampling.size, sampling.seed, ("silhouette",), importance, task.most_key
    )
    at = np.searchsorted(tile.row_numbers, sample.row_numbers_kept)
    numbered = np.column_stack([sample.X_kept, labels[at].astype(sample.X_kept.dtype)])
    return replace(sample, X_kept=numbered)
