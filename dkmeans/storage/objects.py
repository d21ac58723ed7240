"""Small files on any store: read, look for, list and remove them."""

from contextlib import suppress
from typing import Any

import fsspec

from dkmeans.errors import InputRefused
from dkmeans.storage.filesystem import NO_OPTIONS, redact
from dkmeans.storage.requests import request
from dkmeans.storage.verdicts import is_empty


def read_bytes(url: str, options: str = NO_OPTIONS) -> bytes:
    """Read a whole small file."""
    return request(url, options, lambda fs, path: bytes(fs.cat_file(path)))


def read_at_most(url: str, most: int, options: str = NO_OPTIONS) -> bytes:
    """Read a whole file of at most so many bytes, in one request.

    Raises
    ------
    MissingInput
        If nothing lies there.
    InputRefused
        If it is larger.
    """

    def read(fs: fsspec.AbstractFileSystem, path: str) -> bytes:
        try:
            return bytes(fs.cat_file(path, start=0, end=most + 1))
        except NotADirectoryError:
            raise FileNotFoundError(path) from None
        except OSError as error:
            # no range of an empty object can be satisfied
            if not is_empty(error):
                raise
            return b""

    data = request(url, options, read)
    if len(data) > most:
        raise InputRefused(f"{redact(url)} has more than {most} bytes; too large for what it is.")
    return data


def exists(url: str, options: str = NO_OPTIONS) -> bool:
    """Whether a file or folder lies at `url`, as the store knows now."""

    def look(fs: fsspec.AbstractFileSystem, path: str) -> bool:
        return _info(fs, path) is not None

    return request(url, options, look)


def size_of(url: str, options: str = NO_OPTIONS) -> int:
    """Bytes of the file at `url`."""
    return request(url, options, lambda fs, path: int(fs.info(path)["size"]))


def names_at(url: str, options: str = NO_OPTIONS) -> list[str]:
    """Names of what lies in the folder at `url`; of the file itself, whole, if it is one."""

    def look(fs: fsspec.AbstractFileSystem, path: str) -> list[str]:
        info = _info(fs, path)
        if info is None:
            return []
        if info["type"] == "file":
            return [path]
        names = [name.rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)]
        return [name for name in names if name]

    return request(url, options, look)


def remove(url: str, options: str = NO_OPTIONS) -> None:
    """Remove the file or folder at `url`, with all that is in it; it may be gone already."""

    def act(fs: fsspec.AbstractFileSystem, path: str) -> None:
        fs.invalidate_cache()
        with suppress(FileNotFoundError):
            fs.rm(path, recursive=True)

    request(url, options, act)


def _info(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, Any] | None:
    """What the store says of a path now; None if nothing is there.

    Not `fs.exists`, to which, on many stores, an error means no.
    """
    fs.invalidate_cache()
    try:
        info: dict[str, Any] = fs.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return info
