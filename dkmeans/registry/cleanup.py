"""What a registry can do without: old versions that nothing needs, and unfinished publishings.

Ages are told by the store's clock. Records are kept, so that numbers and runs are never used twice
and who published what can be told for ever; only files go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dkmeans.errors import ArgumentError, MissingInput
from dkmeans.registry.moves import Move, heads
from dkmeans.registry.names import now, number_of, whoami
from dkmeans.registry.publish import MODELS, folder_url
from dkmeans.registry.records import Place, encode
from dkmeans.registry.versions import (
    REMOVED,
    Version,
    list_versions,
    numbers,
    removed_url,
    whole_version,
)
from dkmeans.storage.atomic import is_unfinished, write_bytes
from dkmeans.storage.entries import entries_below, store_time
from dkmeans.storage.objects import remove

KEEP = 5
OLDER_THAN_DAYS = 30.0
_MOST_DAYS = 36500
_TRIES = ("check-", "clock-")


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be."""

    versions: tuple[int, ...]
    """Versions whose files went."""

    unfinished: tuple[str, ...]
    """Folders of `models/` that no version names, and files that killed writers have left."""

    n_bytes: int
    """Bytes of all that."""

    is_dry_run: bool
    """Whether it is all still there."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "versions": list(self.versions),
            "unfinished": list(self.unfinished),
            "bytes": self.n_bytes,
            "dry_run": self.is_dry_run,
        }


@dataclass
class _Folder:
    """A folder of `models/`."""

    n_bytes: int = 0
    is_old: bool = True
    """Whether all of its files are."""


@dataclass
class _Found:
    """What lies in a registry, and is older than was asked for."""

    folders: dict[str, _Folder] = field(default_factory=dict)
    old_parts: dict[str, int] = field(default_factory=dict)
    """Sizes of files that killed writers, and tries of the store, have left."""

    old_notes: set[int] = field(default_factory=set)
    """Versions that were noted long ago as removed."""


def collect(place: Place, *, older_than_days: float, keep: int, is_dry_run: bool) -> Removed:
    """Remove files; see `Registry.gc`."""
    if not 0 <= older_than_days <= _MOST_DAYS or keep < 0:
        raise ArgumentError(
            f"older_than_days={older_than_days} should be from 0 to {_MOST_DAYS}, and "
            f"keep={keep} from 0."
        )
    if not numbers(place):
        raise MissingInput(f"no registry at {place}; check the path.")
    before = store_time(place.url, place.options) - timedelta(days=older_than_days)
    # files first: what is claimed in between is found among the versions
    found = _survey(place, before)
    versions = list_versions(place, is_strict=True)
    needed = _needed(heads(place), keep)
    free = [one for one in versions if one.number not in needed and not one.tags]
    gone = [
        one
        for one in free
        if one.folder in found.folders
        and not one.is_removed
        and one.published is not None
        and one.published < before
    ]
    named = {one.folder for one in versions}
    # of versions that were being removed when it was cut short
    cut = {one.folder for one in free if one.is_removed and one.number in found.old_notes}
    left = sorted(
        name
        for name, folder in found.folders.items()
        if (folder.is_old and name not in named) or name in cut
    )
    if not is_dry_run:
        gone = [one for one in gone if _remove(place, one, keep)]
        for name in (*(f"{MODELS}/{name}" for name in left), *found.old_parts):
            remove(place.at(name), place.options)
    folders = [*left, *(one.folder for one in gone)]
    return Removed(
        tuple(one.number for one in gone),
        (*(f"{MODELS}/{name}" for name in left), *found.old_parts),
        sum(found.folders[name].n_bytes for name in folders) + sum(found.old_parts.values()),
        is_dry_run,
    )


def _survey(place: Place, before: datetime) -> _Found:
    found = _Found()
    for entry in entries_below(place.url, place.options):
        is_old = entry.modified is not None and entry.modified < before
        first, _, below = entry.name.partition("/")
        if first == MODELS and "/" in below:
            folder = found.folders.setdefault(below.partition("/")[0], _Folder())
            folder.n_bytes += entry.size
            folder.is_old &= is_old
        elif is_old and first == REMOVED:
            found.old_notes.add(number_of(below) or 0)
        elif is_old and (first.startswith(_TRIES) or is_unfinished(entry.name.rpartition("/")[2])):
            found.old_parts[entry.name] = entry.size
    return found


def _needed(aliases: Mapping[str, Move], keep: int) -> set[int]:
    """The versions that aliases point to, and those that rollbacks of them lead to."""
    needed = {move.version for move in aliases.values()}
    for move in aliases.values():
        needed.update(move.behind[max(0, len(move.behind) - keep) :])
    return needed


def _remove(place: Place, version: Version, keep: int) -> bool:
    """Remove the files of a version, unless an alias has come to need it."""
    note = removed_url(place, version.number)
    body = {"version": version.number, "who": whoami(), "written": now()}
    # whoever moves an alias there looks for the note before and after
    write_bytes(note, encode("registry removal", body), place.options)
    if version.number in _needed(heads(place), keep) or whole_version(place, version).tags:
        remove(note, place.options)
        return False
    remove(folder_url(place, version), place.options)
    return True
