"""`ProgressCallback`: a fit's passes as a table that grows in a notebook, or as lines of text."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any, TextIO

import numpy as np

from dkmeans.algorithms.callbacks import Event
from dkmeans.models.model import Model

_MOST_ROWS = 12
"""Passes that the table shows, the last ones."""

_STEP_SECONDS = 0.5
"""Between two updates of a notebook by steps."""

_SPARK_WIDTH, _SPARK_HEIGHT = 240, 36


class ProgressCallback:
    """Show the passes of a fit as they end, for `KMeans(callbacks=[ProgressCallback()])`.

    In a notebook one output is brought up to date: a line of the inertia and a table of the last
    passes, and the step that mini-batches are at. Anywhere else each pass is a line of text.

    Parameters
    ----------
    out
        Where lines of text go, also in a notebook; None for the table in a notebook, else standard
        error.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self.out = out
        self._events: list[Event] = []
        self._handle: Any = None
        self._limit = ""
        self._step_shown = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> "ProgressCallback":
        # scikit-learn's `clone` copies parameters, and streams cannot be copied
        return ProgressCallback(self.out)

    def began(self, parameters: Mapping[str, Any]) -> None:
        """Begin a new table."""
        self._events, self._handle = [], None
        self._limit = "max_epochs" if "max_epochs" in parameters else "max_iter"
        self._show(f"{parameters['n_clusters']} clusters")

    def __call__(self, event: Event) -> None:
        """Show a pass; of a step, a notebook."""
        if event.kind == "step":
            now = time.monotonic()
            if self._handle is not None and now - self._step_shown > _STEP_SECONDS:
                self._step_shown = now
                self._show(_line(event))
            return
        # a table needs no centers, and there may be many passes
        self._events.append(replace(event, centers=None))
        self._show(_line(event))

    def ended(self, model: Model) -> None:
        """Say how the fit ended."""
        provenance = model.provenance
        if provenance["stopped_by"] is not None:
            how = f"stopped by {provenance['stopped_by']}"
        else:
            how = "converged" if provenance["converged"] else f"stopped by {self._limit}"
        self._show(f"{how}: inertia {model.inertia:.6g}, {provenance['n_passes']} passes")

    def failed(self, error: BaseException) -> None:
        """Say that the fit failed."""
        self._show(f"failed: {type(error).__name__}")

    def _show(self, status: str) -> None:
        display = None if self.out is not None else _notebook_display()
        if display is None:
            out = self.out or sys.stderr
            out.write(f"{status}\n")
            out.flush()
            return
        table = _Table(status, tuple(self._events))
        if self._handle is None:
            self._handle = display(table, display_id=True)
        else:
            self._handle.update(table)


def _notebook_display() -> Any:
    """IPython's `display` if this process is a notebook's kernel; else None."""
    # a kernel has imported it
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return display


class _Table:
    """What a notebook shows."""

    def __init__(self, status: str, events: Sequence[Event]) -> None:
        self._status, self._events = status, events

    def __repr__(self) -> str:
        return self._status

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th>{name}</th>"
            for name in ("pass", "", "inertia", "gain / inertia", "rows", "seconds")
        )
        body = "".join(f"<tr>{_cells(event)}</tr>" for event in self._events[-_MOST_ROWS:])
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        inertias = [event.inertia for event in self._events if event.inertia is not None]
        return f"<div>{escape(self._status)}</div>{_sparkline(inertias)}{table}"


def _line(event: Event) -> str:
    words = [f"{event.kind} {event.number:>3}  {event.name:<22} {event.seconds:7.2f} s"]
    if event.inertia is not None:
        words.append(f"inertia {event.inertia:.6g}")
    if event.gain is not None and event.inertia:
        words.append(f"gain {event.gain / event.inertia:.1e}")
    return "  ".join(words)


def _cells(event: Event) -> str:
    values = (
        str(event.number),
        escape(event.name),
        "" if event.inertia is None else f"{event.inertia:.6g}",
        "" if event.gain is None or not event.inertia else f"{event.gain / event.inertia:.1e}",
        f"{event.rows:,}",
        f"{event.seconds:.2f}",
    )
    return "".join(f"<td>{value}</td>" for value in values)


def _sparkline(values: Sequence[float]) -> str:
    """An SVG line of some values; nothing for fewer than two."""
    if len(values) < 2:
        return ""
    heights = np.asarray(values)
    heights = (heights - heights.min()) / (np.ptp(heights) or 1.0)
    xs = np.linspace(2, _SPARK_WIDTH - 2, len(values))
    ys = 2 + (1 - heights) * (_SPARK_HEIGHT - 4)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return (
        f'<svg width="{_SPARK_WIDTH}" height="{_SPARK_HEIGHT}" role="img" '
        'aria-label="inertia of each iteration"><polyline fill="none" stroke="currentColor" '
        f'stroke-width="1.5" points="{points}"/></svg>'
    )
