"""SuperKMeans, flat, on all rows: with its pruning of dimensions, and by products alone.

It cannot be told where to start: each run starts from rows that depend on the seed.
"""

import numpy as np
from superkmeans import SuperKMeans

from tests.benchmarks.peers.base import Peer, Run, timed

_EVERYTHING = 2**31 - 1


class Pruned(Peer):
    """As it comes, but for sampling, stopping early and hierarchy, which are off."""

    use_blas_only = False

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        """Make iterations from a start of its own: `start` only tells how many clusters."""
        return self.fit(len(start), n_iter, 42)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        most = min(_EVERYTHING, -(-len(self.X) // k) + 1)
        model = SuperKMeans(
            k,
            self.X.shape[1],
            hierarchical=False,
            iters=budget,
            sampling_fraction=1.0,
            max_points_per_cluster=most,
            n_threads=self.threads,
            seed=seed,
            use_blas_only=self.use_blas_only,
            early_termination=False,
            tol=0.0,
        )
        seconds, centers = timed(model.train, self.X)
        return Run(seconds, np.array(centers), len(model.iteration_stats) or None)


class Unpruned(Pruned):
    """By matrix products alone."""

    use_blas_only = True
