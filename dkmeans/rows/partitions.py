"""Partitions: sets of files that come and go together, such as a day, found by listing alone."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError, TooFewRows
from dkmeans.rows.filters import Filter, columns_of, parse_filters, without_partition
from dkmeans.rows.planning import partition_types, partition_values
from dkmeans.storage.filesystem import redact, remember
from dkmeans.storage.listing import StoredFile, list_parquet


@dataclass(frozen=True)
class Partition:
    """Some files, pinned as they were when they were listed."""

    name: str
    """What tells it from the others: "dt=2026-11-20", or the path of its file."""

    files: tuple[StoredFile, ...]
    """At least one, sorted by path."""

    filters: Filter = ()
    """What its rows must pass; the partition as a whole has passed the filters already."""

    @property
    def urls(self) -> list[str]:
        """Where its files lie."""
        return [file.url for file in self.files]

    @property
    def n_bytes(self) -> int:
        """Bytes of its files, as stored."""
        return sum(file.size for file in self.files)

    @property
    def asked(self) -> list[list[tuple[str, str, Any]]]:
        """`filters` as `read_parquet` takes them."""
        return [[(one.column, one.op, one.value) for one in group] for group in self.filters]

    @property
    def fingerprint(self) -> str:
        """Names its files as they were, and which of their rows count."""
        parts = [(redact(file.url), file.size, file.version) for file in self.files]
        return hashlib.sha256(repr((parts, self.filters)).encode()).hexdigest()[:32]


def list_partitions(
    url: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    filters: Any = None,
    storage_options: Mapping[str, Any] | None = None,
) -> list[Partition]:
    """List what lies at a URL as partitions. No file is opened.

    Parameters
    ----------
    url
        A file, a folder, a glob, or a list of these, as for `read_parquet`.
    by
        The partition columns whose values tell partitions apart, or one of them; "file" for each
        file apart. None for all partition columns, and "file" where there are none.
    filters
        As for `read_parquet`. What they say of partition columns chooses partitions; what they say
        of rows is a part of each. So a filter that moves from day to day should be on a partition
        column: one on rows would make every partition another one each day.
    storage_options
        For fsspec.

    Returns
    -------
    list of Partition
        Sorted by the values of their columns, else by path.

    Raises
    ------
    MissingInput
        If nothing lies there.
    ArgumentError
        If files do not have a partition column that is named.
    TooFewRows
        If no partition passes the filters.
    """
    if isinstance(url, os.PathLike):
        url = os.fspath(url)
    files = list_parquet(url, remember(storage_options))
    types = partition_types(files)
    values = [partition_values(file, types) for file in files]
    parsed = parse_filters(filters)
    names = _names(by, files, sorted(columns_of(parsed) & set(types)))
    root = _common_folder([redact(file.url) for file in files])
    found: dict[tuple[Any, ...], tuple[str, Filter, list[StoredFile]]] = {}
    for file, value in zip(files, values, strict=True):
        left = without_partition(parsed, value)
        if left is None:
            continue
        key: tuple[Any, ...] = (file.url,)
        name = redact(file.url).removeprefix(root)
        if names is not None:
            pairs = dict(file.partition)
            name = "/".join(f"{column}={pairs[column]}" for column in names)
            key = tuple((value[column] is None, value[column] or 0) for column in names)
        _, asked, own = found.setdefault(key, (name, left, []))
        if asked != left:
            raise ArgumentError(
                f"filters={filters!r} ask other things of some rows of partition {name} than of "
                "others; name in by= all partition columns that they look at."
            )
        own.append(file)
    if not found:
        raise TooFewRows("no partition passes the filters on partition columns.")
    return [
        Partition(name, tuple(sorted(own, key=lambda file: file.url)), left)
        for _, (name, left, own) in sorted(found.items(), key=lambda item: item[0])
    ]


def _names(
    by: str | Sequence[str] | None, files: Sequence[StoredFile], asked: Sequence[str]
) -> list[str] | None:
    """Return the columns that tell partitions apart; None for each file apart."""
    have = [{name for name, _ in file.partition} for file in files]
    if by is None:
        named = list(dict.fromkeys(name for file in files for name, _ in file.partition))
        if not named:
            return None
    elif by == "file":
        named = []
    else:
        named = [by] if isinstance(by, str) else list(by)
        if not named:
            raise ArgumentError("by=[] names no partition column; name some, or pass by='file'.")
    for name in [*named, *asked]:
        lacking = [file for file, own in zip(files, have, strict=True) if name not in own]
        if lacking:
            raise ArgumentError(
                f"{len(lacking)} of {len(files)} files, such as {redact(lacking[0].url)}, lie in "
                f"no folder {name}=...; pass by='file', or another column."
            )
    return named or None


def _common_folder(urls: Sequence[str]) -> str:
    """Return what all URLs begin with, up to a slash."""
    # that of the least and the greatest is that of all
    first, last = min(urls), max(urls)
    same = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))
    return first[: first.rfind("/", 0, same) + 1]
