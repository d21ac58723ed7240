"""Open one Parquet file so that each byte that is needed is asked for once.

Local files are handed to Arrow as they are. From other stores the footer comes in one request for
the end of the file, and the column chunks of a row group in one round of concurrent requests, which
may be made ahead of time.
"""

import io
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from dkmeans.errors import UnreadableFile
from dkmeans.storage.errands import Errand
from dkmeans.storage.filesystem import is_local, one_line, open_filesystem, redact
from dkmeans.storage.listing import StoredFile
from dkmeans.storage.ranges import (
    Range,
    check_unchanged,
    count_requests,
    fetch,
    fetch_ahead,
)
from dkmeans.storage.requests import request

_MAGIC = b"PAR1"
_TAIL_BYTES = 64 * 1024
_GAP_BYTES = 64 * 1024
"""Column chunks that lie closer than this are fetched together."""

FOOTER_BYTES_KEPT = 2**20
"""As serialized; parsed, footers take several times as much. The last one is always kept."""

_footers: OrderedDict[tuple[str, int, str], pq.FileMetaData] = OrderedDict()
_lock = Lock()


def read_footer(file: StoredFile, options: str) -> pq.FileMetaData:
    """Read the footer of `file`, or take it from the last few that this process read.

    A footer that cannot be parsed is read once more, for it may be the transport that failed.

    Raises
    ------
    UnreadableFile
        If the file is not Parquet, or its end is missing.
    """
    key = (file.url, file.size, file.version)
    with _lock:
        if key in _footers:
            _footers.move_to_end(key)
            return _footers[key]
    try:
        footer = _parse(file, _tail(file, options))
    except UnreadableFile:
        footer = _parse(file, _tail(file, options))
    with _lock:
        _footers[key] = footer
        kept = sum(one.serialized_size for one in _footers.values())
        while kept > FOOTER_BYTES_KEPT and len(_footers) > 1:
            kept -= _footers.popitem(last=False)[1].serialized_size
    return footer


@dataclass(frozen=True)
class RowGroupBytes:
    """Some column chunks of one row group, in memory or, of a local file, where they lie."""

    file: StoredFile
    footer: pq.FileMetaData
    n_bytes: int
    n_requests: int
    ranges: tuple[Range, ...]
    parts: "Future[list[bytes]] | None"
    """The bytes of `ranges`, perhaps still on their way; None for a local file."""

    def open(self) -> pq.ParquetFile:
        """Open the file for reading these chunks; to be closed."""
        if self.parts is None:
            source: pa.NativeFile = request(self.file.url, "", lambda _, path: pa.OSFile(path))
        else:
            source = pa.PythonFile(_Fetched(self.file.size, self.ranges, self.parts.result()), "r")
        return pq.ParquetFile(source, metadata=self.footer, page_checksum_verification=True)


def fetch_row_group(
    file: StoredFile,
    options: str,
    row_group: int,
    columns: Sequence[int],
    ahead: Errand | None = None,
) -> RowGroupBytes:
    """Fetch some columns of one row group.

    Parameters
    ----------
    file, options
        The file, and the reference of the storage options.
    row_group
        Its number.
    columns
        Numbers of the leaf columns that will be read.
    ahead
        What to fetch them for in the background: returns at once, with the bytes on their way.
        None waits for them.

    Raises
    ------
    InputChanged
        If the file has changed since it was planned.
    """
    is_known = (file.url, file.size, file.version) in _footers
    footer = read_footer(file, options)
    n_requests = 0 if is_known else footer_requests(file, options, footer)
    chunks = [_chunk_range(footer, row_group, column) for column in columns]
    n_bytes = sum(stop - start for start, stop in chunks)
    fs, _ = open_filesystem(file.url, options)
    if is_local(fs):
        check_unchanged(file, options)
        return RowGroupBytes(file, footer, n_bytes, 0, (), None)
    ranges = tuple(joined(chunks))
    parts: Future[list[bytes]]
    if ahead is not None:
        parts = fetch_ahead(file, options, ranges, ahead)
    else:
        parts = Future()
        parts.set_result(fetch(file, options, ranges))
    return RowGroupBytes(file, footer, n_bytes, n_requests + count_requests(ranges), ranges, parts)


def requests_for(
    file: StoredFile,
    options: str,
    footer: pq.FileMetaData,
    row_group: int,
    columns: Sequence[int],
) -> int:
    """Return how many requests `fetch_row_group` makes for column chunks; 0 for a local file."""
    if not is_remote(file, options):
        return 0
    return count_requests(joined([_chunk_range(footer, row_group, one) for one in columns]))


def footer_requests(file: StoredFile, options: str, footer: pq.FileMetaData) -> int:
    """Return how many requests `read_footer` makes; 0 for a local file."""
    if not is_remote(file, options):
        return 0
    return 1 + (footer.serialized_size + 8 > _TAIL_BYTES)


def is_remote(file: StoredFile, options: str) -> bool:
    """Whether bytes of `file` take requests to a store."""
    return not is_local(open_filesystem(file.url, options)[0])


def joined(ranges: Sequence[Range]) -> list[Range]:
    """Join ranges that lie close together."""
    out: list[Range] = []
    for start, stop in sorted(ranges):
        if out and start - out[-1][1] <= _GAP_BYTES:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return out


def _tail(file: StoredFile, options: str) -> bytes:
    """The end of the file, from the footer on."""
    if file.size < 12:
        raise UnreadableFile(
            f"{redact(file.url)} has {file.size} bytes, too few for Parquet.", file.url
        )
    get = partial(_one_range, file, options)
    tail = get(max(0, file.size - _TAIL_BYTES), file.size)
    if tail[-4:] != _MAGIC:
        head = get(0, 4)
        what = "is truncated" if head == _MAGIC else "is not a Parquet file"
        raise UnreadableFile(
            f"{redact(file.url)} {what}; write it again or leave it out.", file.url
        )
    n_footer = int.from_bytes(tail[-8:-4], "little") + 8
    if n_footer + 4 > file.size:
        raise UnreadableFile(
            f"{redact(file.url)} is damaged: its footer is longer than the file.", file.url
        )
    if n_footer > len(tail):
        tail = get(file.size - n_footer, file.size)
    return tail


def _one_range(file: StoredFile, options: str, start: int, stop: int) -> bytes:
    return fetch(file, options, [(start, stop)])[0]


def _parse(file: StoredFile, tail: bytes) -> pq.FileMetaData:
    try:
        footer = pq.read_metadata(pa.BufferReader(tail))
        footer.schema.to_arrow_schema()
        return footer
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            f"{redact(file.url)} has a damaged footer: {one_line(error)}; "
            "write it again or leave it out.",
            file.url,
        ) from None


def _chunk_range(footer: pq.FileMetaData, row_group: int, column: int) -> Range:
    chunk = footer.row_group(row_group).column(column)
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


class _Fetched(io.RawIOBase):
    """A file of which some ranges are in memory, and nothing else is asked for."""

    def __init__(self, size: int, ranges: Sequence[Range], parts: Sequence[bytes]) -> None:
        self._size, self._at = size, 0
        self._parts = [
            (start, memoryview(part)) for (start, _), part in zip(ranges, parts, strict=True)
        ]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        start, self._at = self._at, stop
        for first, part in self._parts:
            if first <= start and stop <= first + len(part):
                return bytes(part[start - first : stop - first])
        raise OSError(f"bytes {start} to {stop} do not belong to the columns of the row group")
