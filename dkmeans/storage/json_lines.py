"""Events as lines of JSON: each has the time (UTC), what it is, and its fields. No credentials."""

import json
import math
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

from dkmeans.storage.secrets import scrub, scrubbed

_LONGEST_TEXT = 2000


class JsonLines:
    """Writes events. May be called from any thread.

    Where they cannot be written they are lost, which is said once on standard error.

    Parameters
    ----------
    out
        Where lines go.
    always
        Fields that every event has, after the time.
    """

    def __init__(self, out: TextIO, **always: Any) -> None:
        self._out, self._always = out, always
        self._lock = threading.Lock()
        self._is_broken = False

    def event(self, name: str, /, **fields: Any) -> None:
        """Write one line. The fields are plain values."""
        line = {"time": utc_now(), **self._always, "event": name}
        # a field cannot pass for another event, run or time
        line |= {key: _short(one) for key, one in scrubbed(fields).items() if key not in line}
        self.write(json.dumps(line, ensure_ascii=True, allow_nan=False, default=str) + "\n")

    def write(self, text: str) -> None:
        """Write lines that are made already, each with its end."""
        with self._lock:
            if self._is_broken:
                return
            try:
                self._out.write(text)
                self._out.flush()
            except (OSError, ValueError) as error:
                self._is_broken = True
                _complain(error)


def utc_now() -> str:
    """Return the time, in UTC, to milliseconds, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: Any) -> Any:
    """Cut long texts, however deep; infinities have no JSON."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}..."
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return value


def _complain(error: Exception) -> None:
    try:
        sys.stderr.write(f"dkmeans: warning: the log cannot be written: {scrub(str(error))}\n")
    except (OSError, ValueError):
        # nobody is left to tell
        return
