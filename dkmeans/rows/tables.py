"""Tables in memory, of pandas or Arrow: the matrix of their features, and their label columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans.errors import FeaturesMismatch, SchemaMismatch, UnsupportedType
from dkmeans.kernels.block import Array
from dkmeans.models.columns import FeatureColumn, feature_names, fill_from_arrow, named_by_text
from dkmeans.rows.features import choose


def apart(
    X: Any, labels: Sequence[Any], names: Sequence[str | None], columns: Sequence[str] | None
) -> tuple[Any, list[Any]]:
    """Return a table without the label columns that are no features, and all labels.

    `names` are those of the labels that are columns, None for labels that are given themselves.
    """
    is_arrow = hasattr(X, "column_names")
    only = sorted({name for name in names if name is not None} - set(columns or ()))
    table = X if is_arrow or not any(names) else named_by_text(X)
    given = [
        one if name is None else table.column(name) if is_arrow else table[name]
        for one, name in zip(labels, names, strict=True)
    ]
    if not only:
        return X, given
    return (table.drop_columns(only) if is_arrow else table.drop(columns=only)), given


def matrix_of_table(
    X: Any, columns: Sequence[str] | None, dtype: str | None
) -> tuple[Array, tuple[FeatureColumn, ...]]:
    """Return the features of a table, `(n_rows, n_features)`, and their columns.

    Raises
    ------
    InputRefused
        If there is nothing in it that can be clustered.
    """
    if hasattr(X, "column_names"):
        table = X
    else:
        try:
            table = pa.Table.from_pandas(named_by_text(X), preserve_index=False)
        except (pa.ArrowException, ValueError) as error:
            raise SchemaMismatch(f"X is no table of columns: {error}") from None
        except TypeError as error:
            raise UnsupportedType(f"X is no table of dense columns: {error}") from None
    choice = choose(table.schema, columns, [], "X")
    features = tuple(
        FeatureColumn(column.name, _list_width(table, column)) for column in choice.features
    )
    if dtype is None:
        kinds = [table.schema.field(column.name).type for column in features]
        single = {pa.float32(), pa.float16()}
        narrow = all(getattr(kind, "value_type", kind) in single for kind in kinds)
        dtype = "float32" if narrow else "float64"
    out = np.empty((table.num_rows, len(feature_names(features))), dtype, order="F")
    try:
        fill_from_arrow(out, table, features)
    except FeaturesMismatch as error:
        raise SchemaMismatch(f"X: {error}") from None
    return out, features


def _list_width(table: pa.Table, column: FeatureColumn) -> int | None:
    if column.width is None:
        return None
    present = table.column(column.name).drop_null()
    return column.width or (len(present[0].as_py()) if len(present) else 0)
