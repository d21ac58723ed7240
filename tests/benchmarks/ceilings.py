"""What the machine can do at most: products, copies, the disk, Parquet, tasks of Dask."""

import argparse
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.delayed import delayed

from tests.benchmarks.child import Child, PeerFailed
from tests.benchmarks.data import mixture, write_parquet
from tests.benchmarks.machine import cpu
from tests.benchmarks.measure import N_RUNS, Timing, seconds_of
from tests.benchmarks.report import Report

CUBE = 4096
SHAPES = ((8, 20), (32, 100), (64, 1000), (128, 256), (768, 1000))
"""Features and centers of the products that kernels amount to."""
PRODUCT_ROWS = 2**15
WIDEST = "SkylakeX"
"""What OpenBLAS calls its code for AVX-512."""


def repeated(function: Callable[..., Any], *args: Any, n_runs: int = N_RUNS) -> Timing:
    """Run a few times, the first one left out."""
    return Timing(tuple([seconds_of(function, *args) for _ in range(1 + n_runs)][1:]))


def ceilings(
    report: Report, asked: argparse.Namespace, only: tuple[str, ...] = ("products", "copy")
) -> dict[str, float]:
    """Measure some ceilings, show them, and return their medians by name.

    `only` names groups: products, copy, disk, parquet, tasks.
    """
    threads, quick, n_runs = asked.threads, asked.quick, asked.runs
    found: list[tuple[str, Timing, str]] = []
    if "products" in only:
        found += _products(report, threads, quick, n_runs)
    if "copy" in only:
        found.append(_copy(threads, 2**26 if quick else 2**29, n_runs))
    if "disk" in only:
        found += _disk(2**27 if quick else 2**30, n_runs)
    if "parquet" in only:
        found.append(_parquet(threads, 200_000 if quick else 2_000_000, n_runs))
    if "tasks" in only:
        found += _tasks(threads, 300 if quick else 3000, n_runs)
    rows = [[name, timing.shown(), unit] for name, timing, unit in found]
    report.table("Ceilings of this machine", ["what", "median (least..most)", "unit"], rows)
    medians = {name: timing.median for name, timing, _ in found}
    report.figure("ceilings", medians)
    return medians


def peak(medians: dict[str, float]) -> float:
    """The highest rate of the cube's product, in GFLOP/s."""
    return max(value for name, value in medians.items() if name.startswith("sgemm cube"))


def _products(
    report: Report, threads: int, quick: bool, n_runs: int
) -> list[tuple[str, Timing, str]]:
    cube = CUBE // 4 if quick else CUBE
    found = []
    as_installed = Child("blas", threads)
    architectures = _architectures(as_installed)
    report.note(f"NumPy's BLAS takes its code for: {', '.join(architectures)}")
    variants: dict[str, dict[str, str]] = {"as installed": {}}
    if "avx512f" in cpu()["flags"] and WIDEST not in architectures:
        variants[f"OPENBLAS_CORETYPE={WIDEST}"] = {"OPENBLAS_CORETYPE": WIDEST}
    for variant, environment in variants.items():
        child = Child("blas", threads, environment) if environment else as_installed
        try:
            rate = child.call("product", cube, cube, cube, n_runs)
            found.append((f"sgemm cube {cube}, {variant}", rate, "GFLOP/s"))
            if not environment:
                for d, k in SHAPES:
                    rate = child.call("product", PRODUCT_ROWS, k, d, n_runs)
                    found.append((f"sgemm {PRODUCT_ROWS} x {d} x {k}", rate, "GFLOP/s"))
        except PeerFailed as error:
            report.note(f"sgemm, {variant}: {error}")
        finally:
            child.close()
    return found


def _architectures(child: Child) -> list[str]:
    told = child.call("pools")["threadpoolctl"]
    return sorted({pool["architecture"] for pool in told if pool["architecture"]})


def _copy(threads: int, n_bytes: int, n_runs: int) -> tuple[str, Timing, str]:
    source = np.ones(n_bytes // 4, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))

        # each byte is read once, and written once
        return "memory copy, bytes moved", repeated(copy, n_runs=n_runs).per(2e-9 * n_bytes), "GB/s"


def _disk(n_bytes: int, n_runs: int) -> list[tuple[str, Timing, str]]:
    chunk = np.random.default_rng(0).bytes(2**24)
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        path = Path(folder, "sequential")

        def write() -> None:
            with path.open("wb", buffering=0) as file:
                for _ in range(n_bytes // len(chunk)):
                    file.write(chunk)
                os.fsync(file.fileno())

        def read() -> None:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

        def read_cold() -> float:
            if hasattr(os, "posix_fadvise"):
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return seconds_of(read)

        buffer = bytearray(2**22)
        written = repeated(write, n_runs=min(n_runs, 3))
        cold = Timing(tuple(read_cold() for _ in range(n_runs)))
        warm = repeated(read, n_runs=n_runs)
    gigabytes = n_bytes / 1e9
    return [
        ("disk, sequential write and fsync", written.per(gigabytes), "GB/s"),
        ("disk, sequential read, cache dropped", cold.per(gigabytes), "GB/s"),
        ("disk, sequential read, page cache", warm.per(gigabytes), "GB/s"),
    ]


def _parquet(threads: int, n_rows: int, n_runs: int) -> tuple[str, Timing, str]:
    pa.set_cpu_count(threads)
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        X = mixture(n_rows, 32, 8)
        write_parquet(folder, X)
        timing = repeated(pq.read_table, folder, n_runs=n_runs)
    return "Parquet decoded by pyarrow, page cache", timing.per(X.nbytes / 1e9), "GB/s"


def _tasks(threads: int, n_tasks: int, n_runs: int) -> list[tuple[str, Timing, str]]:
    from distributed import Client, LocalCluster

    def on_threads() -> None:
        tasks = [delayed(_nothing, pure=False)(i) for i in range(n_tasks)]
        dask.compute(*tasks, scheduler="threads", num_workers=threads, optimize_graph=False)

    threaded = repeated(on_threads, n_runs=n_runs)
    with (
        LocalCluster(n_workers=threads, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):

        def on_cluster() -> None:
            client.gather(client.map(_nothing, range(n_tasks), pure=False))

        distributed = repeated(on_cluster, n_runs=n_runs)
    each = 1e6 / n_tasks
    return [
        ("no-op task, Dask's threads", threaded.scaled(each), "us"),
        (f"no-op task, {threads} worker processes", distributed.scaled(each), "us"),
    ]


def _nothing(number: int) -> int:
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing more can be asked."""


def run(report: Report, asked: argparse.Namespace) -> None:
    """Measure all of them."""
    ceilings(report, asked, ("products", "copy", "disk", "parquet", "tasks"))
