"""Where fits from a coreset begin: a pilot, one read, and what is solved in memory."""

import time
from collections.abc import Callable

import numpy as np

from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.coreset.pilot import Pilot, Unread, pilot_of, pilot_size
from dkmeans.algorithms.coreset.precision import better_pilot
from dkmeans.algorithms.coreset.solve import Solution, rough_solution, solve
from dkmeans.algorithms.coreset.survey import Coreset, coreset_of, survey_request
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.lloyd import LloydState
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.watch import FitWatch
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import Partial
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.partials.together import Together
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Request
from dkmeans.rows.rows import Rows

MOST_SOLUTIONS = 2
"""Solutions of a number of clusters that go on to all rows."""

_CLOSE = 2e-3
"""How much worse than the best on the coreset they may be."""

_SAME = 1e-6
"""And how much worse at least: others are the same optimum, or as good."""


def begin_from_coreset(
    rows: Rows,
    settings: KMeansSettings,
    begun: Begun | None,
    keep: Callable[[Begun], None],
    watch: FitWatch,
) -> Begun:
    """Make what is left of pilot, read and solving.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.
    begun
        Where the fit was interrupted; None if it is new.
    keep
        Told where the fit is after the pilot, and after the read.
    watch
        Told of the read.
    """
    if begun is None:
        begun = _with_pilot(rows, settings, watch)
        keep(begun)
    while isinstance(begun.runs[0].state, Unread):
        begun = _with_coreset(rows, settings, begun, watch)
        keep(begun)
    if isinstance(begun.runs[0].state, Coreset):
        begun = _with_solutions(rows, settings, begun)
    return begun


def _with_pilot(rows: Rows, settings: KMeansSettings, watch: FitWatch) -> Begun:
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    watch.tell(*history)
    pilot = None
    if (rows.n_source_rows or 0) > settings.n_coreset_rows:
        row_bytes = rows.n_features * np.dtype(rows.dtype).itemsize
        found = rows.pilot(pilot_size(settings.n_clusters, row_bytes), settings.seed)
        history.append({**dict.fromkeys(FINDINGS), **found.record})
        if len(found.X):
            pilot = pilot_of(found, settings.scale, settings.n_clusters, settings.seed)
    run = RunState(Unread(pilot), None, ())
    wanted = (Wanted(settings.n_clusters, settings.seed),)
    return Begun(None, tuple(history), (run,), wanted)


def _with_coreset(rows: Rows, settings: KMeansSettings, begun: Begun, watch: FitWatch) -> Begun:
    unread: Unread = begun.runs[0].state
    pilot = unread.pilot
    request = survey_request(pilot, settings.n_coreset_rows, settings.seed)
    requests: list[Request] = [request]
    if not unread.is_second:
        origin = None if pilot is None else pilot.mean
        requests.append(scaling_request(rows, settings.scale, origin))
    record: Record = dict.fromkeys(FINDINGS)
    answer, *found = rows.scaled(begun.scaling).run(requests, record)
    assert isinstance(answer, Together)
    record["kind"] = "second read" if unread.is_second else "read"
    reporter().ended(record)
    watch.tell(record)
    scaling: AnyScaling | None
    state: Coreset | Unread
    if unread.is_second:
        scaling, state = begun.scaling, coreset_of(answer, pilot, None)
    else:
        scaling, state = _after_read(rows, settings, pilot, answer, found[0])
    run = RunState(state, None, ())
    return Begun(scaling, (*begun.history, record), (run,), begun.wanted)


def _after_read(
    rows: Rows, settings: KMeansSettings, pilot: Pilot | None, answer: Together, found: Partial
) -> tuple[AnyScaling | None, Coreset | Unread]:
    """Scale what was drawn; ask for a second read if it does not stand for all rows."""
    assert isinstance(found, (Moments, Quantiles))
    check_enough(found.n_rows, found.weight, settings.n_clusters)
    scaling = scaling_from(settings.scale, found, rows.feature_names)
    coreset = coreset_of(answer, pilot, scaling)
    if pilot is None:
        return scaling, coreset
    centers = rough_solution(coreset, settings.n_clusters, settings.seed).centers
    better = better_pilot(coreset, centers, found, scaling)
    return scaling, coreset if better is None else Unread(better, is_second=True)


def _with_solutions(rows: Rows, settings: KMeansSettings, begun: Begun) -> Begun:
    start = time.perf_counter()
    coreset: Coreset = begun.runs[0].state
    solutions = solve(rows, coreset, settings.each, settings.seeds, settings.tol)
    cost = {"kind": "solve", "seconds": time.perf_counter() - start}
    runs, wanted, others = [], [], []
    for k, some in solutions.items():
        chosen = _chosen(some)
        if len(chosen) == 1 and len(some) > 1:
            others.append(some[1].centers)
        for one in chosen:
            record = {**dict.fromkeys(FINDINGS), **cost, "inertia": one.inertia}
            record |= {"rows_read": 0, "bytes_read": 0}
            runs.append(RunState(LloydState.start(one.centers), None, (record,)))
            wanted.append(Wanted(k, one.seed))
    reporter().ended(runs[0].history[0], is_pass=False)
    return Begun(begun.scaling, begun.history, tuple(runs), tuple(wanted), tuple(others))


def _chosen(some: list[Solution]) -> list[Solution]:
    """Return the solutions that go on to all rows: the best one, and others that may be as good."""
    best, *others = some
    close = [
        one
        for one in others
        if (1 + _SAME) * best.inertia < one.inertia <= (1 + _CLOSE) * best.inertia
    ]
    return [best, *close[: MOST_SOLUTIONS - 1]]
