"""The most memory that a fit takes, of one array and of Parquet that is larger than what it may.

Each library runs in a fresh process. What it holds once everything is imported, and a few rows were
fitted, is stated and left out of the rest; the array counts. Spark's JVM is a process of its own,
and counts with it.
"""

import argparse
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from tests.benchmarks.child import Child, PeerFailed
from tests.benchmarks.data import inertia_of, mixture, write_parquet
from tests.benchmarks.measure import Timing
from tests.benchmarks.peers import ESTIMATORS, PEERS, label
from tests.benchmarks.report import Report

N_ITER = 5
LOOK_SECONDS = 0.01
CAP_SHARE = 4
"""Parquet is so many times as large, decoded, as what a fit of it may take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--peers", help="names, separated by commas; all if absent")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Measure both."""
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        of_an_array(report, asked, folder)
        of_parquet(report, asked, folder)


def resident(pid: int) -> int:
    """Bytes that are resident for a process and all that it started."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += int(one.memory_info().rss)
    return total


def resident_anonymous(pid: int) -> int:
    """Bytes that are resident for a process, mapped files left out; all of them where not told."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return resident(pid)
    lines = status.read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def of_an_array(report: Report, asked: argparse.Namespace, folder: str) -> None:
    """Fit to the same array with every library."""
    n, d, k = (20_000, 32, 10) if asked.quick else (2_000_000, 32, 100)
    X = mixture(n, d, 8 * k)
    path = str(Path(folder, "X.npy"))
    np.save(path, X)
    few = _few_rows(folder)
    usual = [name for name in ESTIMATORS if not (asked.quick and name == "spark")]
    names = asked.peers.split(",") if asked.peers else usual
    rows, taken = [], {}
    for name in names:
        try:
            before, peak = _peak(name, path, few, k, asked.threads)
        except PeerFailed as error:
            report.note(f"{label(name)}: {error}")
            continue
        taken[name] = peak - before
        times = f"{taken[name] / X.nbytes:.2f}"
        rows.append([label(name), f"{before / 1e6:.0f}", f"{taken[name] / 1e6:.0f}", times])
    what = f"peak memory of a fit of {n} x {d}, k={k}"
    report.table(
        what,
        ["", "MB before", "MB more at the peak", "times the array"],
        rows,
        f"the array takes {X.nbytes / 1e6:.0f} MB; {N_ITER} iterations; one fresh process each",
    )
    if "dkmeans-kmeans" in taken:
        ours = Timing((taken["dkmeans-kmeans"] / 1e6,))
        others = {
            label(name): Timing((found / 1e6,))
            for name, found in taken.items()
            if not PEERS[name].is_ours
        }
        report.compare(what, ours, others, unit="MB")


def _few_rows(folder: str) -> str:
    path = str(Path(folder, "few.npy"))
    np.save(path, mixture(1000, 4, 2))
    return path


def _peak(name: str, path: str, few: str, k: int, threads: int) -> tuple[int, int]:
    child = Child(name, threads)
    try:
        child.call("warm_up", few)
        child.call("rest")
        before = most = resident(child.pid)
        for method, arguments in (("load", (path,)), ("fit", (k, N_ITER, 0))):
            child.tell(method, *arguments)
            while not child.answered(LOOK_SECONDS):
                most = max(most, resident(child.pid))
            child.answer()
        # the system has seen peaks between two looks; but of one process only
        return before, max(most, child.call("peak"))
    finally:
        child.close()


def of_parquet(report: Report, asked: argparse.Namespace, folder: str) -> None:
    """Fit to Parquet in a process that the system grants less memory than that."""
    n, d, k = (200_000, 32, 10) if asked.quick else (10_000_000, 32, 20)
    # in the smallest case, what surrounds blocks is larger than they are
    cap = max(4 * n * d // CAP_SHARE, 200 * 2**20)
    parquet = Path(folder, "parquet")
    n_files = 8
    for number in range(n_files):
        part = mixture(n // n_files, d, 4 * k, seed=number)
        write_parquet(Path(parquet, str(number)), part, n_files=1, groups=4)
    few = write_parquet(Path(folder, "few"), mixture(1000, 4, 2))
    rows = []
    for stage in ("disk", "none"):
        try:
            child = Child("dkmeans-kmeans", asked.threads)
            try:
                child.call("warm_up_parquet", few)
                before = most = resident_anonymous(child.pid)
                child.tell("fit_parquet", str(parquet), k, 3, stage, cap)
                while not child.answered(LOOK_SECONDS):
                    most = max(most, resident_anonymous(child.pid))
                done = child.answer()
            finally:
                child.close()
        except PeerFailed as error:
            rows.append([stage, "", "", f"failed: {error}"])
            report.target(f"a fit of Parquet within its cap, stage={stage}", 1, 0)
            continue
        report.target(f"a fit of Parquet within its cap, stage={stage}", 1, 1)
        found = inertia_of(part, done.centers) / len(part)
        more = f"{(most - before) / 1e6:.0f}"
        rows.append([stage, more, f"{done.seconds:.1f}", f"{found:.4g} a row of the last file"])
    report.table(
        f"KMeans on Parquet of {4 * n * d / 1e6:.0f} MB decoded, {cap / 1e6:.0f} MB granted",
        ["stage", "MB at the peak", "seconds", "inertia"],
        rows,
        "granted by RLIMIT_DATA beyond what was taken after import; mapped files are not counted",
    )
