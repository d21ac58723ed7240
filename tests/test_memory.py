"""Data larger than the memory there is: workers keep within the stated bound, and live."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

import dkmeans

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="peak memory is read from /proc, which is Linux's",
)

N_FEATURES = 32
ROW_BYTES = 4 * N_FEATURES


def write(folder: Path, n_rows: int, n_files: int, row_group_rows: int) -> Path:
    """Write rows that are small on disk: few distinct values, decoded to float32."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = n_rows // n_files
    for number in range(n_files):
        center = rng.integers(0, 200, size=(8, N_FEATURES), dtype=np.uint8)
        noise = rng.integers(0, 8, size=(rows, N_FEATURES), dtype=np.uint8)
        values = center[rng.integers(0, 8, rows)] + noise
        table = pa.table({f"f{i}": values[:, i].astype(np.float32) for i in range(N_FEATURES)})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=row_group_rows)
    return folder


def peak_bytes() -> int:
    """The most memory that this process ever had resident."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def forget_peak() -> int:
    """Let the peak of this process begin anew, at what it holds now, which is returned."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    # what allocators keep would otherwise count as idle, and hide as much of the peak
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


@contextmanager
def workers(memory: str, n_workers: int = 2) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=memory,
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def fit_within(folder: Path, memory: str, block_bytes: int | None) -> tuple[int, int, int]:
    """Fit with two workers; return their peak, the one before, and the stated bytes: of a task, and
    of what a worker compiles for the first one."""
    with workers(memory) as client:
        # what a worker imports and allocates whatever the data are is not the data's
        few = write(folder.parent / "few", 4000, n_files=4, row_group_rows=500)
        dkmeans.KMeans(2, random_state=0, max_iter=2).fit(
            dkmeans.read_parquet(str(few), stage="none", client=client, block_rows=100)
        )
        before = client.run(peak_bytes)
        rows = dkmeans.read_parquet(
            str(folder), stage="none", client=client, block_bytes=block_bytes
        )
        estimator = dkmeans.KMeans(20, init="k-means||", random_state=0, init_rounds=2, max_iter=3)
        plan = rows.plan(estimator)
        assert plan.process_bytes
        estimator.fit(rows)
        assert rows.rows_read >= rows.shape[0] * estimator.n_passes_
        assert estimator.n_passes_ >= 5
        after = client.run(peak_bytes)
        logs = client.get_worker_logs()
        assert after.keys() == before.keys(), "a worker was restarted"
        text = " ".join(message for lines in logs.values() for _, message in lines).lower()
        assert "paus" not in text
        assert "restart" not in text
    return max(after.values()), max(before.values()), plan.task_bytes + plan.process_bytes


def report(capsys: pytest.CaptureFixture, decoded: int, peak: int, before: int, task: int) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n{decoded / 1e6:,.0f} MB decoded: peak of a worker {peak / 1e6:,.0f} MB, "
            f"{before / 1e6:,.0f} MB of it before the fit; stated for a task {task / 1e6:,.0f} MB\n"
        )


def test_workers_keep_within_the_stated_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    n_rows = 1_600_000
    folder = write(tmp_path / "in", n_rows, n_files=4, row_group_rows=40_000)
    assert n_rows * ROW_BYTES > 200e6
    peak, before, task = fit_within(folder, "650MB", block_bytes=4 * 2**20)
    report(capsys, n_rows * ROW_BYTES, peak, before, task)
    assert peak - before <= task


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_gigabytes_are_fitted_by_two_workers_of_750_mb(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    n_rows = 16_000_000
    folder = write(tmp_path / "in", n_rows, n_files=16, row_group_rows=250_000)
    assert n_rows * ROW_BYTES > 2e9
    peak, before, task = fit_within(folder, "750MB", block_bytes=None)
    report(capsys, n_rows * ROW_BYTES, peak, before, task)
    assert peak < 750e6


def test_workers_of_a_plain_fit_import_neither_pandas_nor_scikit_learn(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", 2000, n_files=2, row_group_rows=500)
    with workers("1GiB") as client:
        rows = dkmeans.read_parquet(str(folder), client=client, block_rows=200)
        assert rows.n_blocks > 1
        dkmeans.KMeans(3, random_state=0, scale="standard").fit(rows)
        found = client.run(lambda: {"dkmeans", "pandas", "sklearn"} & set(sys.modules))
    assert set().union(*found.values()) == {"dkmeans"}


@dataclass(frozen=True)
class Case:
    """A fit whose peak is compared with the formula."""

    k: int
    d: int
    mib: int
    stage: str = "none"
    init: str = "k-means||"
    groups_per_block: float = 1.0
    algorithm: str = "lloyd"
    n_blocks: int = 2

    @property
    def block_bytes(self) -> int:
        return self.mib * 2**20

    def write(self, folder: Path) -> Path:
        """Write blocks of noise, which no encoding makes smaller: what is stored counts, too."""
        rng = np.random.default_rng(0)
        rows = self.block_bytes // (4 * self.d)
        folder.mkdir()
        n_files = 1 if self.groups_per_block < 1 else self.n_blocks
        for number in range(n_files):
            X = rng.normal(size=(self.d, self.n_blocks * rows // n_files)).astype(np.float32)
            pq.write_table(
                pa.table({f"f{j}": X[j] for j in range(self.d)}),
                folder / f"{number}.parquet",
                row_group_size=round(rows / self.groups_per_block),
            )
        return folder

    def estimator(self) -> dkmeans.KMeans | dkmeans.MiniBatchKMeans:
        """A scaled fit: every kind of pass once."""
        if self.algorithm == "minibatch":
            # few steps, of so many rows that what they draw from a block is seen
            return dkmeans.MiniBatchKMeans(
                self.k, n_init=1, scale="standard", max_epochs=1, random_state=0,
                batch_size=2**18, init_size=3000,
            )  # fmt: skip
        init = self.init
        if init == "array":
            init = np.random.default_rng(1).normal(size=(self.k, self.d))
        return dkmeans.KMeans(
            self.k, init=init, scale="standard", init_rounds=1, max_iter=1, random_state=0
        )

    def __str__(self) -> str:
        groups = f"{self.groups_per_block:g} groups a block"
        how = self.init if self.algorithm == "lloyd" else self.algorithm
        what = f"{self.n_blocks} blocks of {self.mib} MiB"
        return f"k={self.k} d={self.d} {what} {self.stage} {how} {groups}"


def peak_and_formula(case: Case, folder: Path) -> tuple[int, int]:
    """Fit with one worker; return its peak above what it held before, and the formula's bytes.

    A fit that takes more than the formula says is made once more: see `task_bytes`.
    """
    few = Case(2, case.d, 1).write(folder / "few")
    data = case.write(folder / "in")
    with workers("6GiB", n_workers=1) as client:
        # what a worker imports and allocates whatever the data are is not the data's
        with dkmeans.read_parquet(str(few), stage="disk", client=client) as rows:
            replace(case, k=2, mib=1, init="k-means||").estimator().fit(rows)
        rows = dkmeans.read_parquet(
            str(data), stage=case.stage, client=client, block_bytes=case.block_bytes
        )
        assert rows.n_blocks == case.n_blocks
        estimator = case.estimator()
        formula = rows.plan(estimator).task_bytes
        pids = client.run(os.getpid)
        for _ in range(2):
            (idle,) = client.run(forget_peak).values()
            estimator.fit(rows)
            (peak,) = client.run(peak_bytes).values()
            if peak - idle <= formula:
                break
        assert client.run(os.getpid) == pids, "the worker was restarted"
    return peak - idle, formula


def check_formula(case: Case, folder: Path, capsys: pytest.CaptureFixture) -> None:
    peak, formula = peak_and_formula(case, folder)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{case}: formula {formula / 2**20:.1f} MiB, peak {peak / 2**20:.1f} MiB, "
            f"ratio {peak / formula:.2f}\n"
        )
    assert peak <= formula
    if case.stage == "none":
        assert formula - peak <= max(0.25 * peak, 32 * 2**20)


@pytest.mark.parametrize(
    "case",
    [
        Case(10, 4, 16),
        Case(10, 768, 16),
        Case(1000, 768, 16, init="array"),
        Case(1000, 768, 16, init="array", n_blocks=9),
        Case(10, 64, 16, groups_per_block=1 / 2),
        Case(10, 64, 16, groups_per_block=4),
        Case(10, 4, 16, algorithm="minibatch"),
        Case(10, 768, 16, algorithm="minibatch"),
    ],
    ids=str,
)
def test_the_peak_of_a_small_fit_is_what_the_formula_says(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    check_formula(case, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stage", ["none", "disk"])
@pytest.mark.parametrize("mib", [16, 128])
@pytest.mark.parametrize("d", [4, 768])
@pytest.mark.parametrize("k", [10, 1000])
def test_the_peak_of_a_fit_is_what_the_formula_says(
    k: int, d: int, mib: int, stage: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    check_formula(Case(k, d, mib, stage), tmp_path, capsys)
