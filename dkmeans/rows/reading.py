"""Open what a user passes as X: Parquet at a URL, a Dask collection, or data in memory."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dkmeans.errors import ArgumentError
from dkmeans.models.columns import feature_names
from dkmeans.rows.engine import engine_for
from dkmeans.rows.known import Known
from dkmeans.rows.labels import check_label_names
from dkmeans.rows.layout import Cutting
from dkmeans.rows.leaves import parquet_leaves
from dkmeans.rows.parquet_plan import BadData, OnBadFile
from dkmeans.rows.partitions import Partition
from dkmeans.rows.planning import plan_parquet
from dkmeans.rows.rows import Rows, check_options
from dkmeans.rows.staging import StageName, decide
from dkmeans.rows.values import MissingName
from dkmeans.storage.filesystem import remember
from dkmeans.storage.listing import StoredFile

if TYPE_CHECKING:
    from distributed import Client


def read_parquet(
    url: str | Sequence[str] | Partition,
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
    missing: MissingName = "raise",
    on_bad_file: OnBadFile = "raise",
    max_bad_files: int | None = None,
    labels: Sequence[str] = (),
    client: "Client | None" = None,
) -> Rows:
    """Plan the reading of Parquet files; rows are read when a pass needs them.

    Parameters
    ----------
    url
        A file, a folder (hive partitions too), a glob, or a list of these, on a local disk, `s3://`
        or any other fsspec URL. Or a partition from `list_partitions`, which is not listed again.
    columns
        The feature columns. None for all columns of numbers, booleans, and lists of numbers of one
        length, that are not key, weight or partition.
    filters
        Which rows to use: `(column, operator, value)`, a list of such (and), or a list of lists
        (or). Operators are ==, !=, <, <=, >, >=, in, not in. A partition has its own.
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
        Where decoded blocks stay between passes: "memory" or "disk" of the workers, or "none", to
        read them again. "auto" is memory if they fit in half of what is free, else disk if they fit
        there, else none. The result does not depend on it.
    missing
        What becomes of rows in which a feature is null or NaN: "raise" refuses them, "drop" leaves
        them out, "mean" fills in the mean of the column, which one more pass finds.
    on_bad_file
        "raise" refuses damaged files and files without the columns; "skip" leaves such a file out,
        all of it, also when the damage is found in the middle of a job, which then begins again.
    max_bad_files
        Most files to leave out; None for any number.
    labels
        Columns that come along with the rows as labels: text, integers, floats or booleans,
        partition columns too; never features unless named in `columns`. A row without one is
        refused, whatever `missing` is.
    client
        Where passes run; None for the client in scope, else Dask's threads.

    Raises
    ------
    InputRefused
        If a file is missing or damaged or its columns do not fit; all such files are named, and no
        row has been read.
    """
    check_options(dtype, block_bytes, block_rows, stage, missing)
    if on_bad_file not in ("raise", "skip"):
        raise ArgumentError(f"on_bad_file={on_bad_file!r} should be 'raise' or 'skip'.")
    url = os.fspath(url) if isinstance(url, os.PathLike) else url
    pinned: Sequence[StoredFile] = ()
    if isinstance(url, Partition):
        if filters:
            raise ArgumentError("a partition has its filters: pass them to list_partitions.")
        filters, pinned, url = url.asked, url.files, url.urls
    engine = engine_for(client)
    options = remember(storage_options)
    labels = check_label_names(labels)
    plan = plan_parquet(
        url,
        columns=columns,
        filters=filters,
        weight=weight,
        keys=tuple(keys or ()),
        labels=labels,
        dtype=dtype,
        options=options,
        policy=BadData(missing, on_bad_file, max_bad_files),
        pinned=pinned,
    )
    engine.share_options(options)
    n_features = len(feature_names(plan.choice.features))
    n_rows = sum(group.n_rows for group in plan.row_groups)
    staging = decide(stage, n_rows * plan.row_bytes, n_rows, engine)
    staging.tell()
    cutting = Cutting(block_bytes, block_rows)
    known = Known(parquet_leaves(plan, cutting, staging.stage), plan, cutting)
    if not plan.filters and missing != "drop":
        known.n_samples = n_rows
    return Rows(
        known,
        engine,
        plan.choice.features,
        n_features,
        dtype,
        staging,
        missing,
        label_names=labels,
        weighted=weight is not None,
    ).released_with_us()


def as_rows(
    X: Any,
    sample_weight: Any = None,
    *,
    labels: Sequence[Any] = (),
    columns: Sequence[str] | None = None,
    stage: StageName = "auto",
    dtype: str | None = None,
    missing: MissingName = "raise",
) -> Rows:
    """Turn whatever a user may pass as X into `Rows`: they themselves, a URL, Dask, or memory.

    `columns` are the feature columns of what has columns and is not `Rows` yet. `labels` are names
    of columns or, where X lies in memory or is Dask's, labels themselves; of `Rows` they are names,
    and must be those that these were opened with.
    """
    if isinstance(X, Rows):
        if sample_weight is not None:
            raise ArgumentError(
                "sample_weight goes into the Rows: pass weight= where they are made."
            )
        if len(labels) and check_label_names(labels) != X.label_names:
            raise ArgumentError(
                f"labels={labels!r} are not those of the Rows, {list(X.label_names)!r}: pass "
                "labels= where they are made."
            )
        return X
    if _is_url(X):
        if sample_weight is not None:
            raise ArgumentError("name the weight column: read_parquet(url, weight=...).")
        return read_parquet(
            X, columns, stage=stage, dtype=dtype or "float32", missing=missing, labels=labels
        )
    if not (hasattr(X, "columns") or hasattr(X, "column_names")):
        columns = None
    make = Rows.from_dask if is_lazy(X) else Rows.from_array
    return make(
        X, sample_weight, labels=labels, columns=columns, stage=stage, dtype=dtype, missing=missing
    )


def is_out_of_memory(X: Any) -> bool:
    """Whether the rows of X are elsewhere than in this process: Dask, `Rows`, a URL or path."""
    return is_lazy(X) or isinstance(X, Rows) or _is_url(X)


def _is_url(X: Any) -> bool:
    several = isinstance(X, (list, tuple)) and len(X) > 0
    return isinstance(X[0] if several else X, (str, os.PathLike))


def is_lazy(X: Any) -> bool:
    """Whether X is a collection of Dask."""
    return hasattr(X, "__dask_graph__") and X.__dask_graph__() is not None
