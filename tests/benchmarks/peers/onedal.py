"""oneDAL, by scikit-learn-intelex: its own class, nothing is patched."""

import logging

import numpy as np
from sklearnex.cluster import KMeans

from tests.benchmarks.data import array_of_parquet
from tests.benchmarks.peers.base import Peer, Run, timed


class _Kept(logging.Handler):
    """Keeps what sklearnex says of where it ran."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


class OneDal(Peer):
    """sklearnex' `KMeans`."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._kept = _Kept()
        logger = logging.getLogger("sklearnex")
        logger.setLevel(logging.INFO)
        logger.addHandler(self._kept)
        logger.propagate = False

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        return self._run(KMeans(len(start), init=start, n_init=1, max_iter=n_iter, tol=0))

    def fit(self, k: int, budget: int, seed: int) -> Run:
        return self._run(KMeans(k, n_init=1, max_iter=budget, tol=0, random_state=seed))

    def fit_files(self, folder: str, k: int, n_iter: int, seed: int) -> Run:
        loading, self.X = timed(array_of_parquet, folder)
        done = self._run(KMeans(k, n_init=1, max_iter=n_iter, random_state=seed))
        return Run(loading + done.seconds, done.centers, done.n_iter)

    def _run(self, model: KMeans) -> Run:
        self._kept.said.clear()
        seconds, _ = timed(model.fit, self.X)
        said = [one for one in self._kept.said if "fit" in one]
        if not any("accelerated" in one for one in said):
            raise RuntimeError(f"sklearnex fell back to scikit-learn: {said}")
        return Run(seconds, model.cluster_centers_, int(model.n_iter_))
