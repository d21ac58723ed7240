"""A model of the rows of a window, from the coresets of its partitions."""

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from dkmeans.algorithms.coreset.precision import standard_error
from dkmeans.algorithms.coreset.solve import Solution, rough_solution, solution_from, solve
from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.algorithms.drive import FINDINGS, Record
from dkmeans.algorithms.lloyd import Fit, LloydState
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.gather import Gathered, gather
from dkmeans.algorithms.windows.partition import PartitionCoreset
from dkmeans.algorithms.windows.reading import Reading
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.algorithms.windows.union import check_alike, joined, learned_scaling, lessened
from dkmeans.errors import TooFewRows
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import merge_all
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.partitions import Partition
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows

_AS_GOOD = 1e-3
"""How much worse than from fresh starts the inertia from the champion's centers may be, and these
are taken still: clusters that nothing speaks against stay where they are."""

_DRAWN = 2
"""How many times the rows of a coreset of all rows the one that is solved has: those that are drawn
from the coresets of partitions come with the error of these, and should add little of their own."""

_ROUGH = 1e-2
"""`tol` of all fresh starts, of which most are given up."""

_ENDED = 8
"""Of the best of these, how many are brought to their end."""


@dataclass(frozen=True, eq=False)
class Windowed:
    """A fit to a window, and what it took."""

    fit: Fit
    """Its ledger is that of the coreset, an estimate, unless all rows were read for it."""

    scaling: AnyScaling | None
    standard_error: float
    """Of the inertia, in its unit; 0 if it is exact."""

    start: str
    """What led to it: "champion" or "fresh"."""

    parts: Mapping[str, PartitionCoreset]
    """The partitions that have rows, by name."""

    read: tuple[str, ...]
    """Names of those whose rows were read."""

    n_coreset_rows: int
    history: tuple[Record, ...]
    run_id: str
    rows_read: int
    bytes_read: int


def window_fit(
    partitions: Sequence[Partition],
    reading: Reading,
    settings: KMeansSettings,
    *,
    champion: Model | None,
    keeps_scaling: bool,
    store: CoresetStore | None,
    exact: bool,
    allowance: Allowance,
) -> Windowed:
    """Fit to the rows of some partitions, of which only those without a kept coreset are read.

    Parameters
    ----------
    partitions
        Those of the window, at least one; no two of a name.
    reading
        How their rows are read.
    settings
        What to do. `n_coreset_rows` is meant for the window.
    champion
        Its centers are the cells that rows are drawn by, and one of the starts; None for none.
    keeps_scaling
        Whether its scaling is kept; else, or without a champion, that of `settings` is learned.
    store
        Where coresets are kept; None to keep none.
    exact
        Whether all rows are read, once, for weights, means and inertias.
    allowance
        What reading may cost.

    Raises
    ------
    BudgetSpent
        If it would cost more.
    InputRefused
        If rows cannot be used, or there are too few.
    """
    gathered = gather(partitions, reading, settings, champion, store, allowance)
    parts = {name: part for name, part in gathered.parts.items() if part.moments.weight > 0}
    n_rows = sum(part.n_rows for part in parts.values())
    if n_rows < settings.n_clusters:
        raise TooFewRows(
            f"n_clusters={settings.n_clusters} needs at least {settings.n_clusters} rows of "
            f"positive weight; the window has {n_rows}."
        )
    check_alike(list(parts.items()), champion)
    if champion is not None and keeps_scaling:
        scaling = champion.scaling
    else:
        scaling = learned_scaling(settings.scale, list(parts.values()))
    coreset = joined(list(parts.values()), scaling)
    rough = rough_solution(coreset, settings.n_clusters, settings.seed).centers
    coreset = lessened(coreset, _DRAWN * settings.n_coreset_rows, rough, settings.seed)
    solution, start, record = _solution(coreset, settings, champion, scaling)
    fit, error = _fit(coreset, solution, settings.tol)
    records: list[Record] = []
    if exact:
        fit, records = _exactly(fit, settings.tol, gathered, reading, champion, scaling, allowance)
        error = 0.0
    return Windowed(
        fit,
        scaling,
        error,
        start,
        parts,
        gathered.read,
        len(coreset.depth),
        (*gathered.history, record, *records),
        uuid.uuid4().hex,
        gathered.rows_read + sum(one["rows_read"] for one in records),
        gathered.bytes_read + sum(one["bytes_read"] for one in records),
    )


def _solution(
    coreset: Coreset, settings: KMeansSettings, champion: Model | None, scaling: AnyScaling | None
) -> tuple[Solution, str, Record]:
    """Return the solution that is taken, what it began with, and a record of solving."""
    began = time.perf_counter()
    k = settings.n_clusters
    # for where tasks run: solving reads no rows
    rows = Rows.from_array(coreset.X[:1], stage="none")
    found = solve(rows, coreset, (k,), settings.seeds, max(_ROUGH, settings.tol))[k]
    best = min(
        (
            solution_from(rows, coreset, one.centers, one.seed, settings.tol)
            for one in found[:_ENDED]
        ),
        key=lambda one: one.inertia,
    )
    start = "fresh"
    if champion is not None and champion.n_clusters == k:
        centers = champion.scaled_centers
        if scaling is not champion.scaling:
            centers = champion.centers if scaling is None else scaling.transform(champion.centers)
        own = solution_from(rows, coreset, centers, settings.seed, settings.tol)
        if own.inertia <= (1 + _AS_GOOD) * best.inertia:
            best, start = own, "champion"
    record: Record = {**dict.fromkeys(FINDINGS), "kind": "solve", "inertia": best.inertia}
    record |= {"seconds": time.perf_counter() - began, "rows_read": 0, "bytes_read": 0}
    reporter().ended(record, is_pass=False)
    return best, start, record


def _fit(coreset: Coreset, solution: Solution, tol: float) -> tuple[Fit, float]:
    """Return the fit that a coreset tells of, and the standard error of its inertia."""
    X, weight = coreset.part(1.0)
    at = LloydState.start(solution.centers)
    block = Block(np.asfortranarray(X), ((0, len(X)),), weight)
    with one_blas_thread():
        labels, sq_distances = nearest(block.X, at.centers)
        sums = ClusterSums.from_labels(block, labels, sq_distances, len(at.centers), at.origin)
    cost: Array = weight * sq_distances.astype(np.float64)
    error = standard_error(cost, coreset.rate) * float(cost.sum())
    return _ended(at, replace(sums, n_rows=coreset.n_rows), tol), error


def _ended(at: LloydState, sums: ClusterSums, tol: float) -> Fit:
    gain = sums.gain(at.centers)
    return Fit.at(at, sums, 0, gain <= tol * sums.inertia)


def _exactly(
    fit: Fit,
    tol: float,
    gathered: Gathered,
    reading: Reading,
    champion: Model | None,
    scaling: AnyScaling | None,
    allowance: Allowance,
) -> tuple[Fit, list[Record]]:
    """Return the fit with the sums of all rows of the window, each read once, and records."""
    at = LloydState.start(fit.centers)
    found, history = [], []
    with ExitStack() as stack:
        opened = [
            stack.enter_context(reading.open(partition, champion))
            for partition in gathered.partitions
        ]
        n_bytes = sum(rows.known.next_bytes for rows in opened)
        allowance.check(n_bytes, f"all rows of {len(opened)} partitions")
        for partition, rows in zip(gathered.partitions, opened, strict=True):
            allowance.limit(rows, goes_on=True)
            record: Record = dict.fromkeys(FINDINGS)
            sums = rows.scaled(scaling).reduce(
                ClusterSums.from_block, at.centers, at.origin, kind="all rows", record=record
            )
            rows.close()
            reporter().ended(record)
            history.append({**record, "inertia": sums.inertia, "partition": partition.name})
            found.append(sums)
    return _ended(at, merge_all(found), tol), history
