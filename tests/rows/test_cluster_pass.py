"""A pass on a cluster has few tasks, lets go of what is joined, and gets it back if it is lost."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.cluster import waiting
from dkmeans.kernels.block import Block
from dkmeans.rows import spans
from dkmeans.rows.cluster_pass import ClusterPass
from dkmeans.rows.homes import Homes
from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.packed import Packed
from dkmeans.rows.shared import SMALL_BYTES
from dkmeans.rows.store import process_store
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


def results_held(dask_scheduler) -> int:
    """Results that lie on workers: of spans, and of their joins."""
    return sum(
        str(key).startswith(("dkmeans-leaves-", "dkmeans-join-")) and task.state == "memory"
        for key, task in dask_scheduler.tasks.items()
    )


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One leaf a task."""
    monkeypatch.setattr(spans, "_MOST_LEAVES", 1)


@pytest.mark.usefixtures("many_tasks")
def test_workers_hold_few_results(cluster: Client, rows: dkmeans.Rows) -> None:
    rows.reduce(Slow.from_block, 0.0)
    over, most = threading.Event(), [0]

    def watch() -> None:
        while not over.is_set():
            most.append(cluster.run_on_scheduler(results_held))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = rows.reduce(Slow.from_block, 0.002)
    finally:
        over.set()
        watcher.join()
    assert found.seen == tuple(range(N_BLOCKS * 4))
    # of each worker those of joins that are not complete yet, at each of three levels
    assert 0 < max(most) <= len(rows.layout.leaves) / 2


def test_a_pass_has_few_tasks_that_stay_at_home(rows: dkmeans.Rows) -> None:
    first = spans_of(lambda: rows.reduce(Slow.from_block, 0.0))
    assert len(first) == 2 * spans.FREE_TASKS
    assert {len(numbers) for numbers in first} == {16 * FAN_IN // len(first)}
    again = spans_of(lambda: rows.reduce(Slow.from_block, 0.0))
    assert sorted(number for numbers in again for number in numbers) == list(range(16 * FAN_IN))
    assert len(again) <= len(first)


def test_what_is_small_goes_with_tasks_that_stay_and_what_is_large_is_a_key(
    cluster: Client, rows: dkmeans.Rows
) -> None:
    def shared_keys(size: int) -> int:
        before = cluster.run_on_scheduler(keys_made, "dkmeans-shared")
        assert rows.reduce(Sized.from_block, np.zeros(size)).n_rows == N_BLOCKS * 4
        return cluster.run_on_scheduler(keys_made, "dkmeans-shared") - before

    # at first tasks may run elsewhere
    assert shared_keys(1) == 1
    assert shared_keys(1) == 0
    assert shared_keys(SMALL_BYTES // 8 + 1) == 1


@dataclass(frozen=True)
class Sized:
    """Counts rows, and takes an array that it does nothing with."""

    n_rows: int

    @classmethod
    def from_block(cls, block: Block, _: np.ndarray) -> "Sized":
        return cls(block.n_rows)

    def merge(self, other: "Sized") -> "Sized":
        return Sized(self.n_rows + other.n_rows)


def keys_made(prefix: str, dask_scheduler) -> int:
    """Tasks of a prefix that were computed so far."""
    known = dask_scheduler.task_prefixes.get(prefix)
    return 0 if known is None else known.state_counts["memory"]


def test_each_leaf_is_reported_once(rows: dkmeans.Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    report = ClusterPass._report

    def noting(run: ClusterPass, n_done: int) -> None:
        before = run._n_reported
        report(run, n_done)
        counts.append(run._n_reported - before)

    monkeypatch.setattr(ClusterPass, "_report", noting)
    rows.reduce(Slow.from_block, 0.0002)
    # some while the pass ran, and no more than there are
    assert sum(count > 0 for count in counts) > 1
    assert sum(counts) == len(rows.layout.leaves)


def spans_of(run: Callable[[], object]) -> list[list[int]]:
    """The leaves of each task that `run` submits."""
    found: list[list[int]] = []
    pack = Homes.pack

    def noting(homes: Homes, span: spans.Span) -> Packed:
        found.append([leaf.number for leaf in span.leaves])
        return pack(homes, span)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Homes, "pack", noting)
        run()
    return found


@pytest.mark.usefixtures("many_tasks")
def test_what_is_lost_after_it_was_let_go_of_runs_again(
    cluster: Client, rows: dkmeans.Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.reduce(Slow.from_block, 0.0)
    again: list[int] = []
    look, run_anywhere = ClusterPass._look, ClusterPass._run_anywhere
    pid = next(iter(cluster.run(os.getpid).values()))

    def look_and_kill(run: ClusterPass, workers) -> None:
        look(run, workers)
        nodes = list(run._root.walk())
        let_go = [node for node in nodes if node.span is not None and node.future is None]
        if len(let_go) >= 2 * FAN_IN and not killed.is_set():
            killed.set()
            os.kill(pid, signal.SIGKILL)

    def note(run: ClusterPass, numbers) -> None:
        again.extend(numbers)
        run_anywhere(run, numbers)

    killed = threading.Event()
    monkeypatch.setattr(ClusterPass, "_look", look_and_kill)
    monkeypatch.setattr(ClusterPass, "_run_anywhere", note)
    found = rows.reduce(Slow.from_block, 0.002)
    assert killed.is_set()
    assert again
    assert found.seen == tuple(range(N_BLOCKS * 4))
    wait_until(lambda: len(cluster.scheduler_info()["workers"]) == 2)
    assert rows.reduce(Slow.from_block, 0.0).seen == found.seen


def test_blocks_that_a_store_has_lost_are_sent_again_and_no_others(
    cluster: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(640, 2))
    frame = da.from_array(X, chunks=(10, 2))
    with dkmeans.Rows.from_dask(frame, client=cluster, stage="memory") as rows:
        assert len(rows.layout.leaves) == 64
        rows.reduce(Slow.from_block, 0.0)
        owner = rows.layout.leaves[0].owner
        lost = [3, 40]
        for number in lost:
            cluster.run(forget, owner, number)
        tasks = spans_of(lambda: rows.reduce(Slow.from_block, 0.0))
        alone = [numbers[0] for numbers in tasks if len(numbers) == 1]
        assert set(lost) <= set(alone)
        # the spans that they were in are walked again, others are not
        walked = Counter(number for numbers in tasks for number in numbers)
        assert set(walked.values()) == {1, 2}
        assert sum(n == 2 for n in walked.values()) <= 2 * max(map(len, tasks))
        assert rows.reduce(Slow.from_block, 0.0).seen == tuple(range(640))


def forget(owner: str, number: int) -> None:
    process_store().forget((owner, "block", "", number))
