"""Row filters: `(column, operator, value)`, and-ed in a list, or-ed in a list of lists.

The same predicate is applied three times: to the partition columns of a file, to the statistics of
a row group, and to the rows. Rows whose value is null pass no comparison.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.models.columns import numbers_from_arrow

_COMPARISONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], bool]]] = {
    "==": (pc.equal, operator.eq),
    "!=": (pc.not_equal, operator.ne),
    "<": (pc.less, operator.lt),
    "<=": (pc.less_equal, operator.le),
    ">": (pc.greater, operator.gt),
    ">=": (pc.greater_equal, operator.ge),
}
OPERATORS = (*_COMPARISONS, "in", "not in")


@dataclass(frozen=True)
class Predicate:
    """One comparison of a column with a value."""

    column: str
    op: str
    value: Any

    arrow: pa.Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # made where the user is: on a worker it would import pandas
        values = list(self.value) if self.op in ("in", "not in") else [self.value]
        object.__setattr__(self, "arrow", pa.array(values))

    def rows(self, column: pa.Array) -> pa.Array:
        """Which values of a column pass, nulls for nulls."""
        if self.op in ("in", "not in"):
            values = self.arrow.cast(column.type)
            passed = pc.is_in(column, value_set=values)
            # a null is in no list of values, and must not pass for that
            return (
                pc.and_(pc.invert(passed), pc.is_valid(column)) if self.op == "not in" else passed
            )
        value = self.arrow[0]
        if pa.types.is_string(value.type) and not pa.types.is_string(column.type):
            value = value.cast(column.type)
        return _COMPARISONS[self.op][0](column, value)

    def scalar(self, value: Any) -> bool:
        """Whether one value, a partition's, passes."""
        if value is None:
            return False
        try:
            if self.op in ("in", "not in"):
                return (value in [_like(one, value) for one in self.value]) == (self.op == "in")
            return bool(_COMPARISONS[self.op][1](value, _like(self.value, value)))
        except (TypeError, ValueError):
            raise ArgumentError(
                f"filter {self.column} {self.op} {self.value!r} does not fit the partition column, "
                f"which has values like {value!r}."
            ) from None

    def possible(self, least: Any, greatest: Any) -> bool:
        """Whether any value between two bounds can pass."""
        try:
            if self.op == "==":
                return bool(least <= self.value <= greatest)
            if self.op == "in":
                return any(least <= value <= greatest for value in self.value)
            if self.op in ("<", "<="):
                return bool(_COMPARISONS[self.op][1](least, self.value))
            if self.op in (">", ">="):
                return bool(_COMPARISONS[self.op][1](greatest, self.value))
        except TypeError:
            pass
        return True


Filter = tuple[tuple[Predicate, ...], ...]
"""Predicates, and-ed in the inner tuples, or-ed in the outer; an empty outer tuple lets all rows
pass."""


def parse_filters(filters: Any) -> Filter:
    """Turn what a user passes as `filters=` into a `Filter`.

    Parameters
    ----------
    filters
        None, a tuple `(column, op, value)`, a list of such (and), or a list of lists (or of ands).

    Raises
    ------
    ArgumentError
        If it has another form, or an unknown operator.
    """
    if filters is None or filters == []:
        return ()
    if _is_comparison(filters):
        filters = [filters]
    known = isinstance(filters, (list, tuple))
    if known and all(_is_comparison(one) for one in filters):
        filters = [filters]
    if (
        not known
        or not all(isinstance(group, (list, tuple)) and group for group in filters)
        or not all(_is_comparison(one) for group in filters for one in group)
    ):
        raise ArgumentError(
            f"filters={filters!r} should be a list of (column, operator, value), or a list of such "
            "lists, any of which may pass."
        )
    return tuple(tuple(_predicate(*one) for one in group) for group in filters)


def parse_comparison(text: str) -> tuple[str, str, Any]:
    """Turn `amount > 0`, as written on a command line, into `(column, operator, value)`."""
    found = re.match(r"\s*(.+?)\s*(==|!=|<=|>=|=|<|>|\bnot in\b|\bin\b)\s*(.+?)\s*$", text)
    if not found:
        raise ArgumentError(
            f"--filter {text!r} should look like 'amount > 0' or 'kind in [\"a\", \"b\"]'."
        )
    column, op, value = found.groups()
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        parsed = {"true": True, "false": False}.get(value.lower(), value)
    return column, "==" if op == "=" else op, parsed


def columns_of(filters: Filter) -> set[str]:
    """Names of the columns that a filter looks at."""
    return {predicate.column for group in filters for predicate in group}


def without_partition(filters: Filter, partition: Mapping[str, Any]) -> Filter | None:
    """Return what is left to ask of a file's rows, given its folders; None if no row passes."""
    if not filters:
        return ()
    left = []
    for group in filters:
        ours = [predicate for predicate in group if predicate.column in partition]
        if all(predicate.scalar(partition[predicate.column]) for predicate in ours):
            left.append(tuple(one for one in group if one.column not in partition))
    if not left:
        return None
    return () if any(not group for group in left) else tuple(left)


def possible(filters: Filter, bounds: Mapping[str, tuple[Any, Any]]) -> bool:
    """Whether a row group can hold rows that pass, given the bounds of its columns."""
    return not filters or any(
        all(one.possible(*bounds[one.column]) for one in group if one.column in bounds)
        for group in filters
    )


def passing(filters: Filter, batch: pa.RecordBatch | pa.Table) -> Array:
    """Which rows of a batch pass, `(n_rows,)` bool.

    Raises
    ------
    ArgumentError
        If a value cannot be compared with its column.
    """
    passed = np.zeros(batch.num_rows, bool)
    for group in filters:
        together = np.ones(batch.num_rows, bool)
        for one in group:
            try:
                mask = one.rows(batch.column(one.column))
            except pa.ArrowException as error:
                kind = batch.schema.field(one.column).type
                raise ArgumentError(
                    f"filter {one.column} {one.op} {one.value!r} does not fit the column, "
                    f"which is {kind}: {error}"
                ) from None
            together &= numbers_from_arrow(mask) == 1
        passed |= together
    return passed


def arrow_mask(passed: Array) -> pa.Array:
    """Return `(n_rows,)` bool as Arrow has it; `pa.array` would import pandas on workers."""
    bits = np.packbits(passed, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(passed), [None, pa.py_buffer(bits)])


def _is_comparison(value: Any) -> bool:
    return (
        isinstance(value, (tuple, list))
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], str)
    )


def _predicate(column: str, op: str, value: Any) -> Predicate:
    op = "==" if op == "=" else op.lower()
    if op not in OPERATORS:
        raise ArgumentError(f"filter operator {op!r} is not known; use {', '.join(OPERATORS)}.")
    if op in ("in", "not in"):
        if isinstance(value, str) or not isinstance(value, (Sequence, set, frozenset)):
            raise ArgumentError(f"filter {column} {op} {value!r} needs a list of values.")
        value = tuple(value)
    try:
        return Predicate(column, op, value)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise ArgumentError(
            f"filter {column} {op} {value!r} has a value that no column can hold: {error}"
        ) from None


def _like(value: Any, other: Any) -> Any:
    """`value` in the type of a partition value: 2024 and "2024" are the same folder."""
    return (
        type(other)(value)
        if isinstance(value, (int, str)) and type(value) is not type(other)
        else value
    )
