"""Forget the rows of a person: remove the coresets of all partitions that may hold them.

Coresets hold no keys. So the files that a partition was read from are looked at; and where these
are gone, or other ones by now, nobody can show that the coreset is free of the person, and it goes.
"""

import difflib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from dkmeans.algorithms.windows.store import CoresetStore, Entry
from dkmeans.errors import ArgumentError, InputChanged, InputRefused, MissingInput
from dkmeans.rows.key_search import Keys, Looked, look_for
from dkmeans.storage.filesystem import redact, remember
from dkmeans.storage.listing import StoredFile, partition_of

_AT_ONCE = 8
"""Partitions that are looked at together."""


@dataclass(frozen=True)
class Forgotten:
    """What was removed of a store, or would be."""

    n_rows: int
    """Stored rows."""

    held: tuple[str, ...]
    """Partitions whose files have the key."""

    unsure: tuple[tuple[str, str], ...]
    """Partitions that cannot be shown to be free of it, each with the reason."""

    n_partitions: int
    """Partitions of which rows were kept."""

    bytes_read: int
    """Of the columns of the keys, as stored; not footers."""

    source_bytes: int
    """Of all files of these partitions."""

    is_dry_run: bool
    """Whether all is still there."""

    @property
    def partitions(self) -> tuple[str, ...]:
        """Names of those whose rows are gone."""
        return tuple(sorted({*self.held, *(name for name, _ in self.unsure)}))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "rows": self.n_rows,
            "partitions": list(self.partitions),
            "held": list(self.held),
            "unsure": [{"partition": name, "reason": why} for name, why in self.unsure],
            "searched": self.n_partitions,
            "bytes_read": self.bytes_read,
            "source_bytes": self.source_bytes,
            "dry_run": self.is_dry_run,
        }


@dataclass(frozen=True)
class _Found:
    """What was found of one partition."""

    name: str
    looked: tuple[Looked, ...]
    unsure: str | None = None
    """Why it cannot be shown to be free of the key; None if it can."""


def forget_keys(
    store: CoresetStore,
    keys: Keys,
    *,
    dry_run: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Forgotten:
    """Remove the coresets of all partitions that hold any of some keys, or may.

    Of the files of a partition the columns of the keys are read, as far as their statistics leave
    it open that they have one. Rows that filters have dropped count, too. With them goes what
    killed writers have left in the store.

    Parameters
    ----------
    store
        The coresets.
    keys
        From `parse_keys`; a row that has one of them is enough.
    dry_run
        Only tell what would go.
    storage_options
        For the files of the partitions.

    Raises
    ------
    ArgumentError
        If no file has a column, or a value does not fit it. Nothing is removed then.
    StoreUnreachable
        If files cannot be looked at for want of their store. Nothing is removed then.
    """
    options = remember(storage_options)
    by_name: dict[str, list[Entry]] = {}
    for entry in store.entries:
        by_name.setdefault(entry.name, []).append(entry)
    search = partial(_search, keys=keys, options=options)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(search, by_name, by_name.values()))
    _check_columns(keys, [one for some in found for one in some.looked])
    held = tuple(one.name for one in found if any(looked.holds for looked in one.looked))
    unsure = tuple(
        (one.name, one.unsure) for one in found if one.unsure is not None and one.name not in held
    )
    gone = {*held, *(name for name, _ in unsure)}
    n_rows = sum(entry.coreset_rows for name in gone for entry in by_name[name])
    if not dry_run:
        if gone:
            store.forget(gone)
        store.tidy()
    sizes = {file for entries in by_name.values() for entry in entries for file in entry.files}
    return Forgotten(
        n_rows,
        held,
        unsure,
        len(by_name),
        sum(looked.n_bytes for one in found for looked in one.looked),
        sum(size for _, size, _ in sizes),
        dry_run,
    )


def _search(name: str, entries: Sequence[Entry], keys: Keys, options: str) -> _Found:
    """Look at the files of a partition, until one has a key."""
    looked: list[Looked] = []
    unsure = None
    for file in dict.fromkeys(file for entry in entries for file in entry.files):
        where = redact(file[0])
        try:
            one = look_for(keys, StoredFile(*file, partition_of(file[0])), options)
        except MissingInput:
            unsure = unsure or f"{where} is gone"
            continue
        except InputChanged:
            unsure = unsure or f"{where} was written anew since it was read"
            continue
        except ArgumentError:
            raise
        except InputRefused as error:
            unsure = unsure or str(error)
            continue
        looked.append(one)
        if one.holds:
            break
        if one.lacks:
            unsure = unsure or f"{where} has no column {one.lacks[0]!r}"
    if not all(entry.files for entry in entries):
        unsure = "its files were not noted when its rows were kept"
    return _Found(name, tuple(looked), unsure)


def _check_columns(keys: Keys, looked: Sequence[Looked]) -> None:
    """Refuse a column that no file has: most likely it is a slip."""
    for column in keys:
        if looked and all(column in one.lacks for one in looked):
            known = sorted({name for one in looked for name in one.columns})
            near = difflib.get_close_matches(column, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"they have {', '.join(known)}."
            raise ArgumentError(
                f"key column {column!r} is in none of the files that rows are kept of; {meant}"
            )
