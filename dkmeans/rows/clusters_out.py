"""Write the clusters of rows beside the user's own keys, as Parquet.

One output file for each input file, with its rows in its order, in a folder of the run. A manifest,
written last and in one step, says which run counts and how many rows it has: without it, the output
is not there. A run that was cut off is taken up where it stopped, because its folder is named by
what it computes.
"""

import datetime
import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dkmeans.errors import (
    ArgumentError,
    DkmeansError,
    OutputExists,
    RowOrderIsKey,
    SchemaMismatch,
)
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.rows.cluster_file import FileTask, WriteJob, WrittenFile, write_file
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.parquet_source import ParquetSource
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.storage.atomic import is_unfinished, remove_unfinished, write_bytes
from dkmeans.storage.filesystem import absolute, join, redact, remember
from dkmeans.storage.objects import exists, names_at, read_bytes, remove

MANIFEST = "_dkmeans.json"
_FORMAT = 1
_RUN = re.compile(r"run-[0-9a-f]{12}")


def write_clusters(
    model: Model,
    rows: Rows,
    url: str,
    *,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    job: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the cluster of each row beside its keys, in one pass.

    Columns of the output: the key columns, `cluster_id` (int32), `distance` and `second_distance`
    (to the nearest and second nearest center, in the space where the model measures; the second is
    null for a single cluster). Every row of every input file is there, in its order; rows that a
    filter drops have nulls.

    Parameters
    ----------
    model
        The model.
    rows
        From `read_parquet`, with the model's features; its `keys` become the key columns.
    url
        A folder that is empty, or not there yet.
    overwrite
        Whether to replace clusters that lie there. Nothing else is ever replaced.
    storage_options
        For fsspec, for `url`.
    job
        What writes them, as plain values that the manifest keeps.

    Returns
    -------
    manifest
        As stored in `_dkmeans.json`: run, model, names and colors of clusters, rows, files.

    Raises
    ------
    OutputExists
        If clusters, or anything else, lie at `url`.
    SchemaMismatch
        If `rows` do not have the features of the model.
    """
    plan = _plan_of(rows, model)
    url, options = absolute(url), remember(storage_options)
    rows.engine.share_options(options)
    refuse_existing_output(url, overwrite, options)
    if not plan.keys:
        warnings.warn(
            "no key columns: the clusters are tied to the input by file and row order alone; "
            "pass keys= (--keys) to write columns that identify rows.",
            RowOrderIsKey,
            stacklevel=2,
        )
    identity, run = model_id(model), run_name(model, plan)
    tasks = [
        FileTask(
            file,
            number,
            plan.file_rows[number],
            tuple(group for group in plan.row_groups if group.file == file),
            join(url, run, f"part-{number:05d}.parquet"),
        )
        for number, file in enumerate(plan.files)
    ]
    # what a baseline tells is of no use to tasks
    sent = replace(model, baseline=None)
    work = WriteJob(
        sent, ParquetSource.of(plan, []), plan.keys, options, plan.on_bad_file == "skip"
    )
    reporter().began("write clusters", len(tasks))
    start = datetime.datetime.now(datetime.UTC)
    written: list[WrittenFile] = rows.engine.map(write_file, tasks, work, reporter().leaf_done)
    found = [file.bad for file in written if file.bad is not None]
    if found:
        plan = plan.without(found)
        rows.leave_out(found)
        written = [file for file in written if file.bad is None]
    _check_counts(written, plan)
    record: dict[str, Any] = {
        "kind": "write clusters",
        "seconds": (datetime.datetime.now(datetime.UTC) - start).total_seconds(),
        "rows_read": plan.n_rows,
        "bytes_read": sum(file.n_bytes for file in written),
    }
    rows.known.n_passes += 1
    rows.known.rows_read += plan.n_rows
    rows.known.bytes_read += record["bytes_read"]
    reporter().ended(record)
    manifest = {
        "format": _FORMAT,
        "kind": "dkmeans clusters",
        "run": run,
        "model": identity,
        "model_run_id": model.provenance.get("run_id"),
        # here once, not in every row: the id is what stays when a name changes
        "cluster_names": {str(key): name for key, name in model.cluster_names.items()},
        "cluster_colors": {str(key): color for key, color in model.cluster_colors.items()},
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "keys": list(plan.keys),
        "rows": sum(file.rows for file in written),
        "rows_assigned": sum(file.assigned for file in written),
        "skipped_files": [{"url": redact(url), "reason": reason} for url, reason in plan.skipped],
        "files": [
            {"source": file.source, "path": file.path, "rows": file.rows, "assigned": file.assigned}
            for file in written
        ],
    }
    if job is not None:
        manifest["job"] = dict(job)
    write_bytes(join(url, MANIFEST), json.dumps(manifest, indent=1).encode(), options)
    _remove_other_runs(url, run, options)
    remove_unfinished(url, options)
    remove_unfinished(join(url, run), options)
    return manifest


def run_name(model: Model, plan: ParquetPlan) -> str:
    """Return the folder that clusters are written to: the same for the same model and input."""
    return f"run-{_digest(model_id(model), plan.fingerprint, plan.keys)}"


def refuse_existing_output(url: str, overwrite: bool, options: str) -> None:
    """Raise if clusters lie at `url` and may not be replaced, or something else lies there."""
    url = absolute(url)
    if exists(join(url, MANIFEST), options) and not overwrite:
        raise OutputExists(
            f"clusters lie at {redact(url)} already; pass --overwrite (overwrite=True) to replace "
            "them, or another place."
        )
    names = names_at(url, options)
    foreign = [
        name
        for name in names
        if not (name == MANIFEST or _RUN.fullmatch(name) or is_unfinished(name))
    ]
    if foreign:
        raise OutputExists(
            f"{redact(url)} holds other files, such as {foreign[0]}; pass an empty or new folder."
        )


def _plan_of(rows: Rows, model: Model) -> ParquetPlan:
    if rows.parquet is None:
        raise ArgumentError(
            "clusters can be written for rows from read_parquet; for other input use predict()."
        )
    if (rows.columns or ()) != model.columns and not (
        model.columns is None and rows.n_features == model.n_features
    ):
        raise SchemaMismatch(
            f"the rows have features {_listed(rows.feature_names)}, the model "
            f"{_listed(model.feature_names)}; read them with columns= of the model."
        )
    ours = sorted({"cluster_id", "distance", "second_distance"} & set(rows.parquet.keys))
    if ours:
        raise ArgumentError(
            f"key column {ours[0]!r} has the name of a column that is written; rename it."
        )
    if rows.dtype != model.dtype:
        raise ArgumentError(
            f"the rows are {rows.dtype}, the model {model.dtype}; read them with dtype=."
        )
    return rows.parquet


def _check_counts(written: Sequence[WrittenFile], plan: ParquetPlan) -> None:
    for file, expected in zip(written, plan.file_rows, strict=True):
        if file.rows != expected:
            raise DkmeansError(
                f"{file.path} has {file.rows} rows where {file.source} has {expected}; run again."
            )


def _remove_other_runs(url: str, run: str, options: str) -> None:
    for name in names_at(url, options):
        if _RUN.fullmatch(name) and name != run:
            remove(join(url, name), options)


def read_manifest(url: str, storage_options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the manifest of clusters that were written to `url`."""
    data = read_bytes(join(absolute(url), MANIFEST), remember(storage_options))
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _listed(names: Sequence[str] | None) -> str:
    if names is None:
        return "without names"
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
