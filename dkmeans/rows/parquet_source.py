"""Decode row groups straight into feature-major blocks: neither pandas nor strings on the way."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans.errors import BadValues, DkmeansError, FeaturesMismatch, SchemaMismatch, UnreadableFile
from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, feature_names, fill_from_arrow, numbers_from_arrow
from dkmeans.rows.filters import arrow_mask, passing
from dkmeans.rows.parquet_plan import ParquetPlan, RowGroup, partition_value
from dkmeans.storage.filesystem import one_line, redact
from dkmeans.storage.parquet_file import open_row_group

_BATCH_BYTES = 4 * 2**20
LARGEST = {"float32": 1e16, "float64": 1e150}
"""Greater magnitudes would overflow once squared and summed."""


@dataclass(frozen=True)
class GroupPiece:
    """Consecutive rows of one row group."""

    group: RowGroup
    start: int
    stop: int

    @property
    def source_rows(self) -> tuple[int, int]:
        """Source row numbers of the first row, and of the row after the last."""
        return self.group.first_row + self.start, self.group.first_row + self.stop


@dataclass(frozen=True)
class ParquetSource:
    """The blocks of one leaf."""

    blocks: tuple[tuple[int, tuple[GroupPiece, ...]], ...]
    """Each block's number and pieces."""

    features: tuple[FeatureColumn, ...]
    weight: str | None
    columns_read: tuple[str, ...]
    dtype: str
    options: str
    schema: pa.Schema

    @classmethod
    def of(
        cls, plan: ParquetPlan, blocks: Sequence[tuple[int, tuple[GroupPiece, ...]]]
    ) -> "ParquetSource":
        """The part of a plan that one leaf needs."""
        return cls(
            tuple(blocks),
            plan.choice.features,
            plan.weight,
            plan.columns_read,
            plan.dtype,
            plan.options,
            plan.schema,
        )

    @property
    def most_block_rows(self) -> int:
        """Stored rows of the largest block."""
        return max(
            (sum(piece.stop - piece.start for piece in pieces) for _, pieces in self.blocks),
            default=0,
        )

    def open(self, part: Any) -> "ParquetReader":
        """Return a reader of the blocks."""
        return ParquetReader(self)

    def stream(self, group: RowGroup) -> "RowGroupStream":
        """Open a row group for reading the columns that make a block."""
        row_bytes = 8 * sum(column.width or 1 for column in self.features)
        batch_rows = max(1024, min(65536, _BATCH_BYTES // row_bytes))
        return RowGroupStream(group, self.columns_read, self.options, self.schema, batch_rows)


class ParquetReader:
    """Reads blocks in ascending order, each row group once."""

    def __init__(self, source: ParquetSource) -> None:
        self._source = source
        self._pieces = dict(source.blocks)
        self._stream: RowGroupStream | None = None

    def read(self, number: int) -> tuple[Block, int]:
        """Return block `number` and the bytes read from the source for it.

        Raises
        ------
        BadValues
            If a value is null, NaN, infinite, or too large for its square.
        UnreadableFile
            If a page is damaged, or rows are missing.
        """
        source, pieces = self._source, self._pieces[number]
        names = feature_names(source.features)
        n_source_rows = sum(piece.stop - piece.start for piece in pieces)
        X = np.empty((n_source_rows, len(names)), source.dtype, order="F")
        weight = None if source.weight is None else np.empty(n_source_rows)
        filtered = any(piece.group.filters for piece in pieces)
        kept = np.ones(n_source_rows, bool) if filtered else None
        at = seen = n_bytes = 0
        for piece in pieces:
            for batch, opened_bytes in self._batches(piece):
                n_bytes += opened_bytes
                n = batch.num_rows
                if kept is not None and piece.group.filters:
                    kept[seen : seen + n] = passing(piece.group.filters, batch)
                    batch = batch.filter(arrow_mask(kept[seen : seen + n]))
                seen += n
                stop = at + batch.num_rows
                try:
                    fill_from_arrow(X[at:stop], batch, source.features)
                except FeaturesMismatch as error:
                    raise SchemaMismatch(f"{_place(piece)}: {error}") from None
                if weight is not None:
                    weight[at:stop] = numbers_from_arrow(batch.column(source.weight))
                at = stop
        if at < n_source_rows:
            X = np.array(X[:at], order="F")
            weight = None if weight is None else weight[:at].copy()
        self._check(X, weight, pieces, names)
        return Block(X, tuple(piece.source_rows for piece in pieces), weight, kept), n_bytes

    def close(self) -> None:
        """Let go of the row group that is open."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _batches(self, piece: GroupPiece) -> Iterator[tuple[pa.Table, int]]:
        """The rows of a piece, and the bytes that opening them read, once."""
        n_bytes = 0
        if self._stream is None or not self._stream.can_give(piece):
            self.close()
            self._stream = self._source.stream(piece.group)
            n_bytes = self._stream.n_bytes
        for batch in self._stream.rows(piece.start, piece.stop):
            yield batch, n_bytes
            n_bytes = 0

    def _check(
        self, X: Array, weight: Array | None, pieces: Sequence[GroupPiece], names: Sequence[str]
    ) -> None:
        if len(X) == 0:
            return
        largest = LARGEST[self._source.dtype]
        within = (X.min(axis=0) >= -largest) & (X.max(axis=0) <= largest)
        if not within.all():
            name = names[int(np.flatnonzero(~within)[0])]
            raise BadValues(self._diagnosis(name, pieces, largest))
        if weight is not None and not (weight.min() >= 0 and weight.max() < np.inf):
            raise BadValues(self._diagnosis(str(self._source.weight), pieces, None))

    def _diagnosis(self, feature: str, pieces: Sequence[GroupPiece], largest: float | None) -> str:
        """What is wrong with a column: read once more, for the whole of its row group."""
        columns = feature_names(self._source.features)
        for group in dict.fromkeys(piece.group for piece in pieces):
            stream = self._source.stream(group)
            counts = {
                "nulls": 0,
                "NaN": 0,
                "infinite values": 0,
                "negative values": 0,
                "huge values": 0,
            }
            for batch in stream.rows(0, group.n_rows):
                if group.filters:
                    batch = batch.filter(arrow_mask(passing(group.filters, batch)))
                if largest is None:
                    values = numbers_from_arrow(batch.column(feature)).astype(float)
                    nulls = batch.column(feature).null_count
                    counts["negative values"] += int((values < 0).sum())
                else:
                    matrix = np.empty((batch.num_rows, len(columns)))
                    fill_from_arrow(matrix, batch, self._source.features)
                    values = matrix[:, columns.index(feature)]
                    name = feature if feature in batch.column_names else feature.rpartition("[")[0]
                    nulls = batch.column(name).null_count
                    counts["huge values"] += int((np.abs(values) > largest).sum()) - int(
                        np.isinf(values).sum()
                    )
                counts["nulls"] += nulls
                counts["NaN"] += int(np.isnan(values).sum()) - nulls
                counts["infinite values"] += int(np.isinf(values).sum())
            stream.close()
            found = [f"{count} {what}" for what, count in counts.items() if count > 0]
            if found:
                what = "weight column" if largest is None else "column"
                remedy = (
                    "use dtype='float64', or scale the column first"
                    if counts["huge values"] > 0
                    else "filter these rows out, or leave the column out"
                )
                return (
                    f"{what} {feature!r} of {redact(group.file.url)} (row group {group.number}) "
                    f"has {' and '.join(found)}; {remedy}."
                )
        return f"column {feature!r} of {_place(pieces[0])} has values that cannot be used."


class RowGroupStream:
    """Some columns of one row group, in batches, forwards."""

    def __init__(
        self,
        group: RowGroup,
        columns: Sequence[str],
        options: str,
        schema: pa.Schema,
        batch_rows: int,
    ) -> None:
        self._group, self._columns, self._schema = group, columns, schema
        self._file, self.n_bytes = open_row_group(
            group.file, options, group.number, group.leaf_columns
        )
        self._batches = self._decode(batch_rows)
        self._rest: pa.Table | None = None
        self._at = 0

    def can_give(self, piece: GroupPiece) -> bool:
        """Whether the rows of `piece` are still ahead."""
        return piece.group == self._group and piece.start >= self._at

    def rows(self, start: int, stop: int) -> Iterator[pa.Table]:
        """Rows `start` to `stop - 1`.

        Raises
        ------
        UnreadableFile
            If a page is damaged, or rows are missing.
        """
        while self._at < stop:
            batch = self._rest if self._rest is not None else self._next()
            first, last = self._at, self._at + batch.num_rows
            if last > stop:
                batch, self._rest = batch.slice(0, stop - first), batch.slice(stop - first)
                last = stop
            else:
                self._rest = None
            self._at = last
            if last > start:
                yield batch.slice(max(0, start - first))

    def close(self) -> None:
        """Let go of the file and of what is decoded of it.

        The generator of batches refers back to us: without this, decoded row groups would live on
        until Python looks for cycles.
        """
        self._batches.close()
        self._rest = None
        self._file.close(force=True)

    def _next(self) -> pa.Table:
        where = f"{redact(self._group.file.url)} (row group {self._group.number})"
        try:
            batch = next(self._batches)
        except StopIteration:
            raise UnreadableFile(
                f"{where} has {self._at} rows where its footer says {self._group.n_rows}; "
                "write the file again."
            ) from None
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, DkmeansError):
                raise
            raise UnreadableFile(
                f"{where} is damaged: {one_line(error)}; write the file again or leave it out."
            ) from None
        return self._with_partitions(batch)

    def _decode(self, batch_rows: int) -> Generator[pa.RecordBatch, None, None]:
        folders = dict(self._group.file.partition)
        yield from self._file.iter_batches(
            batch_rows,
            row_groups=[self._group.number],
            columns=[name for name in self._columns if name not in folders],
            use_threads=False,
        )

    def _with_partitions(self, batch: pa.RecordBatch) -> pa.Table:
        table = pa.Table.from_batches([batch])
        for name in self._columns:
            value = partition_value(self._group.file, self._schema, name)
            if value is not None:
                table = table.append_column(name, pa.repeat(value, batch.num_rows))
        return table


def _place(piece: GroupPiece) -> str:
    return f"{redact(piece.group.file.url)} (row group {piece.group.number})"
