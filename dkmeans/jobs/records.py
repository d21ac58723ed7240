"""A record of every attempt of a run, in a file of its own: `<url>/runs/<run id>/<attempt>.json`.

It is written when the attempt begins and when it ends, each time in one step. In between, signs of
life go to a file beside it, so that one which arrives late cannot undo the end. What never ended
and shows no life is lost: killed, or cut off from the store. The names of attempts are times and
random letters, so that no two writers ever claim the same one, on any store.
"""

import json
import platform
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import fsspec

from dkmeans.errors import ArgumentError, InputRefused, MissingInput
from dkmeans.jobs.process import Process
from dkmeans.jobs.run_record import RunRecord
from dkmeans.storage.atomic import is_unfinished, write_bytes
from dkmeans.storage.filesystem import NO_OPTIONS, absolute, join, redact
from dkmeans.storage.json_lines import utc_now
from dkmeans.storage.objects import names_at, read_bytes, remove
from dkmeans.storage.requests import request
from dkmeans.storage.secrets import scrubbed

FORMAT = 1
KIND = "dkmeans run"
FOLDER = "runs"

RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ATTEMPT = re.compile(r"(\d{8}T\d{12}Z-[0-9a-f]{8})\.json")
_MOST_BYTES = 16 * 2**20


def new_attempt(started: datetime) -> str:
    """Return a name that no other attempt has."""
    stamp = started.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
    return f"{stamp}Z-{secrets.token_hex(4)}"


def new_run_id(job: str, started: datetime | None = None) -> str:
    """Return a name for a new run of a job."""
    stamp = (started or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    short = re.sub(r"[^A-Za-z0-9_-]+", "-", job).strip("-")[:80] or "run"
    return f"{short}-{stamp}-{secrets.token_hex(3)}"


def check_run_id(run_id: str) -> str:
    """Return a run id that can be a folder's name; it is never a path.

    Raises
    ------
    ArgumentError
        If it is none.
    """
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise ArgumentError(
            f"run id {run_id!r} should be up to 128 letters, digits, dots, hyphens and "
            "underscores, and begin with a letter, a digit or an underscore; choose another."
        )
    return run_id


def write(record: RunRecord, url: str, options: str = NO_OPTIONS, *, is_beat: bool = False) -> None:
    """Write, or replace in one step, the record of an attempt, or a sign of its life."""
    names = {"run_id": record.run_id, "attempt": record.attempt}
    body = {"format": FORMAT, "kind": KIND, **scrubbed(record.to_dict()), **names}
    data = json.dumps(body, indent=1, allow_nan=False).encode()
    write_bytes(_place(url, record.run_id, record.attempt, is_beat), data, options)


def forget_beats(record: RunRecord, url: str, options: str = NO_OPTIONS) -> None:
    """Remove the signs of life of an attempt that has ended."""
    remove(_place(url, record.run_id, record.attempt, is_beat=True), options)


def latest(
    url: str, most: int, options: str = NO_OPTIONS, *, job: str | None = None
) -> tuple[list[RunRecord], list[str]]:
    """Return the records of the latest attempts of all runs, or of those of a job.

    One listing, and as many reads as it takes.

    Returns
    -------
    tuple of list and list
        At most `most` records, the latest last, and for each that is damaged a sentence on it.
    """
    found: list[RunRecord] = []
    damaged = []
    for attempt, run_id in sorted(_listed(join(absolute(url), FOLDER), options), reverse=True):
        if len(found) == most:
            break
        try:
            record = read(url, run_id, attempt, options)
        except InputRefused as error:
            damaged.append(str(error))
            continue
        if job is None or record.job == job:
            found.append(record)
    return found[::-1], damaged


def _listed(folder: str, options: str) -> list[tuple[str, str]]:
    """Attempt and run id of every record in a folder."""

    def look(fs: fsspec.AbstractFileSystem, path: str) -> list[str]:
        fs.invalidate_cache()
        return [str(name) for name in fs.find(path)]

    found = []
    for place in request(folder, options, look):
        rest, _, file = place.rpartition("/")
        run_id, match = rest.rpartition("/")[2], _ATTEMPT.fullmatch(file)
        if match and RUN_ID.fullmatch(run_id):
            found.append((match[1], run_id))
    return found


def attempts(url: str, run_id: str, options: str = NO_OPTIONS) -> list[RunRecord]:
    """Return the records of a run's attempts, the first one first.

    Raises
    ------
    MissingInput
        If there is no such run.
    InputRefused
        If a record is damaged.
    """
    check_run_id(run_id)
    folder = join(absolute(url), FOLDER, run_id)
    names = [name for name in names_at(folder, options) if not is_unfinished(name)]
    found = [match[1] for name in sorted(names) if (match := _ATTEMPT.fullmatch(name))]
    if not found:
        raise MissingInput(
            f"no run {run_id!r} at {redact(url)}; `dkmeans runs list` shows those there are."
        )
    return [read(url, run_id, attempt, options) for attempt in found]


def read(url: str, run_id: str, attempt: str, options: str = NO_OPTIONS) -> RunRecord:
    """Return the record of an attempt, as lost if it is.

    Raises
    ------
    MissingInput
        If there is none.
    InputRefused
        If it is damaged, or of another format.
    """
    record = _read(_place(url, run_id, attempt), run_id, attempt, options)
    if record.ended is None:
        with suppress(MissingInput):
            beat = _place(url, run_id, attempt, is_beat=True)
            record = _read(beat, run_id, attempt, options)
        # it may have ended between our two reads, and have taken the signs of life away
        last = _read(_place(url, run_id, attempt), run_id, attempt, options)
        record = record if last.ended is None else last
    return record.settled()


def _read(place: str, run_id: str, attempt: str, options: str) -> RunRecord:
    where = redact(place)
    data = read_bytes(place, options)
    if len(data) > _MOST_BYTES:
        raise InputRefused(f"the record {where} has {len(data)} bytes; it is none of ours.")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise InputRefused(f"the record {where} is damaged: it is not JSON; remove it.") from None
    if not isinstance(body, dict) or body.pop("kind", None) != KIND:
        raise InputRefused(f"{where} is no record of a run; remove it.")
    if (known_as := body.pop("format", None)) != FORMAT:
        raise InputRefused(
            f"the record {where} has format {known_as!r}; this version of dkmeans reads format "
            f"{FORMAT}: read it with the version that wrote it."
        )
    known = {one.name for one in fields(RunRecord)}
    needed = {"run_id", "attempt", "job", "task", "started", "seen"}
    if not needed <= body.keys() <= known or (body["run_id"], body["attempt"]) != (run_id, attempt):
        raise InputRefused(f"the record {where} is damaged: its entries are others; remove it.")
    _check_types(body, where)
    body["notifications"] = tuple(body.get("notifications", ()))
    return RunRecord(**body)


def _check_types(body: Mapping[str, Any], where: str) -> None:
    """Check what is computed with and shown: a file may hold anything."""
    texts = ("job", "task", "started", "seen", "outcome")
    numbers = ("passes", "rows", "bytes", "seconds", "retries")
    if (
        not all(isinstance(body.get(name, ""), str) for name in texts)
        or not all(isinstance(body.get(name, 0), (int, float)) for name in numbers)
        or not isinstance(body.get("ended") or "", str)
        or not isinstance(body.get("error") or "", str)
        or not isinstance(body.get("exit_code") or 0, int)
        or not isinstance(body.get("notifications", []), list)
        or not all(isinstance(body.get(name) or {}, dict) for name in _MAPPINGS)
    ):
        raise InputRefused(
            f"the record {where} is damaged: an entry is of another type; remove it."
        )


_MAPPINGS = ("process", "versions", "figures", "drift", "verdict", "extra")


def _place(url: str, run_id: str, attempt: str, is_beat: bool = False) -> str:
    check_run_id(run_id)
    if not _ATTEMPT.fullmatch(f"{attempt}.json"):
        raise ArgumentError(f"attempt {attempt!r} should be one that `dkmeans runs show` lists.")
    name = f"{attempt}.beat.json" if is_beat else f"{attempt}.json"
    return join(absolute(url), FOLDER, run_id, name)


def begin(
    url: str,
    *,
    job: str,
    task: str,
    run_id: str,
    versions: Mapping[str, str] | None = None,
    options: str = NO_OPTIONS,
) -> RunRecord:
    """Write the first record of a new attempt, and return it.

    Raises
    ------
    ArgumentError
        If the run id cannot be a name.
    StoreUnreachable
        If it cannot be written.
    """
    check_run_id(run_id)
    started = datetime.now(UTC)
    now = utc_now()
    record = RunRecord(
        run_id,
        new_attempt(started),
        job,
        task,
        now,
        now,
        process=asdict(Process.this()),
        versions={**_versions(), **(versions or {})},
    )
    write(record, url, options)
    return record


def _versions() -> dict[str, str]:
    """What the figures of a run depend on, by name."""
    names = ("dkmeans", "numpy", "pyarrow", "dask", "distributed")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
