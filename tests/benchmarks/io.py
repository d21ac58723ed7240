"""Passes over rows that are staged on the disk, or read from Parquet, against kernels in memory."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dkmeans
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.moments import Moments
from dkmeans.rows.row_counts import RowCounts
from tests.benchmarks.ceilings import ceilings
from tests.benchmarks.data import mixture, start_rows, write_parquet
from tests.benchmarks.measure import Timing, interleaved, ratio, seconds_of
from tests.benchmarks.peers.dkmeans_kernel import Kernel
from tests.benchmarks.report import Report

D, K = 32, 8
TARGET = 0.7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--rows", type=int, help="rows of 128 bytes; 8 million if absent")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Run both parts."""
    ceilings(report, asked, ("copy", "disk", "parquet"))
    n = asked.rows or (200_000 if asked.quick else 8_000_000)
    X = mixture(n, D, 4 * K)
    with (
        tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder,
        dask.config.set(scheduler="threads", num_workers=asked.threads),
    ):
        parquet = write_parquet(Path(folder, "parquet"), X)
        staged(report, asked, X, parquet)
        decoded(report, asked, X.nbytes, parquet)


def staged(report: Report, asked: argparse.Namespace, X: np.ndarray, folder: str) -> None:
    """Passes over staged blocks against the same kernels on blocks in memory."""
    start = start_rows(X, K)
    centers = start.astype(np.float64)
    kernel = Kernel(asked.threads)
    with (
        dkmeans.read_parquet(folder, stage="disk") as on_disk,
        dkmeans.read_parquet(folder, stage="memory") as in_memory,
    ):
        block_rows = on_disk.most_block_rows
        kernel.take(X, block_rows)
        passes = {
            "Moments": (Moments.from_block, (np.zeros(D),), kernel.moments),
            "Lloyd, k=8": (
                ClusterSums.from_block,
                (centers, centers.mean(axis=0)),
                lambda: kernel.lloyd(start),
            ),
        }
        rows = []
        for what, (from_block, broadcast, alone) in passes.items():
            runs: dict[str, Callable[[], float]] = {"kernel on arrays in memory": alone}
            for name, data in {"staged on disk": on_disk, "staged in memory": in_memory}.items():
                runs[name] = _pass(data, from_block, broadcast)
            found = interleaved(runs, asked.runs, far_behind=np.inf)
            best = found["kernel on arrays in memory"].median
            for name, timing in found.items():
                gigabytes = timing.per(X.nbytes / 1e9)
                share = ratio(best, timing.median)
                rows.append(
                    [
                        f"{what}, {name}",
                        timing.scaled(1e3).shown(),
                        gigabytes.shown(),
                        f"{share:.0%}",
                    ]
                )
            found_share = ratio(best, found["staged on disk"].median)
            report.target(f"{what}: staged on disk, share of memory's rate", TARGET, found_share)
    report.table(
        f"Passes over {X.nbytes / 1e6:.0f} MB of {D} features, blocks of {block_rows} rows",
        ["", "ms", "GB/s", "of the kernel's rate"],
        rows,
        "staged blocks lie in the page cache",
    )


def _pass(
    data: dkmeans.Rows, from_block: Callable[..., object], broadcast: tuple[object, ...]
) -> Callable[[], float]:
    return lambda: seconds_of(data.reduce, from_block, *broadcast)


def decoded(report: Report, asked: argparse.Namespace, n_bytes: int, folder: str) -> None:
    """First passes, which decode Parquet, against pyarrow's own decoding into a table."""
    pa.set_cpu_count(asked.threads)

    def first_pass(stage: str) -> Callable[[], float]:
        def run() -> float:
            with dkmeans.read_parquet(folder, stage=stage) as rows:
                return seconds_of(rows.reduce, RowCounts.from_block)

        return run

    def matrix() -> float:
        return seconds_of(lambda: pq.read_table(folder).to_pandas().to_numpy())

    runs: dict[str, Callable[[], float]] = {
        "pyarrow, read_table": lambda: seconds_of(pq.read_table, folder),
        "pyarrow, to one NumPy array": matrix,
        "dkmeans, stage none": first_pass("none"),
        "dkmeans, stage memory": first_pass("memory"),
        "dkmeans, stage disk": first_pass("disk"),
    }
    found = interleaved(runs, asked.runs, far_behind=np.inf)
    fastest = found["pyarrow, read_table"].median
    rows = [
        [
            name,
            timing.scaled(1e3).shown(),
            timing.per(n_bytes / 1e9).shown(),
            f"{ratio(fastest, timing.median):.0%}",
        ]
        for name, timing in found.items()
    ]
    header = ["", "ms", "GB/s decoded", "of pyarrow's rate"]
    report.table("First pass over Parquet in the page cache", header, rows)
    theirs: dict[str, Timing] = {"pyarrow": found["pyarrow, read_table"]}
    report.compare("decoding Parquet, stage none", found["dkmeans, stage none"], theirs)
