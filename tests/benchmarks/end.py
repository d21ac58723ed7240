"""From files to a model: whole fits of the same Parquet, reading included, on as many cores.

Each fit runs in a fresh process, and the systems take turns. Imports are left out, and so is what
compiles once in the life of an installation: our compiled loops lie in their cache, from which
they are loaded while the clock runs. scikit-learn and oneDAL get one float32 array by pyarrow,
Spark reads the files into vectors, and its JVM is there before; all that counts. Only dask-ml's
rows lie in its workers' memory before. Inertias come from one float64 evaluator, outside of the
timed region.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.child import Child, PeerFailed
from tests.benchmarks.data import inertia_of_parquet, mixture, write_parquet
from tests.benchmarks.measure import Timing, ratio
from tests.benchmarks.parquet import fit_dask_ml
from tests.benchmarks.peers import NOT_INSTALLED, label
from tests.benchmarks.report import Report

OURS = "dkmeans-coreset"
TARGETS = {"sklearn-lloyd": 15.0, "onedal": 5.0, "dask-ml": 40.0}
"""How many times as fast as each we want to be."""

SYSTEMS = (OURS, "dkmeans-kmeans", *TARGETS, "spark")
N_ITER = 20
"""Most iterations of scikit-learn, oneDAL and Spark, for which it is the default."""

N_OURS = 5
N_THEIRS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("folder", nargs="?", help="of Parquet; a mixture is drawn if absent")
    parser.add_argument("--k", type=int, help="100, or 20 of small sizes")
    parser.add_argument("--peers", help="names, separated by commas; all if absent")
    parser.add_argument("--seeds", type=int, help=f"of peers ({N_THEIRS}); ours take {N_OURS}")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Fit with all systems, once for each seed, in turns."""
    k = asked.k or (20 if asked.quick else 100)
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as scratch:
        folder = asked.folder
        if folder is None:
            X = mixture(40_000 if asked.quick else 4_000_000, 32, 100)
            folder = write_parquet(Path(scratch, "parquet"), X, n_files=8)
            del X
        names = [OURS, *(asked.peers.split(",") if asked.peers else SYSTEMS[1:])]
        n_seeds = {
            name: (asked.seeds or N_THEIRS) if name in SYSTEMS[2:] else N_OURS for name in names
        }
        if asked.quick:
            n_seeds = dict.fromkeys(names, 1)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for seed in range(max(n_seeds.values())):
            for name in [one for one in names if seed < n_seeds[one]]:
                try:
                    found[name].append(once(name, folder, k, seed, asked.threads))
                except PeerFailed as error:
                    report.note(f"{label(name)}, seed {seed}: {error}")
    show(report, found, f"files to a model, k={k}")


def once(name: str, folder: str, k: int, seed: int, threads: int) -> dict[str, Any]:
    """Fit in a fresh process, and evaluate the centers."""
    if name == "dask-ml":
        try:
            return fit_dask_ml(folder, k, None, threads, seed)
        except ImportError as error:
            raise PeerFailed(f"{NOT_INSTALLED} ({error})") from None
    child = Child(name, threads)
    try:
        done = child.call("fit_files", folder, k, N_ITER, seed)
    finally:
        child.close()
    return {
        "seconds": done.seconds,
        "iterations": done.n_iter,
        "passes": "?" if done.n_passes is None else done.n_passes,
        "inertia": inertia_of_parquet(folder, done.centers),
    }


def show(report: Report, found: dict[str, list[dict[str, Any]]], what: str) -> None:
    """Show medians, and judge ours."""
    found = {name: runs for name, runs in found.items() if runs}
    seconds = {name: _timing(runs, "seconds") for name, runs in found.items()}
    inertias = {name: _timing(runs, "inertia") for name, runs in found.items()}
    ours = seconds.get(OURS)
    rows = [
        [
            label(name),
            seconds[name].shown(),
            "" if ours is None else f"{ratio(seconds[name].median, ours.median):.1f}",
            ", ".join(str(one["iterations"]) for one in runs),
            ", ".join(str(one["passes"]) for one in runs),
            inertias[name].shown(6),
        ]
        for name, runs in found.items()
    ]
    header = ["", "seconds", "times ours", "iterations", "passes", "inertia"]
    note = "dask-ml's rows were read before its clock started; all others read them while it ran"
    report.table(what, header, rows, note)
    report.figure("runs", found)
    peers = [name for name in found if name in SYSTEMS[2:]]
    report.compare(what, ours, {label(name): seconds[name] for name in peers})
    report.compare(
        f"{what}, inertia",
        inertias.get(OURS),
        {label(name): inertias[name] for name in peers},
        unit="",
    )
    for name, wanted in TARGETS.items():
        times = None
        if ours is not None and name in seconds:
            times = ratio(seconds[name].median, ours.median)
        report.target(f"{what}: times as fast as {label(name)}", wanted, times)
    best = min((inertias[name].median for name in peers), default=None)
    excess = None if best is None or ours is None else inertias[OURS].median / best
    report.target(f"{what}: inertia in units of the best peer's", 1, excess, at_least=False)


def _timing(runs: list[dict[str, Any]], what: str) -> Timing:
    return Timing(tuple(one[what] for one in runs))
