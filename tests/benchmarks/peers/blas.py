"""Matrix products by NumPy: what a machine can do at most."""

import numpy as np

from tests.benchmarks.measure import Timing
from tests.benchmarks.peers.base import Peer, timed


class Blas(Peer):
    """Single precision products of given sizes."""

    def product(self, m: int, n: int, k: int, n_runs: int) -> Timing:
        """GFLOP/s of `(m, k) @ (k, n)`, one run before those that count."""
        random = np.random.default_rng(0)
        A = random.standard_normal((m, k), dtype=np.float32)
        B = random.standard_normal((n, k), dtype=np.float32).T
        out = np.empty((m, n), np.float32)
        times = [timed(np.matmul, A, B, out=out)[0] for _ in range(1 + n_runs)]
        return Timing(tuple(times[1:])).per(2e-9 * m * n * k)
