"""From a job file to a job: read, set, filled in, checked, and written out in full."""

import datetime
import hashlib
import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from dkmeans.errors import MissingInput
from dkmeans.jobs import combinations
from dkmeans.jobs.context import INVALID, Context
from dkmeans.jobs.definition import Job, Registry
from dkmeans.jobs.overrides import override
from dkmeans.jobs.problems import Problem, refuse
from dkmeans.jobs.reading import MOST_BYTES, Dumper, Node, read
from dkmeans.jobs.record_kind import Record, shorts_of
from dkmeans.jobs.templates import parse_as_of, written
from dkmeans.storage.filesystem import absolute, join, redact
from dkmeans.storage.objects import read_bytes, size_of


@dataclass(frozen=True)
class Resolved:
    """A job as it runs: defaults, dates and what was set filled in."""

    job: Job
    as_of: str
    """The date, or date and time in UTC, that templates stand for."""

    text: str
    """All of the job as YAML; secrets are hidden."""

    source: str
    """Where the job file lies."""

    @property
    def sha256(self) -> str:
        """The hash of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """Return what is stored with everything that the job writes, as plain values."""
        return {
            "name": self.job.name,
            "task": self.job.task,
            "as_of": self.as_of,
            "sha256": self.sha256,
            "text": self.text,
        }


def load_job(url: str, *, as_of: str | None = None, sets: Sequence[str] = ()) -> Resolved:
    """Read a job file, on a local disk or any fsspec URL.

    Parameters
    ----------
    url
        Where it lies. Relative paths in it are relative to its folder.
    as_of
        The date that `{{ as_of }}` stands for, as 2026-11-20; now, in UTC, if None.
    sets
        `key=value` each: values that take the place of those of the file, as
        `model.n_clusters=12`.

    Raises
    ------
    MissingInput
        If nothing lies there.
    JobRefused
        If it cannot be run as it is written; every reason is named.
    ArgumentError
        If `as_of` is no date.
    """
    moment = _now() if as_of is None else parse_as_of(as_of)
    place = absolute(url)
    if os.path.isdir(place):
        raise MissingInput(f"{url} is a folder; name the job file in it.")
    name = redact(url).rpartition("/")[2]
    # what is much too large is not fetched whole
    data = b"\0" * (MOST_BYTES + 1) if size_of(place) > MOST_BYTES else read_bytes(place)
    return resolve(data, name, moment, sets, folder=place.rpartition("/")[0] or "/", source=place)


def resolve(
    data: bytes,
    name: str,
    as_of: datetime.datetime,
    sets: Sequence[str] = (),
    *,
    folder: str,
    source: str = "",
) -> Resolved:
    """Turn the text of a job file into a job.

    Parameters
    ----------
    data
        UTF-8.
    name
        Of the file, for messages.
    as_of
        What `{{ as_of }}` stands for, in UTC.
    sets
        As for `load_job`.
    folder
        What relative paths are relative to.
    source
        Where the file lies.

    Raises
    ------
    JobRefused
        If it cannot be run as it is written; every reason is named.
    """
    problems: list[Problem] = []
    root = override(read(data, name, problems), sets, shorts_of(Job), problems)
    context = Context(as_of, replace(root.where, line=1, column=1), folder, _values(root), problems)
    job = Record(Job).read(root, "", context)
    if job is not INVALID:
        if "name" not in context.refused:
            job = _with_places(job, folder, as_of)
        combinations.check(job, context)
    refuse(problems)
    return Resolved(job, written(as_of), job_text(job), redact(source))


def job_text(job: Job) -> str:
    """Return all of a job as YAML that reads back as it, but for secrets."""
    return yaml.dump(plain(job), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def plain(job: Job) -> dict[str, Any]:
    """Return all of a job as plain values; secrets are hidden."""
    found: dict[str, Any] = Record(Job).written(job)
    return found


def _values(root: Node) -> Mapping[str, str]:
    """What templates may name beside the date."""
    if isinstance(root.value, Mapping) and "name" in root.value:
        name = root.value["name"].node.value
        if isinstance(name, str):
            return {"name": name}
    return {}


def _with_places(job: Job, folder: str, as_of: datetime.datetime) -> Job:
    """Fill in where results go that are given no place."""
    if job.task == "predict" and job.output.clusters is None:
        default = join(folder, "clusters", job.name, written(as_of).replace(":", ""))
        return replace(job, output=replace(job.output, clusters=default))
    if job.task not in ("train", "retrain"):
        return job
    needs_registry = job.task == "retrain" or job.output.model is None
    registry = job.registry or (Registry() if needs_registry else None)
    if registry is not None and registry.url is None:
        registry = replace(registry, url=join(folder, "models", job.name))
    return replace(job, registry=registry)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
