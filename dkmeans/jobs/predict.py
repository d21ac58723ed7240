"""The task predict: write the clusters of rows, once."""

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dkmeans.errors import MissingInput
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import filters_of, job_cluster, limited, storage_options_of, urls_of
from dkmeans.jobs.outcome import Outcome, left_out_lines
from dkmeans.jobs.own import are_own_clusters
from dkmeans.jobs.publishing import Referred, referred
from dkmeans.rows.clusters_out import (
    read_manifest,
    refuse_existing_output,
    run_name,
    write_clusters,
)
from dkmeans.rows.for_model import read_for
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import join, redact, remember
from dkmeans.storage.objects import names_at


def predict(run: Resolved) -> Outcome:
    """Write the clusters of the rows of a job, in one pass.

    Where the same job has written the clusters of the same model and data, nothing is done, after
    footers are read.

    Raises
    ------
    OutputExists
        If what lies where the clusters go is not of this job.
    InputRefused
        If there is no such model, or the rows do not have its features.
    BudgetSpent
        If the pass would go beyond a limit.
    """
    job, start = run.job, time.perf_counter()
    url = output_of(run)
    options = storage_options_of(job.data)
    reference = remember(options)
    model = referred(run, options)
    ours = are_own_clusters(url, reference, job=job.name)
    refuse_existing_output(url, job.output.overwrite or ours, reference)
    with job_cluster(job.cluster), rows_for(run, model, options) as rows:
        manifest = _written(run, rows, model, url, options)
        is_new = manifest is None
        if manifest is None:
            rows.known.check_budget()
            manifest = write_clusters(
                model.model,
                rows,
                url,
                overwrite=True,
                storage_options=options,
                job={
                    **run.record(),
                    "run_id": uuid.uuid4().hex,
                    "model": redact(model.name),
                    "model_version": model.version,
                },
            )
    result = {
        "job": job.name,
        "task": job.task,
        "as_of": run.as_of,
        "sha256": run.sha256,
        "run_id": manifest["job"]["run_id"],
        "model": redact(model.name),
        "version": model.version,
        "clusters": url,
        "unchanged": not is_new,
        "rows": manifest["rows"],
        "rows_assigned": manifest["rows_assigned"],
        "files": len(manifest["files"]),
        "rows_missing": rows_missing(run, manifest),
        "skipped_files": manifest["skipped_files"],
        "bytes_read": rows.bytes_read,
        "seconds": time.perf_counter() - start,
    }
    return Outcome(result, tuple(_lines(result)))


def output_of(run: Resolved) -> str:
    """Return where the clusters go."""
    assert run.job.output.clusters is not None
    return run.job.output.clusters


def rows_for(run: Resolved, model: Referred, options: Mapping[str, Any]) -> Rows:
    """Open the rows of a job with the features of a model, within the limits of the job."""
    data = run.job.data
    rows = read_for(
        model.model,
        redact(model.name),
        urls_of(data),
        filters=filters_of(data),
        keys=data.keys,
        missing=data.missing,
        on_bad_file=data.on_bad_file,
        max_bad_files=data.max_bad_files,
        storage_options=options,
    )
    return limited(rows, run.job)


def rows_missing(run: Resolved, manifest: Mapping[str, Any]) -> int:
    """Return how many rows were left out for a missing value, as far as that can be told."""
    data = run.job.data
    # with filters, rows without a cluster may have been dropped by these
    if data.missing != "drop" or data.filters:
        return 0
    return int(manifest["rows"] - manifest["rows_assigned"])


def _written(
    run: Resolved, rows: Rows, model: Referred, url: str, options: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The manifest of what lies there, if it is what this run would write."""
    assert rows.parquet is not None
    name = run_name(model.model, rows.parquet)
    with suppress(MissingInput, ValueError):
        manifest = read_manifest(url, options)
        job = manifest.get("job")
        if manifest.get("run") != name or not isinstance(job, Mapping):
            return None
        # a tool may have moved files away
        there = set(names_at(join(url, name), remember(options)))
        wanted = {str(file["path"]).rpartition("/")[2] for file in manifest["files"]}
        if job.get("sha256") == run.sha256 and wanted <= there:
            return manifest
    return None


def _lines(result: Mapping[str, Any]) -> list[str]:
    what = (
        f"{result['rows_assigned']:,} of {result['rows']:,} rows assigned, in "
        f"{result['files']} files"
    )
    return [
        f"nothing to do: {what}, by an earlier run" if result["unchanged"] else what,
        f"clusters: {result['clusters']}",
        *left_out_lines(result["rows_missing"], result["skipped_files"]),
    ]
