"""What the choice of kernels by shape costs: both kinds timed on the same blocks, by one thread.

The regret of a block is how much longer the chosen kernels take than the faster ones. What they
take once, to be compiled or loaded, is no part of it, and told apart.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from dkmeans.kernels import choice, compiled, numpy_tiles
from dkmeans.kernels.threads import one_blas_thread
from tests.benchmarks.data import mixture
from tests.benchmarks.measure import Timing, interleaved
from tests.benchmarks.report import Report

REGRET = 0.10
MOST_BYTES = 16 * 2**20
"""Rows of a block at most: in larger ones the time of both grows with the rows."""

SIZES = tuple(2**power for power in (14, 16, 17, 18, 19, 20, 22))
"""Of the smaller blocks, as the choice counts; compiled loops are chosen from one of them on."""

QUICK_ROWS = 40_000
"""Enough that compiled loops are chosen for every shape."""

DTYPES = ("float32", "float64")
RUN_SECONDS = 0.02
"""Short calls are repeated for so long, and counted as one run."""

KINDS: dict[str, ModuleType] = {"compiled": compiled, "NumPy": numpy_tiles}

_FIRST_LOOPS = """
import time

import numpy as np

from dkmeans.kernels import compiled

start = time.perf_counter()
compiled.loops(np.dtype({dtype!r}))
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Case:
    """A block, and the centers that its rows are compared with."""

    n: int
    d: int
    k: int
    dtype: str
    is_whole: bool
    """Whether it is as large as the blocks of a benchmark."""

    @property
    def text(self) -> str:
        """As tables show it."""
        return f"{self.n} x {self.d}, k={self.k}, {self.dtype}"

    @property
    def chosen(self) -> str:
        """Which kind the shape is left to."""
        return "compiled" if choice.are_compiled(self.n, self.d, self.k) else "NumPy"


def cases(shapes: Sequence[tuple[int, int, int]]) -> Iterator[Case]:
    """Cut each shape `(n, d, k)` to one block, and to smaller ones of both sides of the choice."""
    for dtype in DTYPES:
        for n, d, k in shapes:
            whole = min(n, MOST_BYTES // (d * np.dtype(dtype).itemsize))
            yield Case(whole, d, k, dtype, is_whole=True)
            for size in SIZES:
                few = math.ceil(size / choice.size(1, d, k))
                if few < whole:
                    yield Case(few, d, k, dtype, is_whole=False)


@dataclass(frozen=True)
class Loss:
    """What the choice costs on a block."""

    case: Case
    seconds: float
    """By which the chosen kind takes longer than the fastest."""

    regret: float
    """The same, in units of what the fastest takes."""

    @classmethod
    def of(cls, case: Case, medians: dict[str, float]) -> "Loss":
        """Compare the chosen kind with the fastest."""
        least = min(medians.values())
        lost = medians[case.chosen] - least
        return cls(case, lost, lost / least)


def regret(
    report: Report, shapes: Sequence[tuple[int, int, int]], n_runs: int, quick: bool
) -> None:
    """Measure all cases, show them, and judge the blocks that benchmarks consist of."""
    _once(report)
    if quick:
        shapes = [(min(n, QUICK_ROWS), d, min(k, 100)) for n, d, k in shapes]
    rows, losses = [], []
    with one_blas_thread():
        for case in cases(shapes):
            timings = _measured(case, n_runs)
            loss = Loss.of(case, {kind: timing.median for kind, timing in timings.items()})
            losses.append(loss)
            rows.append(
                [
                    case.text,
                    f"{choice.size(case.n, case.d, case.k) / choice._ENOUGH:.3g}",
                    *(timings[kind].scaled(1e3).shown() for kind in KINDS),
                    case.chosen,
                    f"{loss.regret:.1%}",
                ]
            )
    report.table(
        "Kernels chosen by shape",
        ["block", "size", *(f"ms, {kind}" for kind in KINDS), "chosen", "regret"],
        rows,
        "one thread; size: in units of that from which loops are compiled; "
        "smaller blocks wait for no compiler, and what that spares is not in these times",
    )
    judge(report, losses)


def judge(report: Report, losses: Sequence[Loss]) -> None:
    """Judge whole blocks; of the others, the worst on each side of the choice is told."""
    groups = {"whole blocks": [loss for loss in losses if loss.case.is_whole]}
    for kind in KINDS:
        groups[f"smaller blocks left to {kind}"] = [
            loss for loss in losses if not loss.case.is_whole and loss.case.chosen == kind
        ]
    for what, group in groups.items():
        if not group:
            continue
        worst = max(group, key=lambda loss: loss.regret)
        most = max(group, key=lambda loss: loss.seconds)
        n_above = sum(loss.regret > REGRET for loss in group)
        report.figure(f"regret, {what}", {loss.case.text: loss.regret for loss in group})
        report.note(
            f"{what}: {n_above} of {len(group)} regret more than {REGRET:.0%}; at most "
            f"{worst.regret:.1%} ({worst.case.text}), and at most {most.seconds * 1e3:.3g} ms "
            f"a block ({most.case.text})"
        )
    largest = max(loss.regret for loss in groups["whole blocks"])
    what = f"regret of the choice of kernels, blocks of up to {MOST_BYTES >> 20} MiB of each shape"
    report.target(what, REGRET, largest, at_least=False)


def _once(report: Report) -> None:
    """Tell what compiled loops take in a new process, in seconds: apart from all other times."""
    with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
        rows = []
        for dtype in DTYPES:
            seconds = [_first_loops(dtype, folder) for _ in range(2)]
            rows.append([dtype, *(f"{one:.2f}" for one in seconds)])
    report.table(
        "Seconds of a process until it has compiled loops",
        ["", "compiled", "loaded from the cache"],
        rows,
        "with the import of Numba; no part of the times below",
    )
    if any(compiled.loops(np.dtype(dtype)).n_strip == 1 for dtype in DTYPES):
        report.note("compiled loops are plain ones: vectors were refused")


def _first_loops(dtype: str, cache_folder: str) -> float:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache_folder}
    command = [sys.executable, "-c", _FIRST_LOOPS.format(dtype=dtype)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _measured(case: Case, n_runs: int) -> dict[str, Timing]:
    """Seconds of a call of each kind, in turns."""
    rows = mixture(case.n + case.k, case.d, 8 * case.k).astype(case.dtype)
    centers = rows[: case.k].astype(np.float64)
    X = np.asfortranarray(rows[case.k :])
    origin = centers.mean(axis=0)

    def run(kind: ModuleType) -> Callable[[], float]:
        # loads what is compiled, and tells how often to call
        n_calls = _calls(lambda: kind.sums_of_nearest(X, None, centers, origin))

        def seconds() -> float:
            start = time.perf_counter()
            for _ in range(n_calls):
                kind.sums_of_nearest(X, None, centers, origin)
            return (time.perf_counter() - start) / n_calls

        return seconds

    runs = {name: run(kind) for name, kind in KINDS.items()}
    return interleaved(runs, n_runs, far_behind=math.inf)


def _calls(call: Callable[[], object]) -> int:
    """How many calls take `RUN_SECONDS`; at least one."""
    call()
    start, n_calls = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < RUN_SECONDS:
        call()
        n_calls += 1
    return max(1, round(n_calls * RUN_SECONDS / seconds))
