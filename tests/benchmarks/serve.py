"""Requests a second of a service, the load included, against what people write themselves.

A model of k=100 clusters of d=32 features is served by `dkmeans serve`, and by FastAPI, pydantic
and scikit-learn (see `serve_peer`). Each service is a process; so is the load, which shares the
cores with it: 8 connections that ask for one row as JSON, named and as lists, or 2 that ask for
many rows as Arrow IPC. Systems take turns.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans import KMeans, with_baseline
from tests.benchmarks.data import mixture
from tests.benchmarks.measure import Timing
from tests.benchmarks.report import Report
from tests.benchmarks.serve_peer import STREAM
from tests.conftest import free_port, wait_for_port
from tests.service.load import post

OURS, PEER = "dkmeans serve", "FastAPI + scikit-learn"
K, D = 100, 32
N_REQUESTS = 64
RATE, P99_MS, ROWS = 2000.0, 20.0, 1e6
"""What is wanted: requests a second, milliseconds, rows a second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--seconds", type=float, help="of load each time (5; 1 of small sizes)")
    parser.add_argument("--rows", type=int, help="of a bulk request (100 000; 20 000)")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Serve the model by both, and drive them in turns."""
    seconds = asked.seconds or (1.0 if asked.quick else 5.0)
    n_rows = asked.rows or (20_000 if asked.quick else 100_000)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as scratch:
        folder = Path(scratch)
        url = saved_model(folder)
        kinds = requests(folder, n_rows)
        with ours(url) as our_port, theirs(url) as their_port:
            ports = {OURS: our_port, PEER: their_port}
            for number in range(1 + asked.runs):
                for kind, connections in (("named", 8), ("lists", 8), ("arrow", 2)):
                    for name, port in ports.items():
                        if (name, kind) not in kinds:
                            continue
                        one = load(port, kinds[name, kind], connections, seconds)
                        if one["failed"]:
                            report.note(f"{name}, {kind}: {one['failed']}")
                        # the first time compiles, connects and imports
                        if number and one["requests"]:
                            found.setdefault(kind, {}).setdefault(name, []).append(one)
    show(report, found, n_rows)


def saved_model(folder: Path) -> str:
    """A model with names of columns and a baseline."""
    X = mixture(20_000, D, K)
    table = pa.table({f"feature_{j}": X[:, j] for j in range(D)})
    model = KMeans(K, scale="standard", random_state=0, max_iter=5).fit(table.to_pandas())
    with_baseline(model, table).save(str(folder / "model"))
    return str(folder / "model")


def requests(folder: Path, n_rows: int) -> dict[tuple[str, str], Path]:
    """Folders of requests, by system and kind."""
    X = mixture(n_rows, D, K)
    rows = [[round(float(value), 4) for value in row] for row in X[:N_REQUESTS]]
    named = [{f"feature_{j}": value for j, value in enumerate(row)} for row in rows]
    table = pa.table({f"feature_{j}": np.ascontiguousarray(X[:, j]) for j in range(D)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    bulk = sink.getvalue().to_pybytes()
    out = {}
    for name, path, kind, bodies in (
        (OURS, "/predict", "named", [json.dumps({"rows": [row]}).encode() for row in named]),
        (OURS, "/predict", "lists", [json.dumps({"rows": [row]}).encode() for row in rows]),
        (PEER, "/predict", "lists", [json.dumps({"rows": [row]}).encode() for row in rows]),
        (OURS, "/predict", "arrow", [bulk]),
        (PEER, "/bulk", "arrow", [bulk]),
    ):
        place = folder / f"{'ours' if name == OURS else 'theirs'}-{kind}"
        place.mkdir()
        for number, body in enumerate(bodies):
            media = STREAM if kind == "arrow" else "application/json"
            (place / f"{number:03d}").write_bytes(post(path, body, media))
        out[name, kind] = place
    return out


@contextlib.contextmanager
def ours(url: str) -> Iterator[int]:
    """The port of our service, as users start it."""
    port = free_port()
    with _process("-m", "dkmeans.cli.main", "serve", url, "--port", port, port=port):
        yield port


@contextlib.contextmanager
def theirs(url: str) -> Iterator[int]:
    """The port of the peer."""
    port = free_port()
    with _process("-m", "tests.benchmarks.serve_peer", url, port, port=port):
        yield port


@contextlib.contextmanager
def _process(*arguments: object, port: int) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for_port(port, process)
            yield
        finally:
            process.terminate()
            process.wait(30)


def load(port: int, folder: Path, connections: int, seconds: float) -> dict[str, Any]:
    """Drive a service from a process of its own."""
    command = [
        *(sys.executable, "-m", "tests.service.load", str(port), str(folder)),
        *("--connections", str(connections), "--seconds", str(seconds)),
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=seconds + 120)
    # whoever is idle may still be at what the load has left
    time.sleep(0.2)
    return dict(json.loads(done.stdout))


def show(report: Report, found: dict[str, dict[str, list[dict[str, Any]]]], n_rows: int) -> None:
    """Show medians, and judge ours."""
    titles = {
        "named": f"one row as JSON, columns by name, k={K}, d={D}",
        "lists": f"one row as JSON, values in a list, k={K}, d={D}",
        "arrow": f"{n_rows} rows as Arrow IPC, k={K}, d={D}",
    }
    header = ["", "requests/s", "p50 ms", "p99 ms", "max ms", "rows/s", "the load's CPU"]
    for kind, systems in found.items():
        rows = []
        rates = {}
        for name, runs in systems.items():
            per = n_rows if kind == "arrow" else 1
            rate = rates[name] = _timing(runs, "rate").scaled(per)
            rows.append(
                [
                    name,
                    _timing(runs, "rate").shown(4),
                    *(_timing(runs, which).shown() for which in ("p50_ms", "p99_ms", "max_ms")),
                    rate.shown(4),
                    _timing(runs, "cpu_share").shown(2),
                ]
            )
        report.table(titles[kind], header, rows)
        if OURS not in systems:
            continue
        peers = {name: rate for name, rate in rates.items() if name != OURS}
        report.compare(titles[kind], rates[OURS], peers, unit="rows/s", less_is_better=False)
        if kind == "arrow":
            report.target(f"{titles[kind]}: rows/s", ROWS, rates[OURS].median)
            continue
        report.target(f"{titles[kind]}: requests/s", RATE, rates[OURS].median)
        p99 = _timing(systems[OURS], "p99_ms").median
        report.target(f"{titles[kind]}: p99 in ms", P99_MS, p99, at_least=False)
    report.figure("runs", found)


def _timing(runs: list[dict[str, Any]], what: str) -> Timing:
    return Timing(tuple(float(one[what]) for one in runs))
