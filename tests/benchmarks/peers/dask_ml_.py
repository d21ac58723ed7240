"""dask-ml, on an array that lies in the memory of Dask's threads."""

from typing import Any

import dask
import dask.array as da
import numpy as np
from dask_ml.cluster import KMeans

from tests.benchmarks.peers.base import Peer, Run, timed


class DaskMl(Peer):
    """`dask_ml.cluster.KMeans` with its defaults, or from a start that is given."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        dask.config.set(scheduler="threads", num_workers=threads)

    def load(self, path: str) -> None:
        X = np.load(path)
        # two parts for each thread, so that their ends come close together
        rows = -(-len(X) // (2 * self.threads))
        self.X = da.from_array(X, chunks=(rows, X.shape[1])).persist()

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        return self._run(KMeans(len(start), init=start, max_iter=n_iter, tol=0))

    def fit(self, k: int, budget: int, seed: int) -> Run:
        return self._run(
            KMeans(k, max_iter=budget, tol=0, random_state=seed, **self.options_for(k))
        )

    def options_for(self, k: int) -> dict[str, Any]:
        """Return what seeding is told beside its defaults."""
        return {}

    def _run(self, model: KMeans) -> Run:
        seconds, _ = timed(model.fit, self.X)
        return Run(seconds, np.asarray(model.cluster_centers_), int(model.n_iter_))


class Tuned(DaskMl):
    """With five rounds of seeding that draw twice as many rows as there are clusters, each."""

    def options_for(self, k: int) -> dict[str, Any]:
        """Return these; dask-ml takes the factor for the number of rows itself."""
        return {"init_max_iter": 5, "oversampling_factor": 2 * k}
