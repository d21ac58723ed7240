"""Whole fits: from one start, to a given quality, and of Parquet against dask-ml.

The fit from one start is what users would write, with all that surrounds the iterations. A given
quality is an inertia close to the best that is known: each system, seeded as it is by default, runs
with growing budgets, and counts with the seconds of the least that reaches it.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from tests.benchmarks import parquet
from tests.benchmarks.ceilings import ceilings
from tests.benchmarks.child import Child, PeerFailed, started
from tests.benchmarks.data import inertia_of, mixture, start_rows, write_parquet
from tests.benchmarks.measure import Timing, interleaved, ratio
from tests.benchmarks.peers import ESTIMATORS, PEERS, label
from tests.benchmarks.report import Report

OURS = "dkmeans-kmeans"
FROM_ONE_START = (
    OURS,
    "sklearn-lloyd",
    "onedal",
    "faiss",
    "faiss-super",
    "superkmeans",
    "superkmeans-gemm",
)
N_ITER, TARGET = 20, 1.8

VARIANTS = ("sklearn-minibatch-16k", "faiss-sampled", "dask-ml-tuned")
"""The same libraries with other settings; not for small sizes."""

BUDGETS = (1, 2, 3, 5, 8, 12, 20, 40, 80, 160)
LEVELS = (1.01, 1.001)
N_SEEDS = 3
MOST_SECONDS = 60.0
"""What a system may take for all budgets of one seed."""
LONG = 300
"""Iterations of the fits that look for the best inertia."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--parts", default="start,quality,parquet", help="which to run")
    parser.add_argument("--folder", help="Parquet for the fit against dask-ml; made if absent")
    parser.add_argument("--peers", help="names, separated by commas; all if absent")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Run all parts."""
    ceilings(report, asked)
    parts = asked.parts.split(",")
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        if "start" in parts:
            from_one_start(report, asked, folder)
        if "quality" in parts:
            to_a_quality(report, asked, folder)
        if "parquet" in parts:
            source = asked.folder
            if source is None:
                n = 40_000 if asked.quick else 4_000_000
                source = write_parquet(Path(folder, "parquet"), mixture(n, 32, 100))
            k, n_iter = (20, 3) if asked.quick else (100, N_ITER)
            parquet.against_dask_ml(report, source, k, n_iter, asked.threads)


def _wanted(names: Sequence[str], asked: argparse.Namespace) -> list[str]:
    chosen = asked.peers.split(",") if asked.peers else names
    return [name for name in names if name in chosen or name == OURS]


def from_one_start(report: Report, asked: argparse.Namespace, folder: str) -> None:
    """Time `fit` of public estimators, from the same rows to as many iterations."""
    n, k = (20_000, 20) if asked.quick else (1_000_000, 100)
    X = mixture(n, 32, 8 * k)
    start = start_rows(X, k)
    path = str(Path(folder, "start.npy"))
    np.save(path, X)
    with started(_wanted(FROM_ONE_START, asked), asked.threads, report) as children:
        centers: dict[str, np.ndarray] = {}

        def runner(name: str, child: Child) -> Callable[[], float]:
            def run() -> float:
                # the first run after a wait takes longer than others
                child.call("iterate", start, 1)
                done = child.call("iterate", start, N_ITER)
                centers[name] = done.centers
                return float(done.seconds)

            return run

        for name, child in children.items():
            child.call("load", path)
            report.pools(label(name), child.call("pools"))
        timings = interleaved(
            {name: runner(name, child) for name, child in children.items()},
            asked.runs,
            always=OURS,
            on_failure=lambda name, error: report.note(f"{label(name)}: {error}"),
        )
    ours = timings[OURS]
    rows = [
        [
            label(name),
            timing.shown(),
            f"{ratio(timing.median, ours.median):.2f}",
            f"{inertia_of(X, centers[name]):.6g}" + (" *" if PEERS[name].own_start else ""),
        ]
        for name, timing in timings.items()
    ]
    what = f"fit of {n} x 32, k={k}, {N_ITER} iterations from one start"
    note = "* from a start of its own"
    report.table(what, ["", "seconds", "times ours", "inertia"], rows, note)
    theirs = {name: timing for name, timing in timings.items() if name != OURS}
    report.compare(what, ours, {label(name): timing for name, timing in theirs.items()})
    best = min((timing.median for timing in theirs.values()), default=None)
    times = None if best is None else ratio(best, ours.median)
    report.target(f"{what}: times as fast as the best peer", TARGET, times)


RunBudget = Callable[[int], tuple[float, float, int | None]]
"""Runs with a budget: seconds, inertia, and iterations made if they are told."""


@dataclass
class Ladder:
    """The runs of one system with one seed, its budget growing."""

    name: str
    seed: int
    runs: list[tuple[int, float, float]] = field(default_factory=list)
    """Budget, seconds and inertia of each."""

    ended: str = ""
    """Why it goes no further."""

    def reached(self, inertia: float) -> float | None:
        """Seconds of the fastest run that is as good; None if there is none."""
        return min((seconds for _, seconds, found in self.runs if found <= inertia), default=None)

    def climb(self, run: RunBudget, inertia: float, most_seconds: float = MOST_SECONDS) -> None:
        """Run with larger budgets until one is as good, or nothing is left."""
        for budget in BUDGETS[len(self.runs) :]:
            if self.ended or self.reached(inertia) is not None:
                return
            if sum(seconds for _, seconds, _ in self.runs) > most_seconds:
                self.ended = f"{most_seconds:.0f} s were spent"
                return
            try:
                seconds, found, n_iter = run(budget)
            except PeerFailed as error:
                self.ended = str(error)
                return
            self.runs.append((budget, seconds, found))
            if n_iter is not None and n_iter < budget:
                self.ended = f"converged in {n_iter}"
        if self.reached(inertia) is None:
            self.ended = self.ended or f"{BUDGETS[-1]} were not enough"


def to_a_quality(report: Report, asked: argparse.Namespace, folder: str) -> None:
    """Time systems with their own seeding until they are as good as the best that is known."""
    n, k, n_seeds = (5_000, 10, 1) if asked.quick else (500_000, 100, N_SEEDS)
    # more components than clusters, of different size and width: there is always more to find
    X = mixture(n, 16, 6 * k, spread=1.5, even=False)
    names = ESTIMATORS if asked.quick else (*ESTIMATORS, *VARIANTS)
    path = str(Path(folder, "quality.npy"))
    np.save(path, X)
    with started(_wanted(names, asked), asked.threads, report) as children:
        best = np.inf
        for name, child in children.items():
            child.call("load", path)
            # what libraries do once in their lives is not part of a fit
            try:
                child.call("fit", k, 1, 99)
            except PeerFailed as error:
                report.note(f"{label(name)}: {error}")
        for name in {OURS, "sklearn-lloyd", "onedal"} & set(children):
            for seed in range(100, 101 if asked.quick else 103):
                best = min(best, inertia_of(X, children[name].call("fit", k, LONG, seed).centers))
        ladders = [Ladder(name, seed) for seed in range(n_seeds) for name in children]
        before = np.inf
        # a run may be better than all that was known: then others have further to go
        while best < before:
            before = best
            for ladder in ladders:
                climbs = _runner(children[ladder.name], X, k, ladder.seed)
                most_seconds = 1.0 if asked.quick else MOST_SECONDS
                ladder.climb(climbs, LEVELS[-1] * best, most_seconds)
            best = min([best, *(found for ladder in ladders for _, _, found in ladder.runs)])
    _show_quality(report, ladders, best, f"{n} x 16, k={k}")


def _how_often(timing: Timing | None, n_seeds: int) -> str:
    """Say with how many seeds a quality was reached, if not with all."""
    if timing is None:
        return " never"
    return "" if len(timing.values) == n_seeds else f", {len(timing.values)} of {n_seeds} seeds"


def _runner(child: Child, X: np.ndarray, k: int, seed: int) -> RunBudget:
    def run(budget: int) -> tuple[float, float, int | None]:
        done = child.call("fit", k, budget, seed)
        return float(done.seconds), inertia_of(X, done.centers), done.n_iter

    return run


def _show_quality(report: Report, ladders: Sequence[Ladder], best: float, shape: str) -> None:
    names = list(dict.fromkeys(ladder.name for ladder in ladders))
    rows = []
    reached: dict[float, dict[str, Timing]] = {level: {} for level in LEVELS}
    for name in names:
        own = [ladder for ladder in ladders if ladder.name == name]
        cells = [label(name)]
        for level in LEVELS:
            found = [ladder.reached(level * best) for ladder in own]
            seconds = [one for one in found if one is not None]
            if seconds:
                reached[level][name] = Timing(tuple(seconds))
            timing = Timing(tuple(seconds)) if seconds else None
            shown = "" if timing is None else timing.shown()
            cells.append(f"{shown}{_how_often(timing, len(own))}".strip())
        least = [min((found for _, _, found in one.runs), default=np.inf) for one in own]
        cells.append(f"{median(least) / best:.4f}")
        cells.append("; ".join(dict.fromkeys(one.ended for one in own if one.ended)))
        rows.append(cells)
    header = ["", *(f"s to {level} of the best" for level in LEVELS), "median best", "ended by"]
    note = (
        f"best inertia known {best:.8g}; {len({ladder.seed for ladder in ladders})} seeds, each "
        f"with budgets {', '.join(map(str, BUDGETS))} until it reaches {LEVELS[-1]}"
    )
    report.table(f"Time to a quality, {shape}", header, rows, note)
    n_seeds = len({ladder.seed for ladder in ladders})
    for level, timings in reached.items():
        theirs = {
            f"{label(name)}{_how_often(timing, n_seeds)}": timing
            for name, timing in timings.items()
            if not PEERS[name].is_ours
        }
        for ours in (name for name in names if PEERS[name].is_ours):
            what = f"{label(ours)}{_how_often(timings.get(ours), n_seeds)}: seconds to {level} of"
            report.compare(f"{what} the best inertia, {shape}", timings.get(ours), theirs)
    report.figure("quality", {f"{one.name} {one.seed}": one.runs for one in ladders})
