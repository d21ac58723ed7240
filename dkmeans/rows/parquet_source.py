"""Decode row groups straight into feature-major blocks: neither pandas nor strings on the way."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dkmeans.errors import BadValues, FeaturesMismatch, SchemaMismatch, UnreadableFile
from dkmeans.kernels.block import Block
from dkmeans.models.columns import FeatureColumn, feature_names, fill_from_arrow, numbers_from_arrow
from dkmeans.rows.diagnosis import diagnosis, lacking_diagnosis
from dkmeans.rows.filters import arrow_mask, passing
from dkmeans.rows.labels import LabelCodes, LackingLabels
from dkmeans.rows.leaf import ReadCost
from dkmeans.rows.parquet_plan import ParquetPlan, RowGroup
from dkmeans.rows.row_group_stream import RowGroupStream, place_of
from dkmeans.rows.values import LARGEST, MissingName, within_bounds, without_missing
from dkmeans.storage.errands import Errand
from dkmeans.storage.filesystem import redact
from dkmeans.storage.parquet_file import RowGroupBytes, fetch_row_group, is_remote

BATCH_BYTES = 4 * 2**20
_LABEL_BYTES = 32
"""What a label, a text perhaps, takes in a batch."""

READ_AHEAD_BYTES = 64 * 2**20
"""Larger row groups, as stored, are not fetched before they are needed."""


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
    missing: MissingName
    labels: tuple[str, ...] = ()
    """Columns that come along as labels."""

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
            plan.policy.missing,
            plan.labels,
        )

    @property
    def most_block_rows(self) -> int:
        """Stored rows of the largest block."""
        return max((self.block_rows(number) for number, _ in self.blocks), default=0)

    @property
    def n_rows(self) -> int:
        """Stored rows of all blocks."""
        return sum(piece.stop - piece.start for _, pieces in self.blocks for piece in pieces)

    @property
    def first_bytes(self) -> int:
        """Stored bytes that reading the first block fetches."""
        return sum(group.n_bytes for group in {piece.group for piece in self.blocks[0][1]})

    @property
    def first_blocks(self) -> tuple[int, ...]:
        """The blocks of the row groups that the first block is of."""
        groups = {piece.group for piece in self.blocks[0][1]}
        return tuple(n for n, pieces in self.blocks if pieces[0].group in groups)

    def block_rows(self, number: int) -> int:
        """Return the stored rows of block `number`."""
        return sum(piece.stop - piece.start for piece in dict(self.blocks)[number])

    def describe(self, number: int) -> str:
        """Say what block `number` is: its rows, their places and sizes."""
        pieces = dict(self.blocks)[number]
        n_rows = self.block_rows(number)
        decoded = n_rows * len(feature_names(self.features)) * np.dtype(self.dtype).itemsize
        groups = dict.fromkeys(piece.group for piece in pieces)
        stored = ", ".join(
            f"row group {group.number} of {redact(group.file.url)} ({group.n_rows:,} rows, "
            f"{group.n_bytes / 1e6:,.1f} MB stored)"
            for group in list(groups)[:3]
        )
        return f"a block of {n_rows:,} rows and {decoded / 1e6:,.1f} MB, from {stored},"

    def open(self, part: Any, wanted: Sequence[int]) -> "ParquetReader":
        """Return a reader of the blocks `wanted`."""
        return ParquetReader(self, wanted)

    def stream(self, group: RowGroup, fetched: RowGroupBytes | None = None) -> "RowGroupStream":
        """Open a row group for reading the columns that make a block."""
        row_bytes = 8 * sum(column.width or 1 for column in self.features)
        row_bytes += _LABEL_BYTES * len(self.labels)
        batch_rows = max(1024, min(65536, BATCH_BYTES // row_bytes))
        fetched = self.fetch(group) if fetched is None else fetched
        return RowGroupStream(group, self.columns_read, self.schema, batch_rows, fetched)

    def fetch(self, group: RowGroup, ahead: Errand | None = None) -> RowGroupBytes:
        """Fetch what a block needs of a row group; for an errand, in the background."""
        return fetch_row_group(group.file, self.options, group.number, group.leaf_columns, ahead)


class ParquetReader:
    """Reads blocks in ascending order, each row group once, the next one ahead of time."""

    def __init__(self, source: ParquetSource, wanted: Sequence[int]) -> None:
        self._source = source
        self._pieces = dict(source.blocks)
        self._stream: RowGroupStream | None = None
        groups = dict.fromkeys(piece.group for i in wanted for piece in self._pieces[i])
        self._next_of = dict(itertools.pairwise(groups))
        self._ahead: tuple[RowGroup, RowGroupBytes] | None = None
        self._on_its_way = Errand()

    def read(self, number: int) -> tuple[Block, ReadCost]:
        """Return block `number`, and what it took from the source.

        What looks damaged is fetched and decoded once more before a file is blamed: it may be the
        transport that failed.

        Raises
        ------
        BadValues
            If a value is null, NaN, infinite, or too large for its square.
        UnreadableFile
            If a page is damaged, or rows are missing.
        """
        try:
            read = self._read(number)
        except UnreadableFile:
            self.close()
            read = self._read(number)
        # now that nobody refers to the last batch: Arrow would keep what it has decoded for its
        # next use, while the block is computed
        pa.default_memory_pool().release_unused()
        return read

    def _read(self, number: int) -> tuple[Block, ReadCost]:
        source, pieces = self._source, self._pieces[number]
        names = feature_names(source.features)
        n_source_rows = sum(piece.stop - piece.start for piece in pieces)
        X = np.empty((n_source_rows, len(names)), source.dtype, order="F")
        weight = None if source.weight is None else np.empty(n_source_rows)
        filtered = any(piece.group.filters for piece in pieces)
        kept = np.ones(n_source_rows, bool) if filtered else None
        labels = LabelCodes(source.labels, n_source_rows)
        at = seen = n_bytes = n_requests = 0
        for piece in pieces:
            opened = self._open(piece)
            n_bytes, n_requests = n_bytes + opened.n_bytes, n_requests + opened.n_requests
            assert self._stream is not None
            for batch in self._stream.rows(piece.start, piece.stop):
                n = batch.num_rows
                if kept is not None and piece.group.filters:
                    kept[seen : seen + n] = passing(piece.group.filters, batch)
                    batch = batch.filter(arrow_mask(kept[seen : seen + n]))
                seen += n
                stop = at + batch.num_rows
                try:
                    fill_from_arrow(X[at:stop], batch, source.features)
                except FeaturesMismatch as error:
                    raise SchemaMismatch(f"{place_of(piece.group)}: {error}") from None
                if weight is not None:
                    weight[at:stop] = numbers_from_arrow(batch.column(source.weight))
                try:
                    labels.add(batch)
                except LackingLabels as error:
                    raise BadValues(lacking_diagnosis(source, piece.group, error.name)) from None
                except BadValues as error:
                    raise BadValues(f"{place_of(piece.group)}: {error}") from None
                at = stop
        if self._stream is not None and self._stream.is_over:
            # it would take memory while the block is computed
            self._close_stream()
        if at < n_source_rows:
            X = np.array(X[:at], order="F")
            weight = None if weight is None else weight[:at].copy()
        ranges = tuple(piece.source_rows for piece in pieces)
        block = Block(X, ranges, weight, kept, labels=labels.labels())
        del X, weight, kept
        if source.missing == "drop":
            block = without_missing(block)
        self._check(block, pieces, names)
        return block, ReadCost(n_bytes, n_requests)

    def close(self) -> None:
        """Let go of the row group that is open, and of the one on its way."""
        self._on_its_way.end()
        self._ahead = None
        self._close_stream()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self, piece: GroupPiece) -> ReadCost:
        """Have the rows of a piece ahead in the stream; return what that took."""
        if self._stream is not None and self._stream.can_give(piece.group, piece.start):
            return ReadCost()
        ahead, self._ahead = self._ahead, None
        self._close_stream()
        fetched = ahead[1] if ahead is not None and ahead[0] == piece.group else None
        if fetched is None:
            self._on_its_way.end()
            fetched = self._source.fetch(piece.group)
        self._stream = self._source.stream(piece.group, fetched)
        self._fetch_ahead(self._next_of.get(piece.group))
        return ReadCost(fetched.n_bytes, fetched.n_requests)

    def _fetch_ahead(self, group: RowGroup | None) -> None:
        if (
            group is not None
            and group.n_bytes <= READ_AHEAD_BYTES
            and is_remote(group.file, self._source.options)
        ):
            self._on_its_way = Errand()
            self._ahead = (group, self._source.fetch(group, ahead=self._on_its_way))

    def _check(self, block: Block, pieces: Sequence[GroupPiece], names: Sequence[str]) -> None:
        if block.n_rows == 0:
            return
        groups = tuple(dict.fromkeys(piece.group for piece in pieces))
        largest, weight = LARGEST[self._source.dtype], block.weight
        within = within_bounds(block.X, largest, self._source.missing)
        if not within.all():
            name = names[int(np.flatnonzero(~within)[0])]
            raise BadValues(diagnosis(self._source, name, groups, largest))
        if weight is not None and not (weight.min() >= 0 and weight.max() < np.inf):
            raise BadValues(diagnosis(self._source, str(self._source.weight), groups, None))
