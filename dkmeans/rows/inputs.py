"""From what a user holds, NumPy, pandas, Arrow or Dask, to parts and their source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dkmeans.errors import ArgumentError, SchemaMismatch, TooFewRows
from dkmeans.models.arrays import check_dense, check_kind, numbers, wrong_dimensions
from dkmeans.models.columns import FeatureColumn, feature_names, named_by_text
from dkmeans.rows.beside import with_beside
from dkmeans.rows.features import choose
from dkmeans.rows.labels import check_label_type, columns_of_labels, encoded, name_of_label
from dkmeans.rows.layout import rows_per_block
from dkmeans.rows.part_source import PartSource, weights_of
from dkmeans.rows.staging import LABEL_BYTES
from dkmeans.rows.tables import apart, matrix_of_table
from dkmeans.rows.values import MissingName

Place = Literal["client", "cluster"] | None


@dataclass(frozen=True, eq=False)
class Parts:
    """Data in parts, each a block."""

    parts: tuple[Any, ...]
    """A Delayed, or an array, its weights, and a tuple of its labels."""

    sources: tuple[PartSource, ...]

    lengths: tuple[int, ...] | None
    """Rows of each part; None where they are not known yet."""

    columns: tuple[FeatureColumn, ...] | None
    """The feature columns, if they have names."""

    dtype: str

    place: Place
    """Where the parts lie in memory already; None if they are yet to be computed."""

    label_names: tuple[str, ...] = ()
    """Names of the labels; empty ones for bare arrays."""

    weighted: bool = False
    """Whether the rows have sample weights."""

    def with_missing(self, missing: MissingName) -> "Parts":
        """Return the parts with what becomes of rows that lack a value."""
        return replace(
            self, sources=tuple(replace(source, missing=missing) for source in self.sources)
        )


def parts_of_array(
    X: Any,
    sample_weight: Any,
    labels: Sequence[Any],
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
    is_table = hasattr(X, "column_names") or hasattr(X, "columns")
    label_columns = columns_of_labels(labels, X if is_table else None)
    if is_table:
        X, labels = apart(X, labels, label_columns, columns)
        matrix, feature_columns = matrix_of_table(X, columns, dtype)
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
    of_rows = tuple(
        encoded(given, name_of_label(name, number, "X"), n_rows)
        for number, (given, name) in enumerate(zip(labels, label_columns, strict=True))
    )
    source = PartSource("X", n_features, dtype, names, labels=(None,) * len(of_rows))
    row_bytes = n_features * np.dtype(dtype).itemsize
    step = rows_per_block(n_rows, row_bytes, block_bytes, block_rows)
    cuts = range(0, n_rows, step)
    return Parts(
        tuple(
            (
                matrix[i : i + step],
                None if weight is None else weight[i : i + step],
                tuple(one[i : i + step] for one in of_rows),
            )
            for i in cuts
        ),
        tuple(source for _ in cuts),
        tuple(min(step, n_rows - i) for i in cuts),
        feature_columns,
        dtype,
        "client",
        tuple(name or "" for name in label_columns),
        weight is not None,
    )


def parts_of_dask(
    X: Any,
    sample_weight: Any,
    labels: Sequence[Any],
    columns: Sequence[str] | None,
    weight: str | None,
    dtype: str | None,
) -> Parts:
    """Cut a Dask Array or DataFrame into its partitions, once.

    Raises
    ------
    InputRefused
        If there is nothing in it that can be clustered.
    """
    if hasattr(X, "to_dask_array"):
        return _parts_of_frame(X, sample_weight, labels, columns, weight, dtype)
    if columns is not None or weight is not None:
        raise ArgumentError("columns= and weight= need a DataFrame; X is an array.")
    label_columns = columns_of_labels(labels, None)
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
    delayed_parts = with_beside(delayed_parts, lengths, sample_weight, labels)
    sources = tuple(
        PartSource(f"chunk {i} of X", int(n_features), dtype, labels=label_columns)
        for i in range(len(delayed_parts))
    )
    return Parts(
        tuple(delayed_parts),
        sources,
        lengths,
        None,
        dtype,
        _place(X, sample_weight, labels),
        ("",) * len(label_columns),
        sample_weight is not None,
    )


def parts_of_labels(labels: Sequence[Any], sample_weight: Any, block_rows: int | None) -> Parts:
    """Cut labels without features into parts: those of Dask where they are cut.

    Raises
    ------
    InputRefused
        If a row has no label, or they differ in length.
    """
    if not labels:
        raise ArgumentError("of_labels() got no labels; pass at least one array.")
    none: tuple[None, ...] = (None,) * len(columns_of_labels(labels, None))
    names = ("",) * len(none)
    lazy = [one for one in labels if hasattr(one, "to_delayed")]
    if lazy:
        chunks = lazy[0].chunks[0] if hasattr(lazy[0], "chunks") else (float("nan"),)
        lengths = None if any(n != n for n in chunks) else tuple(map(int, chunks))
        n_parts = len(chunks) if hasattr(lazy[0], "chunks") else lazy[0].npartitions
        parts = with_beside([None] * n_parts, lengths, sample_weight, labels)
        sources = tuple(
            PartSource(f"partition {i}", 0, "float32", labels=none) for i in range(n_parts)
        )
        weighted = sample_weight is not None
        return Parts(tuple(parts), sources, lengths, None, "float32", None, names, weighted)
    whole = [encoded(labels[0], "labels[0]", None)]
    n_rows = len(whole[0].codes)
    whole += [encoded(one, f"labels[{i}]", n_rows) for i, one in enumerate(labels[1:], start=1)]
    if n_rows == 0:
        raise TooFewRows("the labels have 0 rows while a minimum of 1 is required.")
    weight = None if sample_weight is None else weights_of(sample_weight, n_rows, "the labels")
    step = rows_per_block(n_rows, LABEL_BYTES * len(labels), None, block_rows)
    cuts = [slice(i, i + step) for i in range(0, n_rows, step)]
    return Parts(
        tuple(
            (None, None if weight is None else weight[cut], tuple(one[cut] for one in whole))
            for cut in cuts
        ),
        (PartSource("the labels", 0, "float32", labels=none),) * len(cuts),
        tuple(min(step, n_rows - cut.start) for cut in cuts),
        None,
        "float32",
        "client",
        names,
        weight is not None,
    )


def _parts_of_frame(
    X: Any,
    sample_weight: Any,
    labels: Sequence[Any],
    columns: Sequence[str] | None,
    weight: str | None,
    dtype: str | None,
) -> Parts:
    schema = pa.Schema.from_pandas(named_by_text(X._meta_nonempty), preserve_index=False)
    label_columns = columns_of_labels(labels, X)
    roles = [(weight, "weight")] if weight else []
    roles += [(name, "label") for name in label_columns if name is not None]
    choice = choose(schema, columns, roles, "X")
    for name in label_columns:
        if name is not None:
            check_label_type(name, schema.field(name).type, "X")
    if any(column.width is not None for column in choice.features):
        raise SchemaMismatch(
            "X has list columns; pass the Parquet files, or a Dask Array, instead."
        )
    if weight is not None and weight not in schema.names:
        raise SchemaMismatch(f"weight column {weight!r} is not in X.")
    dtypes = named_by_text(X._meta).dtypes
    dtype = dtype or dtype_for([dtypes[column.name] for column in choice.features])
    delayed_parts: list[Any] = X.to_delayed(optimize_graph=True)
    beside = [one for one, name in zip(labels, label_columns, strict=True) if name is None]
    delayed_parts = with_beside(delayed_parts, None, sample_weight, beside)
    names = feature_names(choice.features)
    sources = tuple(
        PartSource(
            f"partition {i} of X",
            len(names),
            dtype,
            names,
            choice.features,
            weight,
            labels=label_columns,
        )
        for i in range(len(delayed_parts))
    )
    return Parts(
        tuple(delayed_parts),
        sources,
        None,
        choice.features,
        dtype,
        _place(X, sample_weight, beside),
        tuple(name or "" for name in label_columns),
        sample_weight is not None or weight is not None,
    )


def _place(X: Any, sample_weight: Any, labels: Sequence[Any]) -> Place:
    """Where the parts of a collection lie, if they are results already and nothing is beside."""
    from dask._task_spec import Alias, GraphNode
    from distributed import Future

    if sample_weight is not None or len(labels):
        return None
    nodes = [node for node in dict(X.__dask_graph__()).values() if not isinstance(node, Alias)]
    if all(isinstance(node, Future) for node in nodes):
        return "cluster"
    computed = any(isinstance(node, GraphNode | tuple) for node in nodes)
    return None if computed else "client"


def dtype_for(dtypes: Sequence[Any]) -> str:
    """float32 for rows that are no wider, float64 for all others: nothing is lost unasked."""
    narrow = all(str(dtype).lower() in ("float32", "float16") for dtype in dtypes)
    return "float32" if narrow else "float64"
