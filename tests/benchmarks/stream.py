"""An endless stream through `MiniBatchKMeans.partial_fit`: memory, and lag behind what moves.

Rows are drawn as they are needed from a mixture whose 16 clusters all drift by the same vector.
Printed are resident memory, and how far the centers lie behind the clusters in units of what these
move in a batch, with forgetting and without. A mean that halves the weight of the past in each half
life of h batches lags h / ln 2 batches behind a steady drift; one that forgets nothing, half of all
batches.
"""

import argparse
import math
import time

import numpy as np
import psutil

from dkmeans import MiniBatchKMeans
from tests.benchmarks.report import Report

N_FEATURES, N_CLUSTERS = 8, 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--half-life", type=float, default=2_000_000)


def run(report: Report, asked: argparse.Namespace) -> None:
    """Tell of the stream now and then."""
    if asked.quick:
        asked.rows = min(asked.rows, 1_000_000)
    random = np.random.default_rng(0)
    start = random.uniform(-40, 40, (N_CLUSTERS, N_FEATURES))
    drift = random.normal(size=N_FEATURES)
    drift *= 0.02 / np.linalg.norm(drift)
    forgets = MiniBatchKMeans(N_CLUSTERS, half_life=asked.half_life, random_state=0)
    remembers = MiniBatchKMeans(N_CLUSTERS, random_state=0)
    half_life = asked.half_life / asked.batch
    n_batches = asked.rows // asked.batch
    began = time.perf_counter()
    table = []
    for number in range(n_batches):
        centers = start + number * drift
        which = random.integers(0, N_CLUSTERS, asked.batch)
        X = random.standard_normal((asked.batch, N_FEATURES), dtype=np.float32)
        X += centers[which].astype(np.float32)
        forgets.partial_fit(X)
        remembers.partial_fit(X)
        if (number + 1) % max(1, n_batches // 20) == 0 or number == 9:
            seen = (number + 1) * asked.batch
            lags = [lag_of(one, centers, drift) for one in (forgets, remembers)]
            resident = psutil.Process().memory_info().rss / 1e6
            speed = seen / (time.perf_counter() - began)
            figures = (f"{resident:.1f}", f"{lags[0]:.1f}", f"{lags[1]:.1f}", f"{speed:,.0f}")
            table.append([f"{seen:,}", *figures])
            print(*table[-1], flush=True)
    report.table(
        f"A stream of batches of {asked.batch} rows",
        ["rows", "resident MB", "lag with half_life", "lag without", "rows/s"],
        table,
        f"lags in batches; expected with half_life: {half_life / math.log(2):.1f}",
    )


def lag_of(fitted: MiniBatchKMeans, centers: np.ndarray, drift: np.ndarray) -> float:
    """Median over clusters of how many batches ago they were where their centers are."""
    found = fitted.cluster_centers_
    nearest = ((centers[:, None] - found) ** 2).sum(axis=2).argmin(axis=1)
    behind = (centers - found[nearest]) @ drift / (drift @ drift)
    return float(np.median(behind))
