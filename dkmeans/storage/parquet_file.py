"""Open one Parquet file so that each byte that is needed is asked for once.

Local files are handed to Arrow as they are. From other stores the footer comes in one request for
the end of the file, and the column chunks of a row group in one round of concurrent requests.
"""

import io
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from dkmeans.errors import UnreadableFile
from dkmeans.storage.filesystem import is_local, one_line, open_filesystem, redact, store_errors
from dkmeans.storage.listing import StoredFile, version_of

_MAGIC = b"PAR1"
_TAIL_BYTES = 64 * 1024
_GAP_BYTES = 64 * 1024
"""Column chunks that lie closer than this are fetched together."""

_FOOTERS_KEPT = 64
_footers: OrderedDict[tuple[str, int, str], pq.FileMetaData] = OrderedDict()
_lock = Lock()


def read_footer(file: StoredFile, options: str) -> pq.FileMetaData:
    """Read the footer of `file`, or take it from the last few that this process read.

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
    fs, path = open_filesystem(file.url, options)
    with store_errors(file.url):
        footer = _parse(file, _tail(fs, path, file))
    with _lock:
        _footers[key] = footer
        while len(_footers) > _FOOTERS_KEPT:
            _footers.popitem(last=False)
    return footer


def open_row_group(
    file: StoredFile, options: str, row_group: int, columns: Sequence[int]
) -> tuple[pq.ParquetFile, int]:
    """Open `file` for reading some columns of one row group.

    Parameters
    ----------
    file, options
        The file, and the reference of the storage options.
    row_group
        Its number.
    columns
        Numbers of the leaf columns that will be read.

    Returns
    -------
    parquet, n_bytes
        The opened file, to be closed, and the bytes of the column chunks.
    """
    footer = read_footer(file, options)
    ranges = [_chunk_range(footer, row_group, column) for column in columns]
    n_bytes = sum(stop - start for start, stop in ranges)
    fs, path = open_filesystem(file.url, options)
    with store_errors(file.url):
        _check_unchanged(fs, path, file)
        if is_local(fs):
            source = pa.OSFile(path)
        else:
            source = pa.PythonFile(_FetchedRanges(fs, path, file.size, _joined(ranges)), mode="r")
        return pq.ParquetFile(source, metadata=footer, page_checksum_verification=True), n_bytes


def _tail(fs: fsspec.AbstractFileSystem, path: str, file: StoredFile) -> bytes:
    """The end of the file, from the footer on."""
    if file.size < 12:
        raise UnreadableFile(f"{redact(file.url)} has {file.size} bytes, too few for Parquet.")
    tail: bytes = fs.cat_file(path, start=max(0, file.size - _TAIL_BYTES), end=file.size)
    if tail[-4:] != _MAGIC:
        head = fs.cat_file(path, start=0, end=4)
        what = "is truncated" if head == _MAGIC else "is not a Parquet file"
        raise UnreadableFile(f"{redact(file.url)} {what}; write it again or leave it out.")
    n_footer = int.from_bytes(tail[-8:-4], "little") + 8
    if n_footer + 4 > file.size:
        raise UnreadableFile(f"{redact(file.url)} is damaged: its footer is longer than the file.")
    if n_footer > len(tail):
        tail = fs.cat_file(path, start=file.size - n_footer, end=file.size)
    return tail


def _parse(file: StoredFile, tail: bytes) -> pq.FileMetaData:
    try:
        return pq.read_metadata(pa.BufferReader(tail))
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(
            f"{redact(file.url)} has a damaged footer: {one_line(error)}; "
            "write it again or leave it out."
        ) from None


def _check_unchanged(fs: fsspec.AbstractFileSystem, path: str, file: StoredFile) -> None:
    fs.invalidate_cache(fs._parent(path))
    info = fs.info(path)
    if (int(info["size"]), version_of(info)) != (file.size, file.version):
        raise UnreadableFile(
            f"{redact(file.url)} has changed since it was planned ({file.size} bytes then, "
            f"{info['size']} now); run again on data that do not change."
        )


def _chunk_range(footer: pq.FileMetaData, row_group: int, column: int) -> tuple[int, int]:
    chunk = footer.row_group(row_group).column(column)
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if joined and start - joined[-1][1] <= _GAP_BYTES:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


class _FetchedRanges(io.RawIOBase):
    """A file of which some ranges are in memory; anything else is fetched when asked for."""

    def __init__(
        self, fs: fsspec.AbstractFileSystem, path: str, size: int, ranges: list[tuple[int, int]]
    ) -> None:
        self._fs, self._path, self._size, self._at = fs, path, size, 0
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        parts = fs.cat_ranges([path] * len(ranges), starts, stops, on_error="raise")
        self._parts = [(start, memoryview(part)) for start, part in zip(starts, parts, strict=True)]

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
        return bytes(self._fs.cat_file(self._path, start=start, end=stop))
