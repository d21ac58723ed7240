"""A sweep over numbers of clusters against the one fit of the most, from files on an S3 server.

The server is moto's, a process of its own, behind the proxy of the tests, another one, which counts
what is asked for and sent. All run in this process, where loops are compiled and libraries imported
before; they take turns, and each opens the files anew, and reads the footers.

Seconds are what a user waits. CPU seconds are of this process, which fetches, decodes and computes:
where other processes take turns on the same cores, these tell what a sweep costs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import dask
import s3fs

import dkmeans
from dkmeans.rows import progress
from dkmeans.rows.rows import Rows
from dkmeans.storage import parquet_file
from tests.benchmarks.data import mixture, write_parquet
from tests.benchmarks.measure import Timing, interleaved
from tests.benchmarks.report import Report
from tests.benchmarks.s3_clients import OPTIONS, URL, moto, proxied

D, N_INIT, N_FILES = 32, 3, 32
GRIDS = ((4, 8, 12, 16, 20, 24, 28, 32), (10, 20, 30, 40, 50, 60, 70, 80))
MOST_TIMES = 1.5
"""How many times the seconds of the one fit, with its evaluation, a sweep may take."""

FIT, ALONE, SWEEP = "fit, evaluated", "fit", "sweep"
PARTS = ("open", "pilot", "read", "solve", "Lloyd", "figures' pass", "figures")


@dataclass
class Cost:
    """What one run took."""

    seconds: float
    cpu: float
    """Seconds, of all threads of this process."""

    reader: tuple[int, int]
    """Bytes and requests, as the reader counts them."""

    server: tuple[int, int]
    """Bytes of bodies that were sent and requests that came, as the proxy counts them."""

    n_passes: int
    parts: Mapping[str, tuple[float, float]]
    """Seconds and CPU seconds of each of `PARTS`."""


@dataclass
class Parts(progress.Silent):
    """Told of passes, adds up what each part of a run takes."""

    taken: dict[str, tuple[float, float]] = field(
        default_factory=lambda: dict.fromkeys(PARTS, (0.0, 0.0))
    )
    last: tuple[float, float] = field(default_factory=lambda: _now())

    def mark(self, part: str) -> None:
        """Say what the time since the last mark went into."""
        now = _now()
        wall, cpu = self.taken[part]
        self.taken[part] = (wall + now[0] - self.last[0], cpu + now[1] - self.last[1])
        self.last = now

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Count what has ended."""
        kind = str(record["kind"])
        known = {"second read": "read", "metrics": "figures' pass", "sample": "figures' pass"}
        parts = [known.get(one, one) for one in kind.split(" + ")]
        self.mark(parts[0] if parts[0] in PARTS else "Lloyd")


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def evaluated(rows: Rows, counts: Sequence[int], init: str) -> None:
    """Fit the most clusters, and evaluate."""
    dkmeans.evaluate(_fit(rows, counts, init), rows)


def fitted(rows: Rows, counts: Sequence[int], init: str) -> None:
    """Fit the most clusters."""
    _fit(rows, counts, init)


def swept(rows: Rows, counts: Sequence[int], init: str) -> None:
    """Sweep over all."""
    dkmeans.sweep(rows, counts, n_init=N_INIT, init=init, random_state=0)


def _fit(rows: Rows, counts: Sequence[int], init: str) -> dkmeans.KMeans:
    return dkmeans.KMeans(max(counts), init=init, n_init=N_INIT, random_state=0).fit(rows)


RUNS: Mapping[str, Callable[[Rows, Sequence[int], str], None]] = {
    FIT: evaluated,
    ALONE: fitted,
    SWEEP: swept,
}


def measured(
    what: Callable[[Rows, Sequence[int], str], None],
    counts: Sequence[int],
    init: str,
    url: str,
    pipe: Connection,
) -> Cost:
    """Open the files and run it, from an empty count on."""
    pipe.send([])
    pipe.recv()
    # a process keeps the footers that it has read
    parquet_file._footers.clear()
    before, parts = progress._reporter, Parts()
    progress._reporter = parts
    start = parts.last
    try:
        with dkmeans.read_parquet(URL, storage_options={**OPTIONS, "endpoint_url": url}) as rows:
            parts.mark("open")
            what(rows, counts, init)
            parts.mark("figures")
            reader = rows.bytes_read, rows.known.n_requests
            n_passes = rows.n_passes
    finally:
        progress._reporter = before
    seconds, cpu = (end - began for end, began in zip(_now(), start, strict=True))
    pipe.send([])
    requests, n_bytes = pipe.recv()
    return Cost(seconds, cpu, reader, (n_bytes, requests), n_passes, parts.taken)


def compare(
    report: Report, asked: argparse.Namespace, counts: Sequence[int], url: str, pipe: Connection
) -> None:
    """Run all in turns, show medians, and judge."""
    costs: dict[str, list[Cost]] = {name: [] for name in RUNS}

    def run(name: str) -> float:
        costs[name].append(measured(RUNS[name], counts, asked.init, url, pipe))
        return costs[name][-1].seconds

    interleaved({name: lambda name=name: run(name) for name in RUNS}, asked.runs, float("inf"))
    # the first round compiles
    costs = {name: some[1:] for name, some in costs.items()}
    title = f"k={', '.join(map(str, counts))}, {asked.init}, {N_INIT} restarts"
    header = ["", "seconds", "times", "CPU s", "times", "passes", "MB read", "requests"]
    header += ["MB sent", "requests that came"]
    rows = []
    for name, some in costs.items():
        seconds, cpu = _timing(some, "seconds"), _timing(some, "cpu")
        rows.append(
            [
                name,
                seconds.shown(),
                _ratios(some, costs[FIT], "seconds").shown(),
                cpu.shown(),
                _ratios(some, costs[FIT], "cpu").shown(),
                *(
                    ", ".join(dict.fromkeys(values))
                    for values in (
                        [str(one.n_passes) for one in some],
                        [f"{one.reader[0] / 1e6:.3f}" for one in some],
                        [str(one.reader[1]) for one in some],
                        [f"{one.server[0] / 1e6:.3f}" for one in some],
                        [str(one.server[1]) for one in some],
                    )
                ),
            ]
        )
    note = f"{f'{N_FILES} files'} of {D} features; times as much as {FIT}, of the same round"
    report.table(title, header, rows, note)
    split = [
        [name]
        + [
            f"{_part(some, part, 0).median:.2f} ({_part(some, part, 1).median:.2f})"
            for part in PARTS
        ]
        for name, some in costs.items()
    ]
    report.table(
        f"{title}: where it goes",
        ["", *PARTS],
        split,
        "seconds, and of CPU; medians. Lloyd has all passes of seeding and iterations, and figures "
        "what no pass makes: silhouettes, rows without clusters.",
    )
    report.figure(title, {name: [vars(one) for one in some] for name, some in costs.items()})
    for what, unit in (("seconds", "seconds"), ("cpu", "CPU seconds")):
        ratio = _ratios(costs[SWEEP], costs[FIT], what).median
        report.target(f"{title}: {unit} of a sweep, times {FIT}", MOST_TIMES, ratio, at_least=False)
    for what in ("reader", "server"):
        for place, unit in enumerate(("bytes", "requests")):
            found = {name: {getattr(one, what)[place] for one in costs[name]} for name in costs}
            most = max(found[SWEEP]) / min(found[FIT])
            told = f"{title}: {unit} at the {what}, times those of {FIT}"
            report.target(told, 1.0, most, at_least=False)


def _timing(costs: Sequence[Cost], what: str) -> Timing:
    return Timing(tuple(getattr(one, what) for one in costs))


def _part(costs: Sequence[Cost], part: str, place: int) -> Timing:
    return Timing(tuple(one.parts[part][place] for one in costs))


def _ratios(costs: Sequence[Cost], of: Sequence[Cost], what: str) -> Timing:
    """How many times as much, round by round."""
    return Timing(
        tuple(getattr(a, what) / getattr(b, what) for a, b in zip(costs, of, strict=True))
    )


def write(upstream: str, folder: str) -> None:
    """Put a folder of Parquet on the server."""
    fs = s3fs.S3FileSystem(**OPTIONS, endpoint_url=upstream)
    fs.call_s3("create_bucket", Bucket=URL.removeprefix("s3://").split("/")[0])
    fs.put(folder, URL, recursive=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--rows", type=int, help="of 32 features; 2 million if absent")
    parser.add_argument("--init", default="coreset", help="coreset, k-means|| and so on")
    parser.add_argument("--k", help="numbers separated by commas; two grids if absent")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Compare on each grid."""
    n_rows = asked.rows or (100_000 if asked.quick else 2_000_000)
    grids = GRIDS if asked.k is None else (tuple(int(k) for k in asked.k.split(",")),)
    with (
        moto() as upstream,
        proxied(upstream) as (url, pipe),
        dask.config.set(scheduler="threads", num_workers=asked.threads),
    ):
        with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
            write(upstream, write_parquet(folder, mixture(n_rows, D, 50), N_FILES))
        for counts in grids[:1] if asked.quick else grids:
            compare(report, asked, counts, url, pipe)
