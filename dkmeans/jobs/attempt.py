"""Keep the record of an attempt while it runs: signs of life, and how it ended."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any

from dkmeans.errors import DkmeansError, DriftFound, GateRefused
from dkmeans.jobs import records
from dkmeans.jobs.run_record import RunRecord
from dkmeans.jobs.tally import Tally
from dkmeans.rows.progress import listening, reporter
from dkmeans.storage.errands import Errand
from dkmeans.storage.filesystem import one_line, remember
from dkmeans.storage.json_lines import utc_now
from dkmeans.storage.secrets import scrub

BEAT_SECONDS = 60.0
_PATIENCE_SECONDS = 5.0
"""How long the end of a job waits for a sign of life that is just being written."""

_RESUMABLE = 7
_INTERRUPTED, _TERMINATED = 130, 143
_DONE_WITH_LOSSES = 4


class Attempt:
    """An attempt that runs. See `recorded`."""

    def __init__(self, record: RunRecord, url: str, options: str) -> None:
        self.tally = Tally()
        self._record, self._url, self._options = record, url, options
        self._lock = threading.Lock()

    @property
    def run_id(self) -> str:
        """The run that this is an attempt of."""
        return self._record.run_id

    @property
    def record(self) -> RunRecord:
        """What is known of it now; once it has ended, how it did."""
        with self._lock:
            if self._record.ended is not None:
                return self._record
            return replace(self._record, **asdict(self.tally.costs()), seen=utc_now())

    def add(self, **entries: Any) -> None:
        """Set entries of the record, as `verdict=verdict.to_dict()`; written with the next one.

        `outcome="nothing to do"` and the like stay, if the attempt ends without an error.
        """
        with self._lock:
            self._record = replace(self._record, **entries)

    def notified(self, *found: Mapping[str, Any]) -> None:
        """Add notifications that were sent, or could not be; after the end, too."""
        with self._lock:
            both = (*self._record.notifications, *found)
            self._record = replace(self._record, notifications=both)
        if found and self._record.ended is not None:
            with noted("notifications could not be recorded"):
                records.write(self._record, self._url, self._options)

    def beat(self) -> None:
        """Write a sign of life."""
        records.write(self.record, self._url, self._options, is_beat=True)

    def end(self, error: BaseException | None) -> None:
        """Write the last record: how it ended."""
        outcome, code = ended_by(error)
        record = self.record
        if error is None and record.outcome != "running":
            outcome = record.outcome
        if error is None and record.exit_code is not None:
            code = record.exit_code
        is_told = error is not None and not (isinstance(error, SystemExit) and outcome == "done")
        last = replace(
            record,
            ended=record.seen,
            outcome=outcome,
            exit_code=code,
            error=_sentence(error) if is_told and error is not None else None,
            error_kind=type(error).__name__ if is_told else None,
        )
        with self._lock:
            self._record = last
        records.write(last, self._url, self._options)
        records.forget_beats(last, self._url, self._options)


@contextmanager
def recorded(
    url: str,
    *,
    job: str,
    task: str,
    run_id: str,
    versions: Mapping[str, str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    beat_seconds: float = BEAT_SECONDS,
) -> Iterator[Attempt]:
    """Keep a record of what is done in the context, at `<url>/runs/<run id>/<attempt>.json`.

    What passes cost is counted meanwhile. A record that cannot be written when the attempt begins
    is an error; later on it is a note, and never hides how the job itself ends.

    What the context gives has, once that is left, the last record: for `notify.tell` and
    `prometheus.write_textfile`.

    Parameters
    ----------
    url
        The registry, or any other place for records.
    job, task
        The name of the job, and what it does.
    run_id
        A name that all attempts of a run have in common.
    versions
        Of packages, by name.
    storage_options
        How to reach the store.
    beat_seconds
        Time between signs of life.
    """
    options = remember(storage_options)
    first = records.begin(
        url, job=job, task=task, run_id=run_id, versions=versions, options=options
    )
    attempt = Attempt(first, url, options)
    with ExitStack() as stack:
        stack.enter_context(listening(attempt.tally))
        stop = _beating(attempt, beat_seconds)
        try:
            yield attempt
        except BaseException as error:
            stop()
            with noted("the record of this run could not be ended"):
                attempt.end(error)
            raise
        stop()
        with noted("the record of this run could not be ended"):
            attempt.end(None)


def ended_by(error: BaseException | None) -> tuple[str, int]:
    """Return the outcome and the exit code of what ended by `error`; None: by itself."""
    if error is None:
        return "done", 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        return _of_code(code), code
    if isinstance(error, KeyboardInterrupt):
        return "stopped", _INTERRUPTED
    if isinstance(error, GateRefused):
        return "refused", error.exit_code
    if isinstance(error, DriftFound):
        return "drift", error.exit_code
    if isinstance(error, DkmeansError):
        return _of_code(error.exit_code), error.exit_code
    return "failed", 1


def _of_code(code: int) -> str:
    if code in (_RESUMABLE, _INTERRUPTED, _TERMINATED):
        return "stopped"
    known = {GateRefused.exit_code: "refused", DriftFound.exit_code: "drift"}
    return known.get(code, "done" if code in (0, _DONE_WITH_LOSSES) else "failed")


def _sentence(error: BaseException) -> str:
    """What an error says, on one line and without credentials."""
    if isinstance(error, SystemExit):
        return f"ended with exit code {ended_by(error)[1]}."
    text = one_line(error)
    if isinstance(error, DkmeansError):
        return scrub(text)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted."
    return scrub(f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}.")


@contextmanager
def noted(what: str) -> Iterator[None]:
    """Note what fails here, and go on: the job is more important than what is told of it."""
    try:
        yield
    except Exception as failed:
        reporter().note(f"{what}: {scrub(one_line(failed))}")


def _beating(attempt: Attempt, seconds: float) -> Callable[[], None]:
    """Show signs of life from a thread of its own; return what stops it."""
    over, errand = threading.Event(), Errand()

    def beat() -> None:
        while not over.wait(seconds):
            try:
                attempt.beat()
            except Exception as failed:
                if not over.is_set():
                    reporter().note(f"no sign of life written: {scrub(one_line(failed))}")

    thread = threading.Thread(target=errand.call, args=(beat,), name="dkmeans-record", daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        # a request that waits for a store is given up
        errand.end()
        thread.join(_PATIENCE_SECONDS)

    return stop
