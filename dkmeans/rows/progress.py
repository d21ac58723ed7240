"""Show passes as they run: a bar each on a terminal, a line each elsewhere, or nothing."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Reporter(Protocol):
    """Told of passes, and of what else takes long."""

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """A pass begins, or something else of so many parts."""
        ...

    def leaf_done(self) -> None:
        """A leaf of the pass is done. Called from any thread."""
        ...

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """It is over, and this is what history says of it."""
        ...

    def note(self, text: str) -> None:
        """Something the user should know that is no part of a pass."""
        ...


class Silent:
    """Shows nothing."""

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Show nothing."""

    def leaf_done(self) -> None:
        """Show nothing."""

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class Lines:
    """A line for each pass."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._number = out, 0

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Show nothing: a pass that failed is no line."""

    def leaf_done(self) -> None:
        """Show nothing."""

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Write the line."""
        self._number += is_pass
        self.note(f"{_numbered(self._number, is_pass)}  {describe(record)}")

    def note(self, text: str) -> None:
        """Write a line."""
        print(text, file=self._out, flush=True)


class Bars:
    """A bar for the pass that runs, and a line for each that ran."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out)
        self._progress: Progress | None = None
        self._number = 0

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Show a bar, in place of one of something that was not heard of again."""
        self.stop()
        self._number += is_pass
        self._progress = Progress(
            TextColumn(f"{_numbered(self._number, is_pass)}  {{task.description}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        self._progress.add_task(kind, total=n_leaves)

    def leaf_done(self) -> None:
        """Move the bar."""
        if self._progress is not None and self._progress.task_ids:
            self._progress.advance(self._progress.task_ids[0])

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Replace the bar by a line."""
        self.stop()
        self.note(f"{_numbered(self._number, is_pass)}  {describe(record)}")

    def note(self, text: str) -> None:
        """Write a line."""
        self._console.print(text, highlight=False, markup=False)

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Several:
    """Tells several reporters."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._reporters = tuple(reporters)

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Tell all."""
        for one in self._reporters:
            one.began(kind, n_leaves, is_pass=is_pass)

    def leaf_done(self) -> None:
        """Tell all."""
        for one in self._reporters:
            one.leaf_done()

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Tell all."""
        for one in self._reporters:
            one.ended(record, is_pass=is_pass)

    def note(self, text: str) -> None:
        """Tell all."""
        for one in self._reporters:
            one.note(text)


_reporter: Reporter = Silent()
_listeners: tuple[Reporter, ...] = ()


def reporter() -> Reporter:
    """Return where passes are reported to now."""
    return Several((_reporter, *_listeners)) if _listeners else _reporter


@contextmanager
def listening(listener: Reporter) -> Iterator[None]:
    """Tell `listener` of passes, too, while the context lasts, whatever is shown of them."""
    global _listeners
    _listeners = (*_listeners, listener)
    try:
        yield
    finally:
        _listeners = tuple(one for one in _listeners if one is not listener)


@contextmanager
def reporting(out: TextIO | None = None) -> Iterator[None]:
    """Report passes to `out` (standard error if None) while the context lasts."""
    global _reporter
    out = sys.stderr if out is None else out
    before, _reporter = _reporter, Bars(out) if out.isatty() else Lines(out)
    try:
        yield
    finally:
        if isinstance(_reporter, Bars):
            _reporter.stop()
        _reporter = before


def _numbered(number: int, is_pass: bool) -> str:
    """What a line begins with: the number of the pass, or as much space."""
    return f"pass {number:>3}" if is_pass else " " * 8


def describe(record: Mapping[str, Any]) -> str:
    """One line of what a pass was and found."""
    words = [f"{record['kind']:<22}", f"{record['seconds']:7.2f} s"]
    words += [
        f"{name} {record[name]:.6g}" for name in ("cost", "inertia") if record.get(name) is not None
    ]
    if record.get("gain") is not None and record["inertia"]:
        words.append(f"gain {record['gain'] / record['inertia']:.1e}")
    if record.get("empty_clusters"):
        words.append(f"{record['empty_clusters']} empty")
    if record["bytes_read"]:
        words.append(f"read {record['bytes_read'] / 1e6:,.0f} MB")
    return "  ".join(words)
