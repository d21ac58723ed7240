"""Jobs for tests, from a few lines of YAML."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from dkmeans.jobs.load import Resolved, resolve

AS_OF = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)

SMALL = """
task: train
name: nightly
data: {url: in}
model: {n_clusters: 8}
"""


def job_of(
    text: str, sets: Sequence[str] = (), *, folder: object = "/jobs", as_of: object = AS_OF
) -> Resolved:
    """The job that a text describes, as of a Friday."""
    assert isinstance(as_of, datetime.datetime)
    return resolve(text.encode(), "job.yaml", as_of, sets, folder=str(folder))


def write_job(folder: Path, text: str, name: str = "job.yaml") -> Path:
    """A job file with that text."""
    path = folder / name
    path.write_text(text)
    return path
