"""Files read before they are asked for, by threads that wait for the disk.

What is read this way, or written, the system keeps in large pages where it can: mapping a block of
32 MiB then takes a tenth of a millisecond, and three where pages are small, as they are after
`posix_fadvise`.
"""

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

_PIECE_BYTES = 4 * 2**20
_N_READERS = 2
"""So that the disk has something to do while one of them asks for more."""

MAPPED_BYTES = _N_READERS * _PIECE_BYTES
"""What reading ahead takes at most: pieces that are mapped."""

_readers = ThreadPoolExecutor(_N_READERS, "dkmeans-read-ahead")


def map_file(path: Path) -> mmap.mmap:
    """Map a file that is not empty, read-only."""
    with path.open("rb") as file:
        return _map(file.fileno(), 0, 0)


def read_ahead(path: Path, n_bytes: int) -> None:
    """Have a file of so many bytes read, unless the last of them is in memory already."""
    # a file may be gone, and an interpreter that ends takes no more work
    with suppress(OSError, RuntimeError):
        if n_bytes and not _is_cached(path, n_bytes):
            _readers.submit(_read, path, n_bytes)


def _is_cached(path: Path, n_bytes: int) -> bool:
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], n_bytes - 1, os.RWF_NOWAIT) == 1
        except OSError:
            # reading would wait for the disk, or the file system cannot say
            return False


def _read(path: Path, n_bytes: int) -> None:
    with suppress(OSError), path.open("rb") as file:
        for first in range(0, n_bytes, _PIECE_BYTES):
            piece = _map(file.fileno(), min(_PIECE_BYTES, n_bytes - first), first)
            # one byte of each page; Python runs other threads meanwhile
            np.frombuffer(piece, np.uint8)[:: mmap.PAGESIZE].max()


def _map(descriptor: int, n_bytes: int, first: int) -> mmap.mmap:
    mapped = mmap.mmap(descriptor, n_bytes, access=mmap.ACCESS_READ, offset=first)
    # not populated at once: Python would stop all other threads for as long as that takes
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return mapped
