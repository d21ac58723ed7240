"""Mini-batch k-means: centers follow batches of rows, and a sample says when to stop."""

import time
from dataclasses import dataclass, replace

from dkmeans.algorithms.begun import Begun
from dkmeans.algorithms.callbacks import (
    Callbacks,
    Event,
    centers_seen,
    pass_event,
)
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.job import Job
from dkmeans.algorithms.lloyd import Fit
from dkmeans.algorithms.minibatch_start import begin
from dkmeans.algorithms.minibatch_state import MiniBatchState
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import MiniBatchSettings
from dkmeans.algorithms.stream import Stream
from dkmeans.errors import BudgetSpent
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.rows.batches import Batch, Batching, Epoch
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows

_ROWS_PER_LOOK = 8
"""Rows of batches for each held-out row between two looks: looking costs little beside them."""

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class MiniBatchResult(FitResult):
    """A fit, and the stream of batches that can go on from it."""

    stream: Stream


def minibatch(
    rows: Rows,
    settings: MiniBatchSettings,
    checkpoint: str | None = None,
    callbacks: Callbacks | None = None,
    on_interrupt: str = "raise",
) -> MiniBatchResult:
    """Cluster rows by mini-batches.

    Passes: one for scale and sample, one for each epoch, one that assigns all rows to the final
    centers. Where filters, or weights of zero, leave fewer rows than a sample needs, up to two more
    draw it.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each epoch and once
        a minute. A fit whose state lies there goes on from it, and gives the bits that it would
        have given.
    callbacks
        Who is told of each pass and step. When one wants to stop, the epoch ends at once.
    on_interrupt
        "return": a `KeyboardInterrupt` after a step ends the fit at once, without another pass;
        its figures are then those of the held-out rows. "raise": it is raised, as it is before a
        step.

    Raises
    ------
    ArgumentError
        If a value cannot be.
    InputRefused
        If the rows cannot be clustered so.
    StaleCheckpoint
        If the checkpoint belongs to other input, settings or versions.
    """
    job = Job(rows, settings, checkpoint, on_interrupt)
    begun = job.begun
    callbacks = Callbacks() if callbacks is None else callbacks
    while True:
        fitting: _Fitting | None = None
        stops = False
        try:
            if begun is None:
                begun = begin(rows, job.settings)
                for number, record in enumerate(begun.history, 1):
                    stops |= callbacks.tell(pass_event(record, number))
            fitting = _Fitting(job, begun, callbacks, stops)
            fit = fitting.run()
            break
        except RowsChanged:
            begun = None
        except KeyboardInterrupt:
            if on_interrupt == "raise" or begun is None or fitting is None or fitting.is_new:
                raise
            fit = fitting.found()
            break
    result = job.result(fit, begun.scaling, (*begun.history, *fitting.records))
    # rows that come now meet all rows of the fit, each counted once
    stream = replace(fitting.state.stream, ledger=fit.ledger)
    return MiniBatchResult(**vars(result), stream=stream)


class _Fitting:
    """A fit from its first step on."""

    def __init__(
        self,
        job: Job[MiniBatchSettings],
        begun: Begun,
        callbacks: Callbacks,
        stops: bool,
    ) -> None:
        self._job, self._begun, self._callbacks = job, begun, callbacks
        self._rows, self._settings = job.rows.scaled(begun.scaling), job.settings
        (run,) = begun.runs
        self.state: MiniBatchState = run.state
        self.records = run.history
        """Of the epochs, and of the pass after them."""

        self._stopped_by = "callback" if stops else None
        self._written = 0.0
        self._final: Fit | None = None
        """What the last pass has found."""

    def run(self) -> Fit:
        """Make epochs until a rule or a callback says stop, then assign all rows."""
        self._write(self.state)
        while not self._is_over and self.state.epoch <= self._settings.max_epochs:
            self._make_epoch()
        return self._assign_all()

    @property
    def is_new(self) -> bool:
        """Whether no step was made."""
        return self.state.stream.n_steps == 0

    @property
    def _is_over(self) -> bool:
        return self.state.converged or self._stopped_by is not None

    def _make_epoch(self) -> None:
        settings, state = self._settings, self.state
        batching = Batching(settings.batch_size, settings.n_slots, settings.seed)
        epoch = self._rows.batches(batching, state.epoch, state.step, state.cost)
        try:
            for batch in epoch:
                self._step(epoch, batch)
                if self.state.stream.n_unseen >= _ROWS_PER_LOOK * state.held.block.n_rows:
                    epoch.record.update(self._look())
                if self._is_over:
                    break
                if time.monotonic() - self._written > _CHECKPOINT_SECONDS:
                    self._write(replace(self.state, cost=dict(epoch.record)))
        except BudgetSpent:
            # so that even jobs that are shorter than that get on
            if self.state.step:
                self._write(replace(self.state, cost=dict(epoch.record)))
            raise
        if self.state.stream.n_unseen:
            epoch.record.update(self._look())
        record = {**dict.fromkeys(FINDINGS), **epoch.record}
        reporter().ended(record)
        self.records = (*self.records, record)
        self.state = replace(self.state, epoch=state.epoch + 1, step=0, cost={})
        if self._stopped_by is None:
            # an epoch that a callback cut short is not over for whoever goes on from the checkpoint
            self._write(self.state)
        self._tell_pass(record)

    def _step(self, epoch: Epoch, batch: Batch) -> None:
        stream, start = self.state.stream, time.perf_counter()
        sums = batch.reduce(ClusterSums.from_block, stream.centers, stream.ledger.origin)
        moved = stream.after(sums, self._settings.pace)
        self.state = replace(self.state, stream=moved, step=self.state.step + 1)
        if self._callbacks:
            event = Event(
                "step",
                epoch.record["kind"],
                moved.n_steps,
                sums.inertia,
                sums.gain(stream.centers),
                batch.n_source_rows,
                time.perf_counter() - start,
                centers_seen(moved.centers, self._begun.scaling),
            )
            self._tell(event)

    def _look(self) -> Record:
        """Look at the centers with the held-out rows: seed starved ones again, note progress."""
        settings, state = self._settings, self.state
        stream, sums = state.held.look(
            state.stream, settings.reassignment_ratio, settings.tol, settings.seed
        )
        gain = state.held.gain(sums, stream.centers)
        if sums.inertia < (1 - settings.tol) * state.best:
            state = replace(state, best=sums.inertia, n_stalled=0, n_rows_stalled=0)
        else:
            n_rows = state.n_rows_stalled + state.stream.n_unseen
            state = replace(state, n_stalled=state.n_stalled + 1, n_rows_stalled=n_rows)
        patience = settings.max_no_improvement
        stalled = patience is not None and (
            state.n_stalled >= patience or state.n_rows_stalled >= (self._rows.known.n_samples or 0)
        )
        # before all rows were seen, only if no center has far to go: of data in some order, the
        # places that were seen may be done with while others wait
        seen = state.epoch > 1 or gain <= settings.tol * sums.inertia
        self.state = replace(state, stream=stream, converged=stalled and seen)
        return {"inertia": sums.inertia, "gain": gain}

    def _assign_all(self) -> Fit:
        stream = self.state.stream
        request = Reduce(
            "final assignment", ClusterSums.from_block, (stream.centers, stream.ledger.origin)
        )
        record: Record = dict.fromkeys(FINDINGS)
        (ledger,) = self._rows.run([request], record)
        assert isinstance(ledger, ClusterSums)
        check_enough(ledger.n_rows, float(ledger.weight.sum()), ledger.n_clusters)
        fit = self._fit_of(ledger, self._stopped_by)
        record.update(inertia=fit.inertia, gain=fit.gain, empty_clusters=int(ledger.empty.sum()))
        reporter().ended(record)
        self.records = (*self.records, record)
        self._final = fit
        self._tell_pass(record)
        return fit

    def found(self) -> Fit:
        """Return where the centers are, with the held-out rows' figures, or those of all rows."""
        if self._final is not None:
            return replace(self._final, stopped_by="interrupt")
        stream = self.state.stream
        sums, _ = self.state.held.sums(stream.centers, stream.ledger.origin)
        n_rows = self._rows.known.n_samples or sums.n_rows
        return self._fit_of(replace(sums, n_rows=n_rows), "interrupt")

    def _fit_of(self, ledger: ClusterSums, stopped_by: str | None) -> Fit:
        state = self.state
        n_epochs = state.epoch if state.step else state.epoch - 1
        gain = ledger.gain(state.stream.centers)
        return Fit(state.stream.centers, ledger, n_epochs, state.converged, gain, stopped_by)

    def _tell_pass(self, record: Record) -> None:
        if self._callbacks:
            number = self._rows.n_passes - self._job.n_passes_before
            centers = centers_seen(self.state.stream.centers, self._begun.scaling)
            self._tell(pass_event(record, number, centers))

    def _tell(self, event: Event) -> None:
        if self._callbacks.tell(event):
            self._stopped_by = "callback"

    def _write(self, state: MiniBatchState) -> None:
        if self._job.place is not None:
            run = RunState(state, None, self.records)
            self._job.place.write(replace(self._begun, runs=(run,)))
        self._written = time.monotonic()
