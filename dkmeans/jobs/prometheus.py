"""Metrics of the last run as a text file, for the textfile collector of Prometheus' node_exporter.

The collector reads every `*.prom` file of its folder, whenever it is scraped; a file is replaced in
one step. Each job has a file of its own. A run that fails keeps the time of the last success, so
that "no success for two days" can be alerted on.

References
----------
.. [1] Prometheus, "Exposition formats: text-based format".
.. [2] node_exporter, "Textfile Collector".
"""

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.run_record import RunRecord
from dkmeans.storage.atomic import write_bytes

SUFFIX = ".prom"
_LAST_SUCCESS = "dkmeans_last_success_timestamp_seconds"
_SUCCESSES = ("done", "nothing to do")
_SAMPLE = re.compile(rf"^{_LAST_SUCCESS}\{{(.*)\}} (\S+)$")


@dataclass(frozen=True)
class _Family:
    """A metric, and how to get its samples from a record."""

    name: str
    help: str
    """The same in every file: the collector refuses texts that differ."""

    samples: Sequence[tuple[Mapping[str, str], float]]
    """Labels beside those of the job, and values."""


def write_textfile(record: RunRecord, place: str | Path) -> Path:
    """Write the metrics of a run that has ended, in one step, and return where.

    Parameters
    ----------
    record
        Of its last attempt.
    place
        The collector's folder, where the file is named after the job; or a file whose name ends in
        `.prom`.

    Raises
    ------
    ArgumentError
        If the place is neither.
    StoreUnreachable
        If it cannot be written.
    """
    path = _path(Path(place).expanduser(), record.job)
    text = as_text(record, _last_success(path, record))
    write_bytes(str(path), text.encode())
    return path


def as_text(record: RunRecord, last_success: float | None = None) -> str:
    """Return the metrics of a run, in the text format of Prometheus.

    Parameters
    ----------
    record
        Of an attempt that has ended.
    last_success
        When a run of the job last succeeded, seconds since the epoch, if not by this one.
    """
    lines: list[str] = []
    of_job = {"job_name": record.job, "task": record.task}
    for family in _families(record, last_success):
        if not family.samples:
            continue
        lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} gauge"]
        lines += [
            f"{family.name}{{{_labels({**of_job, **labels})}}} {_number(value)}"
            for labels, value in family.samples
        ]
    return "\n".join([*lines, ""])


def _families(record: RunRecord, last_success: float | None) -> Iterable[_Family]:
    def one(name: str, text: str, value: float | None, **labels: str) -> _Family:
        return _Family(f"dkmeans_{name}", text, [] if value is None else [(labels, value)])

    succeeded = record.outcome in _SUCCESSES
    ended = None if record.ended is None else _seconds(record.ended)
    yield one("run_rows", "Rows visited by all passes of the last run.", record.rows)
    yield one("run_passes", "Passes over the rows that the last run made.", record.passes)
    yield one("run_duration_seconds", "Wall time of the last run.", record.seconds)
    yield one("run_read_bytes", "Bytes that the last run fetched from the source.", record.bytes)
    yield one("run_retries", "Requests to stores that the last run made again.", record.retries)
    yield one("run_success", "Whether the last run ended well (1) or not (0).", float(succeeded))
    yield one("run_exit_code", "Exit code of the last run.", record.exit_code)
    yield one("run_info", "The last run.", 1, run_id=record.run_id, outcome=record.outcome)
    yield one("run_end_timestamp_seconds", "When the last run ended.", ended)
    yield one(
        "last_success_timestamp_seconds",
        "When a run of the job last ended well.",
        ended if succeeded else last_success,
    )
    yield one("model_version", "Version that the last run published.", record.model_version)
    yield _Family(
        "dkmeans_figure",
        "What was measured for the gate, by metric.",
        [({"metric": name}, value) for name, value in _numbers(record.figures)],
    )
    drift = dict(_numbers(record.figures)).get("drift")
    yield one("drift", "Stability index (PSI) of the champion's cluster shares.", drift)
    verdict = record.verdict or {}
    passed = verdict.get("passed")
    yield one(
        "gate_passed",
        "Whether the gate let the last run's model pass (1) or not (0).",
        None if passed is None else float(bool(passed)),
    )
    judgments = verdict.get("judgments", [])
    judgments = [one for one in judgments if isinstance(one, Mapping) and not one.get("skipped")]
    yield _Family(
        "dkmeans_gate_limit_passed",
        "Whether a limit of the gate was kept to (1) or not (0).",
        [(_of_limit(one), float(bool(one.get("passed")))) for one in judgments],
    )
    yield _Family(
        "dkmeans_gate_limit",
        "Least or greatest value that passes a limit of the gate.",
        [(_of_limit(one), one["bound"]) for one in judgments if _is_number(one.get("bound"))],
    )


def _of_limit(judgment: Mapping[str, Any]) -> dict[str, str]:
    return {"metric": str(judgment.get("metric")), "kind": str(judgment.get("kind"))}


def _numbers(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    """What is a number, infinities that were written as texts included."""
    found = []
    for name, value in values.items():
        if _is_number(value) or value in ("inf", "-inf", "nan"):
            found.append((name, float(value)))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())


def _escaped(text: str, *, quotes: bool = False) -> str:
    """Escape what the format reserves; a text cannot end its line, and so not add another."""
    # lone surrogates are no UTF-8
    text = text.encode("utf-8", "replace").decode()
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    # readers that split lines elsewhere, too, must not see a line begin there
    text = re.sub(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029\x00]", " ", text)
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(value)


def _path(place: Path, job: str) -> Path:
    if place.is_dir():
        # names that differ in what a file's name cannot hold must not share a file
        short = re.sub(r"[^A-Za-z0-9_-]", lambda match: f".{ord(match[0]):x}.", job)[:200]
        return place / f"dkmeans_{short}{SUFFIX}"
    if place.suffix != SUFFIX or not place.parent.is_dir():
        raise ArgumentError(
            f"{os.fspath(place)} should be a folder that exists, or a file in one whose name ends "
            f"in {SUFFIX}; node_exporter reads no others."
        )
    return place


def _last_success(path: Path, record: RunRecord) -> float | None:
    """When the job last succeeded, as the file says that is to be replaced."""
    try:
        lines = path.read_text("utf-8", "replace").split("\n")
    except OSError:
        return None
    ours = _labels({"job_name": record.job, "task": record.task})
    for line in lines:
        match = _SAMPLE.match(line)
        if match and match[1] == ours:
            try:
                return float(match[2])
            except ValueError:
                return None
    return None
