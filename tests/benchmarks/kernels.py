"""Seconds per Lloyd iteration, in memory, float32, all from the same start rows.

Start-up is taken out: the seconds of two runs of few and of more iterations are subtracted. What
each library ends with is judged by one float64 evaluator, outside of what is timed; of one that
cannot be told where to start, an iteration more must be what a float64 iteration makes of it.
Another part is the regret of choosing kernels by shape: see `choice`.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.benchmarks.ceilings import ceilings, peak
from tests.benchmarks.child import Child, PeerFailed, started
from tests.benchmarks.choice import regret
from tests.benchmarks.data import inertia_of, lloyd_step, mixture, start_rows
from tests.benchmarks.measure import Timing, interleaved, ratio
from tests.benchmarks.peers import PEERS, label
from tests.benchmarks.report import Report

OURS = "dkmeans"
AGREEMENT = 1e-3
"""How far inertias after as many iterations may lie apart, relative."""

MOST_BOUNDS = 99_999_999
"""Rows times clusters from which on scikit-learn's elkan is left out: it keeps that many bounds,
and takes many times as long as its lloyd."""

RIVALS = (
    "sklearn-lloyd",
    "sklearn-elkan",
    "onedal",
    "faiss",
    "faiss-super",
    "superkmeans",
    "superkmeans-gemm",
)


@dataclass(frozen=True)
class Shape:
    """A case, and how many times as fast as the best peer we have to be."""

    n: int
    d: int
    k: int
    target: float
    n_iter: tuple[int, int]
    """Iterations of the shorter and of the longer run."""

    unpruned: bool = False
    """Whether only peers that compute whole distances count."""

    @property
    def text(self) -> str:
        """As tables show it."""
        return f"{self.n:,}".replace(",", " ") + f" x {self.d}, k={self.k}"

    @property
    def flops(self) -> float:
        """Of the scores of an iteration."""
        return 2.0 * self.n * self.d * self.k


SHAPES = (
    Shape(2_000_000, 2, 8, 3.5, (2, 22)),
    Shape(1_000_000, 8, 20, 2.5, (2, 22)),
    Shape(500_000, 16, 16, 2.0, (2, 22)),
    Shape(1_000_000, 32, 100, 2.5, (2, 22)),
    Shape(500_000, 64, 1000, 1.3, (1, 6)),
    Shape(300_000, 128, 256, 1.2, (2, 17)),
    Shape(100_000, 768, 1000, 1.1, (1, 6), unpruned=True),
)
PEAK_SHARE = 0.6
"""Of the cube's product, wanted at d >= 32 and k >= 100."""


COMPONENTS = 8
"""Components of the mixture for each cluster: with as many as clusters, centers that start in one
component lose all of their rows, and each library has a rule of its own for these."""


def quick(shape: Shape) -> Shape:
    """Return a smaller case of the same width."""
    n = max(shape.n // 50, 4000)
    few, more = shape.n_iter
    return replace(shape, n=n, k=min(shape.k, n // 20), n_iter=(few, few + max(4, more - few)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--parts", default="peers,regret", help="which to run")
    parser.add_argument("--shapes", help="which to run, counted from 0, such as 0,3; all if absent")
    parser.add_argument("--peers", help="names, separated by commas; all if absent")
    parser.add_argument("--coretype", help="OPENBLAS_CORETYPE of all processes, ours too")


def run(report: Report, asked: argparse.Namespace) -> None:
    """Run all parts."""
    parts = asked.parts.split(",")
    numbers = map(int, asked.shapes.split(",")) if asked.shapes else range(len(SHAPES))
    shapes = [SHAPES[number] for number in numbers]
    if "peers" in parts:
        against_peers(report, asked, [quick(one) if asked.quick else one for one in shapes])
    if "regret" in parts:
        regret(report, [(one.n, one.d, one.k) for one in shapes], asked.runs, asked.quick)


def against_peers(report: Report, asked: argparse.Namespace, shapes: list[Shape]) -> None:
    """Measure all shapes."""
    medians = ceilings(report, asked)
    rivals = asked.peers.split(",") if asked.peers else list(RIVALS)
    environment = {"OPENBLAS_CORETYPE": asked.coretype} if asked.coretype else {}
    with started([OURS, *rivals], asked.threads, report, environment) as children:
        for name, child in children.items():
            report.pools(label(name), child.call("pools"))
        lines = [_measure(report, shape, children, medians, asked) for shape in shapes]
    report.table(
        "Ours",
        ["n x d, k", "ms", "GFLOP/s", "% of sgemm", "% of peak", "best peer", "ratio", "target"],
        lines,
        "sgemm: the cube's product as NumPy is installed; peak: with the widest instructions",
    )


def _measure(
    report: Report,
    shape: Shape,
    children: dict[str, Child],
    medians: dict[str, float],
    asked: argparse.Namespace,
) -> list[str]:
    X = mixture(shape.n, shape.d, COMPONENTS * shape.k)
    start = start_rows(X, shape.k)
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        path = str(Path(folder, "X.npy"))
        np.save(path, X)
        for child in children.values():
            child.call("load", path)
    failed: dict[str, str] = {}
    reached: dict[str, np.ndarray] = {}
    if shape.n * shape.k > MOST_BOUNDS and "sklearn-elkan" in children:
        children = {name: child for name, child in children.items() if name != "sklearn-elkan"}
        report.note(f"{shape.text}: {label('sklearn-elkan')} is left out, its bounds are too many")
    timings = interleaved(
        {
            name: _per_iteration(child, start, shape.n_iter, reached)
            for name, child in children.items()
        },
        asked.runs,
        always=OURS,
        on_failure=lambda name, error: failed.update({name: str(error)}),
    )
    compared = {name: children[name] for name in timings}
    checks = _checks(X, start, shape.n_iter[1], compared, reached)
    ours = timings.pop(OURS)
    wrong = {name for name, (_, agrees) in checks.items() if not agrees}
    valid = {name: one for name, one in timings.items() if name not in wrong}
    rows = []
    for name, timing in {OURS: ours, **timings}.items():
        note, _ = checks[name]
        times = _times(timing, ours)
        rows.append([label(name), timing.scaled(1e3).shown(), times, note])
    rows += [[label(name), "failed", "", error] for name, error in failed.items()]
    report.table(shape.text, ["", "ms per iteration", "times ours", "inertia"], rows)
    named = {label(name): timing for name, timing in valid.items() if timing.is_clear}
    if OURS not in wrong and ours.is_clear:
        report.compare(f"an iteration, {shape.text}", ours, named)
    return _judged(report, shape, ours, valid, medians)


def _per_iteration(
    child: Child, start: np.ndarray, n_iter: tuple[int, int], reached: dict[str, np.ndarray]
) -> Callable[[], float]:
    """Return what times an iteration, and leaves in `reached` what the longer run ends with."""
    few, more = n_iter

    def run() -> float:
        # the first run after a wait takes longer than others
        child.call("iterate", start, 1)
        short, long = child.call("iterate", start, few), child.call("iterate", start, more)
        n_short, n_long = (
            asked if one.n_iter is None else one.n_iter
            for one, asked in ((short, few), (long, more))
        )
        # one that has found a fixed point may end there
        if n_short != few or not few < n_long <= more:
            raise PeerFailed(f"made {n_short} and {n_long} of {few} and {more} iterations")
        reached[child.name] = long.centers
        return float(long.seconds - short.seconds) / (n_long - n_short)

    return run


def _checks(
    X: np.ndarray,
    start: np.ndarray,
    n_iter: int,
    children: dict[str, Child],
    ends: dict[str, np.ndarray],
) -> dict[str, tuple[str, bool]]:
    """What each ends with against float64: a note, and whether it agrees."""
    wanted = None
    found = {}
    for name in sorted(children, key=lambda one: one != OURS):
        reached = inertia_of(X, ends[name])
        if PEERS[name].own_start:
            before = children[name].call("iterate", start, n_iter - 1).centers
            aim, what = inertia_of(X, lloyd_step(X, before)), "its own start, the last iteration"
        else:
            # ours comes first, and is checked against a float64 iteration of its own
            if wanted is None:
                before = children[name].call("iterate", start, n_iter - 1).centers
                wanted = inertia_of(X, lloyd_step(X, before))
            aim, what = wanted, ""
        away = reached / aim - 1
        agrees = abs(away) <= AGREEMENT
        found[name] = (
            f"{what + ' ' if what else ''}{away:+.1e}{'' if agrees else ' WRONG'}",
            agrees,
        )
    return found


def _times(theirs: Timing, ours: Timing) -> str:
    """How many times ours another takes, unless the difference of two runs drowns in noise."""
    if not (theirs.is_clear and ours.is_clear):
        return "noise"
    return f"{ratio(theirs.median, ours.median):.2f}"


def _judged(
    report: Report,
    shape: Shape,
    ours: Timing,
    rivals: dict[str, Timing],
    medians: dict[str, float],
) -> list[str]:
    """Set ours against the targets; returns the line of the summary."""
    rate = shape.flops / ours.median / 1e9
    installed = next(v for name, v in medians.items() if "as installed" in name)
    most = peak(medians)
    if shape.d >= 32 and shape.k >= 100:
        for what, ceiling in {"sgemm as installed": installed, "peak sgemm": most}.items():
            share = rate / ceiling if ours.is_clear else None
            report.target(f"{shape.text}: share of the {what}", PEAK_SHARE, share)
    counted = {
        name: one
        for name, one in rivals.items()
        if one.is_clear and not (shape.unpruned and PEERS[name].prunes)
    }
    best = min(counted, key=lambda name: counted[name].median) if counted else None
    found = best is not None and ours.is_clear
    times = ratio(counted[best].median, ours.median) if best is not None and found else None
    verdict = report.target(f"{shape.text}: times as fast as the best peer", shape.target, times)
    return [
        shape.text,
        ours.scaled(1e3).shown(),
        f"{rate:.0f}",
        f"{rate / installed:.0%}",
        f"{rate / most:.0%}",
        "none" if best is None else label(best),
        "?" if times is None else f"{times:.2f}",
        f"{shape.target}: {verdict}",
    ]
