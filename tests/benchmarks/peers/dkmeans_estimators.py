"""Our public estimators, on an array in memory, with all that Dask costs."""

from typing import Any

import dask
import numpy as np

import dkmeans
from tests.benchmarks.peers.base import Peer, Run, timed


class KMeansPeer(Peer):
    """`dkmeans.KMeans` on Dask's threads."""

    init = "k-means||"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        dask.config.set(scheduler="threads", num_workers=threads)

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        model = dkmeans.KMeans(len(start), init=start, max_iter=n_iter, tol=0)
        return self._run(model)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        model = dkmeans.KMeans(k, init=self.init, max_iter=budget, tol=0, random_state=seed)
        return self._run(model)

    def _run(self, model: Any) -> Run:
        seconds, _ = timed(model.fit, self.X)
        return Run(seconds, model.cluster_centers_, int(model.n_iter_), int(model.n_passes_))

    def fit_files(self, folder: str, k: int, n_iter: int, seed: int) -> Run:
        model = dkmeans.KMeans(k, init=self.init, random_state=seed)
        seconds, _ = timed(model.fit, folder)
        return Run(seconds, model.cluster_centers_, int(model.n_iter_), int(model.n_passes_))

    def fit_source(self, source: str, k: int, seed: int, dtype: str, **options: Any) -> Run:
        """Fit to a folder of Parquet, read as `dtype`, or a `.npy` file, which is loaded before.

        `options` are parameters; all others are left to their defaults. Reading and staging count.
        """
        model = dkmeans.KMeans(k, random_state=seed, **options)
        if source.endswith(".npy"):
            seconds, _ = timed(model.fit, np.load(source))
        else:
            seconds, _ = timed(_fit_to_parquet, model, source, dtype)
        return Run(seconds, model.cluster_centers_, int(model.n_iter_), int(model.n_passes_))

    def warm_up_parquet(self, folder: str) -> None:
        """Fit to a few rows: everything is imported, and pools have their threads."""
        dkmeans.KMeans(2, max_iter=1, random_state=0, stage="disk").fit(folder)

    def fit_parquet(self, folder: str, k: int, budget: int, stage: str, most_bytes: int) -> Run:
        """Fit to Parquet while no more than `most_bytes` beyond what is taken now can be had."""
        import resource
        from pathlib import Path

        status = Path("/proc/self/status").read_text().splitlines()
        (taken,) = (int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (taken + most_bytes, hard))
        model = dkmeans.KMeans(k, max_iter=budget, tol=0, random_state=0, stage=stage)
        seconds, _ = timed(model.fit, folder)
        return Run(seconds, model.cluster_centers_, int(model.n_iter_))


def _fit_to_parquet(model: Any, folder: str, dtype: str) -> None:
    with dkmeans.read_parquet(folder, dtype=dtype) as rows:
        model.fit(rows)


class CoresetPeer(KMeansPeer):
    """`dkmeans.KMeans` that reads once, and solves in memory first."""

    init = "coreset"


class MiniBatchPeer(KMeansPeer):
    """`dkmeans.MiniBatchKMeans`; a budget is one of epochs, and nothing ends it before."""

    def fit(self, k: int, budget: int, seed: int) -> Run:
        model = dkmeans.MiniBatchKMeans(
            k, max_epochs=budget, max_no_improvement=None, random_state=seed
        )
        seconds, _ = timed(model.fit, self.X)
        return Run(seconds, model.cluster_centers_, None)
