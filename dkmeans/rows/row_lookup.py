"""Some columns of a few rows, by their row numbers: who an example is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans.errors import ArgumentError, UnreadableFile
from dkmeans.rows.footers import leaf_columns
from dkmeans.rows.parquet_plan import ParquetPlan, RowGroup, partition_value
from dkmeans.rows.progress import reporter
from dkmeans.rows.row_group_stream import RowGroupStream
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import redact
from dkmeans.storage.parquet_file import fetch_row_group

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class _Wanted:
    """Rows of one row group."""

    group: RowGroup
    rows: tuple[int, ...]
    """Their places in it, ascending."""


@dataclass(frozen=True)
class _Columns:
    """What is the same for all row groups."""

    names: tuple[str, ...]
    schema: pa.Schema
    options: str
    skips_bad_files: bool


@dataclass(frozen=True)
class _Found:
    """The values of one row group."""

    columns: tuple[list[Any], ...]
    """One list for each column, a value for each row; None where the file cannot be read."""

    n_bytes: int = 0
    n_requests: int = 0
    bad: str | None = None
    """Why the file cannot be read."""


def lookup(rows: Rows, row_numbers: Sequence[int], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns of some stored rows.

    Reads the row groups that hold them, and of these only the columns; not a pass. Rows that do not
    come from Parquet have no columns beside their features: nothing is returned for them.

    Parameters
    ----------
    rows
        The rows.
    row_numbers
        Source row numbers, in any order, repeated or not.
    columns
        Columns of the files, or of the folders that they lie in; `rows.parquet.keys`, say.

    Returns
    -------
    values
        For each column a list of Python values, in the order of `row_numbers`: None for nulls, and
        where a file cannot be read that `on_bad_file="skip"` may leave out.

    Raises
    ------
    ArgumentError
        If there is no such column, or no such row in the row groups that passes read.
    UnreadableFile
        If a row group is damaged.
    """
    plan = rows.parquet
    names = tuple(columns)
    if plan is None or not names:
        return {}
    unknown = [name for name in names if name not in plan.schema.names]
    if unknown:
        raise ArgumentError(
            f"column {unknown[0]!r} is not in the files; they have "
            f"{', '.join(map(repr, plan.schema.names[:8]))}."
        )
    wanted, places = _wanted(plan, np.asarray(row_numbers, np.int64))
    shared = _Columns(names, plan.schema, plan.options, plan.on_bad_file == "skip")
    found: list[_Found] = []
    if wanted:
        reporter().began("look up rows", len(wanted))
        found = rows.engine.map(_read, wanted, shared, reporter().leaf_done)
    for one in found:
        rows.known.bytes_read += one.n_bytes
        rows.known.n_requests += one.n_requests
        if one.bad is not None:
            reporter().note(f"rows not looked up: {one.bad}")
    in_order = [[value for one in found for value in one.columns[i]] for i in range(len(names))]
    return {
        name: [values[place] for place in places]
        for name, values in zip(names, in_order, strict=True)
    }


def _wanted(plan: ParquetPlan, numbers: Any) -> tuple[list[_Wanted], list[int]]:
    """The rows to read by row group, and where each number's row comes among all of them."""
    distinct, places = np.unique(numbers, return_inverse=True)
    groups = sorted(plan.row_groups, key=lambda group: group.first_row)
    firsts = np.array([group.first_row for group in groups])
    at = np.searchsorted(firsts, distinct, side="right") - 1
    ends = firsts + [group.n_rows for group in groups]
    outside = distinct[(at < 0) | (distinct >= ends[at])]
    if len(outside):
        raise ArgumentError(
            f"row {outside[0]} is in none of the row groups that passes read; rows are numbered "
            "from 0 through all files, in order."
        )
    wanted = [
        _Wanted(groups[i], tuple((distinct[at == i] - firsts[i]).tolist())) for i in np.unique(at)
    ]
    return wanted, places.ravel().tolist()


def _read(wanted: _Wanted, shared: _Columns) -> _Found:
    """Read the rows of one row group; once more if it looks damaged, as the transport may be."""
    try:
        try:
            return _read_once(wanted, shared)
        except UnreadableFile:
            return _read_once(wanted, shared)
    except UnreadableFile as error:
        if not shared.skips_bad_files:
            raise
        nothing: tuple[list[Any], ...] = tuple([None] * len(wanted.rows) for _ in shared.names)
        return _Found(nothing, bad=str(error) or redact(wanted.group.file.url))


def _read_once(wanted: _Wanted, shared: _Columns) -> _Found:
    group, n = wanted.group, len(wanted.rows)
    folders = dict(group.file.partition)
    stored = [name for name in shared.names if name not in folders]
    values: dict[str, list[Any]] = {}
    for name in set(shared.names) - set(stored):
        value = partition_value(group.file, shared.schema, name)
        values[name] = [None if value is None else value.as_py()] * n
    n_bytes = n_requests = 0
    if stored:
        # the footer alone, so that its requests are counted
        start = fetch_row_group(group.file, shared.options, group.number, ())
        leaves = dict(leaf_columns(start.footer.schema.to_arrow_schema()))
        numbers = tuple(i for name in stored for i in leaves[name])
        fetched = fetch_row_group(group.file, shared.options, group.number, numbers)
        n_bytes, n_requests = fetched.n_bytes, start.n_requests + fetched.n_requests
        asked = RowGroup(group.file, group.number, group.n_rows, 0, numbers, 0, 0, ())
        stream = RowGroupStream(asked, stored, shared.schema, _BATCH_ROWS, fetched)
        try:
            columns = _rows(stream, wanted.rows, stored, shared)
            values.update(zip(stored, columns, strict=True))
        finally:
            stream.close()
    return _Found(tuple(values[name] for name in shared.names), n_bytes, n_requests)


def _rows(
    stream: RowGroupStream, rows: Sequence[int], stored: Sequence[str], shared: _Columns
) -> list[list[Any]]:
    """Values of some rows, ascending: a list for each column. Holds one batch at a time."""
    columns: list[list[Any]] = [[] for _ in stored]
    for row in rows:
        for table in stream.rows(row, row + 1):
            for name, column in zip(stored, columns, strict=True):
                kind = shared.schema.field(name).type
                column += table.column(name).cast(kind).to_pylist()
    return columns
