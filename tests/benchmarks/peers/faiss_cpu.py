"""FAISS: `Kmeans` on all rows, and with the super k-means that newer versions contain."""

from typing import Any

import faiss
import numpy as np

from tests.benchmarks.peers.base import Peer, Run, timed

_EVERYTHING = 2**31 - 1


class Faiss(Peer):
    """`faiss.Kmeans`; nothing is subsampled, nothing ends it early."""

    samples = False
    """Whether it may take the sample that is its default."""

    options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        faiss.omp_set_num_threads(threads)
        for option in self.options:
            if not hasattr(faiss.ClusteringParameters(), option):
                raise ImportError(f"this faiss has no {option}")

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        return self._run(len(start), n_iter, init_centroids=start)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        return self._run(k, budget, seed=seed)

    def _run(
        self,
        k: int,
        n_iter: int,
        seed: int = 1234,
        init_centroids: np.ndarray | None = None,
    ) -> Run:
        most = 256 if self.samples else min(_EVERYTHING, -(-len(self.X) // k) + 1)
        assert self.samples or most * k >= len(self.X), "FAISS would take a sample"
        model = faiss.Kmeans(
            self.X.shape[1],
            k,
            niter=n_iter,
            seed=seed,
            max_points_per_centroid=most,
            min_points_per_centroid=1,
            **self.options,
        )
        assert getattr(model.cp, "early_stop_threshold", 0) == 0, "FAISS would stop early"
        seconds, _ = timed(model.train, self.X, init_centroids=init_centroids)
        return Run(seconds, model.centroids, len(model.obj))


class FaissSuper(Faiss):
    """The same with `use_super_kmeans`, which prunes dimensions."""

    options = {"use_super_kmeans": True}  # noqa: RUF012


class FaissSampled(Faiss):
    """With its default of at most 256 rows a cluster."""

    samples = True
