"""Our kernels alone: blocks in memory, threads, and the partial of an iteration."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.base import merge_all
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.moments import Moments
from dkmeans.rows.layout import rows_per_block
from dkmeans.rows.spans import FREE_TASKS
from tests.benchmarks.peers.base import Peer, Run, timed


def blocks_of(X: np.ndarray, block_rows: int | None = None) -> list[Block]:
    """Cut rows into feature-major blocks of the default size."""
    row_bytes = X.shape[1] * X.itemsize
    size = rows_per_block(len(X), row_bytes, None, block_rows)
    return [
        Block(np.asfortranarray(X[at : at + size]), ((at, min(at + size, len(X))),))
        for at in range(0, len(X), size)
    ]


class Kernel(Peer):
    """`ClusterSums.from_block` in as many threads as given."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._pool = ThreadPoolExecutor(threads)

    def load(self, path: str, block_rows: int | None = None) -> None:
        self.take(np.load(path), block_rows)

    def take(self, X: np.ndarray, block_rows: int | None = None) -> None:
        """Cut rows of this process into blocks."""
        self.blocks = blocks_of(X, block_rows)

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        seconds, centers = timed(self._iterate, start, n_iter)
        return Run(seconds, centers, n_iter)

    def _iterate(self, start: np.ndarray, n_iter: int) -> np.ndarray:
        centers = start.astype(np.float64)
        origin = centers.mean(axis=0)
        for _ in range(n_iter):
            sums = self._pass(ClusterSums.from_block, centers, origin)
            centers = sums.centers(otherwise=centers)
        return centers

    def _pass(self, from_block: Callable[..., Any], *broadcast: Any) -> Any:
        def contribution(span: Sequence[Block]) -> Any:
            return merge_all(from_block(block, *broadcast) for block in span)

        n_blocks, n_tasks = len(self.blocks), min(len(self.blocks), FREE_TASKS * self.threads)
        cuts = [n_blocks * i // n_tasks for i in range(n_tasks + 1)]
        spans = [self.blocks[first:last] for first, last in pairwise(cuts)]
        with one_blas_thread():
            return merge_all(self._pool.map(contribution, spans))

    def moments(self) -> float:
        """Return the seconds of a pass of `Moments`."""
        origin = np.zeros(self.blocks[0].n_features)
        return timed(self._pass, Moments.from_block, origin)[0]

    def lloyd(self, start: np.ndarray) -> float:
        """Return the seconds of a pass of `ClusterSums`."""
        centers = start.astype(np.float64)
        return timed(self._pass, ClusterSums.from_block, centers, centers.mean(axis=0))[0]
