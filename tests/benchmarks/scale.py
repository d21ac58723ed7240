"""Growth with rows, features, clusters and blocks, and the share of a pass that Dask takes."""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import dask
import numpy as np

import dkmeans
from dkmeans.rows.layout import BLOCK_BYTES, LEAF_BLOCKS
from tests.benchmarks.ceilings import ceilings
from tests.benchmarks.child import Child
from tests.benchmarks.data import mixture, start_rows
from tests.benchmarks.measure import Timing, seconds_of, slope
from tests.benchmarks.report import Report
from tests.benchmarks.simulated import many_workers, passes
from tests.benchmarks.timed_sums import TimedSums

SLOPE, SHARE = 1.05, 0.10
N_WORKERS = 200
LEAVES = (2, 5, 10, 20)
"""Of each simulated worker; 20 of the default size on 200 workers hold 1000 GiB."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--parts", default="growth,share,simulated", help="which to run")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Run all parts."""
    ceilings(report, asked, ("copy", "tasks"))
    parts = asked.parts.split(",")
    if "growth" in parts:
        growth(report, asked)
    if "share" in parts:
        share(report, asked)
    if "simulated" in parts:
        simulated(report, asked)


def growth(report: Report, asked: argparse.Namespace) -> None:
    """Time passes while one size doubles and all others stay."""
    n, d, k = (4_000, 4, 8) if asked.quick else (125_000, 32, 64)
    doublings = 4
    child = Child("dkmeans", asked.threads)
    try:
        sizes = [2**i for i in range(doublings + 1)]
        cases = {
            "rows": [(n * one, d, k) for one in sizes],
            "features": [(n, d * one, k) for one in sizes],
            "clusters": [(n, d, k * one) for one in sizes],
        }
        for what, shapes in cases.items():
            times = [_pass(child, *shape, asked) for shape in shapes]
            counts = [shape[list(cases).index(what)] for shape in shapes]
            _show_growth(report, what, counts, times, f"{n} x {d}, k={k} at first")
    finally:
        child.close()
    _growth_with_blocks(report, asked)


def _pass(child: Child, n: int, d: int, k: int, asked: argparse.Namespace) -> Timing:
    X = mixture(n, d, k)
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        path = str(Path(folder, "X.npy"))
        np.save(path, X)
        child.call("load", path)
    start = start_rows(X, k)
    n_runs = asked.runs
    return Timing(tuple([child.call("lloyd", start) for _ in range(1 + n_runs)][1:]))


def _growth_with_blocks(report: Report, asked: argparse.Namespace) -> None:
    """Time passes of `Rows` over ever more small blocks: all but kernels is all there is."""
    block_rows, d, k = 256, 8, 8
    counts = [(50 if asked.quick else 500) * 2**i for i in range(5)]
    times = []
    with _threads(asked.threads):
        for count in counts:
            X = mixture(count * block_rows, d, k)
            with dkmeans.Rows.from_array(X, block_rows=block_rows) as rows:
                assert rows.n_blocks == count
                times.append(_timed_passes(rows, start_rows(X, k), asked.runs)[0])
    _show_growth(report, "blocks", counts, times, f"blocks of {block_rows} x {d}, k={k}, threads")


def _show_growth(
    report: Report, what: str, counts: Sequence[int], times: Sequence[Timing], note: str
) -> None:
    found = slope(counts, [one.median for one in times])
    verdict = report.target(f"growth with {what}: slope", SLOPE, found, at_least=False)
    first, at_first = counts[0], times[0].median
    rows = [
        [
            f"{count}",
            time.scaled(1e3).shown(),
            f"{np.log2(count / first):.0f}",
            f"{np.log2(time.median / at_first):.2f}",
        ]
        for count, time in zip(counts, times, strict=True)
    ]
    header = [what, "ms a pass", "log2 of the size", "log2 of the time"]
    report.table(f"Growth with {what} ({note})", header, rows, f"slope {found:.3f}: {verdict}")
    report.figure(f"growth {what}", {"sizes": list(counts), "seconds": [t.median for t in times]})


@contextmanager
def _threads(count: int) -> Iterator[None]:
    with dask.config.set(scheduler="threads", num_workers=count):
        yield


def _timed_passes(rows: dkmeans.Rows, start: np.ndarray, n_runs: int) -> tuple[Timing, list[float]]:
    """Seconds of passes, and of the kernels in each, all blocks together; one pass comes before."""
    centers = start.astype(np.float64)
    origin = centers.mean(axis=0)
    kernels: list[float] = []

    def one() -> None:
        kernels.append(rows.reduce(TimedSums.from_block, centers, origin).seconds)

    times = [seconds_of(one) for _ in range(1 + n_runs)]
    return Timing(tuple(times[1:])), kernels[1:]


def share(report: Report, asked: argparse.Namespace) -> None:
    """What is left of passes at the default block size beside their kernels."""
    from distributed import Client, LocalCluster

    n, d, k = (100_000, 32, 20) if asked.quick else (4_000_000, 32, 100)
    n_runs = asked.runs
    X = mixture(n, d, 8 * k)
    start = start_rows(X, k)
    rows: list[list[Any]] = []
    for count in (1, 2):
        with _threads(count), dkmeans.Rows.from_array(X) as data:
            _add_share(report, rows, f"{count} threads", count, data, start, n_runs)
    for count in (1, 2):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
            dkmeans.Rows.from_array(X, stage="memory", client=client) as data,
        ):
            _add_share(report, rows, f"{count} worker processes", count, data, start, n_runs)
    report.table(
        f"Share of a pass that is not the kernel's, {n} x {d}, k={k}, default blocks",
        ["on", "blocks", "ms a pass", "ms of kernels / workers", "share"],
        rows,
        "kernels are timed in the tasks; the share holds waiting for the last one, too",
    )


def _add_share(
    report: Report,
    table: list[list[Any]],
    where: str,
    count: int,
    data: dkmeans.Rows,
    start: np.ndarray,
    n_runs: int,
) -> None:
    passes, kernels = _timed_passes(data, start, n_runs)
    pairs = zip(kernels, passes.values, strict=True)
    found = median(1 - kernel / count / whole for kernel, whole in pairs)
    each = median(kernels) / count
    table.append(
        [where, data.n_blocks, passes.scaled(1e3).shown(), f"{each * 1e3:.3g}", f"{found:.1%}"]
    )
    report.target(f"Dask's share of a pass, {where}", SHARE, found, at_least=False)


def simulated(report: Report, asked: argparse.Namespace) -> None:
    """What a pass takes on many workers that have nothing to do, against what kernels would."""
    d, k = 32, 100
    n_workers = 40 if asked.quick else N_WORKERS
    leaf_rows = LEAF_BLOCKS * BLOCK_BYTES // (4 * d)
    rate = _rows_a_second(d, k, asked)
    report.figure("rows a second of one worker", rate)
    rows: list[list[Any]] = []
    with many_workers(n_workers) as cluster:
        for of_worker in LEAVES:
            count = of_worker * n_workers
            whole, busy, n_blocks = passes(cluster, count, k, d, min(asked.runs, 3))
            kernels = of_worker * leaf_rows / rate
            found = busy.median / (busy.median + kernels)
            gib = n_blocks * BLOCK_BYTES / 2**30
            cells = [whole.shown(), busy.shown(), f"{kernels:.2f}", f"{found:.1%}"]
            rows.append([of_worker, f"{gib:.0f}", *cells])
    what = f"Dask's share of a pass, {n_workers} simulated workers, {LEAVES[-1]} leaves each"
    report.target(what, SHARE, found, at_least=False)
    report.table(
        f"A pass on {n_workers} simulated workers, k={k}, d={d}",
        [
            "leaves a worker",
            "GiB of default blocks",
            "s without kernels",
            "s of scheduler and client",
            "s of kernels",
            "share",
        ],
        rows,
        f"kernels: leaves of {LEAF_BLOCKS} blocks of {BLOCK_BYTES / 2**20:.0f} MiB at "
        f"{rate / 1e6:.1f} million rows a second and worker, as one thread was measured here; "
        "the share is of the processor time of scheduler and client: all workers share one "
        "process, whose own work takes most of the seconds",
    )


def _rows_a_second(d: int, k: int, asked: argparse.Namespace) -> float:
    n = 20_000 if asked.quick else 500_000
    child = Child("dkmeans", 1)
    try:
        return n / _pass(child, n, d, k, asked).median
    finally:
        child.close()
