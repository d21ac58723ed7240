"""A whole fit against dask-ml's, on the same Parquet files and as many workers.

dkmeans reads the files, and is timed from planning to the saved model. dask-ml gets an array that
is persisted in the cluster's memory before its clock starts. Inertias are computed for both by the
same float64 evaluator, outside of the timed region.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import dkmeans
from tests.benchmarks.data import inertia_of_parquet
from tests.benchmarks.measure import Timing, ratio
from tests.benchmarks.peers import NOT_INSTALLED
from tests.benchmarks.report import Report


def fit_dkmeans(folder: str, k: int, max_iter: int, workers: int) -> dict:
    """Run the command line, as a user would."""
    with tempfile.TemporaryDirectory() as scratch:
        model = str(Path(scratch, "model"))
        command = [sys.executable, "-m", "dkmeans.cli.main", "fit", folder, "--json"]
        command += ["--k", str(k), "--max-iter", str(max_iter), "--scale", "none", "--seed", "0"]
        command += ["--model", model, "--workers", str(workers)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(done.stdout)
        centers = dkmeans.Model.load(model).centers
    return {
        "seconds": result["seconds"],
        "iterations": result["n_iter"],
        "passes": result["n_passes"],
        "reported": result["inertia"],
        "inertia": inertia_of_parquet(folder, centers),
    }


def fit_dask_ml(
    folder: str, k: int, max_iter: int | None, workers: int, seed: int = 0
) -> dict[str, Any]:
    """Persist, then fit; `max_iter` None is the default of dask-ml."""
    import dask.dataframe as dd
    from dask_ml.cluster import KMeans
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        options = {} if max_iter is None else {"max_iter": max_iter}
        X = dd.read_parquet(folder).to_dask_array(lengths=True).persist()
        wait(X)
        start = time.perf_counter()
        fitted = KMeans(k, random_state=seed, **options).fit(X)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "iterations": int(fitted.n_iter_),
        "passes": "?",
        "reported": float(fitted.inertia_),
        "inertia": inertia_of_parquet(folder, fitted.cluster_centers_.astype(np.float64)),
    }


def against_dask_ml(report: Report, folder: str, k: int, max_iter: int, workers: int) -> None:
    """Fit both, and show what came out."""
    found = {"dkmeans": fit_dkmeans(folder, k, max_iter, workers)}
    try:
        found["dask-ml"] = fit_dask_ml(folder, k, max_iter, workers)
    except ImportError as error:
        report.note(f"dask-ml: {NOT_INSTALLED} ({error})")
    rows = [
        [
            name,
            f"{one['seconds']:.1f}",
            one["iterations"],
            one["passes"],
            f"{one['reported']:.6g}",
            f"{one['inertia']:.6g}",
        ]
        for name, one in found.items()
    ]
    note = ""
    if "dask-ml" in found:
        ours, theirs = found["dkmeans"], found["dask-ml"]
        note = (
            f"dask-ml takes {ratio(theirs['seconds'], ours['seconds']):.1f} times as long; our "
            f"inertia is {ours['inertia'] / theirs['inertia'] - 1:+.2%} against its"
        )
        what = f"fit of Parquet, k={k}, {workers} workers"
        theirs_timing = {"dask-ml": Timing((theirs["seconds"],))}
        report.compare(what, Timing((ours["seconds"],)), theirs_timing)
        report.compare(
            f"{what}, inertia",
            Timing((ours["inertia"],)),
            {"dask-ml": Timing((theirs["inertia"],))},
            unit="",
        )
    header = ["", "seconds", "iterations", "passes", "reported", "inertia"]
    report.table(f"Fit of Parquet, k={k}, at most {max_iter} iterations", header, rows, note)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("folder")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--max-iter", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)


def run(report: Report, asked: argparse.Namespace) -> None:
    """Fit both."""
    against_dask_ml(report, asked.folder, asked.k, asked.max_iter, asked.workers)
