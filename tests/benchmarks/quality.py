"""The inertia that fits reach with many seeds, against scikit-learn's run to convergence.

The reference is `KMeans(n_init=1)` in double precision, which stops when centers no longer move.
Ours stop by their own rule, and read what is large from Parquet in many files. All inertias come
from one float64 evaluator, in the space that all share, outside of the timed region. References
take hours: they are kept in a file.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.child import Child, PeerFailed
from tests.benchmarks.data import inertia_of, mixture
from tests.benchmarks.measure import Timing
from tests.benchmarks.references import References, digest, timing_of
from tests.benchmarks.report import Report
from tests.benchmarks.sets import LARGE, QUICK, Case, Drawn, SetAbsent, chosen
from tests.benchmarks.tables import text_table

INITS = ("coreset", "k-means||")
"""The first one is judged by the targets."""

N_SEEDS = 11
CATASTROPHE = 2.0
"""No seed may end so many times above the reference's median."""

LONGEST = 100_000
"""Iterations of the reference: it ends by convergence."""

HEADER = ["", "", "median", "worst", "best", "seconds", "passes", "iterations"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("--sets", help="names, separated by commas; all if absent")
    parser.add_argument("--inits", default=",".join(INITS), help="of ours; the first one is judged")
    parser.add_argument("--seeds", type=int, help=f"of each; {N_SEEDS}, or 2 of small sizes")
    parser.add_argument("--references", help="a JSON file; in the folder of results if absent")
    parser.add_argument("--only-references", action="store_true", help="fit none of ours")
    parser.add_argument("--tol", type=float, help="of ours; the default if absent")
    parser.add_argument("--dtype", default="float32", help="that ours read Parquet as")


@dataclass(frozen=True)
class Prepared:
    """Rows as they are evaluated, and as they are given to libraries."""

    case: Case
    X: np.ndarray
    """`(n_samples, n_features)` as it is read."""

    mean: np.ndarray
    """What is taken from each feature before distances are measured."""

    scale: np.ndarray
    """What it is divided by then."""

    large: bool

    @property
    def title(self) -> str:
        """What tables call it."""
        n, d = self.X.shape
        return f"{self.case.name}, {n} x {d}, k={self.case.k}"

    @property
    def name(self) -> str:
        """What references call it: the same for all orders of its rows."""
        n, d = self.X.shape
        return f"{self.case.alike or self.case.name}, {n} x {d}, k={self.case.k}"

    def scaled(self) -> np.ndarray:
        """Rows in the space of distances, float64."""
        return (self.X - self.mean) / self.scale

    def inertia_of(self, centers: np.ndarray) -> float:
        """Inertia under centers in the units of X."""
        return inertia_of(self.scaled(), (centers - self.mean) / self.scale)


def prepared(case: Case, X: np.ndarray, fewer: int = 1) -> Prepared:
    """Find the space in which distances are measured."""
    d = X.shape[1]
    mean, scale = np.zeros(d), np.ones(d)
    if case.scale == "standard":
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(X.astype(np.float64))
        mean, scale = scaler.mean_, scaler.scale_
    return Prepared(case, X, mean, scale, len(X) >= LARGE // fewer)


def options_of(case: Case, n_samples: int, init: str, large: bool) -> dict[str, Any]:
    """Return what ours are told beside `n_clusters` and the seed."""
    options: dict[str, Any] = {"init": init, "scale": case.scale}
    if init == "coreset" and large:
        options["coreset_size"] = n_samples // 10
    return options


def run(report: Report, asked: argparse.Namespace) -> None:
    """Go through all cases; those whose rows are absent are told."""
    asked.seeds = asked.seeds or (2 if asked.quick else N_SEEDS)
    references = References(asked.references or Path(asked.out, "references.json"))
    fewer = QUICK if asked.quick else 1
    lines: list[list[str]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="dkmeans-bench-") as folder:
            for case in chosen(asked.sets):
                try:
                    drawn = case.draw(fewer)
                except SetAbsent as error:
                    report.note(f"{case.key} was left out: {error}")
                    continue
                rows = prepared(case, drawn.X, fewer)
                theirs = reference(rows, references, asked, folder)
                found = {} if asked.only_references else ours(report, rows, drawn, asked, folder)
                shown = lines_of(rows, theirs, found)
                print(f"\n{text_table(HEADER, shown)}", flush=True)
                lines.extend(shown)
                report.figure(case.key, {"scikit-learn": theirs, **found})
                if not asked.only_references:
                    judge(report, case, theirs, found, asked.inits.split(","))
    finally:
        note = (
            "inertias in units of scikit-learn's median inertia; its fits in double precision to "
            "convergence, their seconds taken while other processes ran; coresets of at most a "
            f"tenth of the rows from {LARGE} rows on, which ours read from Parquet"
        )
        report.table("Quality", HEADER, lines, note)


def reference(
    rows: Prepared, references: References, asked: argparse.Namespace, folder: str
) -> dict[int, dict[str, Any]]:
    """Return what scikit-learn reaches, by seed; fits what is not known yet."""
    n_seeds = min(asked.seeds, rows.case.n_reference_seeds)
    name, of = rows.name, digest(rows.X)
    if any(seed not in references.known(name, of) for seed in range(n_seeds)):
        path = Path(folder, "reference.npy")
        np.save(path, rows.scaled())
        child = Child("sklearn-converged", asked.threads)
        try:
            child.call("load", str(path))
            path.unlink()

            def fit(seed: int) -> dict[str, Any]:
                done = child.call("fit", rows.case.k, LONGEST, seed)
                inertia = inertia_of(rows.scaled(), done.centers)
                print(f"{name}, seed {seed}: {inertia:.8g}, {done.seconds:.1f} s", flush=True)
                return {"inertia": inertia, "seconds": done.seconds, "n_iter": done.n_iter}

            references.complete(name, of, n_seeds, fit)
        finally:
            child.close()
    known = references.known(name, of)
    return {seed: known[seed] for seed in range(n_seeds)}


def ours(
    report: Report, rows: Prepared, drawn: Drawn, asked: argparse.Namespace, folder: str
) -> dict[str, dict[int, dict[str, Any]]]:
    """Fit with each init and seed, in turns; an init that fails is told, and left out."""
    case, n = rows.case, len(rows.X)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        few, path = str(Path(own, "few.npy")), str(Path(own, "X.npy"))
        np.save(few, mixture(1000, 4, 2))
        if rows.large:
            path = drawn.write(Path(own, "parquet"))
        else:
            np.save(path, rows.X)
        found: dict[str, dict[int, dict[str, Any]]] = {init: {} for init in asked.inits.split(",")}
        child = Child("dkmeans-kmeans", asked.threads)
        try:
            child.call("warm_up", few)
            for seed in range(asked.seeds):
                for init in list(found):
                    options = options_of(case, n, init, rows.large)
                    if asked.tol is not None:
                        options["tol"] = asked.tol
                    try:
                        done = child.call("fit_source", path, case.k, seed, asked.dtype, **options)
                    except PeerFailed as error:
                        report.note(f"{case.key}, {init}, seed {seed}: {error}")
                        del found[init]
                        continue
                    found[init][seed] = {
                        "inertia": rows.inertia_of(done.centers),
                        "seconds": done.seconds,
                        "n_iter": done.n_iter,
                        "n_passes": done.n_passes,
                    }
        finally:
            child.close()
    return found


def lines_of(
    rows: Prepared,
    theirs: dict[int, dict[str, Any]],
    found: Mapping[str, dict[int, dict[str, Any]]],
) -> list[list[str]]:
    """Return a line of the table for each system."""
    unit = timing_of(theirs, "inertia").median
    lines = []
    for name, known in {"scikit-learn": theirs, **found}.items():
        inertia = timing_of(known, "inertia").scaled(1 / unit)
        passes = timing_of(known, "n_passes").shown() if name in found else ""
        many = "" if len(known) == len(theirs) else f" ({len(known)} seeds)"
        lines.append(
            [
                rows.title if name == "scikit-learn" else "",
                name + many,
                f"{unit:.8g}" if name == "scikit-learn" else f"{inertia.median:.4f}",
                f"{max(inertia.values):.4f}",
                f"{min(inertia.values):.4f}",
                timing_of(known, "seconds").shown(),
                passes,
                timing_of(known, "n_iter").shown(),
            ]
        )
    return lines


def judge(
    report: Report,
    case: Case,
    theirs: dict[int, dict[str, Any]],
    found: Mapping[str, dict[int, dict[str, Any]]],
    inits: list[str],
) -> None:
    """Compare all, and hold the first of ours against the targets."""
    peer = timing_of(theirs, "inertia")
    compared = {"scikit-learn, converged": _shortened(peer)}
    for init in inits:
        inertia = _shortened(timing_of(found[init], "inertia")) if init in found else None
        report.compare(f"{case.key}: inertia by {init}", inertia, compared, unit="")
    judged = found.get(inits[0])
    ratios = timing_of(judged, "inertia").scaled(1 / peer.median) if judged else None
    median, worst = (ratios.median, max(ratios.values)) if ratios else (None, None)
    unit = "in units of scikit-learn's median"
    for what, most, value in (
        ("median inertia", case.most_median, median),
        ("worst inertia", case.most_worst, worst),
        ("no catastrophe: worst inertia", CATASTROPHE, worst),
    ):
        report.target(f"{case.key}, {inits[0]}: {what} {unit}", most, value, at_least=False)


def _shortened(inertia: Timing) -> Timing:
    """Six digits: the same optimum, found twice, is no loss by its last bits."""
    return Timing(tuple(float(f"{one:.6g}") for one in inertia.values))
