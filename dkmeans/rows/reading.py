"""Open what a user passes as X: Parquet at a URL, a Dask collection, or data in memory."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dkmeans.errors import ArgumentError
from dkmeans.models.columns import feature_names
from dkmeans.rows.engine import engine_for
from dkmeans.rows.layout import rows_per_block
from dkmeans.rows.leaves import parquet_leaves
from dkmeans.rows.parquet_plan import plan_parquet
from dkmeans.rows.rows import Counters, Rows, check_options
from dkmeans.rows.staging import StageName, keeps_blocks, row_bytes
from dkmeans.storage.filesystem import remember

if TYPE_CHECKING:
    from distributed import Client


def read_parquet(
    url: str | Sequence[str],
    columns: Sequence[str] | None = None,
    filters: Any = None,
    weight: str | None = None,
    keys: Sequence[str] | None = None,
    dtype: str = "float32",
    block_bytes: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    *,
    block_rows: int | None = None,
    stage: StageName = "auto",
    client: "Client | None" = None,
) -> Rows:
    """Plan the reading of Parquet files; rows are read when a pass needs them.

    Parameters
    ----------
    url
        A file, a folder (hive partitions too), a glob, or a list of these, on a local disk, `s3://`
        or any other fsspec URL.
    columns
        The feature columns. None for all columns of numbers, booleans, and lists of numbers of one
        length, that are not key, weight or partition.
    filters
        Which rows to use: `(column, operator, value)`, a list of such (and), or a list of lists
        (or). Operators are ==, !=, <, <=, >, >=, in, not in.
    weight
        The column of sample weights.
    keys
        Columns that tell rows apart, for `write_clusters`; never features unless named in
        `columns`.
    dtype
        "float32" or "float64": what features are decoded to.
    block_bytes, block_rows
        Most bytes or rows of a decoded block. None for 32 MiB, or less where the data are small.
        The same blocks give the same bits; others give the same rows in another order of summation.
    storage_options
        For fsspec. They stay out of graphs, logs and models.
    stage
        "memory" keeps decoded blocks on the workers between passes, "none" reads them again, "auto"
        keeps them if they fit in half of the memory there is. The result does not depend on it.
    client
        Where passes run; None for the client in scope, else Dask's threads.

    Raises
    ------
    InputRefused
        If a file is missing or damaged or its columns do not fit; all such files are named, and no
        row has been read.
    """
    check_options(dtype, block_bytes, block_rows, stage)
    url = os.fspath(url) if isinstance(url, os.PathLike) else url
    engine = engine_for(client)
    options = remember(storage_options)
    plan = plan_parquet(
        url,
        columns=columns,
        filters=filters,
        weight=weight,
        keys=tuple(keys or ()),
        dtype=dtype,
        options=options,
    )
    engine.share_options(options)
    n_features = len(feature_names(plan.choice.features))
    bytes_of_row = row_bytes(n_features, dtype, weight is not None)
    n_rows = sum(group.n_rows for group in plan.row_groups)
    step = rows_per_block(n_rows, bytes_of_row, block_bytes, block_rows)
    return Rows(
        parquet_leaves(plan, step, keeps_blocks(stage, n_rows * bytes_of_row, engine)),
        engine,
        plan.choice.features,
        n_features,
        dtype,
        parquet=plan,
        counters=Counters(n_samples=None if plan.filters else n_rows),
    ).released_with_us()


def as_rows(
    X: Any,
    sample_weight: Any = None,
    *,
    columns: Sequence[str] | None = None,
    stage: StageName = "auto",
    dtype: str | None = None,
) -> Rows:
    """Turn whatever a user may pass as X into `Rows`: they themselves, a URL, Dask, or memory.

    `columns` are the feature columns of what has columns and is not `Rows` yet.
    """
    if isinstance(X, Rows):
        if sample_weight is not None:
            raise ArgumentError(
                "sample_weight goes into the Rows: pass weight= where they are made."
            )
        return X
    if _is_url(X):
        if sample_weight is not None:
            raise ArgumentError("name the weight column: read_parquet(url, weight=...).")
        return read_parquet(X, columns, stage=stage, dtype=dtype or "float32")
    if not (hasattr(X, "columns") or hasattr(X, "column_names")):
        columns = None
    if is_lazy(X):
        return Rows.from_dask(X, sample_weight, columns=columns, stage=stage, dtype=dtype)
    return Rows.from_array(X, sample_weight, columns=columns, stage=stage, dtype=dtype)


def is_out_of_memory(X: Any) -> bool:
    """Whether the rows of X are elsewhere than in this process: Dask, `Rows`, a URL or path."""
    return is_lazy(X) or isinstance(X, Rows) or _is_url(X)


def _is_url(X: Any) -> bool:
    several = isinstance(X, (list, tuple)) and len(X) > 0
    return isinstance(X[0] if several else X, (str, os.PathLike))


def is_lazy(X: Any) -> bool:
    """Whether X is a collection of Dask."""
    return hasattr(X, "__dask_graph__") and X.__dask_graph__() is not None
