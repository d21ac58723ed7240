"""Retraining: a model follows new rows, and remembers the old ones by its ledger alone.

What is minimized is the inertia of the new rows plus that of the old ones, their weights multiplied
by `decay`, which stay in the clusters that they were in: the ledger tells how far these would be
from a center anywhere. It is an upper bound of the inertia that the old rows have if each may go to
its nearest center.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.carried import Carried
from dkmeans.algorithms.checks import is_real
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.job import Job
from dkmeans.algorithms.lloyd import LloydState
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.sweep import go_on
from dkmeans.algorithms.watch import FitWatch
from dkmeans.errors import ArgumentError
from dkmeans.models.model import Model
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.rows import Rows

CHAMPION = "champion"
"""`init` of a fit that begins with the centers of a model."""


@dataclass(frozen=True, kw_only=True)
class RetrainSettings(KMeansSettings):
    """What retraining is asked for. The scaling is the champion's: there is none to be learned."""

    decay: float
    """What the weights of the champion's rows are multiplied by."""

    champion: str
    """Names the champion and its ledger, for checkpoints."""

    @classmethod
    def of(cls, champion: Model, *, decay: float, max_iter: int, tol: float) -> "RetrainSettings":
        """Return the settings for one champion."""
        return cls(
            n_clusters=champion.n_clusters,
            init=CHAMPION,
            n_init=1,
            seed=0,
            scale=None,
            oversampling_factor=2.0,
            init_rounds=0,
            tol=tol,
            max_iter=max_iter,
            decay=decay,
            champion=_name_of(champion),
        )

    @property
    def inits(self) -> tuple[str, ...]:
        """What `init` may be called."""
        return (CHAMPION,)

    @property
    def least_rows(self) -> int:
        """Rows that there must be: clusters without new ones keep their old ones."""
        return 1

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        super().check()
        if not (is_real(self.decay) and 0 < self.decay <= 1):
            raise ArgumentError(
                f"decay={self.decay!r} should be above 0 and at most 1; to forget all old rows, "
                "fit anew from the champion's centers: KMeans(init=champion.centers)."
            )


def retrain(
    rows: Rows,
    champion: Model,
    settings: RetrainSettings,
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> FitResult:
    """Move the centers of a champion to a local optimum for new rows and its ledger.

    Lloyd's iterations over the new rows alone, one pass each, from the champion's centers: a pass
    assigns new rows to their nearest centers, and each center moves to the mean of its new rows and
    its old ones, these with their weights multiplied by `decay`. Each lowers the inertia of both;
    the gain is what moving the centers lowers it by, labels fixed, and iterations end when it is at
    most `tol` of that inertia. A cluster is empty if it has neither new nor old rows; it is moved
    to the new row that is farthest from its center, as `lloyd` does.

    Parameters
    ----------
    rows
        The new samples, unscaled, with the champion's features.
    champion
        Where to begin. Its scaling is kept.
    settings
        What to do.
    checkpoint, callbacks, on_interrupt
        As for `fit_each`.

    Returns
    -------
    FitResult
        `fit.ledger` is that of new and old rows, `fit.of_rows` that of the new ones.

    Raises
    ------
    ArgumentError
        If a value cannot be.
    InputRefused
        If the rows cannot be clustered so, or none has a weight.
    InputChanged
        If the checkpoint belongs to other input, settings, versions, or another champion.
    """
    job = Job(rows, settings, checkpoint, on_interrupt)
    settings, begun = job.settings, job.begun
    callbacks = Callbacks() if callbacks is None else callbacks
    while True:
        watch = FitWatch(rows, settings, callbacks, job.n_passes_before)
        try:
            if begun is None:
                begun = _begun(rows, champion, settings, watch)
            view = rows.scaled(champion.scaling)
            ((fit, records),) = go_on(view, settings, begun, job.place, watch)
            break
        except RowsChanged:
            begun = None
        except KeyboardInterrupt:
            found = watch.found() if on_interrupt == "return" else None
            if found is None or begun is None:
                raise
            fit, records = found
            break
    return job.result(fit, champion.scaling, (*begun.history, *records))


def _begun(rows: Rows, champion: Model, settings: RetrainSettings, watch: FitWatch) -> Begun:
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    watch.tell(*history)
    carried = Carried.of(champion, settings.decay)
    start = LloydState.start(champion.scaled_centers, carried)
    wanted = Wanted(settings.n_clusters, settings.seed)
    return Begun(champion.scaling, tuple(history), (RunState(start, None, ()),), (wanted,))


def _name_of(champion: Model) -> str:
    """Return a name of what retraining takes from a champion."""
    digest = hashlib.sha256()
    held = ("scaled_centers", "weights", "inertias", "scaled_means")
    for array in (getattr(champion, name) for name in held):
        digest.update(np.ascontiguousarray(array, np.float64).tobytes())
    digest.update(("" if champion.scaling is None else champion.scaling.name).encode())
    return digest.hexdigest()[:16]
