"""The clusters of one input file, as one output file: the task of `write_clusters`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dkmeans.errors import UnreadableFile
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.model import Model
from dkmeans.rows.footers import leaf_columns
from dkmeans.rows.leaf import ReadCost
from dkmeans.rows.parquet_plan import RowGroup, partition_value
from dkmeans.rows.parquet_source import GroupPiece, ParquetReader, ParquetSource
from dkmeans.rows.row_group_stream import RowGroupStream
from dkmeans.storage.atomic import new_file
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile
from dkmeans.storage.objects import exists, size_of
from dkmeans.storage.parquet_file import fetch_row_group, read_footer

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
    skips_bad_files: bool = False


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

    bad: tuple[str, str] | None = None
    """The input file and why it cannot be read; nothing was written."""


def write_file(task: FileTask, job: WriteJob) -> WrittenFile:
    """Write the clusters of one input file, unless a whole output file is there already."""
    path = "/".join(task.out_url.split("/")[-2:])
    source = redact(task.file.url)
    assigned = _assigned_in(task, job.out_options)
    if assigned is not None:
        return WrittenFile(source, path, task.n_rows, assigned, 0)
    try:
        return _written(task, job, source, path)
    except UnreadableFile as error:
        if not (job.skips_bad_files and error.url):
            raise
        return WrittenFile(source, path, 0, 0, 0, (error.url, str(error)))


def _written(task: FileTask, job: WriteJob, source: str, path: str) -> WrittenFile:
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
        with ExitStack() as held:
            keys = held.enter_context(closing(_KeyReader(task.file, number, n_rows, job)))
            reader = None
            if group is not None:
                slices = [
                    GroupPiece(group, i, min(i + most, n_rows)) for i in range(0, n_rows, most)
                ]
                blocks = tuple((i, (piece,)) for i, piece in enumerate(slices))
                reader = held.enter_context(closing(_reader(job, blocks)))
            for i, start in enumerate(range(0, n_rows, most)):
                stop = min(start + most, n_rows)
                columns = keys.read(start, stop)
                block, cost = (None, ReadCost()) if reader is None else reader.read(i)
                columns += _cluster_columns(block, stop - start, job, schema)
                n_assigned = 0 if block is None else block.n_rows
                yield pa.Table.from_arrays(columns, schema=schema), n_assigned, cost.n_bytes


def _reader(job: WriteJob, blocks: Sequence[tuple[int, tuple[GroupPiece, ...]]]) -> ParquetReader:
    source = replace(job.source, blocks=tuple(blocks))
    return source.open(None, [number for number, _ in blocks])


class _KeyReader:
    """The key columns of one row group, slice by slice."""

    def __init__(self, file: StoredFile, number: int, n_rows: int, job: WriteJob) -> None:
        self._file, self._job = file, job
        folders = dict(file.partition)
        self._stored = [name for name in job.keys if name not in folders]
        self._stream: RowGroupStream | None = None
        if self._stored:
            leaves = dict(
                leaf_columns(read_footer(file, job.source.options).schema.to_arrow_schema())
            )
            numbers = tuple(i for name in self._stored for i in leaves[name])
            group = RowGroup(file, number, n_rows, 0, numbers, 0, 0, ())
            fetched = fetch_row_group(file, job.source.options, number, numbers)
            self._stream = RowGroupStream(group, self._stored, job.source.schema, 65536, fetched)

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
    try:
        footer = read_footer(StoredFile(task.out_url, size_of(task.out_url, options), ""), options)
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
