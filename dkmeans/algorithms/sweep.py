"""Whole fits: of one number of clusters or of several, with restarts. They share every pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dkmeans.algorithms.beaten import beaten
from dkmeans.algorithms.begin import begin
from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.checkpoint import Checkpoint
from dkmeans.algorithms.coreset.begin import begin_from_coreset
from dkmeans.algorithms.drive import Answered, Passes, Record, RunState, drive
from dkmeans.algorithms.job import Job
from dkmeans.algorithms.lloyd import Fit, LloydState, least, lloyd_passes
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.seeding import Drawn, scalable_passes
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.watch import FitWatch
from dkmeans.kernels.block import Array
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.rows import Rows


@dataclass(frozen=True, eq=False)
class Swept:
    """What was found for one number of clusters."""

    result: FitResult
    other: Array | None
    """`(n_clusters, n_features)` float64, scaled: the best centers that another seed has led to, as
    far as they went; None where there was one seed."""


def fit_each(
    rows: Rows,
    settings: KMeansSettings,
    n_clusters: Sequence[int],
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> dict[int, Swept]:
    """Cluster rows once for each of some numbers of clusters.

    All of them and all restarts share every pass. One that is beaten, by another of as many
    clusters, by more than it can still gain, is dropped.

    Passes: of "coreset" the read, which is one, and then Lloyd's; else one for scale and first rows
    (none for given centers without scaling), `init_rounds + 1` for k-means|| or one for k-means++,
    and Lloyd's.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do, for the largest number of clusters.
    n_clusters
        The numbers of clusters, distinct.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each pass, and after
        the pilot. A fit whose state lies there goes on from it, and gives the bits that it would
        have given.
    callbacks
        Who is told of each pass. When one wants to stop, the fit ends as if `max_iter` were
        reached; seeding that is under way is ended first.
    on_interrupt
        "return": a `KeyboardInterrupt` after an iteration ends the fit at once, without another
        pass, with the centers of least inertia among those whose inertia is known; for one number
        of clusters. "raise": it is raised, as it is before an iteration.

    Raises
    ------
    ArgumentError
        If a value cannot be.
    InputRefused
        If the rows cannot be clustered so.
    StaleCheckpoint
        If the checkpoint belongs to other input, settings or versions.
    """
    settings = replace(settings, n_clusters=max(n_clusters), each=tuple(n_clusters))
    job = Job(rows, settings, checkpoint, on_interrupt)
    settings = job.settings
    begun = job.begun
    callbacks = Callbacks() if callbacks is None else callbacks
    while True:
        watch = FitWatch(rows, settings, callbacks, job.n_passes_before)
        try:
            begun = _begun(rows, settings, begun, job.place, watch)
            results = go_on(rows.scaled(begun.scaling), settings, begun, job.place, watch)
            break
        except RowsChanged:
            begun = None
        except KeyboardInterrupt:
            found = watch.found() if on_interrupt == "return" and len(n_clusters) == 1 else None
            if found is None or begun is None:
                raise
            results, begun = [found], replace(begun, wanted=begun.wanted[:1])
            break
    of_each: dict[int, list[tuple[Fit, list[Record]]]] = {k: [] for k in n_clusters}
    for wanted, result in zip(begun.wanted, results, strict=True):
        of_each[wanted.n_clusters].append(result)
    others = {len(centers): centers for centers in begun.others}
    swept = {}
    for k, own in of_each.items():
        best = least([fit.inertia for fit, _ in own])
        fit, records = own[best]
        stopped_by = next((one.stopped_by for one, _ in own if one.stopped_by is not None), None)
        fit = replace(fit, stopped_by=stopped_by)
        beside = [one for i, (one, _) in enumerate(own) if i != best]
        other = min(beside, key=lambda one: one.inertia).centers if beside else others.get(k)
        swept[k] = Swept(job.result(fit, begun.scaling, (*begun.history, *records)), other)
    return swept


def _begun(
    rows: Rows,
    settings: KMeansSettings,
    begun: Begun | None,
    place: Checkpoint | None,
    watch: FitWatch,
) -> Begun:
    """Make what is left to be made before the first round or iteration."""
    if settings.init_name != "coreset":
        return begin(rows, settings, watch) if begun is None else begun

    def keep(now: Begun) -> None:
        if place is not None:
            place.write(now)

    return begin_from_coreset(rows, settings, begun, keep, watch)


def go_on(
    view: Rows,
    settings: KMeansSettings,
    begun: Begun,
    place: Checkpoint | None,
    watch: FitWatch,
) -> list[tuple[Fit, list[Record]]]:
    """Run all restarts of all numbers of clusters to their ends, from where they are."""
    wanted = begun.wanted
    runs = [_run(settings, run, one) for run, one in zip(begun.runs, wanted, strict=True)]

    def on_pass(
        runs: Sequence[RunState], answered: Mapping[int, Answered]
    ) -> Mapping[int, Passes[Fit]]:
        left = beaten([one.n_clusters for one in wanted], runs, answered)
        runs = [
            RunState(None, left[i], run.history) if i in left else run for i, run in enumerate(runs)
        ]
        if place is not None:
            place.write(replace(begun, runs=tuple(runs)))
        ending = watch.on_pass(begun.scaling, runs, answered)
        return {**{i: _ended(fit) for i, fit in left.items()}, **ending}

    return drive(view, runs, [run.history for run in begun.runs], on_pass)


def _run(settings: KMeansSettings, run: RunState, wanted: Wanted) -> Passes[Fit]:
    if run.result is not None:
        return (yield from _ended(run.result))
    at: Drawn | LloydState = run.state
    if isinstance(at, Drawn):
        centers = yield from scalable_passes(
            at,
            wanted.n_clusters,
            seed=wanted.seed,
            oversampling_factor=settings.oversampling_factor,
            n_rounds=settings.init_rounds,
        )
        at = LloydState.start(np.asarray(centers))
    fit = yield from lloyd_passes(at, max_iter=settings.max_iter, tol=settings.tol)
    return fit


def _ended(fit: Fit) -> Passes[Fit]:
    """Ask for nothing more."""
    yield from ()
    return fit
