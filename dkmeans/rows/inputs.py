"""From what a user holds, NumPy, pandas, Arrow or Dask, to parts and their source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dkmeans.errors import (
    ArgumentError,
    BadValues,
    FeaturesMismatch,
    SchemaMismatch,
    TooFewRows,
    UnsupportedType,
)
from dkmeans.kernels.block import Array
from dkmeans.models.arrays import check_dense, check_kind, numbers, wrong_dimensions
from dkmeans.models.columns import FeatureColumn, feature_names, fill_from_arrow, named_by_text
from dkmeans.rows.features import choose
from dkmeans.rows.layout import rows_per_block
from dkmeans.rows.part_source import PartSource, weights_of
from dkmeans.rows.values import MissingName

Place = Literal["client", "cluster"] | None


@dataclass(frozen=True, eq=False)
class Parts:
    """Data in parts, each a block."""

    parts: tuple[Any, ...]
    """A Delayed, or a pair of an array and its weights."""

    sources: tuple[PartSource, ...]

    lengths: tuple[int, ...] | None
    """Rows of each part; None where they are not known yet."""

    columns: tuple[FeatureColumn, ...] | None
    """The feature columns, if they have names."""

    dtype: str

    place: Place
    """Where the parts lie in memory already; None if they are yet to be computed."""

    def with_missing(self, missing: MissingName) -> "Parts":
        """Return the parts with what becomes of rows that lack a value."""
        return replace(
            self, sources=tuple(replace(source, missing=missing) for source in self.sources)
        )


def parts_of_array(
    X: Any,
    sample_weight: Any,
    columns: Sequence[str] | None,
    dtype: str | None,
    block_bytes: int | None,
    block_rows: int | None,
) -> Parts:
    """Cut a NumPy array, pandas DataFrame or Arrow table into parts.

    Raises
    ------
    InputRefused
        If there is nothing in it that can be clustered.
    """
    feature_columns = None
    if hasattr(X, "column_names") or hasattr(X, "columns"):
        matrix, feature_columns = _matrix_of_table(X, columns, dtype)
        dtype = str(matrix.dtype)
    else:
        if columns is not None:
            raise ArgumentError("columns= needs a table with column names; X is an array.")
        matrix = numbers(X)
        dtype = dtype or dtype_for([matrix.dtype])
        matrix = matrix if matrix.dtype.kind == "f" else matrix.astype(dtype)
    if matrix.ndim != 2:
        raise SchemaMismatch(wrong_dimensions(matrix.ndim))
    n_rows, n_features = matrix.shape
    if n_rows == 0 or n_features == 0:
        lacking = "sample" if n_rows == 0 else "feature"
        raise TooFewRows(
            f"X has 0 {lacking}(s) (shape={matrix.shape}) while a minimum of 1 is required."
        )
    weight = None
    if sample_weight is not None:
        weight = weights_of(sample_weight, n_rows, "X")
    names = feature_names(feature_columns) if feature_columns is not None else None
    source = PartSource("X", n_features, dtype, names)
    row_bytes = n_features * np.dtype(dtype).itemsize
    step = rows_per_block(n_rows, row_bytes, block_bytes, block_rows)
    cuts = range(0, n_rows, step)
    return Parts(
        tuple(
            (matrix[i : i + step], None if weight is None else weight[i : i + step]) for i in cuts
        ),
        tuple(source for _ in cuts),
        tuple(min(step, n_rows - i) for i in cuts),
        feature_columns,
        dtype,
        "client",
    )


def parts_of_dask(
    X: Any, sample_weight: Any, columns: Sequence[str] | None, weight: str | None, dtype: str | None
) -> Parts:
    """Cut a Dask Array or DataFrame into its partitions, once.

    Raises
    ------
    InputRefused
        If there is nothing in it that can be clustered.
    """
    if hasattr(X, "to_dask_array"):
        return _parts_of_frame(X, sample_weight, columns, weight, dtype)
    if columns is not None or weight is not None:
        raise ArgumentError("columns= and weight= need a DataFrame; X is an array.")
    if X.ndim != 2:
        raise SchemaMismatch(wrong_dimensions(X.ndim))
    check_dense(X._meta)
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    n_features = X.shape[1]
    check_kind(X.dtype)
    dtype = dtype or dtype_for([X.dtype])
    if n_features != n_features:  # nan
        raise SchemaMismatch("X has an unknown number of columns; compute its chunk sizes.")
    delayed_parts: list[Any] = list(X.to_delayed(optimize_graph=True).ravel())
    lengths = None if any(n != n for n in X.chunks[0]) else tuple(int(n) for n in X.chunks[0])
    if sample_weight is not None:
        delayed_parts = _with_weights(delayed_parts, sample_weight, lengths)
    sources = tuple(
        PartSource(f"chunk {i} of X", int(n_features), dtype) for i in range(len(delayed_parts))
    )
    return Parts(tuple(delayed_parts), sources, lengths, None, dtype, _place(X, sample_weight))


def _parts_of_frame(
    X: Any, sample_weight: Any, columns: Sequence[str] | None, weight: str | None, dtype: str | None
) -> Parts:
    schema = pa.Schema.from_pandas(named_by_text(X._meta_nonempty), preserve_index=False)
    choice = choose(schema, columns, [(weight, "weight")] if weight else [], "X")
    if any(column.width is not None for column in choice.features):
        raise SchemaMismatch(
            "X has list columns; pass the Parquet files, or a Dask Array, instead."
        )
    if weight is not None and weight not in schema.names:
        raise SchemaMismatch(f"weight column {weight!r} is not in X.")
    dtypes = named_by_text(X._meta).dtypes
    dtype = dtype or dtype_for([dtypes[column.name] for column in choice.features])
    delayed_parts: list[Any] = X.to_delayed(optimize_graph=True)
    if sample_weight is not None:
        delayed_parts = _with_weights(delayed_parts, sample_weight, None)
    names = feature_names(choice.features)
    sources = tuple(
        PartSource(
            f"partition {i} of X", len(choice.features), dtype, names, choice.features, weight
        )
        for i in range(len(delayed_parts))
    )
    return Parts(
        tuple(delayed_parts), sources, None, choice.features, dtype, _place(X, sample_weight)
    )


def _with_weights(
    parts: list[Any], sample_weight: Any, lengths: tuple[int, ...] | None
) -> list[Any]:
    """Each part with its weights; they are cut where the rows are."""
    from dask.delayed import delayed

    if not hasattr(sample_weight, "to_delayed"):
        import dask.array as da

        if lengths is None:
            raise ArgumentError(
                "sample_weight is an array while X has unknown chunk sizes; pass a Dask collection "
                "with X's partitions, or name a weight column."
            )
        _check_length(np.shape(sample_weight), lengths)
        sample_weight = da.from_array(np.asarray(sample_weight, np.float64), chunks=(lengths,))
    elif lengths is not None and hasattr(sample_weight, "rechunk"):
        _check_length(sample_weight.shape, lengths)
        sample_weight = sample_weight.rechunk((lengths,))
    weights = sample_weight.to_delayed(optimize_graph=True)
    weights = list(weights.ravel()) if hasattr(weights, "ravel") else list(weights)
    if len(weights) != len(parts):
        raise ArgumentError(
            f"sample_weight has {len(weights)} partitions, X has {len(parts)}; cut them alike."
        )
    pair = delayed(_pair, pure=False)
    return [pair(part, weight) for part, weight in zip(parts, weights, strict=True)]


def _check_length(shape: tuple[Any, ...], lengths: Sequence[int]) -> None:
    if shape != (sum(lengths),) and not any(n != n for n in shape):
        raise BadValues(f"the weights of X have shape {shape}; ({sum(lengths)},) is expected.")


def _pair(part: Any, weight: Any) -> tuple[Any, Any]:
    return part, weight


def _place(X: Any, sample_weight: Any) -> Place:
    """Where the parts of a collection lie, if they are results already and need no weights."""
    from dask._task_spec import Alias, GraphNode
    from distributed import Future

    if sample_weight is not None:
        return None
    nodes = [node for node in dict(X.__dask_graph__()).values() if not isinstance(node, Alias)]
    if all(isinstance(node, Future) for node in nodes):
        return "cluster"
    computed = any(isinstance(node, GraphNode | tuple) for node in nodes)
    return None if computed else "client"


def _matrix_of_table(
    X: Any, columns: Sequence[str] | None, dtype: str | None
) -> tuple[Array, tuple[FeatureColumn, ...]]:
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


def dtype_for(dtypes: Sequence[Any]) -> str:
    """float32 for rows that are no wider, float64 for all others: nothing is lost unasked."""
    narrow = all(str(dtype).lower() in ("float32", "float16") for dtype in dtypes)
    return "float32" if narrow else "float64"
