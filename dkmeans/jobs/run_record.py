"""What is kept of an attempt of a run. How it is written and read is in `records`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dkmeans.evaluation.shown import plain
from dkmeans.jobs.process import Process

SILENT_SECONDS = 600.0
"""An attempt elsewhere that has shown no life for so long is lost."""


@dataclass(frozen=True)
class RunRecord:
    """What is kept of an attempt."""

    run_id: str
    attempt: str
    """Unique, and in the order of their beginnings, by the clocks of those who ran them."""

    job: str
    task: str
    started: str
    """UTC, ISO 8601."""

    seen: str
    """UTC: the last sign of life."""

    ended: str | None = None
    """UTC; None if it has not."""

    outcome: str = "running"
    """"running"; "lost": has not ended, and shows no life; "done": ended well, with a new champion
    or without; "nothing to do": the same data and parameters as before; "refused": by the gate;
    "drift": above its thresholds; "stopped": interrupted, terminated, store or cluster lost, or out
    of budget, and can go on; "failed": anything else."""

    exit_code: int | None = None
    error: str | None = None
    """In one sentence, without credentials."""

    error_kind: str | None = None
    process: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of dkmeans and what it computes with."""

    model_version: int | None = None
    """In the registry, of what the run has published; None if it has not."""

    champion_version: int | None = None
    """The one that it was compared with."""

    passes: int = 0
    rows: int = 0
    """Visited by all passes together."""

    bytes: int = 0
    """Fetched from the source by passes."""

    seconds: float = 0.0
    retries: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)
    """`Figures.to_dict()`: what was measured for the gate."""

    drift: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None
    """`Verdict.to_dict()`."""

    notifications: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the task has to say."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, which JSON takes."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    def settled(self, now: datetime | None = None) -> "RunRecord":
        """Return it with the outcome "lost" if it has not ended and shows no life."""
        if self.ended is not None or not self._is_lost(now or datetime.now(UTC)):
            return self
        return replace(self, outcome="lost")

    def _is_lost(self, now: datetime) -> bool:
        process = Process.from_dict(self.process)
        lives = None if process is None else process.lives()
        if lives is not None:
            return not lives
        try:
            seen = datetime.fromisoformat(self.seen)
        except ValueError:
            return True
        return now - seen > timedelta(seconds=SILENT_SECONDS)
