"""The whole fit: a pass for scale and first rows, seeding, Lloyd; restarts share passes."""

from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Passes, Record, drive
from dkmeans.algorithms.lloyd import Fit, lloyd_passes
from dkmeans.algorithms.seeding import FIRST_CENTER, plus_plus, scalable_passes
from dkmeans.algorithms.settings import Settings
from dkmeans.kernels.block import Array
from dkmeans.kernels.draws import generator
from dkmeans.models.scaling import Scaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows


@dataclass(frozen=True, eq=False)
class KMeansFit:
    """The best of all restarts."""

    fit: Fit
    scaling: Scaling | None
    history: tuple[Record, ...]
    """A record of each pass that the best run took part in."""

    n_passes: int
    """Passes made for all runs together."""


def kmeans(rows: Rows, settings: Settings) -> KMeansFit:
    """Cluster rows.

    Passes: one for scale and first rows (none for given centers without scaling), `init_rounds + 1`
    for k-means|| or one for k-means++, then Lloyd's. All restarts share them.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.

    Raises
    ------
    InputRefused
        If the rows cannot be clustered so.
    """
    settings.check()
    given = settings.given_centers(rows.n_features)
    if rows.n_source_rows is not None:
        check_enough(rows.n_source_rows, 1.0, settings.n_clusters)
    passes_before = rows.n_passes
    seeds = [int(seed) for seed in _seeds(settings)]
    counted = rows.count()
    history: list[Record] = [] if counted is None else [{**dict.fromkeys(FINDINGS), **counted}]
    scaling, firsts = None, [np.empty((0, rows.n_features))] * len(seeds)
    if settings.scale is not None or settings.init_name in ("k-means||", "random"):
        scaling, firsts = _first_pass(rows, settings, seeds, history)
    view = rows.scaled(scaling)
    starts = firsts
    if given is not None:
        starts = [given if scaling is None else scaling.transform(given)]
    elif settings.init_name == "k-means++":
        record: Record = dict.fromkeys(FINDINGS)
        starts = plus_plus(view, settings.n_clusters, seeds, record)
        history.append(record)
    runs = [_run(settings, start, seed) for start, seed in zip(starts, seeds, strict=True)]
    results = drive(view, runs)
    fit, records = min(results, key=lambda result: result[0].inertia)
    return KMeansFit(fit, scaling, (*history, *records), rows.n_passes - passes_before)


def _seeds(settings: Settings) -> list[int]:
    """Return a seed for each restart; the first is the user's own."""
    more = generator(settings.seed, "restarts").integers(0, 2**63, settings.n_init - 1)
    return [settings.seed, *more.tolist()]


def _first_pass(
    rows: Rows, settings: Settings, seeds: list[int], history: list[Record]
) -> tuple[Scaling | None, list[Array]]:
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
    moments, *samples = rows.run(
        [Reduce("moments", Moments.from_block, (rows.pilot_mean(),)), *draws], record
    )
    assert isinstance(moments, Moments)
    history.append(record)
    reporter().ended(record)
    check_enough(moments.n_rows, moments.weight, settings.n_clusters)
    scaling = None
    if settings.scale is not None:
        scaling = Scaling.from_moments(settings.scale, moments, rows.feature_names)
    firsts: list[Array] = [np.empty((0, rows.n_features)) for _ in seeds]
    for i, sample in enumerate(samples):
        assert isinstance(sample, WeightedSample)
        firsts[i] = sample.X if scaling is None else scaling.transform(sample.X)
    return scaling, firsts


def _run(settings: Settings, start: Array, seed: int) -> Passes[Fit]:
    centers = start
    if settings.init_name == "k-means||":
        centers = yield from scalable_passes(
            start,
            settings.n_clusters,
            seed=seed,
            oversampling_factor=settings.oversampling_factor,
            n_rounds=settings.init_rounds,
        )
    elif settings.init_name == "random" and len(start) < settings.n_clusters:
        # fewer rows of positive weight than clusters: repeat some, for Lloyd to warn of
        centers = start[np.arange(settings.n_clusters) % len(start)]
    fit = yield from lloyd_passes(centers, max_iter=settings.max_iter, tol=settings.tol)
    return fit
