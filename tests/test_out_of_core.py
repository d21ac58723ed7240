"""Rows many times larger than the memory of all workers together, kept on their local disks."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.partials.moments import Moments

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="peak memory is read from /proc, which is Linux's",
)

N_FEATURES, N_CENTERS = 128, 6
GROUP_ROWS = 4000
PIECE_BYTES = 8 * 2**20
COPIES_OF_A_FILE = 20


@dataclass(frozen=True)
class Size:
    """How much data, and how little memory."""

    decoded_bytes: int
    limit_bytes: int
    """Of each of the two workers."""

    block_bytes: int


SHORT = Size(4_200_000_000, 520_000_000, 2 * 2**20)
LONG = Size(10_000_000_000, 780_000_000, 32 * 2**20)


def write(folder: Path, decoded_bytes: int) -> int:
    """Write files that are small as stored, in pieces; return how many rows they have.

    Most files are copies: what is counted and measured is how rows are read, not what is in them.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 200, size=(N_CENTERS, N_FEATURES))
    n_files = 2 * COPIES_OF_A_FILE
    n_groups = -(-decoded_bytes // (4 * N_FEATURES * GROUP_ROWS * n_files))
    for number in range(2):
        first = folder / f"{number}-0.parquet"
        names = [f"f{i}" for i in range(N_FEATURES)]
        schema = pa.schema([(name, pa.float32()) for name in names])
        with pq.ParquetWriter(first, schema) as writer:
            for _ in range(n_groups):
                noise = rng.integers(0, 4, size=(GROUP_ROWS, N_FEATURES))
                X = (centers[rng.integers(0, N_CENTERS, GROUP_ROWS)] + noise).astype(np.float32)
                writer.write_table(pa.table(list(X.T.copy()), schema=schema))
        for copy in range(1, COPIES_OF_A_FILE):
            shutil.copyfile(first, folder / f"{number}-{copy}.parquet")
    return n_files * n_groups * GROUP_ROWS


def stored_bytes(folder: Path) -> int:
    """Bytes of all column chunks, by the footers: what one read of the source takes."""
    total = 0
    for path in folder.iterdir():
        footer = pq.ParquetFile(path).metadata
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            total += sum(group.column(i).total_compressed_size for i in range(footer.num_columns))
    return total


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had resident, what it had mapped included."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def spilled(dask_worker: object) -> tuple[int, list[str]]:
    """Values that Dask keeps on disk, and what it counted of writing there so far."""
    written = [str(name) for name in dask_worker.digests_total if "disk-write" in str(name)]
    return len(dask_worker.data.slow), written


def cold(folder: Path) -> None:
    """Have the system forget what it caches of the files in a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sequential_rate(path: Path) -> float:
    """Bytes a second at which a file is read from its beginning."""
    buffer = bytearray(PIECE_BYTES)
    n_bytes, start = 0, time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while n := file.readinto(buffer):
            n_bytes += n
    return n_bytes / (time.perf_counter() - start)


def disk_rates(folder: Path) -> tuple[float, float]:
    """Sequential rates of a file in a folder, from the disk and then from the page cache."""
    path = folder / "probe"
    piece = np.random.default_rng(0).bytes(PIECE_BYTES)
    with path.open("wb") as file:
        for _ in range(64):
            file.write(piece)
    cold(folder)
    rates = sequential_rate(path), sequential_rate(path)
    path.unlink()
    return rates


@contextmanager
def two_workers(size: Size, local: Path) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=size.limit_bytes,
            local_directory=str(local),
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def check_out_of_core(size: Size, folder: Path, capsys: pytest.CaptureFixture) -> None:
    n_rows = write(folder / "in", size.decoded_bytes)
    decoded = 4 * N_FEATURES * n_rows
    assert decoded >= 4 * 2 * size.limit_bytes
    one_read = stored_bytes(folder / "in")
    local = folder / "local"
    local.mkdir()
    from_disk, from_cache = disk_rates(local)
    with two_workers(size, local) as client:
        pids = client.run(os.getpid)
        before = max(map(peak_bytes, pids.values()))
        rows = dkmeans.read_parquet(
            str(folder / "in"), stage="disk", client=client, block_bytes=size.block_bytes
        )
        estimator = dkmeans.KMeans(
            N_CENTERS, init="random", scale="standard", random_state=0, max_iter=3
        )
        plan = rows.plan(estimator)
        assert plan.source_bytes == plan.most_bytes_read == one_read
        estimator.fit(rows)
        assert rows.shape == (n_rows, N_FEATURES)
        assert rows.bytes_read == one_read
        # the rows of the pilot are read first, and kept
        first, *later = estimator.history_
        assert first["bytes_read"] < one_read
        assert len(later) >= 2
        assert [record["bytes_read"] for record in later] == [0] * len(later)
        assert rows.rows_read >= n_rows * rows.n_passes
        # the second pass writes what it scales; those after it only read
        rate = decoded / min(record["seconds"] for record in later[1:])
        cold(local)
        record: dict = {}
        scaled = rows.scaled(estimator.model_.scaling)
        scaled.reduce(Moments.from_block, np.zeros(N_FEATURES), record=record)
        assert record["bytes_read"] == 0, "not the kept rows"
        cold_rate = decoded / record["seconds"]
        # the system keeps the greatest value there ever was, so that none can be missed
        peaks = [peak_bytes(pid) for pid in pids.values()]
        assert client.run(os.getpid) == pids, "a worker was restarted"
        events = [event for worker in pids for _, event in client.get_events(worker)]
        spills = client.run(spilled)
        task = plan.task_bytes
        rows.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{decoded / 1e6:,.0f} MB decoded, {one_read / 1e6:,.0f} MB stored; two workers of "
            f"{size.limit_bytes / 1e6:,.0f} MB, at most {max(peaks) / 1e6:,.0f} MB resident "
            f"({before / 1e6:,.0f} MB before the fit; stated for a task {task / 1e6:,.0f} MB)\n"
            f"later passes {rate / 1e6:,.0f} MB/s, the disk's pages cached as far as they fit; "
            f"{cold_rate / 1e6:,.0f} MB/s from the disk\n"
            f"the disk alone {from_disk / 1e6:,.0f} MB/s, its page cache "
            f"{from_cache / 1e6:,.0f} MB/s\n"
        )
    assert max(peaks) < size.limit_bytes
    statuses = [event["status"] for event in events if event["action"] == "worker-status-change"]
    assert "paused" not in statuses
    assert list(spills.values()) == [(0, []), (0, [])]


def test_rows_four_times_larger_than_all_memory_are_read_once_and_kept_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    check_out_of_core(SHORT, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_gigabytes_are_read_once_by_two_workers_of_600_mb(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    check_out_of_core(LONG, tmp_path, capsys)
