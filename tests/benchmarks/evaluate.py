"""What an evaluation costs: its two passes against passes of Lloyd over the same kept blocks.

On a folder of Parquet such as a mixture of 4 000 000 x 32; once with threads, once with as many
worker processes.
"""

import argparse

import dask
import numpy as np
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.evaluation.metrics import METRICS
from dkmeans.partials.cluster_sums import ClusterSums
from tests.benchmarks.measure import Timing, interleaved, seconds_of
from tests.benchmarks.report import Report

ALL_BUT_SAMPLED = [metric.name for metric in METRICS if metric.name != "silhouette"]


def measure(report: Report, folder: str, k: int, where: str, n_runs: int) -> None:
    """Show medians of seconds, and of their ratios within each round."""
    with dkmeans.read_parquet(folder, stage="memory") as rows:
        kmeans = dkmeans.KMeans(k, init="random", max_iter=2, tol=0, random_state=0)
        # of other rows than those that are evaluated: nothing of the fit is used again
        model = kmeans.fit(rows, sample=0.1).model_
        centers, origin = model.scaled_centers, np.zeros(rows.n_features)

        def without_sampled() -> float:
            before = rows.n_passes
            seconds = seconds_of(dkmeans.evaluate, model, rows, metrics=ALL_BUT_SAMPLED)
            assert rows.n_passes == before + 2
            return seconds

        found = interleaved(
            {
                "Lloyd pass": lambda: seconds_of(
                    rows.reduce, ClusterSums.from_block, centers, origin
                ),
                "evaluate": without_sampled,
                "with sampled": lambda: seconds_of(dkmeans.evaluate, model, rows),
            },
            n_runs,
            far_behind=np.inf,
        )
    table = []
    for name, timing in found.items():
        pairs = zip(timing.values, found["Lloyd pass"].values, strict=True)
        ratios = Timing(tuple(one / lloyd for one, lloyd in pairs))
        table.append([name, timing.shown(), ratios.shown()])
    report.table(f"An evaluation on {where}, k={k}", ["", "seconds", "Lloyd passes"], table)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("folder")
    parser.add_argument("--k", type=int, default=100)


def run(report: Report, asked: argparse.Namespace) -> None:
    """Measure on threads, then on workers."""
    n_runs = asked.runs
    with dask.config.set(scheduler="threads", num_workers=asked.threads):
        measure(report, asked.folder, asked.k, f"{asked.threads} threads", n_runs)
    with (
        LocalCluster(
            n_workers=asked.threads, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        Client(cluster),
    ):
        measure(report, asked.folder, asked.k, f"{asked.threads} workers", n_runs)
