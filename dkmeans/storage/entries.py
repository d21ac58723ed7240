"""What lies in a folder, with sizes and times; times are those of the store's own clock."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

import fsspec

from dkmeans.errors import StoreUnreachable
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import NO_OPTIONS, join, redact
from dkmeans.storage.objects import remove
from dkmeans.storage.requests import request

_TIMES = ("LastModified", "mtime", "last_modified", "updated", "modified", "created")


@dataclass(frozen=True)
class Entry:
    """A file or folder, as its store lists it."""

    name: str
    """Its path below the folder that was listed, without a slash at either end."""

    size: int
    """Bytes; 0 for a folder."""

    modified: datetime.datetime | None
    """When it was last written, by the store's clock; None if the store does not say."""

    is_folder: bool = False


def entries_at(url: str, options: str = NO_OPTIONS) -> list[Entry]:
    """List the folder at `url`, sorted by name; nothing if there is none."""
    # another thread may put an older listing into the cache between its clearing and ours
    return _listed(
        url,
        options,
        lambda fs, path: (
            fs.ls(path, detail=True, refresh=True)
            if hasattr(fs, "_call_s3")
            else fs.ls(path, detail=True)
        ),
    )


def entries_below(url: str, options: str = NO_OPTIONS) -> list[Entry]:
    """List all files in and below the folder at `url`, sorted by name."""
    return _listed(url, options, lambda fs, path: list(fs.find(path, detail=True).values()))


def modified(url: str, options: str = NO_OPTIONS) -> datetime.datetime | None:
    """When the file at `url` was last written, by the store's clock; None if it does not say."""

    def look(fs: fsspec.AbstractFileSystem, path: str) -> Any:
        fs.invalidate_cache()
        return fs.info(path)

    return _time_of(request(url, options, look))


def store_time(folder: str, options: str = NO_OPTIONS) -> datetime.datetime:
    """Return the time by the store's clock: that of a file written there and removed again.

    Raises
    ------
    StoreUnreachable
        If the store does not say when files were written.
    """
    url = join(folder, f"clock-{uuid.uuid4().hex}")
    write_bytes(url, b"what time is it?\n", options)
    try:
        now = modified(url, options)
    finally:
        remove(url, options)
    if now is None:
        raise StoreUnreachable(
            f"the store of {redact(folder)} does not say when files were written; age cannot be "
            "told there."
        )
    return now


def _listed(url: str, options: str, listing: Any) -> list[Entry]:
    def look(fs: fsspec.AbstractFileSystem, path: str) -> list[Entry]:
        fs.invalidate_cache()
        try:
            infos = listing(fs, path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        root = f"{fs._strip_protocol(path).rstrip('/')}/"
        found = [
            Entry(
                info["name"].removeprefix(root).rstrip("/"),
                int(info.get("size") or 0) if info["type"] == "file" else 0,
                _time_of(info),
                info["type"] != "file",
            )
            for info in infos
            # what a path itself is listed as, if it is a file, or stands for an empty folder
            if info["name"].startswith(root) and info["name"] != root
        ]
        return sorted(found, key=lambda entry: entry.name)

    return request(url, options, look)


def _time_of(info: dict[str, Any]) -> datetime.datetime | None:
    value = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, (int, float)):
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    if not isinstance(value, datetime.datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
