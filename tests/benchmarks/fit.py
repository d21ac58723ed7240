"""A whole fit against dask-ml's, on the same Parquet files and as many workers.

    python -m tests.benchmarks.fit FOLDER [--k 100] [--max-iter 20] [--workers 2]

dkmeans reads the files, and is timed from planning to the saved model. dask-ml gets an array that
is persisted in the cluster's memory before its clock starts. Inertias are computed for both by the
same float64 evaluator, outside of the timed region. Needs the `bench` extra.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import dkmeans


def evaluate(folder: str, centers: np.ndarray) -> float:
    """Inertia of all rows under `centers`, in float64."""
    import pyarrow.parquet as pq

    total = 0.0
    sq_norms = (centers**2).sum(axis=1)
    for path in sorted(Path(folder).glob("**/*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(50_000):
            X = np.column_stack([column.to_numpy() for column in batch.columns]).astype(np.float64)
            nearest = (sq_norms - 2 * X @ centers.T).argmin(axis=1)
            total += float(((X - centers[nearest]) ** 2).sum())
    return total


def fit_dkmeans(folder: str, k: int, max_iter: int, workers: int) -> dict:
    """Run the command line, as a user would."""
    with tempfile.TemporaryDirectory() as scratch:
        model = str(Path(scratch, "model"))
        command = [sys.executable, "-m", "dkmeans.cli.main", "fit", folder, "--json"]
        command += ["--k", str(k), "--max-iter", str(max_iter), "--scale", "none", "--seed", "0"]
        command += ["--model", model, "--workers", str(workers)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout)
        centers = dkmeans.Model.load(model).centers
    return {
        "seconds": result["seconds"],
        "iterations": result["n_iter"],
        "passes": result["n_passes"],
        "reported": result["inertia"],
        "inertia": evaluate(folder, centers),
    }


def fit_dask_ml(folder: str, k: int, max_iter: int, workers: int) -> dict:
    """Persist, then fit."""
    import dask.dataframe as dd
    from dask_ml.cluster import KMeans
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        X = dd.read_parquet(folder).to_dask_array(lengths=True).persist()
        wait(X)
        start = time.perf_counter()
        fitted = KMeans(k, max_iter=max_iter, random_state=0).fit(X)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "iterations": int(fitted.n_iter_),
        "passes": None,
        "reported": float(fitted.inertia_),
        "inertia": evaluate(folder, fitted.cluster_centers_.astype(np.float64)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--max-iter", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    arguments = (asked.folder, asked.k, asked.max_iter, asked.workers)
    rows = {"dkmeans": fit_dkmeans(*arguments), "dask-ml": fit_dask_ml(*arguments)}
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, k={asked.k}")
    print(f"{'':10} {'seconds':>8} iterations  passes      reported       inertia")
    for name, row in rows.items():
        print(
            f"{name:10} {row['seconds']:8.1f} {row['iterations']:10d} {row['passes'] or '?':>7} "
            f"{row['reported']:13.6g} {row['inertia']:13.6g}"
        )
    ours, theirs = rows["dkmeans"], rows["dask-ml"]
    print(f"dask-ml takes {theirs['seconds'] / ours['seconds']:.1f} times as long")
    print(f"inertia {ours['inertia'] / theirs['inertia'] - 1:+.2%} against dask-ml's")


if __name__ == "__main__":
    main()
