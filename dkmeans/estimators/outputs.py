"""Give users back what they gave: NumPy for NumPy, a pandas index kept, lazy for lazy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.rows.reading import as_rows, is_lazy, is_out_of_memory

RowsFunction = Callable[[Any], Array]
"""From in-memory rows of any kind to `(n_rows,)` or `(n_rows, width)`."""


def by_rows(
    X: Any,
    of_memory: RowsFunction,
    of_block: Callable[[Block], Array],
    *,
    dtype: str,
    input_dtype: str | None,
    names: Sequence[str] | None,
    name: str,
) -> Any:
    """Apply a function of rows to whatever holds them.

    Parameters
    ----------
    X
        In-memory rows, a Dask collection, `Rows` or a URL.
    of_memory, of_block
        The function, of rows as a user has them, and of a block of `Rows`.
    dtype
        Of the result.
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
    """
    if is_lazy(X) and hasattr(X, "to_dask_array"):
        import pandas as pd

        meta: Any = pd.Series(dtype=dtype, name=name)
        if names is not None:
            meta = pd.DataFrame(np.empty((0, len(names)), dtype), columns=list(names))
        return X.map_partitions(_of_frame, of_memory, names, name, meta=meta)
    if is_out_of_memory(X):
        rows = as_rows(X, stage="none", dtype=input_dtype)
        return rows.map(of_block, dtype=dtype, width=None if names is None else len(names))
    if hasattr(X, "iloc"):
        return _of_frame(X, of_memory, names, name)
    return of_memory(X)


def _of_frame(frame: Any, of_memory: RowsFunction, names: Sequence[str] | None, name: str) -> Any:
    import pandas as pd

    result = of_memory(frame)
    if names is None:
        return pd.Series(result, index=frame.index, name=name)
    return pd.DataFrame(result, index=frame.index, columns=list(names))
