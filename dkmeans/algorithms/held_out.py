"""A sample of the rows, spread over all of them, that says how good centers are at any moment.

The rows of a batch cannot: each batch has others, and of data in some order they are of some places
only. The same rows at every look make small differences visible.
"""

from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.stream import Stream
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.cluster_sums import ClusterSums

_MOST_SWAPS = 8
"""Centers that are seeded again at one look, at most."""

_MOST_LOST = 0.1
"""Part of its weight that a center may lose to one that is seeded again, and keep its ledger."""


@dataclass(frozen=True, eq=False)
class Held:
    """The rows."""

    block: Block
    """Scaled, each with the weight of the rows that it stands for."""

    share: float
    """Which part they are of all rows."""

    def sums(self, centers: Array, origin: Array) -> tuple[ClusterSums, Array]:
        """Assign the rows to some centers; return their sums and weighted squared distances."""
        with one_blas_thread():
            labels, sq_distances = nearest(self.block.X, centers)
            sums = ClusterSums.from_labels(self.block, labels, sq_distances, len(centers), origin)
        return sums, sq_distances * self.block.weights

    def gain(self, sums: ClusterSums, centers: Array) -> float:
        """Estimate what moving `centers` to the means of all their rows would lower the inertia by.

        In units of the rows' own inertia. The gain on a sample is larger than on all rows, for its
        means have errors of their own: by the variance of the mean of each cluster, which is taken
        off, less for samples that are a good part of all rows.
        """
        means = sums.centers(otherwise=centers)
        within = sums.sq_distances - sums.weight * ((means - centers) ** 2).sum(axis=1)
        n_rows = sums.weight * (self.block.n_rows / self.block.total_weight)
        noise = np.maximum(within, 0) / np.maximum(n_rows - 1, 1)
        return max(0.0, sums.gain(centers) - (1 - self.share) * float(noise[n_rows > 1].sum()))

    def look(
        self, stream: Stream, ratio: float, tol: float, seed: int
    ) -> tuple[Stream, ClusterSums]:
        """Seed starved centers again, where that lowers the inertia by more than `tol` of it.

        Each goes to a row drawn by its squared distance.
        """
        sums, importance = self.sums(stream.centers, stream.ledger.origin)
        stream = stream.look(sums.weight, ratio)
        starved = stream.starved
        for j in starved[np.argsort(sums.weight[starved], kind="stable")][:_MOST_SWAPS]:
            if not importance.any():
                break
            random = generator(seed, "starved center", stream.n_steps, int(j))
            drawn = np.searchsorted(np.cumsum(importance), random.random() * importance.sum())
            row = self.block.X[min(int(drawn), len(importance) - 1)][None]
            trial = stream.reseeded(np.array([j]), row)
            tried, of_trial = self.sums(trial.centers, trial.ledger.origin)
            if tried.inertia < (1 - tol) * sums.inertia:
                # the means of those that it took rows from have these rows in them for good
                robbed = tried.weight < (1 - _MOST_LOST) * sums.weight
                stream, sums, importance = trial.forgetting(robbed), tried, of_trial
            else:
                stream = stream.spared(np.array([j]))
        return stream, sums
