"""Whether a file has rows of a key: of the key's column is read what may hold it, and nothing else.

Values are equal as the column has them. Texts are compared letter by letter, as they are: `4711` is
neither ` 4711` nor `04711`, and of letters that look alike each is another. In columns of numbers
`04711` is 4711. Nulls equal nothing.
"""

import datetime
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dkmeans.errors import ArgumentError, UnreadableFile
from dkmeans.rows.footers import leaf_columns
from dkmeans.storage.filesystem import one_line, redact
from dkmeans.storage.listing import StoredFile
from dkmeans.storage.parquet_file import fetch_row_group, read_footer
from dkmeans.storage.ranges import check_unchanged

Keys = Mapping[str, Sequence[str]]
"""For each column, the values that are looked for, as they are written."""

_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Looked:
    """What was found in one file."""

    holds: bool
    """Whether any row has any of the keys. If so, nothing more was read."""

    lacks: tuple[str, ...]
    """Columns of the keys that it does not have."""

    columns: tuple[str, ...]
    """All columns that it has."""

    n_bytes: int
    """Read of the columns of the keys, as stored."""


@dataclass(frozen=True, eq=False)
class _Wanted:
    """Values of one column, of the type that it has."""

    values: list[Any]
    """Ascending."""

    arrow: pa.Array


def parse_keys(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Turn texts as `customer_id=4711` into the values of each column.

    Raises
    ------
    ArgumentError
        If one has another form.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (column and equals and value):
            raise ArgumentError(f"key {text!r} should be COLUMN=VALUE, as customer_id=4711.")
        found.setdefault(column, []).append(value)
    return {column: tuple(dict.fromkeys(values)) for column, values in found.items()}


def look_for(keys: Keys, file: StoredFile, options: str) -> Looked:
    """Look whether a file has rows with any of some keys.

    The footer is read, and of the columns of the keys the row groups whose statistics do not rule
    them out. Columns of its folders, as `dt=2026-11-20`, count, too.

    Parameters
    ----------
    keys
        What is looked for.
    file, options
        The file, as it was when it was pinned, and the reference of the storage options.

    Raises
    ------
    ArgumentError
        If a column has a type that keys cannot have, or a value cannot be one of it.
    MissingInput
        If the file is gone.
    InputChanged
        If it is another one now.
    UnreadableFile
        If it cannot be read.
    """
    check_unchanged(file, options)
    footer = read_footer(file, options)
    schema = footer.schema.to_arrow_schema()
    folders = dict(file.partition)
    columns = tuple(dict.fromkeys((*schema.names, *folders)))
    lacks = tuple(name for name in keys if name not in columns)
    leaves = [(name, leaf.start) for name, leaf in leaf_columns(schema) if name in keys]
    # first, for what is wrong with a key has to be said whatever else is found
    wanted = [_wanted(name, keys[name], schema.field(i).type) for i, name in _places(schema, keys)]
    if any(_is_of_folder(folders.get(name), keys[name]) for name in keys):
        return Looked(True, lacks, columns, 0)
    n_bytes = 0
    for (name, leaf), one in zip(leaves, wanted, strict=True):
        for number in range(footer.num_row_groups):
            if not _may_hold(footer.row_group(number).column(leaf), one.values):
                continue
            fetched = fetch_row_group(file, options, number, [leaf])
            n_bytes += fetched.n_bytes
            try:
                with fetched.open() as parquet:
                    column = parquet.read_row_group(number, [name], use_threads=False).column(name)
                holds = _holds(column, one)
            except (pa.ArrowException, OSError, KeyError) as error:
                raise UnreadableFile(
                    f"{redact(file.url)} has a damaged column {name!r}: {one_line(error)}.",
                    file.url,
                ) from None
            if holds:
                return Looked(True, lacks, columns, n_bytes)
    return Looked(False, lacks, columns, n_bytes)


def _places(schema: pa.Schema, keys: Keys) -> list[tuple[int, str]]:
    return [(i, name) for i, name in enumerate(schema.names) if name in keys]


def _is_of_folder(value: str | None, texts: Sequence[str]) -> bool:
    """Whether a value that a folder is named by is any of some; numbers as numbers."""
    if value is None:
        return False
    is_whole = _WHOLE.fullmatch(value)
    return any(
        one == value or bool(is_whole and _WHOLE.fullmatch(one) and int(one) == int(value))
        for one in texts
    )


def _wanted(column: str, texts: Sequence[str], kind: pa.DataType) -> _Wanted:
    """Read values as those of a column; what no value of its type can be is left out."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    kind = _plain(kind)
    values = []
    for text in texts:
        # a number that is too large for the type is in no row
        with suppress(OverflowError, pa.ArrowInvalid):
            value = _value(column, text, kind)
            pa.array([value], kind)
            values.append(value)
    values = sorted(set(values))
    return _Wanted(values, pa.array(values, kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that values of a column are compared in."""
    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.large_binary()
    return pa.date32() if types.is_date(kind) else kind


def _value(column: str, text: str, kind: pa.DataType) -> Any:
    types = pa.types
    if types.is_large_string(kind):
        return text
    if types.is_large_binary(kind):
        return text.encode()
    if types.is_date(kind):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            raise ArgumentError(
                f"key {column}={text}: the column has dates; write it as 2026-11-20."
            ) from None
    if not (types.is_integer(kind) or types.is_decimal(kind) or types.is_floating(kind)):
        raise ArgumentError(
            f"key column {column!r} is {kind}; keys are whole numbers, texts or dates: name "
            "another column, or the partitions."
        )
    if not _WHOLE.fullmatch(text):
        raise ArgumentError(f"key {column}={text}: the column is {kind}; write a whole number.")
    number = int(text)
    if types.is_decimal(kind):
        return Decimal(number)
    if types.is_floating(kind):
        # as whoever has stored the number has rounded it
        return float(np.dtype(kind.to_pandas_dtype()).type(number))
    return number


def _may_hold(chunk: pq.ColumnChunkMetaData, values: list[Any]) -> bool:
    """Whether statistics leave it open that a column chunk has any of some values."""
    if not values:
        return False
    # statistics that cannot be read, or are of another type, tell nothing
    with suppress(TypeError, ValueError, NotImplementedError, pa.ArrowException):
        statistics = chunk.statistics if chunk.is_stats_set else None
        if statistics is None:
            return True
        if statistics.has_null_count and statistics.null_count == chunk.num_values:
            return False
        if not statistics.has_min_max:
            return True
        at = bisect_left(values, statistics.min)
        return at < len(values) and bool(values[at] <= statistics.max)
    return True


def _holds(column: pa.ChunkedArray, wanted: _Wanted) -> bool:
    for one in column.chunks:
        plain = one.dictionary_decode() if pa.types.is_dictionary(one.type) else one
        equal = pc.is_in(plain.cast(wanted.arrow.type), value_set=wanted.arrow)
        if pc.any(equal).as_py():
            return True
    return False
