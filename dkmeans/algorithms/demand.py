"""What a fit asks of its passes: how many, and the memory that one block takes beside itself."""

import numpy as np

from dkmeans.algorithms.coreset.begin import MOST_SOLUTIONS
from dkmeans.algorithms.coreset.pilot import n_cells
from dkmeans.algorithms.minibatch_start import sample_rows
from dkmeans.algorithms.settings import KMeansSettings, MiniBatchSettings, Settings
from dkmeans.kernels.block import TILE_ROWS
from dkmeans.kernels.choice import scratch_bytes
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.quantiles import MOST_EXACT
from dkmeans.rows.demand import Demand
from dkmeans.rows.requests import Reduce


def demand_of(settings: KMeansSettings, n_features: int, dtype: str) -> Demand:
    """Return what a fit with these settings asks of rows with so many features.

    Counted are passes that are made if `max_iter` is reached and no cluster comes out empty, and
    the bytes of the pass that needs most: with all candidates of k-means|| as clusters, for every
    restart, or with quantiles, which restarts share.
    """
    if settings.init_name == "coreset":
        return _coreset_demand(settings, n_features, dtype)
    item = np.dtype(dtype).itemsize
    k, d = settings.n_clusters, n_features
    seeding = {"k-means||": settings.init_rounds + 1, "k-means++": 1}.get(settings.init_name, 0)
    first = settings.scale is not None or settings.init_name in ("k-means||", "random")
    drawn = round(settings.oversampling_factor * k)
    each = settings.each or (k,)
    # of a sweep, as many runs of the most clusters as take as much
    n_runs = -(-settings.n_init * sum(each) // k)
    candidates = k
    if settings.init_name == "k-means||":
        candidates = max(k, 1 + drawn * settings.init_rounds)
    return Demand(
        n_passes=int(first) + seeding + settings.max_iter + 1,
        n_runs=n_runs,
        n_centers=candidates,
        broadcast_bytes=max(candidates * item, k * 8) * d,
        partial_bytes=candidates * (d + 2) * 8,
        sampled_rows=drawn + 1,
        scaling_bytes=_scaling_bytes(settings, d),
        samples_under_centers=False,
        # rows are added up by label near candidates, which takes less than to find the nearest
        scratch_bytes=max(scratch_bytes(d, candidates, item, False), scratch_bytes(d, k, item)),
        row_bytes=(2 * (item + 4) + 1) * len(each) * settings.n_init,
        tile_bytes=TILE_ROWS * 10 * 8,
        has_pilot=first,
        n_scalings=int(settings.scale is not None),
        n_state_passes=settings.init_rounds if settings.init_name == "k-means||" else 0,
        state_bytes=(item + 4) * len(each) * settings.n_init
        if settings.init_name == "k-means||"
        else 0,
        n_epochs=0,
        drawn_rows=0,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def _coreset_demand(settings: KMeansSettings, n_features: int, dtype: str) -> Demand:
    """Return what a fit from a coreset asks.

    Counted are the pilot, the read and Lloyd's passes for all runs that go on from the coreset; a
    second read follows from `spread_above`.
    """
    item = np.dtype(dtype).itemsize
    d, size = n_features, settings.n_coreset_rows
    cells = n_cells(settings.n_clusters)
    # of the runs of a sweep together
    k = MOST_SOLUTIONS * sum(settings.each or (settings.n_clusters,))
    most = max(cells, settings.n_clusters)
    return Demand(
        n_passes=1 + settings.max_iter + 1,
        n_runs=1,
        n_centers=most,
        broadcast_bytes=max(cells * 16, k * 8) * d,
        partial_bytes=k * (d + 2) * 8,
        sampled_rows=size + 2,
        scaling_bytes=_scaling_bytes(settings, d),
        samples_under_centers=True,
        scratch_bytes=max(scratch_bytes(d, most, item), scratch_bytes(d, cells, item, False)),
        row_bytes=2 * (item + 4) + 1,
        # of a tile the scaled rows, keys and importances of both draws
        tile_bytes=TILE_ROWS * (d * item + 10 * 8),
        has_pilot=True,
        n_scalings=int(settings.scale is not None),
        n_state_passes=0,
        state_bytes=0,
        n_epochs=0,
        drawn_rows=0,
        # as it came, in the order of the rows, and a copy of the part that is used
        held_copies=3,
        spread_above=size,
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def minibatch_demand(settings: MiniBatchSettings, n_features: int, dtype: str) -> Demand:
    """Return what a fit by mini-batches asks of rows with so many features.

    Counted are all epochs, as if nothing stopped them before, and the two more passes that a sample
    takes where few rows are left; of memory, the sample, and beside a block the rows that a step
    draws from it, with their places.
    """
    item = np.dtype(dtype).itemsize
    k, d = settings.n_clusters, n_features
    return Demand(
        n_passes=4 + settings.max_epochs,
        n_runs=1,
        n_centers=k,
        broadcast_bytes=k * d * 8,
        partial_bytes=k * (d + 2) * 8,
        sampled_rows=sample_rows(settings, d * item) + 1,
        scaling_bytes=_scaling_bytes(settings, d),
        samples_under_centers=False,
        scratch_bytes=scratch_bytes(d, k, item),
        row_bytes=item + 4 + 2,
        tile_bytes=TILE_ROWS * 10 * 8,
        has_pilot=True,
        n_scalings=int(settings.scale is not None),
        n_state_passes=0,
        state_bytes=0,
        n_epochs=settings.max_epochs,
        drawn_rows=-(-settings.batch_size // settings.n_slots),
        probe=Reduce("probe", ClusterSums.from_block, (np.zeros((k, d)), np.zeros(d))),
    )


def _scaling_bytes(settings: Settings, n_features: int) -> int:
    """Return the bytes of the partial that a scale is learned from, where they are many."""
    return 2 * 8 * MOST_EXACT * n_features if settings.scale == "robust" else 0
