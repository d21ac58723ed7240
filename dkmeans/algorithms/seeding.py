"""Where to start: k-means|| in a few passes, greedy k-means++ in memory, or random rows."""

import logging
import uuid

import numpy as np

from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import Passes, Record, drive
from dkmeans.algorithms.plus_plus import best_of_restarts, greedy_plus_plus
from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.requests import Reduce, Scan
from dkmeans.rows.rows import Rows

log = logging.getLogger(__name__)

MOST_PLUS_PLUS_BYTES = 2 * 2**30
"""Rows that `k-means++` may gather into one process."""

FIRST_CENTER = ("k-means||", "first center")
"""Purpose of the random numbers that draw the first candidate."""

_RESTARTS = 8
_MOST_RESTART_WORK = 2e9
"""Candidates times centers times features of all restarts together; one is always made."""


def scalable_kmeans_plus_plus(
    rows: Rows,
    n_clusters: int,
    *,
    seed: int,
    oversampling_factor: float = 2.0,
    n_rounds: int = 5,
) -> Array:
    """Seed by k-means||, in `n_rounds + 2` passes.

    The first pass draws one row. Each round draws `oversampling_factor * n_clusters` more, by their
    squared distances to all candidates so far; only distances to the newest are computed. The last
    pass adds up the rows nearest to each candidate, and these cells, as weighted points, are
    clustered in memory by greedy k-means++ with restarts and Lloyd's iterations.

    The paper draws each row independently, so that a round gives that many rows in the mean; here a
    round draws exactly that many, without replacement, by exponential keys, and needs no cost in
    advance.

    Parameters
    ----------
    rows
        The samples, `(n_samples, n_features)`.
    n_clusters
        Centers to return.
    seed
        The same seed draws the same rows, however they are cut into blocks.
    oversampling_factor
        Candidates of a round, in units of `n_clusters`.
    n_rounds
        Rounds to make; it ends early when every row coincides with a candidate.

    Returns
    -------
    centers
        `(n_clusters, n_features)` float64.

    References ---------- .. [1] B. Bahmani, B. Moseley, A. Vattani, R. Kumar, S. Vassilvitskii,
    "Scalable k-means++", VLDB 2012.
    """
    draw = Reduce("first center", WeightedSample.from_block, (1, seed, FIRST_CENTER))
    (first,) = rows.run([draw])
    assert isinstance(first, WeightedSample)
    passes = scalable_passes(
        first.X, n_clusters, seed=seed, oversampling_factor=oversampling_factor, n_rounds=n_rounds
    )
    ((centers, _),) = drive(rows, [passes])
    return centers


def scalable_passes(
    first: Array, n_clusters: int, *, seed: int, oversampling_factor: float, n_rounds: int
) -> Passes[Array]:
    """`scalable_kmeans_plus_plus` after its first pass, as an algorithm that can share its passes.

    `first` is the first candidate, `(1, n_features)`.
    """
    size = max(1, round(oversampling_factor * n_clusters))
    name = f"k-means||-{uuid.uuid4().hex}"
    candidates = newest = np.asarray(first)
    broadcasts: tuple[tuple[object, ...], ...] = ()
    for number in range(1, n_rounds + 1):
        broadcasts = (*broadcasts, (newest, len(candidates) - len(newest), size, seed, number))
        sample, record = yield Scan(f"k-means|| round {number}", _draw_step, broadcasts, name)
        record.update(cost=sample.total)
        newest = sample.X
        if len(newest) == 0:
            break
        candidates = np.concatenate([candidates, newest])
    broadcasts = (*broadcasts, (newest, len(candidates) - len(newest), 0, seed, 0))
    cells, record = yield Scan("k-means|| weights", _draw_step, broadcasts, name, last=True)
    record.update(cost=cells.inertia)
    return _recluster(cells, candidates, n_clusters, seed)


def _draw_step(
    block: Block,
    state: tuple[Array, Array] | None,
    newest: Array,
    n_before: int,
    size: int,
    seed: int,
    number: int,
) -> tuple[WeightedSample | ClusterSums, tuple[Array, Array]]:
    """Bring each row's nearest candidate up to date, and draw the next; `size` 0 adds up the cells.

    The state is the squared distance to the nearest candidate so far, of the rows' dtype, and its
    index, int32.
    """
    if len(newest):
        labels, sq_distances = nearest(block.X, newest)
        labels += n_before
        if state is not None:
            closer = sq_distances < state[0]
            sq_distances = np.where(closer, sq_distances, state[0])
            labels = np.where(closer, labels, state[1])
        state = (sq_distances, labels)
    assert state is not None
    if size == 0:
        n_candidates = n_before + len(newest)
        origin = newest[0] if len(newest) else np.zeros(block.n_features)
        origin = np.asarray(origin, np.float64)
        return ClusterSums.from_labels(block, state[1], state[0], n_candidates, origin), state
    importance = state[0].astype(np.float64) * block.weights
    purpose = ("k-means||", number)
    return WeightedSample.from_block(block, size, seed, purpose, importance), state


def _recluster(cells: ClusterSums, candidates: Array, n_clusters: int, seed: int) -> Array:
    """Cluster the cells of the candidates, each the mean of its rows with their weight."""
    filled = ~cells.empty
    points = cells.centers(otherwise=candidates.astype(np.float64))[filled]
    weight = cells.weight[filled]
    if len(points) <= n_clusters:
        if len(points) < n_clusters:
            log.warning(
                "k-means|| found %d candidates for %d clusters: there are few distinct rows",
                len(points),
                n_clusters,
            )
        return points[np.arange(n_clusters) % len(points)]
    work = len(points) * n_clusters * points.shape[1] * np.log2(n_clusters + 1)
    n_restarts = int(np.clip(_MOST_RESTART_WORK // max(work, 1), 1, _RESTARTS))
    random = generator(seed, "k-means||", "recluster")
    return best_of_restarts(points, weight, n_clusters, random, n_restarts).centers


def plus_plus(
    rows: Rows, n_clusters: int, seeds: list[int], record: Record | None = None
) -> list[Array]:
    """Seed by greedy k-means++ on all rows, gathered into this process: one pass for all `seeds`.

    `record` gets to know the pass, as in `Rows.run`.

    Raises
    ------
    ArgumentError
        If the rows do not fit in one process.
    """
    try:
        block = rows.gather(MOST_PLUS_PLUS_BYTES, record)
    except TooLarge as error:
        raise ArgumentError(
            f"init='k-means++' needs all rows in one process: {error} Use init='k-means||'."
        ) from None
    check_enough(block.n_rows, block.total_weight, n_clusters)
    with one_blas_thread():
        return [
            greedy_plus_plus(block.X, block.weights, n_clusters, generator(seed, "k-means++"))
            for seed in seeds
        ]
