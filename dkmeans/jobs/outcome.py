"""What a job has done, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dkmeans.models.model import Model

LEFT_OUT = 4
"""Exit code of what is done, but for rows or files that were left out by policy."""


@dataclass(frozen=True)
class Outcome:
    """What a job has done."""

    result: Mapping[str, Any]
    """Plain values, for JSON."""

    lines: tuple[str, ...]
    """The same for people."""

    record: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the record of the attempt, as `verdict`; an "outcome" and an "exit_code", if it
    did not end as "done"."""

    refusal: str | None = None
    """Why the gate refused, in one sentence; None if it did not."""

    @property
    def exit_code(self) -> int:
        """What the process is to end with."""
        if (code := self.record.get("exit_code")) is not None:
            return int(code)
        return LEFT_OUT if self.has_left_out else 0

    @property
    def has_left_out(self) -> bool:
        """Whether rows or files were left out by policy."""
        return bool(self.result.get("rows_missing") or self.result.get("skipped_files"))


def fit_figures(model: Model) -> dict[str, Any]:
    """Return what a fit has found and cost, as plain values."""
    provenance = model.provenance
    names = (
        *("rows", "rows_dropped", "rows_missing", "skipped_files"),
        *("n_iter", "n_passes", "rows_read", "bytes_read", "converged", "gain", "seed"),
    )
    return {
        **{name: provenance[name] for name in names},
        "n_features": model.n_features,
        "n_clusters": model.n_clusters,
        "inertia": model.inertia,
    }


def left_out_lines(
    rows_missing: int, skipped_files: Sequence[Mapping[str, str]], what: str = "with missing values"
) -> list[str]:
    """Return a line for rows, and for each file, that were left out by policy."""
    lines = [f"left out: {rows_missing:,} rows {what}"] if rows_missing else []
    return lines + [f"left out: {file['url']} ({file['reason']})" for file in skipped_files]
