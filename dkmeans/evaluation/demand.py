"""What evaluations ask of their passes: how many, and the memory that one block takes beside it."""

from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from dkmeans.evaluation.drift.survey import SAMPLE_ROWS
from dkmeans.evaluation.profiles.edges import most_edges
from dkmeans.evaluation.profiles.survey import has_scatter, sample_rows
from dkmeans.evaluation.statistics import AFTER_MEANS, Need, Sampling
from dkmeans.evaluation.sweeps.scores import sampling_of
from dkmeans.kernels.block import TILE_ROWS
from dkmeans.kernels.choice import scratch_bytes
from dkmeans.kernels.log_bins import DistanceBins
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows.demand import Demand
from dkmeans.rows.requests import Reduce

_BINS_OF_DISTANCES, _BINS_OF_FEATURES = 300, 400
"""Bins that have weight, of a cluster and of a feature."""

_TRUTH_BYTES = 2**20
"""A table of true labels and clusters with some 40 000 cells."""

_MOST_PAIRS = 2**20
_DENSE_BYTES = 2**21
"""Of tables that pairs are counted in without sorting."""


def evaluation_demand(model: Model, needs: Set[Need], sampling: Sampling) -> Demand:
    """Return what an evaluation asks of rows of the model's features."""
    item = np.dtype(model.dtype).itemsize
    k, d = model.n_clusters, model.n_features
    return Demand(
        n_passes=2 if needs & AFTER_MEANS else 1,
        n_runs=1,
        n_centers=k,
        # centers and means
        broadcast_bytes=2 * k * d * 8,
        partial_bytes=k * (d + 6) * 8,
        sampled_rows=sampling.size + 1 if "sample" in needs else 0,
        scaling_bytes=_TRUTH_BYTES if "truth" in needs else 0,
        samples_under_centers=True,
        # as the kernel wants them: matrices of scores, and centers by feature
        scratch_bytes=scratch_bytes(d, k, item) + k * d * item,
        # labels, of this pass and as they were kept
        row_bytes=2 * 4,
        tile_bytes=TILE_ROWS * 16 * 8,
        has_pilot=False,
        n_scalings=int(model.scaling is not None),
        n_state_passes=2 if needs & AFTER_MEANS else 0,
        state_bytes=4,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def sweep_demand(
    counts: Sequence[int], sample_size: int | None, n_features: int, dtype: str
) -> Demand:
    """Return what the figures of several numbers of clusters ask of rows, all in one pass."""
    d, item = n_features, np.dtype(dtype).itemsize
    most, total = max(counts), sum(counts)
    # silhouettes and spreads
    partials = total * 4 * 8
    return Demand(
        n_passes=1,
        n_runs=1,
        n_centers=most,
        # of each model: centers and means; weight and spread
        broadcast_bytes=total * (2 * d + 2) * 8,
        partial_bytes=partials,
        sampled_rows=sampling_of(sample_size, 0).size + 1,
        scaling_bytes=partials,
        samples_under_centers=True,
        # one model after the other
        scratch_bytes=scratch_bytes(d, most, item) + most * d * item,
        # labels
        row_bytes=4,
        tile_bytes=TILE_ROWS * 16 * 8,
        has_pilot=False,
        n_scalings=0,
        n_state_passes=0,
        state_bytes=0,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((most, d)), np.zeros(d))),
    )


def chart_demand(model: Model, n_sampled: int, scatters: bool) -> Demand:
    """Return what the samples of charts ask of rows, in one pass.

    Of `n_sampled` rows in all; `scatters` tells whether products of features are added up.
    """
    item = np.dtype(model.dtype).itemsize
    k, d = model.n_clusters, model.n_features
    products = d * (d + 2) * 8 if scatters else 0
    return Demand(
        n_passes=1,
        n_runs=1,
        n_centers=k,
        broadcast_bytes=k * (d + 1) * 8,
        partial_bytes=k * 8,
        sampled_rows=n_sampled + 2,
        scaling_bytes=products,
        samples_under_centers=True,
        scratch_bytes=scratch_bytes(d, k, item) + k * d * item,
        row_bytes=0,
        # labels and distances, importance, keys and their order
        tile_bytes=TILE_ROWS * 10 * 8,
        has_pilot=False,
        n_scalings=int(model.scaling is not None),
        n_state_passes=0,
        state_bytes=0,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def profile_demand(model: Model, n_examples: int = 0) -> Demand:
    """Return what a profile asks of rows of the model's features.

    Of the two passes the first contributes moments, products of features, a sample, and examples;
    the second cells, between edges that are broadcast.
    """
    item = np.dtype(model.dtype).itemsize
    k, d = model.n_clusters, model.n_features
    n_edges = sum(most_edges(k, d))
    examples = 2 * k * n_examples * (d * item + 8 * 5)
    moments = k * (5 * d + 2) * 8
    scatter = k * (d * d + 2 * d + 1) * 8 if has_scatter(k, d) else 0
    cells = k * d * (2 * n_edges + 1) * 8
    # here, not as rows are read: the other statistics are of the rows as they came
    scaled = 0 if model.scaling is None else d * item
    return Demand(
        n_passes=2,
        n_runs=1,
        n_centers=k,
        # centers and origins, and with these, which the second pass gets again, edges
        broadcast_bytes=k * (d * (2 + n_edges) + 3) * 8,
        partial_bytes=cells,
        sampled_rows=sample_rows(k, d, model.dtype) + 1,
        # beside the sample, in the first pass
        scaling_bytes=moments + scatter + examples,
        samples_under_centers=True,
        scratch_bytes=scratch_bytes(d, k, item),
        # the scaled row, label, squared distance, importance and its factors; with examples two
        # of label and distance, the label apart, both distances, the margin and its factors
        row_bytes=scaled + (2 * (4 + item) + 4 + 16 + 24 if n_examples else 4 + item + 16),
        tile_bytes=TILE_ROWS * 10 * 8,
        has_pilot=isinstance(model.scaling, Normalization),
        n_scalings=0,
        n_state_passes=2,
        state_bytes=4,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def flow_demand(champion: Model, challenger: Model) -> Demand:
    """Return what counting the rows that pairs of clusters have in common asks of rows."""
    d, most = champion.n_features, max(champion.n_clusters, challenger.n_clusters)
    n_pairs = champion.n_clusters * challenger.n_clusters
    item = np.dtype(max(champion.dtype, challenger.dtype)).itemsize
    return Demand(
        n_passes=1,
        n_runs=1,
        n_centers=most,
        # centers, scaling and filling of both
        broadcast_bytes=(champion.n_clusters + challenger.n_clusters + 6) * d * 8,
        # two labels and a weight of the pairs that occur, which are never all of very many
        partial_bytes=min(n_pairs, _MOST_PAIRS) * 24,
        sampled_rows=0,
        scaling_bytes=0,
        samples_under_centers=True,
        scratch_bytes=scratch_bytes(d, most, item) + most * d * item + 4 * _DENSE_BYTES,
        row_bytes=0,
        # rows as one model has them: converted, filled, scaled; labels, distances, pairs
        tile_bytes=TILE_ROWS * (3 * d * item + 64),
        has_pilot=False,
        n_scalings=0,
        n_state_passes=0,
        state_bytes=0,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((most, d)), np.zeros(d))),
    )


def baseline_demand(
    counts: Sequence[int], n_features: int, dtype: str, *, scaled: bool, compares: bool = False
) -> Demand:
    """Return what baselines of several numbers of clusters ask of rows, in one pass.

    Whether rows come `scaled`, and whether what is found is compared with a baseline, which samples
    rows, too. How many bins have weight depends on the rows: few have more than is taken here.
    """
    d, item = n_features, np.dtype(dtype).itemsize
    most, total = max(counts), sum(counts)
    bins = total * _BINS_OF_DISTANCES + d * _BINS_OF_FEATURES
    partials = bins * 16 + total * (d + 2) * 8 + 12 * d * 8
    return Demand(
        n_passes=1,
        n_runs=1,
        n_centers=most,
        broadcast_bytes=total * d * 8 + 6 * d * 8,
        partial_bytes=partials,
        sampled_rows=SAMPLE_ROWS + 1 if compares else 0,
        scaling_bytes=partials,
        samples_under_centers=True,
        # one model after the other: centers as the kernel wants them, a table of bins, and what
        # finds the bins of features
        scratch_bytes=scratch_bytes(d, most, item)
        + 2 * most * DistanceBins.of(1.0, most).n_cells * 8
        + 2**20,
        # label, distance, importance and its factors; the scaled row, and what is missing of it
        row_bytes=4 + item + 3 * 8 + (0 if scaled else d * (2 * item + 1)),
        tile_bytes=TILE_ROWS * 10 * 8,
        has_pilot=False,
        n_scalings=0,
        n_state_passes=0,
        state_bytes=0,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((most, d)), np.zeros(d))),
    )


def shared_demand(demands: Sequence[Demand], row_bytes: int = 0) -> Demand:
    """Return what several evaluations ask of rows whose passes they share.

    `row_bytes` is what a row takes once more, as some of them see it. They look at a block one
    after the other; what they contribute is held together.
    """
    first = max(demands, key=lambda one: one.n_centers)
    return replace(
        first,
        n_passes=max(one.n_passes for one in demands),
        broadcast_bytes=sum(one.broadcast_bytes for one in demands),
        partial_bytes=sum(one.partial_bytes for one in demands),
        sampled_rows=sum(one.sampled_rows for one in demands),
        scaling_bytes=sum(one.scaling_bytes for one in demands),
        scratch_bytes=max(one.scratch_bytes for one in demands),
        row_bytes=max(one.row_bytes for one in demands) + row_bytes,
        tile_bytes=max(one.tile_bytes for one in demands),
        has_pilot=any(one.has_pilot for one in demands),
        n_scalings=0,
        n_state_passes=max(one.n_state_passes for one in demands),
        state_bytes=sum(one.state_bytes for one in demands),
    )
