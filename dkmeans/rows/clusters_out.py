"""Write the clusters of rows beside the user's own keys, as Parquet.

One output file for each input file, with its rows in its order, in a folder of the run. A manifest,
written last and in one step, says which run counts and how many rows it has: without it, the output
is not there. A run that was cut off is taken up where it stopped, because its folder is named by
what it computes.
"""

import datetime
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dkmeans.errors import (
    ArgumentError,
    DkmeansError,
    OutputExists,
    RowOrderIsKey,
    SchemaMismatch,
    UnreadableFile,
)
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.rows.parquet_plan import ParquetPlan, RowGroup, partition_value
from dkmeans.rows.parquet_source import GroupPiece, ParquetSource
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.storage.atomic import new_file, write_bytes
from dkmeans.storage.filesystem import (
    absolute,
    exists,
    join,
    open_filesystem,
    read_bytes,
    redact,
    remember,
    store_errors,
)
from dkmeans.storage.listing import StoredFile
from dkmeans.storage.parquet_file import read_footer

MANIFEST = "_dkmeans.json"
_FORMAT = 1
_MOST_SLICE_ROWS = 256 * 1024


@dataclass(frozen=True)
class FileTask:
    """One input file, and the output file that goes with it."""

    file: StoredFile
    number: int
    """Its place among the input files."""

    n_rows: int
    row_groups: tuple[RowGroup, ...]
    """Those that can hold rows that pass the filters."""

    out_url: str


@dataclass(frozen=True, eq=False)
class WriteJob:
    """What is the same for all files."""

    model: Model
    source: ParquetSource
    """How features are read; it has no blocks."""

    keys: tuple[str, ...]
    out_options: str


@dataclass(frozen=True)
class WrittenFile:
    """What was written for one input file."""

    source: str
    path: str
    """Relative to the output."""

    rows: int
    assigned: int
    """Rows that have a cluster; the others were dropped by a filter."""

    n_bytes: int
    """Bytes read; 0 if the file was there already."""


def write_clusters(
    model: Model,
    rows: Rows,
    url: str,
    *,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
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

    Returns
    -------
    manifest
        As stored in `_dkmeans.json`: run, model, rows, files.

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
    identity = model_id(model)
    run = f"run-{_digest(identity, plan.fingerprint, plan.keys)}"
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
    job = WriteJob(model, ParquetSource.of(plan, []), plan.keys, options)
    reporter().began("write clusters", len(tasks))
    start = datetime.datetime.now(datetime.UTC)
    written: list[WrittenFile] = rows.engine.map(write_file, tasks, job, reporter().leaf_done)
    _check_counts(written, plan)
    record: dict[str, Any] = {
        "kind": "write clusters",
        "seconds": (datetime.datetime.now(datetime.UTC) - start).total_seconds(),
        "rows_read": plan.n_rows,
        "bytes_read": sum(file.n_bytes for file in written),
    }
    rows.counters.n_passes += 1
    rows.counters.rows_read += plan.n_rows
    rows.counters.bytes_read += record["bytes_read"]
    reporter().ended(record)
    manifest = {
        "format": _FORMAT,
        "kind": "dkmeans clusters",
        "run": run,
        "model": identity,
        "model_run_id": model.provenance.get("run_id"),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "keys": list(plan.keys),
        "rows": sum(file.rows for file in written),
        "rows_assigned": sum(file.assigned for file in written),
        "files": [
            {"source": file.source, "path": file.path, "rows": file.rows, "assigned": file.assigned}
            for file in written
        ],
    }
    write_bytes(join(url, MANIFEST), json.dumps(manifest, indent=1).encode(), options)
    _remove_other_runs(url, run, options)
    return manifest


def refuse_existing_output(url: str, overwrite: bool, options: str) -> None:
    """Raise if clusters lie at `url` and may not be replaced, or something else lies there."""
    url = absolute(url)
    if exists(join(url, MANIFEST), options) and not overwrite:
        raise OutputExists(
            f"clusters lie at {redact(url)} already; pass --overwrite (overwrite=True) to replace "
            "them, or another place."
        )
    fs, path = open_filesystem(url, options)
    with store_errors(url):
        if not fs.exists(path):
            return
        names = (
            []
            if fs.isfile(path)
            else [name.rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)]
        )
        if not names and fs.isfile(path):
            names = [path]
    foreign = [name for name in names if name and name != MANIFEST and not name.startswith("run-")]
    if foreign:
        raise OutputExists(
            f"{redact(url)} holds other files, such as {foreign[0]}; pass an empty or new folder."
        )


def write_file(task: FileTask, job: WriteJob) -> WrittenFile:
    """Write the clusters of one input file, unless a whole output file is there already."""
    path = "/".join(task.out_url.split("/")[-2:])
    source = redact(task.file.url)
    assigned = _assigned_in(task, job.out_options)
    if assigned is not None:
        return WrittenFile(source, path, task.n_rows, assigned, 0)
    assigned = n_bytes = 0
    schema = _out_schema(job)
    with (
        one_blas_thread(),
        new_file(task.out_url, job.out_options) as local,
        pq.ParquetWriter(local, schema, compression="zstd") as writer,
    ):
        for table, n_assigned, n_read in _tables(task, job, schema):
            writer.write_table(table)
            assigned += n_assigned
            n_bytes += n_read
    return WrittenFile(source, path, task.n_rows, assigned, n_bytes)


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
    if rows.dtype != model.dtype:
        raise ArgumentError(
            f"the rows are {rows.dtype}, the model {model.dtype}; read them with dtype=."
        )
    return rows.parquet


def _tables(
    task: FileTask, job: WriteJob, schema: pa.Schema
) -> Iterator[tuple[pa.Table, int, int]]:
    """The rows of the output file in slices, each with its rows assigned and bytes read."""
    footer = read_footer(task.file, job.source.options)
    planned = {group.number: group for group in task.row_groups}
    row_bytes = 8 * max(1, job.model.n_features)
    most = max(1024, min(_MOST_SLICE_ROWS, 32 * 2**20 // row_bytes))
    for number in range(footer.num_row_groups):
        n_rows = footer.row_group(number).num_rows
        group = planned.get(number)
        keys = _KeyReader(task.file, number, n_rows, job)
        reader = None
        if group is not None:
            slices = [GroupPiece(group, i, min(i + most, n_rows)) for i in range(0, n_rows, most)]
            blocks = tuple((i, (piece,)) for i, piece in enumerate(slices))
            reader = ParquetSource(**{**vars(job.source), "blocks": blocks}).open(None)
        for i, start in enumerate(range(0, n_rows, most)):
            stop = min(start + most, n_rows)
            columns = keys.read(start, stop)
            block, n_bytes = (None, 0) if reader is None else reader.read(i)
            columns += _cluster_columns(block, stop - start, job, schema)
            n_assigned = 0 if block is None else block.n_rows
            yield pa.Table.from_arrays(columns, schema=schema), n_assigned, n_bytes
        keys.close()


class _KeyReader:
    """The key columns of one row group, slice by slice."""

    def __init__(self, file: StoredFile, number: int, n_rows: int, job: WriteJob) -> None:
        from dkmeans.rows.parquet_plan import leaf_columns
        from dkmeans.rows.parquet_source import RowGroupStream

        self._file, self._job = file, job
        folders = dict(file.partition)
        self._stored = [name for name in job.keys if name not in folders]
        self._stream: RowGroupStream | None = None
        if self._stored:
            leaves = dict(
                leaf_columns(read_footer(file, job.source.options).schema.to_arrow_schema())
            )
            numbers = tuple(i for name in self._stored for i in leaves[name])
            group = RowGroup(file, number, n_rows, 0, numbers, 0, ())
            self._stream = RowGroupStream(
                group, self._stored, job.source.options, job.source.schema, 65536
            )

    def read(self, start: int, stop: int) -> list[Any]:
        """The key columns of some rows, in the order of the keys."""
        table = None
        if self._stream is not None:
            table = pa.concat_tables(list(self._stream.rows(start, stop)))
        columns: list[Any] = []
        for name in self._job.keys:
            kind = self._job.source.schema.field(name).type
            if name in self._stored:
                assert table is not None
                columns.append(table.column(name).cast(kind))
            else:
                value = partition_value(self._file, self._job.source.schema, name)
                columns.append(pa.repeat(value, stop - start))
        return columns

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()


def _cluster_columns(
    block: Block | None, n_rows: int, job: WriteJob, schema: pa.Schema
) -> list[pa.Array]:
    types = {
        name: schema.field(name).type for name in ("cluster_id", "distance", "second_distance")
    }
    if block is None or block.n_rows == 0:
        return [pa.nulls(n_rows, kind) for kind in types.values()]
    assigned = job.model.assign_scaled(job.model.scale(block.X))
    values = (assigned.cluster_ids, assigned.distances, assigned.second_distances)
    return [
        pa.nulls(n_rows, kind) if column is None else _spread(column, block.kept, kind)
        for column, kind in zip(values, types.values(), strict=True)
    ]


def _spread(values: Array, kept: Array | None, kind: pa.DataType) -> pa.Array:
    """Values of the kept rows among nulls for the dropped ones."""
    if kept is None:
        return pa.array(values, kind)
    spread = np.zeros(len(kept), values.dtype)
    spread[kept] = values
    return pa.array(spread, kind, mask=~kept)


def _out_schema(job: WriteJob) -> pa.Schema:
    number = pa.float32() if job.model.dtype == "float32" else pa.float64()
    return pa.schema(
        [
            *(pa.field(name, job.source.schema.field(name).type) for name in job.keys),
            pa.field("cluster_id", pa.int32()),
            pa.field("distance", number),
            pa.field("second_distance", number),
        ]
    )


def _assigned_in(task: FileTask, options: str) -> int | None:
    """Rows with a cluster in the output file that an earlier run left whole; else None."""
    if not exists(task.out_url, options):
        return None
    fs, path = open_filesystem(task.out_url, options)
    with store_errors(task.out_url):
        info = fs.info(path)
    try:
        footer = read_footer(StoredFile(task.out_url, int(info["size"]), ""), options)
    except UnreadableFile:
        return None
    if footer.num_rows != task.n_rows:
        return None
    column = footer.schema.names.index("cluster_id")
    nulls = sum(
        footer.row_group(i).column(column).statistics.null_count
        for i in range(footer.num_row_groups)
    )
    return task.n_rows - nulls


def _check_counts(written: Sequence[WrittenFile], plan: ParquetPlan) -> None:
    for file, expected in zip(written, plan.file_rows, strict=True):
        if file.rows != expected:
            raise DkmeansError(
                f"{file.path} has {file.rows} rows where {file.source} has {expected}; run again."
            )


def _remove_other_runs(url: str, run: str, options: str) -> None:
    fs, path = open_filesystem(url, options)
    with store_errors(url):
        fs.invalidate_cache()
        for name in fs.ls(path, detail=False):
            base = name.rstrip("/").rpartition("/")[2]
            if base.startswith("run-") and base != run:
                fs.rm(name, recursive=True)


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
