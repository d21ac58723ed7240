"""Where to start: k-means|| in a few passes, greedy k-means++ in memory, or random rows."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.begun import Wanted
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import Ask, Passes, Record, drive, drive_in_memory
from dkmeans.algorithms.lloyd import LloydState, lloyd_passes
from dkmeans.algorithms.plus_plus import best_of_restarts, greedy_plus_plus
from dkmeans.algorithms.settings import Settings
from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import bring_up_to_date
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

_MOST_ITERATIONS = 100
"""Of Lloyd on rows in memory."""

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

    References
    ----------
    .. [1] B. Bahmani, B. Moseley, A. Vattani, R. Kumar, S. Vassilvitskii, "Scalable k-means++",
       VLDB 2012.
    """
    draw = Reduce("first center", WeightedSample.from_block, (1, seed, FIRST_CENTER))
    (first,) = rows.run([draw])
    assert isinstance(first, WeightedSample)
    passes = scalable_passes(
        Drawn((first.X,)),
        n_clusters,
        seed=seed,
        oversampling_factor=oversampling_factor,
        n_rounds=n_rounds,
    )
    ((centers, _),) = drive(rows, [passes])
    return centers


@dataclass(frozen=True, eq=False)
class Drawn:
    """Where k-means|| is between two passes."""

    rounds: tuple[Array, ...]
    """The candidates of the first draw and of each round so far, `(n, n_features)` each; the last
    is empty if every row coincides with a candidate."""

    @property
    def candidates(self) -> Array:
        """All candidates."""
        return np.concatenate(self.rounds)

    def broadcasts(self, size: int, seed: int, ends: bool) -> tuple[tuple[object, ...], ...]:
        """What each pass so far was called with, and the next one, which draws or ends."""
        before = np.cumsum([0, *(len(some) for some in self.rounds)])
        last = len(self.rounds)
        return tuple(
            (newest, int(before[i - 1]), *((0, seed, 0) if ends and i == last else (size, seed, i)))
            for i, newest in enumerate(self.rounds, 1)
        )


def scalable_passes(
    drawn: Drawn, n_clusters: int, *, seed: int, oversampling_factor: float, n_rounds: int
) -> Passes[Array]:
    """`scalable_kmeans_plus_plus` after its first pass, as an algorithm that can share passes."""
    size = max(1, round(oversampling_factor * n_clusters))
    name = f"k-means||-{uuid.uuid4().hex}"
    while len(drawn.rounds) <= n_rounds and len(drawn.rounds[-1]):
        kind = f"k-means|| round {len(drawn.rounds)}"
        scan = Scan(kind, _draw_step, drawn.broadcasts(size, seed, False), name)
        sample, record = yield Ask(scan, drawn)
        record.update(cost=sample.total)
        drawn = Drawn((*drawn.rounds, sample.X))
    scan = Scan(
        "k-means|| weights", _draw_step, drawn.broadcasts(size, seed, True), name, last=True
    )
    cells, record = yield Ask(scan, drawn)
    record.update(cost=cells.inertia)
    return _recluster(cells, drawn.candidates, n_clusters, seed)


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
        if state is None:
            sq_distances = np.full(block.n_rows, np.inf, block.X.dtype)
            state = sq_distances, np.zeros(block.n_rows, np.int32)
        else:
            # the store's own stay as they are: a repeated task may find them again
            state = state[0].copy(), state[1].copy()
        bring_up_to_date(block.X, newest, n_before, state[1], state[0])
    assert state is not None
    if size == 0:
        n_candidates = n_before + len(newest)
        origin = newest[0] if len(newest) else np.zeros(block.n_features)
        origin = np.asarray(origin, np.float64)
        return ClusterSums.from_labels(block, state[1], state[0], n_candidates, origin), state
    importance = state[0]
    if block.weight is not None:
        importance = importance.astype(np.float64) * block.weight
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


def seeded_in_memory(block: Block, settings: Settings, seed: int) -> Array:
    """Seed from rows in this process, and move the centers to a local optimum of these rows.

    Returns
    -------
    centers
        `(n_clusters, n_features)` float64.
    """
    k = settings.n_clusters
    with one_blas_thread():
        if settings.init_name == "k-means++":
            start = greedy_plus_plus(block.X, block.weights, k, generator(seed, "k-means++"))
        elif settings.init_name == "random":
            start = WeightedSample.from_block(block, k, seed, ("random rows",)).X
        else:
            first = WeightedSample.from_block(block, 1, seed, FIRST_CENTER)
            passes = scalable_passes(
                Drawn((first.X,)),
                k,
                seed=seed,
                oversampling_factor=settings.oversampling_factor,
                n_rounds=settings.init_rounds,
            )
            start = drive_in_memory(block, passes)
    start = enough(start, k)
    return drive_in_memory(
        block, lloyd_passes(LloydState.start(start), max_iter=_MOST_ITERATIONS, tol=settings.tol)
    ).centers


def enough(start: Array, n_clusters: int) -> Array:
    """Repeat rows if fewer were found than there are clusters, for Lloyd to warn of."""
    return start if len(start) >= n_clusters else start[np.arange(n_clusters) % len(start)]


def plus_plus(rows: Rows, wanted: Sequence[Wanted], record: Record | None = None) -> list[Array]:
    """Seed by greedy k-means++ on all rows, gathered into this process: one pass for all runs.

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
    check_enough(block.n_rows, block.total_weight, max(one.n_clusters for one in wanted))
    with one_blas_thread():
        return [
            greedy_plus_plus(
                block.X, block.weights, one.n_clusters, generator(one.seed, "k-means++")
            )
            for one in wanted
        ]
