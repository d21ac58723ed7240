"""The whole fit: a pass for scale and first rows, seeding, Lloyd; restarts share passes."""

from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Passes, Record, drive
from dkmeans.algorithms.lloyd import Fit, lloyd_passes
from dkmeans.algorithms.seeding import FIRST_CENTER, plus_plus, scalable_passes
from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.kernels.draws import generator
from dkmeans.models.scaling import Scaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows

INITS = ("k-means||", "scalable", "k-means++", "random")


@dataclass(frozen=True)
class Settings:
    """What a fit is asked for. Names and meanings are `KMeans`'s."""

    n_clusters: int
    init: str | Array
    n_init: int
    max_iter: int
    tol: float
    seed: int
    scale: str | None
    oversampling_factor: float
    init_rounds: int

    @property
    def init_name(self) -> str:
        """The name of the seeding, aliases resolved; "array" for given centers."""
        if not isinstance(self.init, str):
            return "array"
        return "k-means||" if self.init == "scalable" else self.init

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        for name, least in (("n_clusters", 1), ("n_init", 1), ("max_iter", 1), ("init_rounds", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ArgumentError(f"{name}={value!r} should be an integer of at least {least}.")
        if not self.tol >= 0:
            raise ArgumentError(f"tol={self.tol!r} should be at least 0.")
        if not 0 < self.oversampling_factor < np.inf:
            raise ArgumentError(
                f"oversampling_factor={self.oversampling_factor!r} should be above 0."
            )
        if self.scale not in (None, "standard", "minmax"):
            raise ArgumentError(
                f"scale={self.scale!r} is not known; use 'standard', 'minmax' or None."
            )
        if isinstance(self.init, str) and self.init not in INITS:
            raise ArgumentError(
                f"init={self.init!r} is not known; use {', '.join(INITS)} or an array."
            )


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
    passes_before = rows.n_passes
    seeds = [int(seed) for seed in _seeds(settings)]
    history: list[Record] = []
    scaling, firsts = None, [np.empty((0, rows.n_features))] * len(seeds)
    if settings.scale is not None or settings.init_name in ("k-means||", "random"):
        scaling, firsts = _first_pass(rows, settings, seeds, history)
    view = rows.scaled(scaling)
    if settings.init_name == "k-means++":
        starts = plus_plus(view, settings.n_clusters, seeds)
    else:
        starts = [_start(settings, scaling, first, rows) for first in firsts]
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


def _start(settings: Settings, scaling: Scaling | None, first: Array, rows: Rows) -> Array:
    if settings.init_name != "array":
        return first
    centers = np.array(settings.init, np.float64)
    if centers.shape != (settings.n_clusters, rows.n_features):
        raise ArgumentError(
            f"init of shape {centers.shape} should have shape "
            f"({settings.n_clusters}, {rows.n_features}): (n_clusters, n_features)."
        )
    if not np.isfinite(centers).all():
        raise ArgumentError("init has values that are NaN or infinite.")
    return centers if scaling is None else scaling.transform(centers)


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
