"""Passes of a cluster of many workers whose tasks do nothing: what scheduling alone takes.

All workers live in one process, which takes longer to be 200 workers than 200 machines would: what
counts is the processor time of this process, which has the scheduler and the client as a real
cluster has them, and does nothing else.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client, LocalCluster, Worker

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


@contextmanager
def many_workers(n_workers: int) -> Iterator[Client]:
    """Workers of one thread each in a process of their own, whose leaves are no-ops."""
    command = [sys.executable, "-m", "tests.benchmarks.simulated"]
    with (
        LocalCluster(n_workers=0, protocol="tcp", host="127.0.0.1", dashboard_address=":0") as one,
        Client(one) as client,
    ):
        process = subprocess.Popen([*command, one.scheduler_address, str(n_workers)])
        try:
            client.wait_for_workers(n_workers, timeout=300)
            yield client
        finally:
            process.terminate()
            process.wait(60)


def passes(
    client: Client, n_leaves: int, k: int, d: int, n_runs: int
) -> tuple[Timing, Timing, int]:
    """Make passes of so many leaves, after one whose leaves find their homes.

    Returns seconds, seconds of this process's processor time, and blocks.
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
        with dkmeans.read_parquet(folder, stage="memory", client=client, block_rows=1) as rows:
            assert len(rows.layout.leaves) == n_leaves
            for _ in range(1 + n_runs):
                busy = time.process_time()
                seconds = seconds_of(rows.reduce, ClusterSums.from_block, centers, origin)
                taken.append((seconds, time.process_time() - busy))
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
