"""What a retrain has to go by: the same rows and parameters are retrained on once."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dkmeans.jobs.load import Resolved, plain
from dkmeans.registry.versions import Version

_MATTER = ("scale", "model", "gates", "drift")
"""Keys of a job that its result depends on, beside the rows."""

_OF_READING = ("columns", "weight", "missing", "on_bad_file", "max_bad_files", "dtype", "sample")
_BLOCKS = ("block_bytes", "block_rows")
"""How rows are cut, which the machine may decide: it names no other rows."""


@dataclass(frozen=True)
class Earlier:
    """The newest version that a job has published by a retrain."""

    number: int
    snapshot: str
    """Of the rows and parameters that it came of."""

    challenged: int | None
    """The champion that it was judged against; None if there was none."""

    passed: bool
    """Whether the gate let it pass."""


def snapshot_of(run: Resolved, identity: Any) -> str:
    """Return a digest of the rows of a job and of the parameters that matter.

    Parameters
    ----------
    run
        The job.
    identity
        Plain values that name the rows: files with their sizes and ETags, or times of change.
    """
    whole = plain(run.job)
    data = {name: whole["data"].get(name) for name in _OF_READING}
    if isinstance(identity, dict):
        identity = {name: one for name, one in identity.items() if name not in _BLOCKS}
    named = [identity, data, {name: whole.get(name) for name in _MATTER}]
    text = json.dumps(named, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def earlier_of(versions: Sequence[Version], job: str) -> Earlier | None:
    """Return the newest version that a retrain of a job has published; None if there is none."""
    for version in sorted(versions, key=lambda one: -one.number):
        told = version.summary.get("retrain")
        if isinstance(told, dict) and told.get("job") == job:
            return Earlier(
                version.number,
                str(told.get("snapshot")),
                told.get("challenged"),
                told.get("gate") == "passed",
            )
    return None


def run_id_of(job: str, snapshot: str, earlier: Earlier | None, champion: int | None) -> str:
    """Return the run id that a retrain publishes by: the same for every attempt of it.

    An attempt that is killed and made again has seen the same newest version and champion.
    """
    named = (snapshot, None if earlier is None else earlier.number, champion)
    return f"{job}-{hashlib.sha256(repr(named).encode()).hexdigest()[:16]}"


def most_next_id(versions: Sequence[Version]) -> int:
    """Return the first cluster id that no version has ever used."""
    known = (version.summary.get("next_cluster_id") for version in versions)
    return max((one for one in known if type(one) is int), default=0)
