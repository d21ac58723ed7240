"""What a job has done, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dkmeans.evaluation.shown import Section, Shown, plain
from dkmeans.jobs.gates import Verdict
from dkmeans.models.model import Model

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT = 4
"""Exit code of what is done, but for rows or files that were left out by policy."""


@dataclass(frozen=True)
class Outcome(Shown):
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
    def verdict(self) -> Verdict | None:
        """What the gate said, limit by limit; None if nothing was judged."""
        told = self.record.get("verdict")
        return None if told is None else Verdict.from_dict(told)

    def to_frame(self) -> "pd.DataFrame":
        """Return one row: the exit code, and each value of the result.

        Values inside of others go by dotted names, as `figures.churn`. `pandas.concat` puts the
        rows of many runs together.
        """
        import pandas as pd

        return pd.DataFrame([_flat({**self.to_dict()["result"], "exit_code": self.exit_code})])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        verdict = self.record.get("verdict")
        return {
            "exit_code": self.exit_code,
            "refusal": self.refusal,
            "result": plain(dict(self.result)),
            "verdict": None if verdict is None else plain(dict(verdict)),
        }

    def sections(self) -> Sequence[Section]:
        """Return what was done, in sentences, and what the gate said."""
        result = self.result
        head = f"Job {result['job']} ({result['task']}) as of {result['as_of']}"
        done = Section(f"{head}: exit code {self.exit_code}", self.lines)
        verdict = self.verdict
        return [done] if verdict is None else [done, *verdict.sections()]

    @property
    def has_left_out(self) -> bool:
        """Whether rows or files were left out by policy."""
        return bool(self.result.get("rows_missing") or self.result.get("skipped_files"))


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by the dotted names of where they are; lists stay as they are."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inside = isinstance(value, Mapping)
        found |= _flat(value, f"{above}{name}.") if inside else {f"{above}{name}": value}
    return found


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
