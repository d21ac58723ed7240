"""Rows from a stream of Arrow IPC, and tables back.

Bytes come from strangers: only plain batches of uncompressed numbers are taken, their sizes are
known before anything is allocated, and only the model's columns are looked at.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans.errors import FeaturesMismatch
from dkmeans.kernels.block import Array
from dkmeans.models.columns import FeatureColumn, fill_from_arrow
from dkmeans.models.model import Model
from dkmeans.service.limits import Limits, check_size
from dkmeans.service.refusals import Refusal, did_you_mean, shown, unfit

STREAM = "application/vnd.apache.arrow.stream"
"""The media type of a stream of Arrow IPC."""

# numbers of fields in Message and RecordBatch of Arrow's format
_HEADER_TYPE, _HEADER, _LENGTH, _COMPRESSION = 1, 2, 0, 3
_RECORD_BATCH = 3


class ArrowRows:
    """Reads rows for one model; see `JsonRows`."""

    def __init__(self, model: Model, limits: Limits, ignores_extra: bool = False) -> None:
        self._columns, self._n_features, self._dtype = model.columns, model.n_features, model.dtype
        self._limits, self._ignores_extra = limits, ignores_extra
        keys = model.provenance.get("keys") or []
        self._known = {*(column.name for column in model.columns or ()), *map(str, keys)}

    def read(self, body: bytes) -> Array:
        """Return the rows of a stream, `(n_rows, n_features)` of the model's dtype, feature-major.

        NaN where they lack values. Values that the dtype does not hold are infinite.

        Raises
        ------
        Refusal
            If the body is no such stream, or its columns are not those of the model.
        """
        try:
            return self._read(body)
        except FeaturesMismatch as error:
            raise unfit("wrong_length", str(error)) from None
        except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
            raise Refusal(
                400, "invalid_arrow", f"the body is no whole stream of Arrow IPC: {_line(error)}."
            ) from None

    def _read(self, body: bytes) -> Array:
        schema, batches = self._batches(body)
        n_rows = sum(batch.num_rows for batch in batches)
        columns = self._wanted(schema)
        out = np.empty((n_rows, self._n_features), self._dtype, order="F")
        start = 0
        for batch in batches:
            rows = out[start : start + batch.num_rows]
            start += batch.num_rows
            for column in columns:
                # offsets of lists would be followed wherever they point
                batch.column(column.name).validate(full=column.width is not None)
            with np.errstate(over="ignore", invalid="ignore"):
                fill_from_arrow(rows, batch, columns)
        return out

    def _batches(self, body: bytes) -> tuple[pa.Schema, list[pa.RecordBatch]]:
        """The batches of a stream, which point into the body."""
        if body.startswith(b"ARROW1"):
            raise ValueError("it is a file of Arrow IPC; write it by pyarrow.ipc.new_stream")
        source = pa.BufferReader(pa.py_buffer(body))
        reader = pa.ipc.MessageReader.open_stream(source)
        try:
            first = reader.read_next_message()
        except StopIteration:
            raise ValueError("it is empty") from None
        if first.type != "schema":
            raise ValueError(f"it begins with a {first.type}, not with its schema")
        schema = pa.ipc.read_schema(first)
        if len(schema) > self._limits.columns:
            raise unfit("too_many_columns", f"the table has {len(schema)} columns; at most "
                        f"{self._limits.columns} are read.")  # fmt: skip
        batches, n_rows = [], 0
        for message in reader:
            if message.type != "record batch":
                raise unfit("encoded_column", "the table has dictionary-encoded columns; send "
                            "plain numbers.")  # fmt: skip
            length, is_compressed = _told_of(message.metadata)
            if is_compressed:
                raise unfit("compressed", "the batches are compressed; write the stream without "
                            "compression.")  # fmt: skip
            n_rows += length
            if length < 0:
                raise ValueError("a batch has less than no rows")
            # numbers of less than a byte are truth values alone
            limits = self._limits
            check_size(n_rows, self._n_features, limits.rows, limits.body_bytes)
            batches.append(pa.ipc.read_record_batch(message, schema))
        return schema, batches

    def _wanted(self, schema: pa.Schema) -> Sequence[FeatureColumn]:
        """The columns to read, checked."""
        names = schema.names
        if len(set(names)) < len(names):
            raise unfit("repeated_column", "the table has several columns of one name.")
        if self._columns is None:
            return self._unnamed(schema)
        for column in self._columns:
            if column.name not in names:
                raise unfit(
                    "missing_column",
                    f"the table lacks column {column.name!r}, which the model was fitted on"
                    f"{did_you_mean(column.name, set(names) - self._known)}.",
                    column=column.name,
                )
            _check_type(column, schema.field(column.name).type)
        unknown = set(names) - self._known
        if unknown and not self._ignores_extra:
            name = min(unknown)
            raise unfit(
                "unknown_column",
                f"the table has a column {shown(name)} that the model does not know; leave it "
                "out, or call with ?extra=ignore.",
                column=name[:200],
            )
        return self._columns

    def _unnamed(self, schema: pa.Schema) -> Sequence[FeatureColumn]:
        """All columns in their order, for a model that knows no names."""
        columns = []
        for field in schema:
            is_list = pa.types.is_fixed_size_list(field.type)
            columns.append(FeatureColumn(field.name, field.type.list_size if is_list else None))
            _check_type(columns[-1], field.type)
        n_features = sum(len(column.features) for column in columns)
        if n_features != self._n_features:
            raise unfit("wrong_length", f"the table has {n_features} columns of numbers; the model "
                        f"has {self._n_features} features.")  # fmt: skip
        return columns


def _told_of(metadata: Any) -> tuple[int, bool]:
    """How many rows a batch says that it has, and whether its buffers are compressed.

    Both stand in its metadata, a flatbuffer whose structure Arrow has verified by now.
    """
    data = memoryview(metadata)
    message = struct.unpack_from("<I", data)[0]
    if data[_position(data, message, _HEADER_TYPE)] != _RECORD_BATCH:
        raise ValueError("a message is no batch")
    at = _position(data, message, _HEADER)
    batch = at + struct.unpack_from("<I", data, at)[0]
    length = _position(data, batch, _LENGTH)
    n_rows = struct.unpack_from("<q", data, length)[0] if length else 0
    return n_rows, bool(_position(data, batch, _COMPRESSION))


def _position(data: memoryview, table: int, field: int) -> int:
    """Where a field of a table of a flatbuffer is; 0 if it is not there."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    n_bytes = struct.unpack_from("<H", data, fields)[0]
    entry = 4 + 2 * field
    offset = struct.unpack_from("<H", data, fields + entry)[0] if entry < n_bytes else 0
    return table + offset if offset else 0


def _check_type(column: FeatureColumn, kind: pa.DataType) -> None:
    types = pa.types
    value, expected = kind, "numbers"
    if column.width is not None:
        expected = f"lists of {column.width} numbers"
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        value = kind.value_type if is_list else pa.null()
    if not (
        types.is_integer(value)
        or types.is_floating(value)
        or types.is_boolean(value)
        or types.is_decimal(value)
    ):
        raise unfit("not_a_number", f"column {column.name!r} is of type {shown(str(kind))}; it "
                    f"should hold {expected}.", column=column.name)  # fmt: skip


def to_stream(columns: Mapping[str, Array], kept: Array | None, told: Mapping[str, str]) -> Any:
    """Return a buffer of Arrow IPC: a table of numbers.

    Parameters
    ----------
    columns
        By name, each `(n_kept,)`.
    kept
        `(n_rows,)` bool: which rows they are of; the others are null. None for all.
    told
        What the schema says of all.
    """
    arrays = {name: _array(values, kept) for name, values in columns.items()}
    schema = pa.schema(
        [pa.field(name, array.type) for name, array in arrays.items()], dict(told) or None
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(arrays.values()), schema=schema))
    return sink.getvalue()


def _array(values: Array, kept: Array | None) -> pa.Array:
    # pa.array of NumPy would import pandas
    bits = None
    if kept is not None:
        spread = np.zeros(len(kept), values.dtype)
        spread[kept] = values
        values, bits = spread, pa.py_buffer(np.packbits(kept, bitorder="little"))
    kind = {"int32": pa.int32(), "int64": pa.int64(), "float32": pa.float32(),
            "float64": pa.float64()}[values.dtype.name]  # fmt: skip
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [bits, data])


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:200]
