"""What a peer does in its own process."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.benchmarks import pools


@dataclass(frozen=True)
class Run:
    """What a peer did."""

    seconds: float
    centers: np.ndarray
    """`(n_clusters, n_features)`, of the dtype that the library gives."""

    n_iter: int | None
    """Iterations made; None where the library does not tell."""

    n_passes: int | None = None
    """Passes over the rows; None where the library does not tell."""


class Peer:
    """A library, with rows of its own.

    `iterate` makes as many of Lloyd's iterations as asked from one start; `fit` is what a user
    would write, with the seeding that is its default.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, path: str) -> None:
        """Take rows from a `.npy` file; costs nothing that is timed."""
        self.X = np.load(path)

    def iterate(self, start: np.ndarray, n_iter: int) -> Run:
        """Make exactly `n_iter` iterations from `start`, `(n_clusters, n_features)` float32."""
        raise NotImplementedError

    def fit(self, k: int, budget: int, seed: int) -> Run:
        """Fit with the default seeding and at most `budget` iterations, epochs or steps."""
        raise NotImplementedError

    def fit_files(self, folder: str, k: int, n_iter: int, seed: int) -> Run:
        """Fit to a folder of Parquet, reading included.

        The default rule ends it, or `n_iter` iterations where a library has no such rule that ends
        within minutes.
        """
        raise NotImplementedError

    def warm_up(self, path: str) -> None:
        """Fit to a few rows: what is imported, compiled or started at the first fit is there."""
        self.load(path)
        self.fit(2, 1, 0)
        del self.X

    def pools(self) -> dict[str, Any]:
        """Return the thread pools of this process."""
        return pools.told()

    def rest(self) -> int:
        """Forget the peak of memory so far; return the bytes that are resident now."""
        clear = Path("/proc/self/clear_refs")
        if clear.exists():
            clear.write_text("5")
        return int(psutil.Process().memory_info().rss)

    def peak(self) -> int:
        """Return the most bytes that were resident since `rest`, as the system counted them."""
        status = Path("/proc/self/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        import resource

        unit = 1 if os.uname().sysname == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def close(self) -> None:
        """End what was started."""


def timed(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[float, Any]:
    """Return seconds, and what `function` returned."""
    start = time.perf_counter()
    value = function(*args, **options)
    return time.perf_counter() - start, value
