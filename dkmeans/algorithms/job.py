"""A fit from its first check to its result, whatever the algorithm: checkpoint, cost and name."""

import uuid
from collections.abc import Sequence
from typing import Generic, TypeVar

from dkmeans.algorithms.begun import Begun
from dkmeans.algorithms.callbacks import check_on_interrupt
from dkmeans.algorithms.checkpoint import Checkpoint
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import Record
from dkmeans.algorithms.lloyd import Fit
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import Settings
from dkmeans.models.scaling import AnyScaling
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows

_S = TypeVar("_S", bound=Settings)


class Job(Generic[_S]):
    """One fit to some rows.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.
    checkpoint
        Where the state is stored, and whether a fit is there to go on from; None for nowhere.
    on_interrupt
        "raise" or "return".

    Raises
    ------
    ArgumentError
        If a value cannot be.
    TooFewRows
        If there are fewer rows than clusters.
    StaleCheckpoint
        If the checkpoint belongs to other input, settings or versions.
    """

    def __init__(self, rows: Rows, settings: _S, checkpoint: str | None, on_interrupt: str) -> None:
        settings.check()
        check_on_interrupt(on_interrupt)
        settings.given_centers(rows.n_features)
        if rows.n_source_rows is not None:
            check_enough(rows.n_source_rows, 1.0, settings.least_rows)
        self.rows = rows
        self.n_passes_before = rows.n_passes
        """Passes that were made over the rows before the fit began."""

        self._read_before = (rows.rows_read, rows.bytes_read)
        self.place: Checkpoint | None = None
        self.settings: _S = settings
        """Those of the fit that goes on, if one does."""

        self.begun: Begun | None = None
        """What to go on from."""

        self.run_id = uuid.uuid4().hex
        """Names the fit, however often it is interrupted, and all models that come of it."""

        if checkpoint is not None:
            self.place = Checkpoint(checkpoint, rows, settings)
            self.settings = self.place.settings(settings)
            self.run_id = self.place.run_id
            saved = self.place.saved
            if saved is not None:
                self.begun = saved.begun
                saved.rows.give(rows)
                reporter().note(f"resumed: {saved.rows.n_passes} passes were made before")

    def result(self, fit: Fit, scaling: AnyScaling | None, history: Sequence[Record]) -> FitResult:
        """Return what the fit ended in, with what it took."""
        rows = self.rows
        return FitResult(
            fit,
            scaling,
            self.settings.seed,
            tuple(history),
            self.run_id,
            rows.n_passes - self.n_passes_before,
            rows.rows_read - self._read_before[0],
            rows.bytes_read - self._read_before[1],
        )
