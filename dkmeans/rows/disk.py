"""Arrays on the local disk of a process, read by mmap: the part of the block store below memory.

Files live no longer than the process that wrote them. On a Dask worker they lie in its local
directory, which Dask removes with the worker, or at the next start of one if it was killed.
Elsewhere they lie in the temporary folder beside a locked file: a folder whose lock is free belongs
to a dead process, and the next process to store something removes it.
"""

import atexit
import fcntl
import itertools
import mmap
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import dask.config
import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.rows.read_ahead import map_file, read_ahead

_ALIGNED_BYTES = 64
_RESERVE_BYTES = 256 * 2**20
_RESERVE_SHARE = 0.05
"""Space that is left to others: this share of the disk, at most `_RESERVE_BYTES`."""

_PREFIX = "dkmeans-blocks-"


@dataclass(frozen=True)
class StoredArrays:
    """Some arrays in one file."""

    path: Path
    n_bytes: int
    places: tuple[tuple[str, tuple[int, ...], int] | None, ...]
    """Dtype, shape and offset of each; None for what was None."""

    def open(self) -> list[Array | None]:
        """Map the arrays, read-only and feature-major.

        Raises
        ------
        OSError
            If the file is gone.
        """
        mapped: mmap.mmap | bytes = b""
        if self.n_bytes:
            mapped = map_file(self.path)
        return [
            None
            if place is None
            else np.ndarray(place[1], place[0], buffer=mapped, offset=place[2], order="F")
            if np.prod(place[1])
            else np.empty(place[1], place[0], order="F")
            for place in self.places
        ]

    def soon(self) -> None:
        """Have the system read the file ahead, if it is not in memory."""
        read_ahead(self.path, self.n_bytes)

    def remove(self) -> None:
        """Delete the file. What is mapped stays readable."""
        self.path.unlink(missing_ok=True)


class DiskFolder:
    """A folder of stored arrays."""

    def __init__(self, path: Path, lock: IO[bytes] | None = None) -> None:
        self.path = path
        self._numbers = itertools.count()
        self._lock = lock
        """Locked as long as it is open, which is as long as we are."""

    def has_room(self, n_bytes: int) -> bool:
        """Whether `n_bytes` more would leave others their reserve."""
        try:
            return free_bytes(self.path) >= n_bytes
        except OSError:
            return False

    def write(self, arrays: Sequence[Array | None]) -> StoredArrays | None:
        """Store arrays in one new file; None, and no file, if the disk does not take it."""
        path = self.path / f"{next(self._numbers)}"
        places: list[tuple[str, tuple[int, ...], int] | None] = []
        offset = 0
        try:
            with path.open("xb", buffering=0) as file:
                for array in arrays:
                    if array is None:
                        places.append(None)
                        continue
                    offset += -offset % _ALIGNED_BYTES
                    file.seek(offset)
                    places.append((array.dtype.str, array.shape, offset))
                    _write_all(file, np.asfortranarray(array).ravel(order="K"))
                    offset += array.nbytes
        except OSError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        return StoredArrays(path, offset, tuple(places))

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        atexit.unregister(self.remove)


def _write_all(file: IO[bytes], flat: Array) -> None:
    rest = flat.view(np.uint8).data
    while rest:
        rest = rest[file.write(rest) :]


def free_bytes(path: Path | str) -> int:
    """Bytes that the disk of `path` has for us, a reserve for others left out."""
    usage = shutil.disk_usage(path)
    return max(0, usage.free - int(min(_RESERVE_BYTES, _RESERVE_SHARE * usage.total)))


def folder_in_worker(local_directory: str) -> DiskFolder:
    """Make a folder that lives and dies with a Dask worker."""
    path = Path(local_directory, f"{_PREFIX}{os.getpid()}")
    # rows are nobody else's business, and Dask's own folders are open to all users of a machine
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return DiskFolder(path)


def temporary_root() -> Path:
    """Where folders of processes that are no workers go: Dask's temporary directory, or any."""
    return Path(dask.config.get("temporary-directory", None) or tempfile.gettempdir())


def folder_of_process() -> DiskFolder:
    """Make a folder that lives and dies with this process; remove those of dead ones."""
    root = temporary_root()
    root.mkdir(parents=True, exist_ok=True)
    remove_leftovers(root)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    # locked before it has the name that others look for
    lock = (path / "lock.new").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    (path / "lock.new").rename(path / "lock")
    folder = DiskFolder(path, lock)
    atexit.register(folder.remove)
    return folder


def remove_leftovers(root: Path) -> list[Path]:
    """Delete the folders of processes that are dead; return them."""
    removed = []
    for path in root.glob(f"{_PREFIX}*"):
        # a folder without a lock is one that is being made, or removed
        with suppress(OSError), (path / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed
