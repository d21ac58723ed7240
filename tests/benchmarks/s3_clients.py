"""What fetches from S3 best: s3fs, or pyarrow's own filesystem, over a server that also fails.

The same pass over the same Parquet, of moto, behind the proxy of the tests, which is a process of
its own. Clients take turns, so that both meet the same load of the machine. Seconds and requests
are medians; "worst" is the slowest time.
"""

import argparse
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import s3fs

import dkmeans
from dkmeans.partials.moments import Moments
from tests.benchmarks.report import Report
from tests.conftest import free_port, wait_for_port
from tests.fault_proxy import FaultProxy

CLIENTS = ("s3fs", "arrow")
N_FEATURES, N_FILES, GROUPS = 32, 6, 2
URL = "s3://benchmark/lake"
OPTIONS = {"key": "key", "secret": "secret", "client_kwargs": {"region_name": "us-east-1"}}

GETS_FAIL = {"fault": "slow_down", "method": "GET", "share": 0.3}
DELAYS = {"fault": "delay", "seconds": 0.02}
RESETS = {"fault": "reset", "method": "GET", "share": 0.1}
RESETS_IN_THE_BODY = {"fault": "reset_body", "method": "GET", "path": "parquet", "share": 0.1}
CASES: tuple[tuple[str, list[dict]], ...] = (
    ("quiet", []),
    ("30 % of GETs: 503", [GETS_FAIL]),
    ("20 ms a request", [DELAYS]),
    ("10 % reset, 10 % midway", [RESETS, RESETS_IN_THE_BODY]),
)


class Cost(NamedTuple):
    """What one pass took."""

    seconds: float
    requests: int
    n_bytes: int
    """Bytes of bodies that were sent."""


@contextmanager
def moto() -> Iterator[str]:
    """The URL of an S3 server."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for_port(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def serve(upstream: str, pipe: Connection) -> None:
    """Run the proxy: for each list of rules that comes, tell what was asked since the last one."""
    with FaultProxy(upstream) as proxy:
        pipe.send(proxy.url)
        while (rules := pipe.recv()) is not None:
            told = (len(proxy.requests), proxy.bytes_sent)
            proxy.clear()
            proxy.forget()
            for rule in rules:
                proxy.fail(**rule)
            pipe.send(told)


@contextmanager
def proxied(upstream: str) -> Iterator[tuple[str, Connection]]:
    """The proxy's URL, and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(upstream, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send(None)
        process.join(30)


def write(upstream: str, mib: int) -> int:
    """Write noise, which is as large stored as decoded; return its rows."""
    fs = s3fs.S3FileSystem(**OPTIONS, endpoint_url=upstream)
    fs.call_s3("create_bucket", Bucket="benchmark")
    rng = np.random.default_rng(0)
    rows = mib * 2**20 // (4 * N_FEATURES * N_FILES)
    for number in range(N_FILES):
        X = rng.normal(size=(N_FEATURES, rows)).astype(np.float32)
        table = pa.table({f"f{i}": column for i, column in enumerate(X)})
        with fs.open(f"{URL}/{number}.parquet", "wb") as file:
            pq.write_table(table, file, row_group_size=-(-rows // GROUPS), use_dictionary=False)
    return rows * N_FILES


def one_pass(
    client: str, url: str, pipe: Connection, rules: list[dict], threads: int, n_rows: int
) -> Cost:
    """Make one pass, planning left out of the costs and of the faults."""
    pipe.send([])
    pipe.recv()
    options = {**OPTIONS, "endpoint_url": url, "dkmeans": {"client": client}}
    with dask.config.set(scheduler="threads", num_workers=threads):
        rows = dkmeans.read_parquet(URL, storage_options=options, stage="none")
        pipe.send(rules)
        pipe.recv()
        start = time.perf_counter()
        moments = rows.reduce(Moments.from_block, np.zeros(N_FEATURES))
        seconds = time.perf_counter() - start
    pipe.send([])
    requests, n_bytes = pipe.recv()
    assert moments.n_rows == n_rows
    return Cost(seconds, requests, n_bytes)


def medians(costs: list[Cost]) -> Cost:
    """The middle of each figure."""
    return Cost(*(statistics.median(figures) for figures in zip(*costs, strict=True)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--mib", type=int, default=96)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--most-threads", type=int, default=4, help="that wait for the store")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Measure both clients in all cases."""
    if asked.quick:
        asked.mib, asked.times = 8, 1
    table = []
    with moto() as upstream, proxied(upstream) as (url, pipe):
        n_rows = write(upstream, asked.mib)
        for client in CLIENTS:
            one_pass(client, url, pipe, [], 1, n_rows)
        for name, rules in CASES:
            for threads in (1, asked.most_threads):
                costs: dict[str, list[Cost]] = {client: [] for client in CLIENTS}
                for number in range(asked.times):
                    for client in CLIENTS if number % 2 == 0 else CLIENTS[::-1]:
                        cost = one_pass(client, url, pipe, rules, threads, n_rows)
                        costs[client].append(cost)
                middle = {client: medians(costs[client]) for client in CLIENTS}
                for client, cost in middle.items():
                    ratio = cost.seconds / middle["s3fs"].seconds
                    row = [name, threads, client, f"{cost.seconds:.2f}"]
                    row += [f"{max(costs[client]).seconds:.2f}", f"{cost.requests:.0f}"]
                    row += [f"{cost.n_bytes / 1e6:.1f}", f"{ratio:.2f}"]
                    table.append(row)
                    print(*row, flush=True)
    report.table(
        f"Clients of S3, {asked.mib} MiB in {N_FILES} files",
        ["", "threads", "client", "seconds", "worst", "requests", "MB sent", "of s3fs' seconds"],
        table,
    )
