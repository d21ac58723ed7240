"""Versions: `versions/000017.json`, each written once, names the run and the files of a model."""

import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dkmeans.errors import DkmeansWarning, MissingInput, ModelRefused
from dkmeans.registry.names import is_folder, is_name, number_name, number_of
from dkmeans.registry.records import (
    TEXT_OR_NONE,
    NewerFormat,
    Place,
    decode,
    encode,
    read,
    read_bytes,
)
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.entries import Entry, entries_at, entries_below, modified

KIND = "registry version"
FOLDER = "versions"
REMOVED = "removed"
_FIELDS = {
    "version": (int,),
    "run_id": (str,),
    "folder": (str,),
    "manifest_sha256": (str,),
    "parents": (list,),
    "who": (str,),
    "written": (str,),
    "tags": (dict,),
    "summary": (dict,),
}
_TAG_FIELDS = {"version": (int,), "name": (str,), "value": TEXT_OR_NONE}
_READERS = 4


@dataclass(frozen=True)
class Version:
    """A published model, which never changes but for its tags."""

    number: int
    """From 1, in the order of publishing."""

    run_id: str
    """The run that published it; no other version has it."""

    folder: str
    """Its folder in `models/`."""

    manifest_sha256: str
    """Hash of the list of its files."""

    parents: tuple[int, ...]
    """The versions that it was made from."""

    who: str
    """User and machine that published it."""

    written: str
    """When, by that machine's clock."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """Names that were given to it, with a text each, which may be empty."""

    summary: Mapping[str, Any] = field(default_factory=dict)
    """Some figures of the model."""

    published: datetime | None = None
    """When it was published, by the store's clock; None where that was not asked for."""

    is_removed: bool = False
    """Whether its files are gone."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "version": self.number,
            "run_id": self.run_id,
            "published": None if self.published is None else self.published.isoformat(),
            "who": self.who,
            "written": self.written,
            "parents": list(self.parents),
            "tags": dict(self.tags),
            "summary": dict(self.summary),
            "folder": self.folder,
            "manifest_sha256": self.manifest_sha256,
            "removed": self.is_removed,
        }


def version_url(place: Place, number: int) -> str:
    """Where the record of a version lies."""
    return place.at(FOLDER, number_name(number))


def encode_version(version: Version) -> bytes:
    """Return the file of a version."""
    body = version.to_dict()
    return encode(KIND, {key: body[key] for key in _FIELDS})


def decode_version(data: bytes, number: int, url: str) -> Version:
    """Read the file of a version that was found at `url`.

    Raises
    ------
    ModelRefused
        If it is damaged, or another's, or of a newer format.
    """
    body = decode(KIND, data, url, _FIELDS)
    parents, tags = body["parents"], body["tags"]
    if (
        body["version"] != number
        or not is_folder(body["folder"])
        or not all(type(one) is int and 1 <= one < number for one in parents)
        or not all(is_name(name) and isinstance(value, str) for name, value in tags.items())
    ):
        raise ModelRefused(f"version {number} of a registry is damaged: its record contradicts it.")
    return Version(
        number,
        body["run_id"],
        body["folder"],
        body["manifest_sha256"],
        tuple(parents),
        body["who"],
        body["written"],
        tags,
        body["summary"],
    )


def read_version(place: Place, number: int) -> Version | None:
    """Read a version, its tags as it was published with; None if there is none."""
    url = version_url(place, number)
    data = read_bytes(url, place.options)
    return None if data is None else decode_version(data, number, url)


def whole_version(place: Place, version: Version) -> Version:
    """Return a version with its tags and its time as they are now."""
    return replace(
        version,
        tags=_tags_now(place, version, _tag_names(place).get(version.number, ())),
        published=modified(version_url(place, version.number), place.options),
        is_removed=removal_of(place, version.number) is not None,
    )


def numbers(place: Place) -> dict[int, Entry]:
    """The numbers of all versions, and when each was written."""
    entries = entries_at(place.at(FOLDER), place.options)
    return {n: entry for entry in entries if (n := number_of(entry.name)) is not None}


def known_version(place: Place, number: int) -> Version:
    """Return what was published as a version.

    Raises
    ------
    MissingInput
        If there is no such version.
    """
    found = read_version(place, number) if number >= 1 else None
    if found is None:
        known = numbers(place)
        if not known:
            raise MissingInput(f"no registry at {place}; check the path.")
        raise MissingInput(
            f"the registry at {place} has no version {number}; its last one is {max(known)}."
        )
    return found


def write_tag(
    place: Place, number: int, name: str, value: str | None, *, who: str, written: str
) -> None:
    """Give a version a tag, or take it away, if the value is None.

    Raises
    ------
    MissingInput
        If it gets a tag, and its files are gone.
    """
    data = encode_tag(number, name, value, who, written)
    write_bytes(tag_url(place, number, name), data, place.options)
    if value is not None and removal_of(place, number) is not None:
        raise MissingInput(
            f"the files of version {number} of {place} are gone; a tag does not bring them back."
        )


def list_versions(place: Place, *, is_strict: bool = False) -> list[Version]:
    """Read all versions, in order.

    Damaged ones are left out with a warning, or refused if `is_strict`.
    """
    found, names = numbers(place), _tag_names(place)
    gone = removed_numbers(place)

    def look(number: int) -> Version | ModelRefused | None:
        try:
            version = read_version(place, number)
        except NewerFormat:
            raise
        except ModelRefused as error:
            return error
        if version is None:
            return None
        return replace(
            version,
            tags=_tags_now(place, version, names.get(number, ())),
            published=found[number].modified,
            is_removed=number in gone,
        )

    versions = []
    with ThreadPoolExecutor(_READERS) as readers:
        for number, version in zip(sorted(found), readers.map(look, sorted(found)), strict=True):
            if isinstance(version, ModelRefused):
                if is_strict:
                    raise version
                warnings.warn(
                    f"version {number} of {place} is left out: {version}",
                    DkmeansWarning,
                    stacklevel=2,
                )
            elif version is not None:
                versions.append(version)
    return versions


def tag_url(place: Place, number: int, name: str) -> str:
    """Where a tag of a version lies that was set or removed after publishing."""
    return place.at("tags", f"{number:06d}", f"{name}.json")


def encode_tag(number: int, name: str, value: str | None, who: str, written: str) -> bytes:
    """Return the file of a tag; `value` is None if the tag was removed."""
    body = {"version": number, "name": name, "value": value, "who": who, "written": written}
    return encode("registry tag", body)


def removed_url(place: Place, number: int) -> str:
    """Where it is noted that the files of a version are gone."""
    return place.at(REMOVED, number_name(number))


def removed_numbers(place: Place) -> set[int]:
    """The versions whose files are gone."""
    entries = entries_at(place.at(REMOVED), place.options)
    return {n for entry in entries if (n := number_of(entry.name)) is not None}


def removal_of(place: Place, number: int) -> dict[str, Any] | None:
    """Who removed the files of a version, and when; None if they are there."""
    fields = {"version": (int,), "who": (str,), "written": (str,)}
    return read("registry removal", removed_url(place, number), place.options, fields)


def _tag_names(place: Place) -> dict[int, list[str]]:
    """The tags that were set or removed after publishing, by version."""
    names: dict[int, list[str]] = {}
    for entry in entries_below(place.at("tags"), place.options):
        folder, _, file = entry.name.partition("/")
        number, name = number_of(f"{folder}.json"), file.removesuffix(".json")
        if number is not None and file.endswith(".json") and is_name(name):
            names.setdefault(number, []).append(name)
    return names


def _tags_now(place: Place, version: Version, names: Iterable[str]) -> dict[str, str]:
    tags: dict[str, str | None] = dict(version.tags)
    for name in names:
        url = tag_url(place, version.number, name)
        body = read("registry tag", url, place.options, _TAG_FIELDS)
        if body is not None and (body["version"], body["name"]) == (version.number, name):
            tags[name] = body["value"]
    return {name: value for name, value in sorted(tags.items()) if value is not None}
