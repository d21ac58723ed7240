"""Which files lie at a URL: a file, a folder, a glob, or a list of these."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import fsspec
from fsspec.utils import glob_translate

from dkmeans.errors import InputRefused, MissingInput
from dkmeans.storage.filesystem import (
    NO_OPTIONS,
    absolute,
    as_url,
    open_filesystem,
    redact,
)
from dkmeans.storage.requests import request

_PARQUET_SUFFIXES = ("parquet", "parq", "pq")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class StoredFile:
    """One file, pinned as it was when it was listed."""

    url: str
    """Where it lies; an absolute path if it is local."""

    size: int
    """Bytes."""

    version: str
    """ETag, or time of the last change: another one means another file."""

    partition: tuple[tuple[str, str | None], ...] = ()
    """Hive partition columns of its folders, `key=value`, as text."""


def list_parquet(url: str | Sequence[str], options: str = NO_OPTIONS) -> list[StoredFile]:
    """List the Parquet files at `url`, sorted by path within each entry of a list.

    In folders and globs, hidden files (leading `_` or `.`) are passed over, and files of other
    suffixes where there are some with a Parquet suffix.

    Raises
    ------
    MissingInput
        If nothing lies there, or nothing that could be Parquet.
    InputRefused
        If a folder is a Delta or Iceberg table: its log says which rows count, the files do not.
    """
    urls = [url] if isinstance(url, str) else [str(one) for one in url]
    if not urls:
        raise MissingInput("the list of files is empty; name at least one.")
    found = [file for one in urls for file in _list_one(absolute(one), options)]
    return list({file.url: file for file in found}.values())


def _list_one(url: str, options: str) -> list[StoredFile]:
    def look(fs: fsspec.AbstractFileSystem, path: str) -> tuple[list[Any], str, bool]:
        fs.invalidate_cache()
        return _entries(fs, path, url)

    entries, root, alone = request(url, options, look)
    fs, _ = open_filesystem(url, options)
    if alone:
        return [_pin(fs, entries[0], "")]
    files = [info for info in entries if info["type"] == "file"]
    files = [info for info in files if not _hidden(info["name"], root)]
    named = [info for info in files if _suffix(info["name"]) in _PARQUET_SUFFIXES]
    able = named or [info for info in files if not _suffix(info["name"])]
    if not able:
        others = f"; it holds other files, such as {files[0]['name']}" if files else ""
        raise MissingInput(f"no Parquet files at {redact(url)}{others}.")
    return [_pin(fs, info, root) for info in sorted(able, key=lambda info: info["name"])]


def _entries(fs: fsspec.AbstractFileSystem, path: str, url: str) -> tuple[list[Any], str, bool]:
    """What lies at a path, the folder that all of it is in, and whether it is a single file."""
    if any(letter in path for letter in "*?[") and not fs.exists(path):
        entries = _glob(fs, path)
        for folder in [name for name, info in entries.items() if info["type"] == "directory"]:
            entries.update(_find(fs, folder, url))
        root = path[: min(path.index(letter) for letter in "*?[" if letter in path)]
        return list(entries.values()), root.rpartition("/")[0], False
    info = fs.info(path)
    if info["type"] == "file":
        return [info], "", True
    return list(_find(fs, path, url).values()), path, False


def _glob(fs: fsspec.AbstractFileSystem, path: str) -> dict[str, dict[str, Any]]:
    """What matches a pattern. `fs.glob` leaves folders out whose listing fails, without a word."""
    if "**" in path:
        root = path[: min(path.index(letter) for letter in "*?[" if letter in path)]
        found = fs.find(root.rpartition("/")[0], detail=True, withdirs=True)
        matches = re.compile(glob_translate(path)).match
        return {name: info for name, info in sorted(found.items()) if matches(name)}
    segments = path.split("/")
    first = next(i for i, one in enumerate(segments) if set(one) & set("*?["))
    level: dict[str, dict[str, Any]] = {"/".join(segments[:first]): {"type": "directory"}}
    for n in range(first + 1, len(segments) + 1):
        matches = re.compile(glob_translate("/".join(segments[:n]))).match
        level = {
            info["name"].rstrip("/"): info
            for folder, known in sorted(level.items())
            if known["type"] == "directory"
            for info in _listing(fs, folder)
            if matches(info["name"].rstrip("/"))
        }
    return level


def _listing(fs: fsspec.AbstractFileSystem, folder: str) -> list[dict[str, Any]]:
    try:
        listing: list[dict[str, Any]] = fs.ls(folder, detail=True)
    except FileNotFoundError:
        return []
    return listing


def _find(fs: fsspec.AbstractFileSystem, path: str, url: str) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = fs.find(path, detail=True)
    below = [name.removeprefix(path.rstrip("/") + "/") for name in entries]
    if any(name.startswith("_delta_log/") for name in below):
        kind, how = "a Delta", "deltalake.DeltaTable(...).file_uris()"
    elif any(name.startswith("metadata/") and name.endswith(".metadata.json") for name in below):
        kind, how = "an Iceberg", "pyiceberg's table.scan().plan_files()"
    else:
        return entries
    raise InputRefused(
        f"{redact(url)} is {kind} table, whose files may hold deleted rows; "
        f"pass the list of its current files instead, from {how}."
    )


def _hidden(name: str, root: str) -> bool:
    below = name.removeprefix(root).strip("/").split("/")
    return any(part[:1] in ("_", ".") and "=" not in part for part in below)


def _suffix(name: str) -> str:
    base = name.rpartition("/")[2]
    return base.rpartition(".")[2].lower() if "." in base else ""


def version_at(url: str, options: str = NO_OPTIONS) -> str:
    """Return what changes when the file at `url` does; one request.

    Raises
    ------
    MissingInput
        If nothing lies there.
    """

    def look(fs: fsspec.AbstractFileSystem, path: str) -> str:
        fs.invalidate_cache()
        info = fs.info(path)
        # a file that replaces another within one tick of a clock has another number, at least
        return f"{version_of(info)} {info.get('size')} {info.get('ino', '')}"

    return request(url, options, look)


def version_of(info: dict[str, Any]) -> str:
    """Return what changes when a file does, from what its store says of it."""
    names = ("ETag", "etag", "mtime", "created")
    version = next((info[name] for name in names if info.get(name)), "")
    if isinstance(version, datetime.datetime):
        # some stores give one time as a number in listings and as this for a single file
        version = version.timestamp()
    return str(version).strip('"')


def partition_of(path: str) -> tuple[tuple[str, str | None], ...]:
    """Return the Hive partition columns of a file, by the folders of its path."""
    pairs = [folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder]
    return tuple(
        (key, None if value == _NULL_PARTITION else unquote(value)) for key, _, value in pairs
    )


def _pin(fs: fsspec.AbstractFileSystem, info: dict[str, Any], root: str) -> StoredFile:
    return StoredFile(
        as_url(fs, info["name"]),
        int(info["size"]),
        version_of(info),
        partition_of(info["name"].removeprefix(root)),
    )
