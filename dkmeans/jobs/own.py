"""Whether what lies at a place was written by a run, or by a job, and may be replaced by it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dkmeans.errors import InputRefused
from dkmeans.models.files import saved_provenance
from dkmeans.rows.clusters_out import read_manifest
from dkmeans.storage.filesystem import absolute, join, recall
from dkmeans.storage.objects import names_at


def is_own_model(
    url: str, options: str, *, run_id: str | None = None, job: str | None = None
) -> bool:
    """Whether the model at `url` is of a run, or of a job by its name.

    `options` is the reference of the storage options.
    """
    with suppress(InputRefused):
        return _is_of(saved_provenance(absolute(url), options), "run_id", run_id, job)
    return False


def is_own_sweep(url: str, options: str, *, job: str) -> bool:
    """Whether all models of the sweep at `url` are of a job."""
    folders = [name for name in names_at(absolute(url), options) if name.startswith("k=")]
    return bool(folders) and all(
        is_own_model(join(url, name), options, job=job) for name in folders
    )


def are_own_clusters(
    url: str, options: str, *, run_id: str | None = None, job: str | None = None
) -> bool:
    """Whether the clusters at `url` are of the model of a run, or of a job by its name."""
    with suppress(InputRefused, ValueError):
        return _is_of(read_manifest(url, recall(options)), "model_run_id", run_id, job)
    return False


def _is_of(known: Mapping[str, Any], key: str, run_id: str | None, job: str | None) -> bool:
    of_job = known.get("job")
    name = of_job.get("name") if isinstance(of_job, Mapping) else None
    return (run_id is not None and known.get(key) == run_id) or (job is not None and name == job)
