"""A fit by mini-batches against scikit-learn's `MiniBatchKMeans`, on the same Parquet files.

Each fit runs in a process of its own and is timed from the files to the fitted centers, loading
included; the systems take turns. scikit-learn gets `n_init=1`, and its rows by pyarrow into one
float32 array. Inertias of both are computed by the same float64 evaluator, outside of the timed
region.
"""

import argparse
import time

import dask
import numpy as np

from tests.benchmarks.child import Child
from tests.benchmarks.data import array_of_parquet, inertia_of_parquet
from tests.benchmarks.measure import Timing
from tests.benchmarks.report import Report


def fit_dkmeans(folder: str, k: int, batch_size: int, seed: int) -> dict:
    """Fit on the threads of this process."""
    import dkmeans

    start = time.perf_counter()
    rows = dkmeans.read_parquet(folder)
    fitted = dkmeans.MiniBatchKMeans(k, batch_size=batch_size, random_state=seed).fit(rows)
    return {
        "seconds": time.perf_counter() - start,
        "steps": fitted.n_steps_,
        "rows": rows.rows_read,
        "reported": fitted.inertia_,
        "centers": fitted.cluster_centers_,
    }


def fit_sklearn(folder: str, k: int, batch_size: int, seed: int) -> dict:
    """Load all rows, then fit."""
    from sklearn.cluster import MiniBatchKMeans

    start = time.perf_counter()
    X = array_of_parquet(folder)
    fitted = MiniBatchKMeans(k, batch_size=batch_size, n_init=1, random_state=seed).fit(X)
    # seeding looks at 3 batches, the end at all rows
    n_rows = fitted.n_steps_ * batch_size + 3 * batch_size + len(X)
    return {
        "seconds": time.perf_counter() - start,
        "steps": fitted.n_steps_,
        "rows": n_rows,
        "reported": float(fitted.inertia_),
        "centers": fitted.cluster_centers_.astype(np.float64),
    }


SYSTEMS = {"dkmeans": fit_dkmeans, "scikit-learn": fit_sklearn}


class Fits:
    """What a fresh process does: one fit of one system."""

    def __init__(self, threads: int) -> None:
        dask.config.set(scheduler="threads", num_workers=threads)

    def fit(self, system: str, folder: str, k: int, batch_size: int, seed: int) -> dict:
        """Fit, and return what came out."""
        return SYSTEMS[system](folder, k, batch_size, seed)

    def close(self) -> None:
        """Nothing is left to end."""


def in_a_process(system: str, asked: argparse.Namespace, seed: int) -> dict:
    """Fit in a fresh process, and evaluate the centers."""
    child = Child("minibatch-of-parquet", asked.threads)
    try:
        row: dict = child.call("fit", system, asked.folder, asked.k, asked.batch_size, seed)
    finally:
        child.close()
    row["inertia"] = inertia_of_parquet(asked.folder, row.pop("centers"))
    return row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("folder")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16384)
    parser.add_argument("--seeds", type=int, default=5)


def run(report: Report, asked: argparse.Namespace) -> None:
    """Fit all seeds, the systems taking turns."""
    found: dict[str, list[dict]] = {name: [] for name in SYSTEMS}
    seeds = range(2 if asked.quick else asked.seeds)
    for seed in seeds:
        for name in SYSTEMS:
            found[name].append(in_a_process(name, asked, seed))
    table = [
        [
            name,
            seed,
            f"{row['seconds']:.1f}",
            row["steps"],
            f"{row['rows']:,}",
            f"{row['reported']:.6g}",
            f"{row['inertia']:.6g}",
        ]
        for name, rows in found.items()
        for seed, row in zip(seeds, rows, strict=True)
    ]
    seconds = {name: Timing(tuple(row["seconds"] for row in rows)) for name, rows in found.items()}
    inertias = {name: Timing(tuple(row["inertia"] for row in rows)) for name, rows in found.items()}
    ours, theirs = seconds["dkmeans"], seconds["scikit-learn"]
    ratios = Timing(tuple(a / b for a, b in zip(ours.values, theirs.values, strict=True)))
    difference = inertias["dkmeans"].median / inertias["scikit-learn"].median - 1
    report.table(
        f"Mini-batch fits of Parquet, k={asked.k}, batches of {asked.batch_size}",
        ["", "seed", "seconds", "steps", "rows read", "reported", "inertia"],
        table,
        f"seconds {ours.shown()} against {theirs.shown()}, ratios {ratios.shown()}; "
        f"median inertia {difference:+.2%}",
    )
    what = f"mini-batch fit of Parquet, k={asked.k}"
    report.compare(what, ours, {"scikit-learn": theirs})
    others = {"scikit-learn": inertias["scikit-learn"]}
    report.compare(f"{what}, inertia", inertias["dkmeans"], others, unit="")
