"""A line of JSON for each request: no rows, no tokens, no query.

Lines are written by a thread of their own, a tenth of a second's at a time, so that whoever reads
them slowly keeps no request waiting. Of lines that pile up, the oldest are lost, which is counted.
"""

import threading
from collections import deque
from typing import Any, Literal

import msgspec

from dkmeans.storage.json_lines import JsonLines, utc_now

Level = Literal["requests", "errors", "off"]
"""Which requests are logged: all, those answered by 400 or more, none."""

_MOST_WAITING = 50_000
_SECONDS = 0.1
_encode = msgspec.json.Encoder().encode


class RequestLog:
    """Writes what was answered.

    Parameters
    ----------
    lines
        Where events go.
    level
        Which requests are logged.
    """

    def __init__(self, lines: JsonLines, level: Level = "requests") -> None:
        self._lines, self._least = lines, {"requests": 0, "errors": 400, "off": 1000}[level]
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._n_lost = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dkmeans-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def answered(self, status: int, **fields: Any) -> None:
        """Write a line for a request; fields that are None are left out."""
        if status < self._least:
            return
        if len(self._waiting) == _MOST_WAITING:
            self._n_lost += 1
        line = {"time": utc_now(), "event": "request", "status": status}
        line |= {name: value for name, value in fields.items() if value is not None}
        self._waiting.append(_encode(line))

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft().decode())
        if lines:
            self._lines.write("\n".join(lines) + "\n")
        if self._n_lost:
            lost, self._n_lost = self._n_lost, 0
            self._lines.event("lines lost", number=lost)
