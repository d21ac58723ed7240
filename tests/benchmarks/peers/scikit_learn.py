"""scikit-learn: `KMeans` by both algorithms, and `MiniBatchKMeans`."""

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

from tests.benchmarks.data import array_of_parquet
from tests.benchmarks.peers.base import Peer, Run, timed


class Lloyd(Peer):
    """`KMeans`, by matrix products."""

    algorithm = "lloyd"

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        model = KMeans(
            len(start), init=start, n_init=1, max_iter=n_iter, tol=0, algorithm=self.algorithm
        )
        return self._run(model)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        # one start, which is scikit-learn's default with its own seeding
        return self._run(KMeans(k, n_init=1, max_iter=budget, tol=0, random_state=seed))

    def _run(self, model: KMeans) -> Run:
        seconds, _ = timed(model.fit, self.X)
        return Run(seconds, model.cluster_centers_, int(model.n_iter_))

    def fit_files(self, folder: str, k: int, n_iter: int, seed: int) -> Run:
        loading, self.X = timed(array_of_parquet, folder)
        done = self._run(KMeans(k, n_init=1, max_iter=n_iter, random_state=seed))
        return Run(loading + done.seconds, done.centers, done.n_iter)


class Elkan(Lloyd):
    """`KMeans`, by the triangle inequality."""

    algorithm = "elkan"


class Converged(Lloyd):
    """`KMeans` in double precision until centers no longer move; what that costs is no matter."""

    tol = 1e-9
    """In units of the features' mean variance. 0 may go on for thousands of iterations."""

    def load(self, path: str) -> None:
        self.X = np.load(path).astype(np.float64, copy=False)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        return self._run(KMeans(k, n_init=1, max_iter=budget, tol=self.tol, random_state=seed))


class MiniBatch(Peer):
    """`MiniBatchKMeans`; a budget is one of epochs, and nothing ends it before."""

    batch_size = 1024

    def fit(self, k: int, budget: int, seed: int) -> Run:
        model = MiniBatchKMeans(
            k,
            n_init=1,
            batch_size=self.batch_size,
            max_iter=budget,
            max_no_improvement=None,
            random_state=seed,
        )
        seconds, _ = timed(model.fit, self.X)
        return Run(seconds, model.cluster_centers_, None)


class LargeBatch(MiniBatch):
    """With the batches that are our default."""

    batch_size = 16 * 1024
