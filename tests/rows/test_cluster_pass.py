"""A pass on a cluster lets go of leaves that are merged, and gets them back if that is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.cluster import waiting
from dkmeans.kernels.block import Block
from dkmeans.rows.cluster_pass import ClusterPass
from dkmeans.rows.layout import FAN_IN
from tests.conftest import wait_until, write_parquet

N_BLOCKS = 1024


@dataclass(frozen=True)
class Slow:
    """A partial that takes its time: the order of the rows, and how many there are."""

    seen: tuple[int, ...]
    n_rows: int

    @classmethod
    def from_block(cls, block: Block, seconds: float) -> "Slow":
        time.sleep(seconds)
        return cls(tuple(block.row_numbers.tolist()), block.n_rows)

    def merge(self, other: "Slow") -> "Slow":
        return Slow(self.seen + other.seen, self.n_rows + other.n_rows)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(waiting, "_POLL_SECONDS", 0.02)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def rows(cluster: Client, tmp_path: Path) -> Iterator[dkmeans.Rows]:
    X = np.random.default_rng(0).normal(size=(N_BLOCKS * 4, 2))
    folder = write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=4)
    with dkmeans.read_parquet(str(folder), client=cluster, block_rows=4, stage="memory") as rows:
        assert len(rows.layout.leaves) == 16 * FAN_IN
        yield rows


def leaves_held(dask_scheduler) -> int:
    """Results of leaves that lie on workers."""
    return sum(
        str(key).startswith("dkmeans-leaf-") and task.state == "memory"
        for key, task in dask_scheduler.tasks.items()
    )


def test_workers_hold_few_results_of_leaves(cluster: Client, rows: dkmeans.Rows) -> None:
    rows.reduce(Slow.from_block, 0.0)
    over, most = threading.Event(), [0]

    def watch() -> None:
        while not over.is_set():
            most.append(cluster.run_on_scheduler(leaves_held))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = rows.reduce(Slow.from_block, 0.002)
    finally:
        over.set()
        watcher.join()
    assert found.seen == tuple(range(N_BLOCKS * 4))
    # those of groups that are not complete yet: workers share groups, and one may be ahead
    assert 0 < max(most) <= len(rows.layout.leaves) / 2


def test_groups_that_are_lost_after_they_were_let_go_of_run_again(
    cluster: Client, rows: dkmeans.Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.reduce(Slow.from_block, 0.0)
    let_go: list[int] = []
    again: list[int] = []
    look, submit_anywhere = ClusterPass._look, ClusterPass._submit_anywhere
    pid = next(iter(cluster.run(os.getpid).values()))

    def look_and_kill(run: ClusterPass, workers) -> None:
        look(run, workers)
        let_go[:] = [n for group in run._groups if not group.leaves for n in group.numbers]
        if len(let_go) >= 2 * FAN_IN and not killed.is_set():
            killed.set()
            os.kill(pid, signal.SIGKILL)

    def note(run: ClusterPass, numbers) -> None:
        again.extend(numbers)
        submit_anywhere(run, again[-len(numbers) :])

    killed = threading.Event()
    monkeypatch.setattr(ClusterPass, "_look", look_and_kill)
    monkeypatch.setattr(ClusterPass, "_submit_anywhere", note)
    found = rows.reduce(Slow.from_block, 0.002)
    assert killed.is_set()
    assert again
    assert found.seen == tuple(range(N_BLOCKS * 4))
    wait_until(lambda: len(cluster.scheduler_info()["workers"]) == 2)
    assert rows.reduce(Slow.from_block, 0.0).seen == found.seen
