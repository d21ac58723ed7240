"""Structured logs: one line of JSON for each event of a run.

An event has the time (UTC), the run, its name and its fields: what passes cost and found, what was
left out, what was tried again, how it ended. No row, no credential.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.shown import plain
from dkmeans.rows.progress import listening
from dkmeans.storage.filesystem import one_line
from dkmeans.storage.json_lines import JsonLines

_LOGGER = "dkmeans"
_FIELDS_OF_PASSES = ("kind", "seconds", "rows_read", "bytes_read", "cost", "inertia", "gain")
"""What is told of a pass. Its record may hold more, which is not for logs."""


class JsonLog(JsonLines):
    """Writes events of a run as lines of JSON. May be called from any thread.

    A log that cannot be written does not end the job.

    Parameters
    ----------
    run_id
        The run that all events are of.
    out
        Where lines go.
    """

    def __init__(self, run_id: str, out: TextIO) -> None:
        super().__init__(out, run_id=run_id)
        self.run_id = run_id

    def event(self, name: str, /, **fields: Any) -> None:
        """Write one line."""
        super().event(name, **plain(fields))

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Say that a pass begins, or something else of so many parts."""
        self.event("pass began" if is_pass else "work began", kind=kind, n_leaves=n_leaves)

    def leaf_done(self) -> None:
        """Say nothing: there may be a million."""

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Say what a pass cost and found."""
        fields = {name: record[name] for name in _FIELDS_OF_PASSES if record.get(name) is not None}
        self.event("pass ended" if is_pass else "work ended", **fields)

    def note(self, text: str) -> None:
        """Say what the user should know."""
        self.event("note", text=text)


class _Handler(logging.Handler):
    """Turns records of our loggers into events: what stores were asked again, above all."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. A traceback stays away: locals of frames are not ours to show."""
        self._log.event(
            "log",
            logger=record.name,
            level=record.levelname.lower(),
            text=one_line(record.getMessage()),
        )


@contextmanager
def json_logs(run_id: str, out: TextIO | str | Path | None = None) -> Iterator[JsonLog]:
    """Write events of a run while the context lasts; how it is left is the last one.

    Parameters
    ----------
    run_id
        The run that all events are of.
    out
        A stream, or the path of a local file, which is appended to; standard error if None.

    Raises
    ------
    ArgumentError
        If the file cannot be opened.
    """
    with ExitStack() as stack:
        stream = _opened(out, stack) if isinstance(out, (str, Path)) else out or sys.stderr
        log = JsonLog(run_id, stream)
        handler, logger = _Handler(log), logging.getLogger(_LOGGER)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        stack.callback(logger.setLevel, level)
        stack.callback(logger.removeHandler, handler)
        stack.enter_context(listening(log))
        log.event("run began")
        try:
            yield log
        except BaseException as error:
            log.event("run failed", kind=type(error).__name__, error=one_line(error))
            raise
        log.event("run ended")


def _opened(path: str | Path, stack: ExitStack) -> TextIO:
    try:
        return stack.enter_context(open(path, "a", encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(
            f"the log {path} cannot be written ({error.strerror}); use another path, or none for "
            "standard error."
        ) from None
