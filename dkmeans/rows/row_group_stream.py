"""The rows of one row group in batches, checked against what its footer says."""

from collections.abc import Generator, Iterator, Sequence

import pyarrow as pa

from dkmeans.errors import DkmeansError, UnreadableFile
from dkmeans.rows.parquet_plan import RowGroup, partition_value
from dkmeans.storage.filesystem import one_line, redact
from dkmeans.storage.parquet_file import RowGroupBytes


class RowGroupStream:
    """Some columns of one row group, in batches, forwards.

    At its end, the rows and nulls that came must be those that the footer tells of.
    """

    def __init__(
        self,
        group: RowGroup,
        columns: Sequence[str],
        schema: pa.Schema,
        batch_rows: int,
        fetched: RowGroupBytes,
    ) -> None:
        self._group, self._columns, self._schema = group, columns, schema
        self._file = fetched.open()
        self._batches = self._decode(batch_rows)
        self._rest: pa.Table | None = None
        self._at = 0
        self._nulls_told = _nulls_told(fetched, group)
        self._nulls_seen = dict.fromkeys(self._nulls_told, 0)

    @property
    def is_over(self) -> bool:
        """Whether all rows have been given."""
        return self._at == self._group.n_rows

    def can_give(self, group: RowGroup, start: int) -> bool:
        """Whether row `start` of `group` is still ahead."""
        return group == self._group and start >= self._at

    def rows(self, start: int, stop: int) -> Iterator[pa.Table]:
        """Rows `start` to `stop - 1`.

        Raises
        ------
        UnreadableFile
            If a page is damaged, or rows or nulls are not those of the footer.
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
            if last == self._group.n_rows:
                self._check_end()
            if last > start:
                yield batch.slice(max(0, start - first))

    def close(self) -> None:
        """Let go of the file and of what is decoded of it; nothing can be read afterwards.

        The generator of batches refers back to us: without this, decoded row groups would live on
        until Python looks for cycles. Arrow frees them with the file, not when it is closed, and
        would keep the memory while the block is computed.
        """
        self._batches.close()
        self._file.close(force=True)
        self._rest = None
        del self._batches, self._file

    def _next(self) -> pa.Table:
        try:
            batch = next(self._batches)
        except StopIteration:
            raise self._damage(
                f"has {self._at} rows where its footer says {self._group.n_rows}"
            ) from None
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, DkmeansError):
                raise
            raise self._damage(f"is damaged: {one_line(error)}") from None
        for name in self._nulls_seen:
            self._nulls_seen[name] += batch.column(name).null_count
        return self._with_partitions(batch)

    def _check_end(self) -> None:
        if self._rest is not None or next(self._batches, None) is not None:
            raise self._damage(f"has more rows than the {self._group.n_rows} that its footer says")
        for name, told in self._nulls_told.items():
            if self._nulls_seen[name] != told:
                raise self._damage(
                    f"has {self._nulls_seen[name]} nulls in column {name!r} where its footer "
                    f"says {told}"
                )

    def _damage(self, what: str) -> UnreadableFile:
        return UnreadableFile(
            f"{place_of(self._group)} {what}; write the file again or leave it out.",
            self._group.file.url,
        )

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


def _nulls_told(fetched: RowGroupBytes, group: RowGroup) -> dict[str, int]:
    """What the footer says of the nulls of the plain columns that are read."""
    chunks = fetched.footer.row_group(group.number)
    told = {}
    for number in group.leaf_columns:
        chunk = chunks.column(number)
        statistics = chunk.statistics if chunk.is_stats_set else None
        if statistics is not None and statistics.has_null_count and "." not in chunk.path_in_schema:
            told[chunk.path_in_schema] = statistics.null_count
    return told


def place_of(group: RowGroup) -> str:
    """Name a row group for errors."""
    return f"{redact(group.file.url)} (row group {group.number})"
