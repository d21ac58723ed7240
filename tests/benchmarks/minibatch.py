"""A fit by mini-batches against scikit-learn's `MiniBatchKMeans`, on the same Parquet files.

    python -m tests.benchmarks.minibatch FOLDER [--k 100] [--batch-size 16384] [--seeds 5]

Each fit runs in a process of its own and is timed from the files to the fitted centers, loading
included; the systems take turns. scikit-learn gets `n_init=1`, and its rows by pyarrow into one
float32 array. Inertias of both are computed by the same float64 evaluator, outside of the timed
region.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np

from tests.benchmarks.fit import evaluate


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
        "centers": fitted.cluster_centers_.tolist(),
    }


def fit_sklearn(folder: str, k: int, batch_size: int, seed: int) -> dict:
    """Load all rows, then fit."""
    import pyarrow.parquet as pq
    from sklearn.cluster import MiniBatchKMeans

    start = time.perf_counter()
    table = pq.read_table(folder)
    X = np.column_stack([column.to_numpy() for column in table.columns])
    del table
    fitted = MiniBatchKMeans(k, batch_size=batch_size, n_init=1, random_state=seed).fit(X)
    # seeding looks at 3 batches, the end at all rows
    n_rows = fitted.n_steps_ * batch_size + 3 * batch_size + len(X)
    return {
        "seconds": time.perf_counter() - start,
        "steps": fitted.n_steps_,
        "rows": n_rows,
        "reported": float(fitted.inertia_),
        "centers": fitted.cluster_centers_.astype(np.float64).tolist(),
    }


SYSTEMS = {"dkmeans": fit_dkmeans, "scikit-learn": fit_sklearn}


def in_a_process(system: str, asked: argparse.Namespace, seed: int) -> dict:
    """Fit in a fresh process, and evaluate the centers."""
    command = [sys.executable, "-m", "tests.benchmarks.minibatch", asked.folder, "--one", system]
    command += ["--k", str(asked.k), "--batch-size", str(asked.batch_size), "--seed", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict = json.loads(done.stdout)
    row["inertia"] = evaluate(asked.folder, np.array(row.pop("centers")))
    print(
        f"{system:13} {seed:4d} {row['seconds']:8.1f} {row['steps']:6d} {row['rows']:12,d} "
        f"{row['reported']:13.6g} {row['inertia']:13.6g}",
        flush=True,
    )
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16384)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = SYSTEMS[asked.one](asked.folder, asked.k, asked.batch_size, asked.seed)
        print(json.dumps(row))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, k={asked.k}")
    print(f"{'':13} seed  seconds  steps    rows read      reported       inertia")
    found: dict[str, list[dict]] = {name: [] for name in SYSTEMS}
    for seed in range(asked.seeds):
        for name in SYSTEMS:
            found[name].append(in_a_process(name, asked, seed))
    ours, theirs = found["dkmeans"], found["scikit-learn"]

    def median(rows: list[dict], what: str) -> float:
        return statistics.median(row[what] for row in rows)

    ratio = statistics.median(
        one["seconds"] / other["seconds"] for one, other in zip(ours, theirs, strict=True)
    )
    print(f"median seconds {median(ours, 'seconds'):.1f} against {median(theirs, 'seconds'):.1f}")
    print(f"time, median of the ratios: {ratio:.2f} of scikit-learn's")
    print(f"median inertia {median(ours, 'inertia') / median(theirs, 'inertia') - 1:+.2%}")


if __name__ == "__main__":
    main()
