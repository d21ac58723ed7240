"""The whole fit: a pass for scale and first rows, seeding, Lloyd; restarts share passes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.checkpoint import Checkpoint, Saved
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Answered, Passes, Record, RunState, drive
from dkmeans.algorithms.job import Begun, Job
from dkmeans.algorithms.lloyd import Fit, LloydState, least, lloyd_passes
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.algorithms.seeding import FIRST_CENTER, Drawn, enough, plus_plus, scalable_passes
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.watch import FitWatch
from dkmeans.kernels.block import Array
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows


def kmeans(
    rows: Rows,
    settings: KMeansSettings,
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> FitResult:
    """Cluster rows.

    Passes: one for scale and first rows (none for given centers without scaling), `init_rounds + 1`
    for k-means|| or one for k-means++, then Lloyd's. All restarts share them.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each pass. A fit
        whose state lies there goes on from it, and gives the bits that it would have given.
    callbacks
        Who is told of each pass. When one wants to stop, the fit ends as if `max_iter` were
        reached; seeding that is under way is ended first.
    on_interrupt
        "return": a `KeyboardInterrupt` after an iteration ends the fit at once, without another
        pass, with the centers of least inertia among those whose inertia is known. "raise": it is
        raised, as it is before an iteration.

    Raises
    ------
    ArgumentError
        If a value cannot be.
    InputRefused
        If the rows cannot be clustered so.
    InputChanged
        If the checkpoint belongs to other input, settings or versions.
    """
    job = Job(rows, settings, checkpoint, on_interrupt)
    settings = job.settings
    begun: Begun | Saved | None = job.saved
    callbacks = Callbacks() if callbacks is None else callbacks
    while True:
        watch = FitWatch(rows, settings, callbacks, job.n_passes_before)
        try:
            if begun is None:
                begun = _begin(rows, settings, watch)
            view = rows.scaled(begun.scaling)
            fit, records = _drive(view, settings, begun, job.place, watch)
            break
        except RowsChanged:
            begun = None
        except KeyboardInterrupt:
            found = watch.found() if on_interrupt == "return" else None
            if found is None or begun is None:
                raise
            fit, records = found
            break
    return job.result(fit, begun.scaling, (*begun.history, *records))


def _drive(
    view: Rows,
    settings: KMeansSettings,
    begun: Begun | Saved,
    place: Checkpoint | None,
    watch: FitWatch,
) -> tuple[Fit, list[Record]]:
    """Run all restarts to their ends; return the best."""
    seeds = settings.seeds
    runs = [_run(settings, run, seed) for run, seed in zip(begun.runs, seeds, strict=True)]

    def on_pass(
        runs: Sequence[RunState], answered: Mapping[int, Answered]
    ) -> Mapping[int, Passes[Fit]]:
        if place is not None:
            place.write(begun.scaling, begun.history, runs)
        return watch.on_pass(begun.scaling, runs, answered)

    results = drive(view, runs, [run.history for run in begun.runs], on_pass)
    best, history = results[least([fit.inertia for fit, _ in results])]
    stopped_by = next((fit.stopped_by for fit, _ in results if fit.stopped_by is not None), None)
    return replace(best, stopped_by=stopped_by), history


def _begin(rows: Rows, settings: KMeansSettings, watch: FitWatch) -> Begun:
    """Make the passes before the first round or iteration."""
    given = settings.given_centers(rows.n_features)
    seeds = settings.seeds
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    watch.tell(*history)
    scaling, firsts = None, [np.empty((0, rows.n_features))] * len(seeds)
    if settings.scale is not None or settings.init_name in ("k-means||", "random"):
        scaling, firsts = _first_pass(rows, settings, seeds, history)
        watch.tell(history[-1])
    view = rows.scaled(scaling)
    starts = firsts
    if given is not None:
        starts = [given if scaling is None else scaling.transform(given)]
    elif settings.init_name == "k-means++":
        record: Record = dict.fromkeys(FINDINGS)
        starts = plus_plus(view, settings.n_clusters, seeds, record)
        history.append(record)
        watch.tell(record)
    if settings.init_name == "k-means||":
        states: list[Drawn | LloydState] = [Drawn((start,)) for start in starts]
    else:
        states = [LloydState.start(enough(start, settings.n_clusters)) for start in starts]
    return Begun(scaling, tuple(history), tuple(RunState(state, None, ()) for state in states))


def _first_pass(
    rows: Rows, settings: KMeansSettings, seeds: list[int], history: list[Record]
) -> tuple[AnyScaling | None, list[Array]]:
    """Learn the scale, check weights and counts, and draw the first rows of each run, scaled."""
    draws: list[Request] = []
    if settings.init_name == "k-means||":
        draws = [
            Reduce("first centers", WeightedSample.from_block, (1, seed, FIRST_CENTER))
            for seed in seeds
        ]
    elif settings.init_name == "random":
        size = settings.n_clusters
        draws = [
            Reduce("first centers", WeightedSample.from_block, (size, seed, ("random rows",)))
            for seed in seeds
        ]
    record: Record = dict.fromkeys(FINDINGS)
    found, *samples = rows.run([scaling_request(rows, settings.scale), *draws], record)
    assert isinstance(found, (Moments, Quantiles))
    history.append(record)
    reporter().ended(record)
    check_enough(found.n_rows, found.weight, settings.n_clusters)
    scaling = scaling_from(settings.scale, found, rows.feature_names)
    firsts: list[Array] = [np.empty((0, rows.n_features)) for _ in seeds]
    for i, sample in enumerate(samples):
        assert isinstance(sample, WeightedSample)
        firsts[i] = sample.X if scaling is None else scaling.transform(sample.X)
    return scaling, firsts


def _run(settings: KMeansSettings, run: RunState, seed: int) -> Passes[Fit]:
    if run.result is not None:
        ended: Fit = run.result
        return ended
    at: Drawn | LloydState = run.state
    if isinstance(at, Drawn):
        centers = yield from scalable_passes(
            at,
            settings.n_clusters,
            seed=seed,
            oversampling_factor=settings.oversampling_factor,
            n_rounds=settings.init_rounds,
        )
        at = LloydState.start(centers)
    fit = yield from lloyd_passes(at, max_iter=settings.max_iter, tol=settings.tol)
    return fit
