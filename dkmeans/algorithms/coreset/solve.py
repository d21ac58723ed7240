"""Models of a coreset, in memory: many starts on a small part of it, the best of them on all.

Each start is a task of its own. Of one seed and number of clusters a start is the same on whatever
worker, alone or among others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.algorithms.drive import drive_in_memory
from dkmeans.algorithms.lloyd import LloydState, lloyd_passes
from dkmeans.algorithms.plus_plus import swapped_plus_plus
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.rows.rows import Rows

ROWS_BY_CLUSTER = 256
"""Of the part that starts are made on."""

_LEAST_ROWS = 2**14
_MOST_ITERATIONS = 100
_ROUGH = 1e-3
"""`tol` of the iterations on a part."""

_FINER = 0.1
"""By what `tol` is multiplied on all of the coreset: what is left to gain there would be left to
gain of all rows, too, where it takes passes over them."""

_KEPT = 3
"""Starts that go on to all of the coreset."""

_CLOSE = 2e-2
"""And how much worse than the best, on the part, they may be."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a task is to do."""

    n_clusters: int
    seed: int
    share: float
    """Of the coreset that is used."""

    tol: float
    centers: Array | None = None
    """Where to begin; None for greedy k-means++."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Centers that are a local optimum for a coreset."""

    centers: Array
    """`(n_clusters, n_features)` float64, scaled."""

    inertia: float
    """Of the coreset: an estimate of that of all rows."""

    seed: int


def solve(
    rows: Rows, coreset: Coreset, n_clusters: Sequence[int], seeds: Sequence[int], tol: float
) -> dict[int, list[Solution]]:
    """Return for each number of clusters what some starts have led to, the best one first.

    Parameters
    ----------
    rows
        Where tasks run.
    coreset
        The rows.
    n_clusters
        The numbers of clusters.
    seeds
        Of the starts, the same for all.
    tol
        As for Lloyd's iterations over all rows.
    """
    tol *= _FINER
    shares = {k: _share(coreset, k) for k in n_clusters}
    # the large ones first: they take longest
    starts = [
        Start(k, seed, shares[k], _ROUGH if shares[k] < 1 else tol)
        for k in sorted(n_clusters, reverse=True)
        for seed in seeds
    ]
    found = _by_clusters(starts, rows.compute("solve", solved, starts, coreset))
    rough = {k: some for k, some in found.items() if shares[k] < 1}
    again = [
        Start(k, one.seed, 1.0, tol, one.centers)
        for k, some in rough.items()
        for one in some[:_KEPT]
        if one.inertia <= (1 + _CLOSE) * some[0].inertia
    ]
    if again:
        found |= _by_clusters(again, rows.compute("solve", solved, again, coreset))
    return {k: found[k] for k in n_clusters}


def solution_from(rows: Rows, coreset: Coreset, centers: Array, seed: int, tol: float) -> Solution:
    """Return what given centers lead to on all of a coreset; `rows` and `tol` as for `solve`."""
    start = Start(len(centers), seed, 1.0, _FINER * tol, centers)
    (solution,) = rows.compute("solve", solved, [start], coreset)
    assert isinstance(solution, Solution)
    return solution


def rough_solution(coreset: Coreset, n_clusters: int, seed: int) -> Solution:
    """Return what one start leads to, on a part of a coreset, in this process."""
    return solved(Start(n_clusters, seed, _share(coreset, n_clusters), _ROUGH), coreset)


def solved(start: Start, coreset: Coreset) -> Solution:
    """Do one start."""
    X, weight = coreset.part(start.share)
    if len(X) < start.n_clusters:
        # few rows have a weight: others take part without
        rows = np.arange(start.n_clusters)
        X, weight = X[rows % len(X)], np.where(rows < len(X), weight[rows % len(X)], 0.0)
    block = Block(np.asfortranarray(X), ((0, len(X)),), weight)
    with one_blas_thread():
        centers = start.centers
        if centers is None:
            random = generator(start.seed, "coreset", "start", start.n_clusters)
            centers = swapped_plus_plus(X, weight, start.n_clusters, random)
        passes = lloyd_passes(LloydState.start(centers), max_iter=_MOST_ITERATIONS, tol=start.tol)
        fit = drive_in_memory(block, passes)
    return Solution(fit.centers, fit.inertia, start.seed)


def _share(coreset: Coreset, n_clusters: int) -> float:
    wanted = max(_LEAST_ROWS, ROWS_BY_CLUSTER * n_clusters)
    if coreset.is_everything or 2 * wanted > len(coreset.depth):
        return 1.0
    return wanted / len(coreset.depth)


def _by_clusters(
    starts: Sequence[Start], solutions: Sequence[Solution]
) -> dict[int, list[Solution]]:
    found: dict[int, list[Solution]] = {}
    for start, solution in zip(starts, solutions, strict=True):
        found.setdefault(start.n_clusters, []).append(solution)
    return {k: sorted(some, key=lambda one: one.inertia) for k, some in found.items()}
