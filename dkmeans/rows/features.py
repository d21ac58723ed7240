"""Which columns of a table become features."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from dkmeans.errors import SchemaMismatch
from dkmeans.models.columns import FeatureColumn


@dataclass(frozen=True)
class Choice:
    """What becomes of the columns of a table."""

    features: tuple[FeatureColumn, ...]
    """The columns that are clustered."""

    left_out: tuple[tuple[str, str], ...]
    """The other columns, each with the reason."""

    def __str__(self) -> str:
        names = ", ".join(
            column.name if column.width is None else f"{column.name} ({column.width} wide)"
            for column in self.features[:12]
        )
        more = f", ... ({len(self.features)} columns)" if len(self.features) > 12 else ""
        left = ", ".join(f"{name} ({why})" for name, why in self.left_out[:12])
        return f"features: {names}{more}" + (f"; not used: {left}" if left else "")


def choose(
    schema: pa.Schema,
    columns: Sequence[str] | None,
    roles: Sequence[tuple[str, str]],
    where: str,
) -> Choice:
    """Choose the feature columns of a table.

    Parameters
    ----------
    schema
        Of the table.
    columns
        What the user named; None for every column that holds numbers and has no other role.
    roles
        Columns that are no features unless named, each with its role: key, weight, partition.
    where
        The table's name, for errors.

    Raises
    ------
    SchemaMismatch
        If a named column does not exist or does not hold numbers, or no column is left.
    """
    taken = dict(roles)
    if columns is not None:
        if not columns:
            raise SchemaMismatch("columns=[] names no column; name some, or leave it out.")
        for name in columns:
            if name not in schema.names:
                raise SchemaMismatch(
                    f"column {name!r} is not in {where}; it has {_listed(schema.names)}."
                )
            if schema.names.count(name) == 1 and not _holds_numbers(schema.field(name).type):
                raise SchemaMismatch(
                    f"column {name!r} of {where} is {schema.field(name).type}; features must be "
                    "numbers, booleans, or lists of numbers of one length."
                )
        chosen = list(dict.fromkeys(columns))
    else:
        chosen = [
            field.name for field in schema if field.name not in taken and _holds_numbers(field.type)
        ]
        chosen = list(dict.fromkeys(chosen))
        if not chosen:
            raise SchemaMismatch(
                f"no column of {where} holds numbers to cluster; it has "
                f"{_listed([f'{field.name} ({field.type})' for field in schema])}."
            )
    for name in chosen:
        count = schema.names.count(name)
        if count > 1:
            raise SchemaMismatch(
                f"column {name!r} occurs {count} times in {where}; give each a name of its own."
            )
    return Choice(
        tuple(FeatureColumn(name, _width(schema.field(name).type)) for name in chosen),
        tuple(
            (field.name, taken.get(field.name, str(field.type)))
            for field in schema
            if field.name not in chosen
        ),
    )


def looks_like_an_id(name: str, kind: pa.DataType) -> bool:
    """Whether an integer column is named as identifiers are."""
    named = re.search(r"(?:^|_)(?:id|uuid|key)$|[a-z]Id$|^ID$", name) is not None
    return named and bool(pa.types.is_integer(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type can be cast to float."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Whether values of a type are lists."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _holds_numbers(kind: pa.DataType) -> bool:
    return is_number(kind) or (is_list(kind) and is_number(kind.value_type))


def _width(kind: pa.DataType) -> int | None:
    """The length of a column's lists; 0 if the type does not say, None for plain numbers."""
    if not is_list(kind):
        return None
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else 0


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:12])) + (", ..." if len(names) > 12 else "")
