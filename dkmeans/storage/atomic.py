"""Writes of which a reader sees all or nothing."""

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dkmeans.storage.filesystem import NO_OPTIONS, is_local, join, open_filesystem, store_errors
from dkmeans.storage.objects import names_at, remove
from dkmeans.storage.requests import request

_PART = re.compile(r"\..+\.[0-9a-f]{32}\.part")


def is_unfinished(name: str) -> bool:
    """Whether a file of that name is what a killed writer has left."""
    return _PART.fullmatch(name) is not None


def remove_unfinished(url: str, options: str = NO_OPTIONS) -> None:
    """Remove what killed writers have left in the folder at `url`."""
    for name in names_at(url, options):
        if is_unfinished(name):
            remove(join(url, name), options)


def write_bytes(url: str, data: bytes, options: str = NO_OPTIONS) -> None:
    """Write `data` to `url`, replacing what is there in one step."""
    with new_file(url, options) as path:
        path.write_bytes(data)


@contextmanager
def new_file(url: str, options: str = NO_OPTIONS) -> Iterator[Path]:
    """Give a local path to write to; on leaving, what was written appears at `url` in one step.

    Nothing appears if the body raises. On local disks the data are on the disk before they appear.
    Object stores show an uploaded object only when it is whole.
    """
    # what the caller does in between is not the store's, nor are its errors
    fs, path = open_filesystem(url, options)
    if is_local(fs):
        target = Path(path)
        with store_errors(url):
            target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            yield part
            with store_errors(url):
                sync(part)
                part.replace(target)
                sync(target.parent)
        finally:
            part.unlink(missing_ok=True)
    else:
        with tempfile.TemporaryDirectory(prefix="dkmeans-") as folder:
            part = Path(folder, "part")
            yield part
            # a write whose reply was lost is made again: the same bytes, to the same place
            request(url, options, lambda fs, path: fs.put_file(str(part), path))


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
