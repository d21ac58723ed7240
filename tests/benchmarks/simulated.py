"""Passes of a cluster of many workers whose tasks do nothing: what scheduling alone takes.

All workers live in one process, which takes longer to be 200 workers than 200 machines would: what
counts is the processor time of two others, of the scheduler and of the client. The scheduler is
started as that of a real cluster is: in a process of its own, where Python looks for cycles among
its objects only, and a third as often as it would by itself.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, Worker

import dkmeans
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows import spans
from dkmeans.rows.layout import LEAF_BLOCKS
from dkmeans.rows.leaf import Home, Leaf, LeafResult, Pass
from dkmeans.rows.walk import _worker
from tests.benchmarks.measure import Timing, seconds_of


def no_op_leaf(leaf: Leaf, shared: Pass, part: Any = None, then: Leaf | None = None) -> LeafResult:
    """Return what a leaf gives, of the size that it has, at once; all its blocks are kept here."""
    centers, origin = shared.requests[0].broadcast
    k, n_rows = len(centers), leaf.n_source_rows
    partial = ClusterSums(origin, np.ones(k), np.array(centers), np.ones(k), n_rows)
    homes = {Home(_worker(), True): (leaf.number,)}
    return LeafResult((partial,), n_rows, n_rows, homes=homes)


@dataclass(frozen=True)
class Simulated:
    """A cluster of many workers that do nothing, and a scheduler as others start theirs."""

    client: Client
    scheduler: psutil.Process

    def busy(self) -> float:
        """Return the seconds of processor time that scheduler and client have taken so far."""
        times = self.scheduler.cpu_times()
        return float(times.user + times.system) + time.process_time()


@contextmanager
def many_workers(n_workers: int) -> Iterator[Simulated]:
    """Workers of one thread each in a process of their own, whose leaves are no-ops."""
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        at = str(Path(folder, "scheduler.json"))
        where = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"]
        asked = ["distributed.cli.dask_scheduler", *where, "--scheduler-file", at]
        with _running(*asked) as scheduler, Client(scheduler_file=at) as client:
            address = client.scheduler.address
            with _running("tests.benchmarks.simulated", address, str(n_workers)):
                client.wait_for_workers(n_workers, timeout=300)
                yield Simulated(client, scheduler)


@contextmanager
def _running(module: str, *arguments: str) -> Iterator[psutil.Process]:
    """A module that runs in a process of its own, until it is no longer needed."""
    # how many say that others are gone, at the end, is of no interest
    quiet = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "critical"}
    process = psutil.Popen([sys.executable, "-m", module, *arguments], env=quiet)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def passes(
    cluster: Simulated, n_leaves: int, k: int, d: int, n_runs: int
) -> tuple[Timing, Timing, int]:
    """Make passes of so many leaves, after one whose leaves find their homes.

    Returns seconds, seconds of processor time of scheduler and client, and blocks.
    """
    centers, origin = np.zeros((k, d)), np.zeros(d)
    taken = []
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        # a row is a block, a row group is a leaf
        n_files, n_rows = 8, n_leaves * LEAF_BLOCKS
        table = pa.table({f"f{j}": np.zeros(n_rows // n_files, np.float32) for j in range(d)})
        for number in range(n_files):
            path = Path(folder, f"{number}.parquet")
            pq.write_table(table, path, row_group_size=LEAF_BLOCKS)
        with dkmeans.read_parquet(
            folder, stage="memory", client=cluster.client, block_rows=1
        ) as rows:
            assert len(rows.layout.leaves) == n_leaves
            for _ in range(1 + n_runs):
                busy = cluster.busy()
                seconds = seconds_of(rows.reduce, ClusterSums.from_block, centers, origin)
                taken.append((seconds, cluster.busy() - busy))
            n_blocks = rows.n_blocks
    whole, of_processor = zip(*taken[1:], strict=True)
    return Timing(whole), Timing(of_processor), n_blocks


async def _work(address: str, n_workers: int, folder: str) -> None:
    spans.run_leaf = no_op_leaf
    workers = [
        Worker(address, nthreads=1, memory_limit=0, dashboard=False, local_directory=folder)
        for _ in range(n_workers)
    ]
    await asyncio.gather(*workers)
    await asyncio.gather(*(worker.finished() for worker in workers))


# what 200 machines would do beside their tasks, each on its own
_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.profile.interval": "60s",
    "distributed.admin.system-monitor.interval": "60s",
}


if __name__ == "__main__":
    with dask.config.set(_QUIET), tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as scratch:
        asyncio.run(_work(sys.argv[1], int(sys.argv[2]), scratch))
