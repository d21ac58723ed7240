"""Labels beside rows: columns of Arrow, pandas, NumPy or lists as codes and distinct values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dkmeans.errors import ArgumentError, BadValues, SchemaMismatch
from dkmeans.kernels.block import Array, Labels
from dkmeans.models.columns import numbers_from_arrow
from dkmeans.partials.contingency import MOST_LABELS
from dkmeans.storage.filesystem import redact

KINDS = "text, integers, floats or booleans"


def kind_of_label(kind: pa.DataType) -> str | None:
    """Return "text" or "number" for types of Arrow that labels may have, None for others."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return "text"
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return "number" if numeric else None


def check_label_type(name: str, kind: pa.DataType, where: str) -> None:
    """Raise `SchemaMismatch` if a column of this type does not hold labels."""
    if kind_of_label(kind) is None:
        raise SchemaMismatch(f"label column {name!r} of {where} is {kind}; labels are {KINDS}.")


def lacking_labels(name: str, url: str, row_group: int, found: str) -> str:
    """Say that rows of a file have no label."""
    return (
        f"label column {name!r} of {redact(url)} (row group {row_group}) has {found}; filter these "
        "rows out."
    )


def check_label_names(labels: Any) -> tuple[str, ...]:
    """Return names of label columns as a user gave them.

    Raises
    ------
    ArgumentError
        If they are no names, or one is there twice.
    """
    several = isinstance(labels, (list, tuple))
    if not several or not all(isinstance(name, str) for name in labels):
        raise ArgumentError(f"labels={labels!r} should be a list of names of columns.")
    if len(set(labels)) < len(labels):
        raise ArgumentError(f"labels={labels!r} names a column twice.")
    return tuple(labels)


def columns_of_labels(labels: Sequence[Any], table: Any) -> tuple[str | None, ...]:
    """Return, for each of the labels, its column in a table; None for one that is given itself.

    Parameters
    ----------
    labels
        Labels, and names of columns.
    table
        What has the columns, of pandas, Arrow or Dask; None where there are no columns.

    Raises
    ------
    ArgumentError
        If a column is named, and there are none.
    SchemaMismatch
        If a column is not there once.
    """
    if not isinstance(labels, (list, tuple)):
        raise ArgumentError(
            f"labels should be a list of labels or of names of columns, not {labels!r:.80}."
        )
    there: list[str] = []
    if table is not None:
        there = list(map(str, getattr(table, "column_names", None) or table.columns))
    for one in labels:
        if not isinstance(one, str):
            continue
        if table is None:
            raise ArgumentError(f"labels={one!r} names a column, and X has none; pass the labels.")
        if (count := there.count(one)) != 1:
            what = "is not in X" if count == 0 else f"occurs {count} times in X"
            raise SchemaMismatch(f"label column {one!r} {what}.")
    return tuple(one if isinstance(one, str) else None for one in labels)


def name_of_label(column: str | None, number: int, where: str) -> str:
    """Name labels for errors."""
    which = f"labels[{number}]" if column is None else f"label column {column!r}"
    return f"{which} of {where}"


class LackingLabels(Exception):
    """Some rows have no label: null or NaN."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LabelCodes:
    """The labels of one block, gathered from batches of rows."""

    def __init__(self, names: Sequence[str], n_rows: int) -> None:
        self._names = tuple(names)
        self._codes = [np.empty(n_rows, np.int32) for _ in names]
        self._numbers: list[dict[Any, int]] = [{} for _ in names]
        self._at = 0

    def add(self, batch: "pa.Table | pa.RecordBatch") -> None:
        """Take the labels of the next rows.

        Raises
        ------
        LackingLabels
            If a row has none.
        BadValues
            If there are too many different ones.
        """
        stop = self._at + batch.num_rows
        for name, codes, numbers in zip(self._names, self._codes, self._numbers, strict=True):
            of_batch, values = coded(batch.column(name))
            if of_batch is None or any(value != value for value in values):
                raise LackingLabels(name)
            new = [numbers.setdefault(value, len(numbers)) for value in values]
            check_number(len(numbers), f"column {name!r}")
            codes[self._at : stop] = np.array(new, np.int32)[of_batch]
        self._at = stop

    def labels(self) -> tuple[Labels, ...]:
        """Return those of all rows that were taken."""
        whole = self._at == len(self._codes[0]) if self._codes else True
        return tuple(
            Labels(codes if whole else codes[: self._at].copy(), tuple(numbers))
            for codes, numbers in zip(self._codes, self._numbers, strict=True)
        )


def coded(column: "pa.Array | pa.ChunkedArray") -> tuple[Array | None, list[Any]]:
    """Return the codes of an Arrow column, int32, and its distinct values.

    There are no codes if it has nulls. Pandas is not imported.
    """
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 0:
            return np.empty(0, np.int32), []
        column = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
    if pa.types.is_dictionary(column.type):
        # a dictionary may have values twice, nulls, and others than the rows have
        column = column.cast(column.type.value_type)
    if column.null_count:
        return None, []
    encoded = pc.dictionary_encode(column)
    return numbers_from_arrow(encoded.indices), encoded.dictionary.to_pylist()


def count_lacking(column: "pa.Array | pa.ChunkedArray") -> tuple[int, int]:
    """How many values of an Arrow column are null, and how many are NaN."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    nulls = int(column.null_count)
    if not pa.types.is_floating(kind):
        return nulls, 0
    return nulls, int(np.isnan(numbers_from_arrow(column)).sum()) - nulls


def check_number(n: int, what: str) -> None:
    """Raise `BadValues` if a column has too many distinct values to be a label."""
    if n > MOST_LABELS:
        raise BadValues(
            f"{what} has more than {MOST_LABELS} different values and is no label; name a column "
            "with fewer values, or put its values into groups."
        )


def encoded(values: Any, what: str, n_rows: int | None) -> Labels:
    """Return the labels of rows in memory.

    Parameters
    ----------
    values
        `(n_rows,)`: NumPy array, list, pandas Series, Arrow array, or `Labels`.
    what
        How errors name them.
    n_rows
        How many are expected; None for any number.

    Raises
    ------
    BadValues
        If a row has none, there are more or less than rows, or too many different ones.
    SchemaMismatch
        If they are neither text nor numbers.
    """
    if isinstance(values, Labels) and n_rows in (None, len(values.codes)):
        return values
    if isinstance(values, Labels):
        values = values.codes
    if isinstance(values, (list, tuple, range)):
        # NumPy would make text of numbers beside text
        flat = np.empty(len(values), object)
        flat[:] = values
        values = flat
    is_arrow = isinstance(values, (pa.Array, pa.ChunkedArray))
    if not is_arrow and not hasattr(values, "shape"):
        raise BadValues(f"{what} is a {type(values).__name__}; pass an array, Series or list.")
    shape = (len(values),) if is_arrow else tuple(values.shape)
    if len(shape) != 1 or (n_rows is not None and shape != (n_rows,)):
        expected = "(n_samples,)" if n_rows is None else f"({n_rows},)"
        raise BadValues(f"{what} has shape {shape}; {expected} is expected.")
    if is_arrow:
        codes, different, n_lacking = _of_arrow(values, what)
    elif hasattr(values, "factorize"):
        codes, different = values.factorize()
        different, n_lacking = different.tolist(), int((codes < 0).sum())
    else:
        codes, different, n_lacking = _of_array(np.asarray(values), what)
    if n_lacking:
        raise BadValues(f"{what} has {n_lacking} null or NaN; leave these rows out.")
    check_number(len(different), what)
    different = [one.item() if isinstance(one, np.generic) else one for one in different]
    for value in different:
        if type(value) not in (str, int, float, bool):
            raise SchemaMismatch(
                f"{what} has the value {value!r} ({type(value).__name__}); labels are {KINDS}."
            )
    return Labels(np.asarray(codes, np.int32), tuple(different))


def _of_arrow(values: Any, what: str) -> tuple[Array, list[Any], int]:
    if kind_of_label(values.type) is None:
        raise SchemaMismatch(f"{what} is {values.type}; labels are {KINDS}.")
    n_lacking = sum(count_lacking(values))
    codes, different = coded(values)
    return (np.empty(0, np.int32) if codes is None else codes), different, n_lacking


def _of_array(values: Array, what: str) -> tuple[Array, list[Any], int]:
    if values.dtype.kind in "biufU":
        different, codes = np.unique(values, return_inverse=True)
        n_nan = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
        return codes, different.tolist(), n_nan
    if values.dtype.kind == "T":
        return _of_array(values.astype(object), what)
    if values.dtype.kind != "O":
        raise SchemaMismatch(f"{what} is {values.dtype}; labels are {KINDS}.")
    given = values.tolist()
    n_lacking = sum(value is None or _is_nan(value) for value in given)
    if n_lacking:
        return np.empty(0, np.int32), [], n_lacking
    numbers: dict[Any, int] = {}
    try:
        codes = np.array([numbers.setdefault(value, len(numbers)) for value in given], np.int32)
    except TypeError:
        raise SchemaMismatch(f"{what} has values that are no labels; labels are {KINDS}.") from None
    return codes, list(numbers), 0


def _is_nan(value: Any) -> bool:
    # pandas' NA is neither equal to itself nor different
    return type(value).__name__ in ("NAType", "NaTType") or (
        isinstance(value, float) and value != value
    )
