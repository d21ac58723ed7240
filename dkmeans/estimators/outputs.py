"""Give users back what they gave: NumPy for NumPy, a pandas index kept, lazy for lazy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, named_by_text
from dkmeans.models.filling import Filling
from dkmeans.rows.inputs import dtype_for
from dkmeans.rows.reading import is_lazy, is_out_of_memory
from dkmeans.rows.with_features import rows_with

RowsFunction = Callable[[Any], Array]
"""From in-memory rows of any kind to `(n_rows,)` or `(n_rows, width)`."""


def by_rows(
    X: Any,
    of_memory: RowsFunction,
    of_block: Callable[[Block], Array],
    *,
    columns: Sequence[FeatureColumn] | None,
    n_features: int,
    dtype: str | None,
    input_dtype: str | None,
    names: Sequence[str] | None,
    name: str,
    filling: Filling | None = None,
) -> Any:
    """Apply a function of rows to whatever holds them.

    Parameters
    ----------
    X
        In-memory rows, a Dask collection, `Rows` or a URL.
    of_memory, of_block
        The function, of rows as a user has them, and of a block of `Rows`.
    columns, n_features
        The features that X should have, by name where they have names.
    dtype
        Of the result; None for that of the rows.
    input_dtype
        What rows are converted to; None for what they come in.
    names
        Names of the result's columns; None if it has one dimension.
    name
        Name of a one-dimensional result.

    Returns
    -------
    result
        NumPy for NumPy and Arrow; pandas, with the index, for pandas; a lazy Dask collection, with
        the index of a DataFrame, for Dask; a Dask Array for `Rows` and URLs.

    Raises
    ------
    FeaturesMismatch
        If X has other features.
    """
    if is_lazy(X) and hasattr(X, "to_dask_array"):
        from dask.delayed import delayed

        # of no rows: lacking columns are refused here, not on a worker
        meta = _of_frame(X._meta, of_memory, names, name)
        # one key of the graph: what the function holds, a model say, travels once a worker
        shared = delayed(of_memory, pure=False)
        return X.map_partitions(_of_frame, shared, names, name, meta=meta)
    if is_out_of_memory(X):
        rows = rows_with(X, columns, n_features, input_dtype, filling=filling)
        return rows.map(of_block, dtype=dtype, width=None if names is None else len(names))
    if hasattr(X, "iloc"):
        return _of_frame(X, of_memory, names, name)
    return of_memory(X)


def _of_frame(frame: Any, of_memory: RowsFunction, names: Sequence[str] | None, name: str) -> Any:
    return like_frame(of_memory(frame), frame, names, name)


def dtype_of(X: Any, columns: Sequence[FeatureColumn] | None) -> str:
    """Return what in-memory rows are computed in: "float32" if they are no wider, or "float64"."""
    names = None if columns is None else [column.name for column in columns]
    dtypes = [getattr(X, "dtype", "object")]
    if hasattr(X, "column_names"):
        kinds = [field.type for field in X.schema if names is None or field.name in names]
        dtypes = [np.dtype(getattr(k, "value_type", k).to_pandas_dtype()) for k in kinds]
    elif hasattr(X, "dtypes"):
        kinds = named_by_text(X).dtypes
        dtypes = list(kinds if names is None else kinds.filter(items=names))
    return dtype_for(dtypes)


def like_frame(result: Array, frame: Any, names: Sequence[str] | None, name: str) -> Any:
    """Return `(n_rows,)` as a Series, `(n_rows, width)` as a DataFrame, with a frame's index."""
    import pandas as pd

    if names is None:
        return pd.Series(result, index=frame.index, name=name)
    return pd.DataFrame(result, index=frame.index, columns=list(names))
