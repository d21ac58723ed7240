"""What an evaluation costs: its two passes against passes of Lloyd over the same kept blocks.

Run by hand: `python -m tests.benchmarks.evaluate FOLDER`, on a folder of Parquet such as the
reference mixture (4 000 000 x 32); once with two worker processes, once with threads.
"""

import statistics
import sys
import time

import numpy as np
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.evaluation.metrics import METRICS
from dkmeans.partials.cluster_sums import ClusterSums

N_CLUSTERS = 100
N_RUNS = 5
ALL_BUT_SAMPLED = [metric.name for metric in METRICS if metric.name != "silhouette"]


def seconds_of(rows: dkmeans.Rows, function: object, *args: object, **options: object) -> float:
    start = time.perf_counter()
    function(*args, **options)
    return time.perf_counter() - start


def measure(folder: str) -> None:
    """Print medians of seconds, and of their ratios within each run."""
    with dkmeans.read_parquet(folder, stage="memory") as rows:
        kmeans = dkmeans.KMeans(N_CLUSTERS, init="random", max_iter=2, tol=0, random_state=0)
        # of other rows than those that are evaluated: nothing of the fit is used again
        model = kmeans.fit(rows, sample=0.1).model_
        centers, origin = model.scaled_centers, np.zeros(rows.n_features)
        rows.reduce(ClusterSums.from_block, centers, origin)
        found: dict[str, list[float]] = {"Lloyd pass": [], "evaluate": [], "with sampled": []}
        for _ in range(N_RUNS):
            found["Lloyd pass"].append(
                seconds_of(rows, rows.reduce, ClusterSums.from_block, centers, origin)
            )
            before = rows.n_passes
            found["evaluate"].append(
                seconds_of(rows, dkmeans.evaluate, model, rows, metrics=ALL_BUT_SAMPLED)
            )
            assert rows.n_passes == before + 2
            found["with sampled"].append(seconds_of(rows, dkmeans.evaluate, model, rows))
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(seconds, found["Lloyd pass"], strict=True)]
        print(
            f"  {name:13s} {statistics.median(seconds):6.2f} s, "
            f"{statistics.median(ratios):5.2f} times a Lloyd pass "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )


def main() -> None:
    folder = sys.argv[1]
    print("threads")
    measure(folder)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        print("two workers")
        measure(folder)


if __name__ == "__main__":
    main()
