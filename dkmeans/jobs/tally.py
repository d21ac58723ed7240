"""What a run has cost so far, counted from what passes report."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from dkmeans.storage.requests import n_retries


@dataclass(frozen=True)
class Costs:
    """What a run has cost."""

    passes: int
    """Full reads of the rows; what is read beside them (a pilot, examples) is not counted here."""

    rows: int
    """Rows visited by all passes together."""

    bytes: int
    """Bytes that passes have fetched from the source; not the few that are looked at before."""

    seconds: float
    """Wall time since the count began."""

    retries: int
    """Requests to stores made again by this process; those of workers elsewhere are not known."""


class Tally:
    """Counts what passes report. Made to be listened with: `with listening(tally)`."""

    def __init__(self) -> None:
        self._began, self._retries_before = time.monotonic(), n_retries()
        self._passes = self._rows = self._bytes = 0
        self._lock = Lock()

    def began(self, kind: str, n_leaves: int, *, is_pass: bool = True) -> None:
        """Count nothing: a pass that fails is none."""

    def leaf_done(self) -> None:
        """Count nothing."""

    def ended(self, record: Mapping[str, Any], *, is_pass: bool = True) -> None:
        """Count a pass."""
        with self._lock:
            self._passes += is_pass
            self._rows += int(record.get("rows_read") or 0)
            self._bytes += int(record.get("bytes_read") or 0)

    def note(self, text: str) -> None:
        """Count nothing."""

    def costs(self) -> Costs:
        """Return what was counted until now."""
        with self._lock:
            return Costs(
                self._passes,
                self._rows,
                self._bytes,
                time.monotonic() - self._began,
                n_retries() - self._retries_before,
            )
