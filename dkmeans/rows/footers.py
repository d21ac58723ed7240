"""What planning needs to know of each file, gathered from the footers in parallel."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from dkmeans.errors import DkmeansError, InputRefused
from dkmeans.rows.features import is_list
from dkmeans.storage.errands import call_all
from dkmeans.storage.listing import StoredFile
from dkmeans.storage.parquet_file import footer_requests, read_footer, requests_for

_FOOTER_THREADS = 16
_PROBLEMS_SHOWN = 10


@dataclass(frozen=True)
class FileSummary:
    """What planning needs to know of one file."""

    schema: pa.Schema
    footer_requests: int
    """Requests that fetch the footer; 0 for a local file."""

    footer_bytes: int
    """As stored."""

    row_groups: tuple["RowGroupSummary", ...]


@dataclass(frozen=True)
class RowGroupSummary:
    """What planning needs to know of one row group."""

    n_rows: int
    leaf_columns: tuple[int, ...]
    n_bytes: int
    n_requests: int
    nulls: tuple[tuple[str, int], ...]
    """Columns whose nulls matter that have some, and how many."""

    bounds: tuple[tuple[str, tuple[Any, Any]], ...]
    """Least and greatest values of columns that have statistics."""

    widths: tuple[tuple[str, float, bool], ...]
    """Values per row of list columns, and whether nulls are, or may be, among them."""


def summarize(
    file: StoredFile, *, options: str, nulls_in: Collection[str], read: Sequence[str]
) -> FileSummary:
    """Read the footer of a file.

    Parameters
    ----------
    file, options
        The file, and the reference of the storage options.
    nulls_in
        Columns whose nulls matter.
    read
        Columns that a pass reads.
    """
    footer = read_footer(file, options)
    schema = footer.schema.to_arrow_schema()
    leaves = dict(leaf_columns(schema))
    # a name that occurs twice has no type of its own; the check of the schemas reports it
    # and a column that the folders name is not read from the file
    folders = dict(file.partition)
    read = [name for name in read if schema.names.count(name) <= 1 and name not in folders]
    groups = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        chunks = {name: [group.column(i) for i in leaves[name]] for name in read if name in leaves}
        statistics = {
            name: parts[0].statistics
            for name, parts in chunks.items()
            if len(parts) == 1 and parts[0].is_stats_set and not is_list(schema.field(name).type)
        }
        read_leaves = tuple(i for name in read for i in leaves.get(name, ()))
        groups.append(
            RowGroupSummary(
                group.num_rows,
                read_leaves,
                sum(part.total_compressed_size for parts in chunks.values() for part in parts),
                requests_for(file, options, footer, number, read_leaves),
                tuple(
                    (name, found.null_count)
                    for name, found in statistics.items()
                    if name in nulls_in and found.has_null_count and found.null_count
                ),
                tuple(
                    (name, (found.min, found.max))
                    for name, found in statistics.items()
                    if found.has_min_max
                ),
                tuple(
                    (name, parts[0].num_values / group.num_rows, _may_have_nulls(parts[0]))
                    for name, parts in chunks.items()
                    if group.num_rows and is_list(schema.field(name).type)
                ),
            )
        )
    return FileSummary(
        schema, footer_requests(file, options, footer), footer.serialized_size, tuple(groups)
    )


def _may_have_nulls(chunk: Any) -> bool:
    statistics = chunk.statistics if chunk.is_stats_set else None
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


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


def caught(function: Any, file: StoredFile, **arguments: Any) -> Any:
    """Call `function(file)` and return what it gives, or the refusal that it raises."""
    try:
        return function(file, **arguments)
    except InputRefused as error:
        return error


def in_parallel(function: Any, files: Sequence[StoredFile], check: bool = True) -> list[Any]:
    """Call `function` for every file; raise all refusals together."""
    with ThreadPoolExecutor(min(_FOOTER_THREADS, len(files))) as pool:
        results = call_all(pool, partial(caught, function), files)
    if check:
        raise_all([result for result in results if isinstance(result, DkmeansError)])
    return results


def raise_all(problems: Sequence[DkmeansError]) -> None:
    """Raise one error that names all problems, if there are any."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    shown = "; ".join(str(problem).rstrip(".") for problem in problems[:_PROBLEMS_SHOWN])
    more = len(problems) - _PROBLEMS_SHOWN
    raise type(problems[0])(
        f"{len(problems)} problems: {shown}{f'; and {more} more' if more > 0 else ''}."
    )
