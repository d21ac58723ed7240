"""Which columns are the features, and how a table's columns become a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import FeaturesMismatch
from dkmeans.kernels.block import Array
from dkmeans.models.arrays import numbers, wrong_dimensions, wrong_width

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FeatureColumn:
    """A column of a table that gives one feature, or several if it holds lists."""

    name: str
    """Name of the column."""

    width: int | None = None
    """Length of its lists; None for a column of numbers."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the column gives."""
        if self.width is None:
            return (self.name,)
        return tuple(f"{self.name}[{i}]" for i in range(self.width))


def feature_names(columns: Sequence[FeatureColumn]) -> tuple[str, ...]:
    """Names of the features of some columns, in order."""
    return tuple(feature for column in columns for feature in column.features)


def fill_from_arrow(
    out: Array, table: "pa.Table | pa.RecordBatch", columns: Sequence[FeatureColumn]
) -> None:
    """Copy the feature columns of an Arrow table into `out`, `(n_rows, n_features)`, nulls as NaN.

    Raises
    ------
    FeaturesMismatch
        If a list has another length than its column's width.
    """
    first = 0
    for column in columns:
        array = table.column(column.name)
        if column.width is None:
            out[:, first] = numbers_from_arrow(array)
            first += 1
        else:
            out[:, first : first + column.width] = _lists(array, column)
            first += column.width


def numbers_from_arrow(array: "pa.Array | pa.ChunkedArray") -> Array:
    """Copy an Arrow column of numbers, booleans or decimals to NumPy, nulls as NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_decimal(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.float64() if pa.types.is_decimal(array.type) else pa.uint8())
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        raise FeaturesMismatch(f"a column of type {array.type} does not hold numbers.")
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else array.combine_chunks()
    if array.null_count:
        # pa.scalar and to_numpy would import pandas, which workers have no use for
        nan = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(np.array([np.nan]))])[0]
        array = pc.fill_null(array.cast(pa.float64(), safe=False), nan)
    return np.from_dlpack(array)


def _lists(array: "pa.Array | pa.ChunkedArray", column: FeatureColumn) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = (
                pa.concat_arrays(array.chunks) if array.num_chunks else array.type.wrap_array([])
            )
    width = column.width or 0
    if not pa.types.is_fixed_size_list(array.type) or array.type.list_size != width:
        lengths = pc.list_value_length(array)
        wrong = pc.sum(pc.not_equal(lengths, width)).as_py() or 0
        if wrong:
            raise FeaturesMismatch(
                f"column {column.name!r} has {wrong} lists of another length than {width}; "
                "an embedding column needs lists of one length."
            )
    if array.null_count:
        out = np.full((len(array), width), np.nan)
        present = array.is_valid().to_numpy(zero_copy_only=False)
        out[present] = numbers_from_arrow(array.drop_null().flatten()).reshape(-1, width)
        return out
    return numbers_from_arrow(array.flatten()).reshape(len(array), width)


def matrix(
    X: Any,
    columns: Sequence[FeatureColumn] | None,
    n_features: int,
    dtype: str,
    may_lack: bool = False,
) -> Array:
    """Turn rows of any in-memory kind into a finite matrix, matching columns by name.

    Parameters
    ----------
    X
        `(n_rows, n_features)`: NumPy array, nested lists, pandas DataFrame, or Arrow table.
    columns
        The feature columns that a model was fitted on; None if it was fitted on an array.
    n_features
        The number of features.
    dtype
        "float32" or "float64".
    may_lack
        Whether nulls and NaN may stay, as NaN.

    Raises
    ------
    FeaturesMismatch
        If a column is missing, the number of features differs, or a value is not finite.
    UnsupportedType
        If X is sparse, complex, or no numbers.
    """
    names = list(getattr(X, "column_names", [])) or list(map(str, getattr(X, "columns", [])))
    if columns is not None and names:
        missing = [column.name for column in columns if column.name not in names]
        if missing:
            raise FeaturesMismatch(
                f"the rows lack column {missing[0]!r}{_and_more(missing)}, which the model was "
                f"fitted on; they have {', '.join(map(repr, names[:8]))}."
            )
        if hasattr(X, "column_names"):
            out = np.empty((X.num_rows, n_features), dtype, order="F")
            fill_from_arrow(out, X, columns)
        else:
            out = np.empty((len(X), n_features), dtype, order="F")
            try:
                fill_from_frame(out, X, columns)
            except (ValueError, TypeError) as error:
                if isinstance(error, FeaturesMismatch):
                    raise
                raise FeaturesMismatch(f"the rows are not numbers: {error}") from None
    else:
        if hasattr(X, "column_names"):
            X = np.column_stack([numbers_from_arrow(X.column(name)) for name in names])
        out = numbers(X).astype(dtype, copy=False)
        if out.ndim != 2:
            raise FeaturesMismatch(wrong_dimensions(out.ndim))
        if out.shape[1] != n_features:
            raise FeaturesMismatch(wrong_width(out.shape[1], n_features))
    bad = int((np.isinf(out) if may_lack else ~np.isfinite(out)).sum())
    if bad:
        what = "infinite" if may_lack else "null, NaN or infinite"
        raise FeaturesMismatch(f"X has {bad} values that are {what}; remove them.")
    return out


def fill_from_frame(out: Array, frame: Any, columns: Sequence[FeatureColumn]) -> None:
    """Copy the feature columns of a pandas DataFrame into `out`, `(n_rows, n_features)`."""
    first = 0
    frame = named_by_text(frame)
    for column in columns:
        values = frame[column.name]
        if column.width is None:
            out[:, first] = values.to_numpy(dtype=out.dtype, na_value=np.nan)
            first += 1
        else:
            for i, row in enumerate(values):
                if row is None or len(row) != column.width:
                    raise FeaturesMismatch(
                        f"column {column.name!r} has a row that is not a list of {column.width}."
                    )
                out[i, first : first + column.width] = row
            first += column.width


def named_by_text(frame: Any) -> Any:
    """Return a pandas DataFrame whose columns are named by text: column 0 is column "0"."""
    if all(isinstance(name, str) for name in frame.columns):
        return frame
    named = frame.copy(deep=False)
    named.columns = [str(name) for name in frame.columns]
    return named


def _and_more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
