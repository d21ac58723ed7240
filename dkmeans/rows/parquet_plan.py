"""Plan the reading of Parquet: from the footers alone, before any row is read.

Every file is checked here, and everything that is wrong with any is reported at once.
"""

import hashlib
import itertools
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from dkmeans.errors import (
    ArgumentError,
    BadValues,
    DkmeansError,
    InputRefused,
    SchemaMismatch,
    SuspectColumn,
    TooFewRows,
    UnreadableFile,
)
from dkmeans.models.columns import FeatureColumn
from dkmeans.rows.features import Choice, choose, is_list, is_number, looks_like_an_id
from dkmeans.rows.filters import Filter, columns_of, parse_filters, possible, without_partition
from dkmeans.storage.filesystem import redact
from dkmeans.storage.listing import StoredFile, list_parquet
from dkmeans.storage.parquet_file import read_footer

log = logging.getLogger(__name__)

_FOOTER_THREADS = 16
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class RowGroup:
    """One row group that a pass reads."""

    file: StoredFile
    number: int
    """Its place in the file."""

    n_rows: int
    first_row: int
    """Source row number of its first row."""

    leaf_columns: tuple[int, ...]
    """Numbers of the Parquet columns that are read."""

    n_bytes: int
    """Bytes of their column chunks, as stored."""

    filters: Filter
    """What its rows must pass."""


@dataclass(frozen=True, eq=False)
class ParquetPlan:
    """What a pass over Parquet files reads."""

    files: tuple[StoredFile, ...]
    file_rows: tuple[int, ...]
    """Rows of each file, by its footer."""

    schema: pa.Schema
    """Of the first file, its partition columns added."""

    choice: Choice
    weight: str | None
    keys: tuple[str, ...]
    dtype: str
    filters: Filter
    options: str
    """Reference of the storage options."""

    row_groups: tuple[RowGroup, ...]
    """Those that can hold rows that pass the filters, in order; none is empty."""

    @property
    def n_rows(self) -> int:
        """Rows of all files, before filters."""
        return sum(self.file_rows)

    @property
    def n_bytes(self) -> int:
        """Bytes that one pass reads from the source."""
        return sum(group.n_bytes for group in self.row_groups)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns that a pass reads."""
        return _columns_read(self.choice.features, self.weight, self.filters)

    @property
    def fingerprint(self) -> str:
        """Names the rows, and what of them is read."""
        parts = [(file.url, file.size, file.version) for file in self.files]
        asked = (self.choice.features, self.weight, self.filters, self.dtype)
        return hashlib.sha256(repr((parts, asked)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _FileSummary:
    """What planning needs to know of one file."""

    schema: pa.Schema
    row_groups: tuple["_RowGroupSummary", ...]


@dataclass(frozen=True)
class _RowGroupSummary:
    n_rows: int
    leaf_columns: tuple[int, ...]
    n_bytes: int
    nulls: tuple[tuple[str, int], ...]
    """Columns of numbers that have nulls, and how many."""

    bounds: tuple[tuple[str, tuple[Any, Any]], ...]
    """Least and greatest values of columns that have statistics."""

    widths: tuple[tuple[str, float], ...]
    """Values per row of list columns."""


def plan_parquet(
    url: str | Sequence[str],
    *,
    columns: Sequence[str] | None,
    filters: Any,
    weight: str | None,
    keys: Sequence[str],
    dtype: str,
    options: str,
) -> ParquetPlan:
    """List the files, read their footers, and decide what a pass reads.

    Parameters are those of `read_parquet`; `options` is the reference of the storage options.

    Raises
    ------
    InputRefused
        If anything is wrong with any file; all that is wrong is named.
    """
    files = list_parquet(url, options)
    partitions = _partition_types(files)
    parsed = parse_filters(filters)
    values = [_partition_values(file, partitions) for file in files]
    asked = [without_partition(parsed, value) for value in values]
    files_read = [file for file, left in zip(files, asked, strict=True) if left is not None]
    filters_left = [left for left in asked if left is not None]
    if not files_read:
        raise TooFewRows(f"no file at {_where(url)} passes the filters on its partition columns.")

    schema, first_file = _first_schema(files_read, partitions, options)
    roles = [(name, "partition") for name in partitions] + [(key, "key") for key in keys]
    roles += [(weight, "weight")] if weight else []
    choice = choose(schema, columns, roles, first_file)
    for name, what in [*((key, "key") for key in keys), *(((weight, "weight"),) if weight else ())]:
        if name not in schema.names:
            raise SchemaMismatch(f"{what} column {name!r} is not in {first_file}.")
    _check_filter_columns(parsed, schema, first_file)
    if weight and not is_number(schema.field(weight).type):
        raise SchemaMismatch(
            f"weight column {weight!r} is {schema.field(weight).type}, not a number."
        )

    wanted = [column.name for column in choice.features] + list(keys)
    wanted += [name for name in columns_of(parsed) | ({weight} if weight else set()) if name]
    summarize = partial(
        _summarize,
        options=options,
        features=[column.name for column in choice.features],
        read=_columns_read(choice.features, weight, parsed),
    )
    summaries = _in_parallel(summarize, files_read)
    _check_schemas(files_read, summaries, schema, set(wanted) - set(partitions))
    choice = replace(choice, features=_with_widths(choice.features, files_read, summaries))
    if not parsed:
        _check_nulls(files_read, summaries)
    if columns is None:
        _warn_of_ids(choice, schema, files_read, summaries)

    row_groups: list[RowGroup] = []
    first_row = 0
    for file, summary, left in zip(files_read, summaries, filters_left, strict=True):
        for number, group in enumerate(summary.row_groups):
            if group.n_rows and possible(left, dict(group.bounds)):
                row_groups.append(
                    RowGroup(
                        file,
                        number,
                        group.n_rows,
                        first_row,
                        group.leaf_columns,
                        group.n_bytes,
                        left,
                    )
                )
            first_row += group.n_rows
    if first_row == 0:
        raise TooFewRows(f"the files at {_where(url)} have no rows.")
    if not row_groups:
        raise TooFewRows(f"no row at {_where(url)} passes the filters.")
    log.info("%s", choice)
    return ParquetPlan(
        tuple(files_read),
        tuple(sum(group.n_rows for group in summary.row_groups) for summary in summaries),
        schema,
        choice,
        weight,
        tuple(keys),
        dtype,
        parsed,
        options,
        tuple(row_groups),
    )


def partition_value(file: StoredFile, schema: pa.Schema, name: str) -> pa.Scalar | None:
    """The value that the folders of `file` give a column; None if they do not name it."""
    pairs = dict(file.partition)
    if name not in pairs:
        return None
    return pa.scalar(pairs[name]).cast(schema.field(name).type)


def _columns_read(
    features: Sequence[FeatureColumn], weight: str | None, filters: Filter
) -> tuple[str, ...]:
    names = [column.name for column in features] + ([weight] if weight else [])
    return tuple(dict.fromkeys([*names, *sorted(columns_of(filters))]))


def _partition_types(files: Sequence[StoredFile]) -> dict[str, pa.DataType]:
    """Partition columns with their types: integers where every folder's value is one, else text."""
    values: dict[str, set[str | None]] = {}
    for file in files:
        for name, value in file.partition:
            values.setdefault(name, set()).add(value)
    return {
        name: pa.int64()
        if all(value is None or re.fullmatch(r"-?\d{1,18}", value) for value in found)
        else pa.string()
        for name, found in values.items()
    }


def _partition_values(file: StoredFile, types: dict[str, pa.DataType]) -> dict[str, Any]:
    return {
        name: int(value) if value is not None and types[name] == pa.int64() else value
        for name, value in file.partition
    }


def _first_schema(
    files: Sequence[StoredFile], partitions: dict[str, pa.DataType], options: str
) -> tuple[pa.Schema, str]:
    """The schema of the first file that can be read; the others are reported later."""
    for file in files:
        try:
            schema = read_footer(file, options).schema.to_arrow_schema()
        except UnreadableFile:
            continue
        fields = [field for field in schema if field.name not in partitions]
        fields += [pa.field(name, kind) for name, kind in partitions.items()]
        return pa.schema(fields), redact(file.url)
    _raise_all(_problems_of(files, options))
    raise AssertionError


def _problems_of(files: Sequence[StoredFile], options: str) -> list[DkmeansError]:
    problems = _in_parallel(partial(_caught, read_footer, options=options), files, check=False)
    return [problem for problem in problems if isinstance(problem, DkmeansError)]


def _caught(function: Any, file: StoredFile, **arguments: Any) -> Any:
    try:
        return function(file, **arguments)
    except InputRefused as error:
        return error


def _in_parallel(function: Any, files: Sequence[StoredFile], check: bool = True) -> list[Any]:
    """Call `function` for every file; raise all refusals together."""
    with ThreadPoolExecutor(min(_FOOTER_THREADS, len(files))) as pool:
        results = list(pool.map(partial(_caught, function), files))
    if check:
        _raise_all([result for result in results if isinstance(result, DkmeansError)])
    return results


def _raise_all(problems: Sequence[DkmeansError]) -> None:
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    shown = "; ".join(str(problem).rstrip(".") for problem in problems[:_PROBLEMS_SHOWN])
    more = len(problems) - _PROBLEMS_SHOWN
    raise type(problems[0])(
        f"{len(problems)} problems: {shown}{f'; and {more} more' if more > 0 else ''}."
    )


def _summarize(
    file: StoredFile, *, options: str, features: Sequence[str], read: Sequence[str]
) -> _FileSummary:
    footer = read_footer(file, options)
    schema = footer.schema.to_arrow_schema()
    leaves = dict(leaf_columns(schema))
    groups = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        chunks = {name: [group.column(i) for i in leaves[name]] for name in read if name in leaves}
        statistics = {
            name: parts[0].statistics
            for name, parts in chunks.items()
            if len(parts) == 1 and parts[0].is_stats_set and not is_list(schema.field(name).type)
        }
        groups.append(
            _RowGroupSummary(
                group.num_rows,
                tuple(i for name in read for i in leaves.get(name, ())),
                sum(part.total_compressed_size for parts in chunks.values() for part in parts),
                tuple(
                    (name, found.null_count)
                    for name, found in statistics.items()
                    if name in features and found.has_null_count and found.null_count
                ),
                tuple(
                    (name, (found.min, found.max))
                    for name, found in statistics.items()
                    if found.has_min_max
                ),
                tuple(
                    (name, parts[0].num_values / group.num_rows)
                    for name, parts in chunks.items()
                    if group.num_rows and is_list(schema.field(name).type)
                ),
            )
        )
    return _FileSummary(schema, tuple(groups))


def leaf_columns(schema: pa.Schema) -> Iterator[tuple[str, range]]:
    """Each column with the numbers of the Parquet columns that hold it."""
    first = 0
    for field in schema:
        n = _n_leaves(field.type)
        yield field.name, range(first, first + n)
        first += n


def _n_leaves(kind: pa.DataType) -> int:
    if pa.types.is_dictionary(kind):
        return 1
    return sum(_n_leaves(kind.field(i).type) for i in range(kind.num_fields)) or 1


def _check_filter_columns(filters: Filter, schema: pa.Schema, where: str) -> None:
    for name in sorted(columns_of(filters)):
        if name not in schema.names:
            raise ArgumentError(f"filter column {name!r} is not in {where}.")


def _check_schemas(
    files: Sequence[StoredFile],
    summaries: Sequence[_FileSummary],
    first: pa.Schema,
    wanted: set[str],
) -> None:
    """Each wanted column must be there once, of the kind that it has in the first file."""
    problems: list[DkmeansError] = []
    for file, summary in zip(files, summaries, strict=True):
        for name in sorted(wanted):
            count = summary.schema.names.count(name)
            if count != 1:
                what = "is missing from" if count == 0 else f"occurs {count} times in"
                problems.append(SchemaMismatch(f"column {name!r} {what} {redact(file.url)}."))
                continue
            here, there = summary.schema.field(name).type, first.field(name).type
            if here != there and not _interchangeable(here, there):
                problems.append(
                    SchemaMismatch(
                        f"column {name!r} is {here} in {redact(file.url)} but {there} in "
                        f"{redact(files[0].url)}."
                    )
                )
    _raise_all(problems)


def _interchangeable(here: pa.DataType, there: pa.DataType) -> bool:
    if is_list(here) and is_list(there):
        return is_number(here.value_type) and is_number(there.value_type)
    return is_number(here) and is_number(there)


def _with_widths(
    features: Sequence[FeatureColumn],
    files: Sequence[StoredFile],
    summaries: Sequence[_FileSummary],
) -> tuple[FeatureColumn, ...]:
    """The feature columns with the widths that the footers tell, checked to be one."""
    widths: dict[str, int] = {column.name: column.width or 0 for column in features}
    problems: list[DkmeansError] = []
    for file, summary in zip(files, summaries, strict=True):
        for number, group in enumerate(summary.row_groups):
            for name, width in group.widths:
                if not widths.get(name):
                    widths[name] = round(width)
                if width != widths[name] and name in {column.name for column in features}:
                    problems.append(
                        SchemaMismatch(
                            f"column {name!r} of {redact(file.url)} (row group {number}) has "
                            f"{width:g} values a row, not {widths[name]}; an embedding "
                            "column needs lists of one length without nulls."
                        )
                    )
    _raise_all(problems)
    return tuple(
        column if column.width is None else FeatureColumn(column.name, widths[column.name])
        for column in features
    )


def _check_nulls(files: Sequence[StoredFile], summaries: Sequence[_FileSummary]) -> None:
    _raise_all(
        [
            BadValues(
                f"column {name!r} of {redact(file.url)} (row group {number}) has {count} nulls; "
                f"filter them out, or leave the column out."
            )
            for file, summary in zip(files, summaries, strict=True)
            for number, group in enumerate(summary.row_groups)
            for name, count in group.nulls
        ]
    )


def _warn_of_ids(
    choice: Choice,
    schema: pa.Schema,
    files: Sequence[StoredFile],
    summaries: Sequence[_FileSummary],
) -> None:
    """Warn of integer columns that are named like identifiers, or count the rows."""
    n_rows = sum(group.n_rows for summary in summaries for group in summary.row_groups)
    for column in choice.features:
        kind = schema.field(column.name).type
        bounds = [
            dict(group.bounds).get(column.name)
            for summary in summaries
            for group in summary.row_groups
            if group.n_rows
        ]
        counts = (
            pa.types.is_integer(kind)
            and n_rows > 1000
            and all(bounds)
            and all(a[1] < b[0] for a, b in itertools.pairwise(bounds) if a and b)
            and bounds[-1][1] - bounds[0][0] + 1 == n_rows  # type: ignore[index]
        )
        if counts or looks_like_an_id(column.name, kind):
            warnings.warn(
                f"column {column.name!r} looks like an identifier and is clustered as a number; "
                f"pass keys=[{column.name!r}], or name the features in columns=.",
                SuspectColumn,
                stacklevel=4,
            )


def _where(url: str | Sequence[str]) -> str:
    return redact(url) if isinstance(url, str) else f"{len(url)} paths"
