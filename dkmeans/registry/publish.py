"""Publishing: first the files, under a name of the run's, then one small record that claims them.

A version is what `versions/000017.json` names: files that no record names are leftovers. Whoever is
killed, or loses a reply, publishes again under the same run id, and finds its version or goes on.
"""

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dkmeans.errors import MissingInput, ModelRefused
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.registry.names import key_of, now, short_hash
from dkmeans.registry.records import NewerFormat, Place, decode, encode, read_bytes
from dkmeans.registry.versions import (
    Version,
    decode_version,
    encode_version,
    numbers,
    removal_of,
    version_url,
)
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.conditional import put_if_absent
from dkmeans.storage.entries import entries_below
from dkmeans.storage.objects import read_at_most, size_of

MODELS = "models"
ATTACHMENTS = "attachments"
INDEX = "model.json"
MANIFEST = "manifest.json"
_MANIFEST_KIND = "registry manifest"
_FILE = re.compile(rf"({ATTACHMENTS}/)?(?!\.\.?$)[A-Za-z0-9._-]{{1,128}}")


@dataclass(frozen=True)
class StoredPart:
    """A file of a version, as its manifest lists it."""

    n_bytes: int
    """Its size."""

    sha256: str
    """Its hash."""


def publish(
    place: Place,
    model: Model,
    *,
    run_id: str,
    parents: Sequence[int],
    tags: Mapping[str, str],
    attachments: Mapping[str, bytes],
    who: str,
    is_alone: bool,
) -> int:
    """Publish a model, and return its version; see `Registry.publish`."""
    last = max(numbers(place), default=0)
    begun = _begin(place, run_id, last, is_alone)
    number, known = _walk(place, begun + 1, run_id)
    if known:
        return number
    files = {**_files_of(model), **{f"{ATTACHMENTS}/{n}": d for n, d in attachments.items()}}
    listed = {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in files.items()}
    manifest = encode(_MANIFEST_KIND, {"run_id": run_id, "files": listed})
    folder = f"{key_of(run_id)}-{short_hash(manifest)}"
    for name, data in {**files, MANIFEST: manifest}.items():
        write_bytes(place.at(MODELS, folder, name), data, place.options)
    version = Version(
        number, run_id, folder, _sha256(manifest), tuple(parents), who, now(), tags, _summary(model)
    )
    return _claim(place, version, is_alone)


def read_manifest(place: Place, version: Version) -> dict[str, StoredPart]:
    """Return the files of a version, the list checked against its hash.

    Raises
    ------
    MissingInput
        If the files are gone.
    ModelRefused
        If the list is damaged.
    """
    url = folder_url(place, version, MANIFEST)
    data = read_bytes(url, place.options)
    if data is None:
        gone = removal_of(place, version.number)
        why = "" if gone is None else f": {gone['who']} removed them at {gone['written']}"
        raise MissingInput(f"the files of version {version.number} of {place} are gone{why}.")
    if _sha256(data) != version.manifest_sha256:
        raise _damaged(place, version, f"{MANIFEST} has changed since it was published")
    body = decode(_MANIFEST_KIND, data, url, {"run_id": (str,), "files": (dict,)})
    files = {}
    for name, part in body["files"].items():
        known = isinstance(part, dict) and type(part.get("bytes")) is int
        if not known or not _FILE.fullmatch(name) or not isinstance(part.get("sha256"), str):
            raise _damaged(place, version, f"{MANIFEST} lists what is no file of a version")
        files[name] = StoredPart(part["bytes"], part["sha256"])
    if INDEX not in files:
        raise _damaged(place, version, f"{MANIFEST} lists no {INDEX}")
    return files


def checked_url(place: Place, version: Version) -> str:
    """Return where the model of a version lies, its sizes and the hash of its index checked.

    The index holds the hashes of the other parts, which loading checks. Attachments are not looked
    at: a model does not need them, and those that hold rows may have to go before it does. Errors
    as `read_manifest`.
    """
    files = model_files(read_manifest(place, version))
    url = folder_url(place, version)
    sizes = {entry.name: entry.size for entry in entries_below(url, place.options)}
    for name, part in files.items():
        if name not in sizes:
            raise _damaged(place, version, f"{name} is missing")
        if sizes[name] != part.n_bytes:
            raise _damaged(
                place, version, f"{name} has {sizes[name]} bytes, and had {part.n_bytes}"
            )
    read_part(place, version, INDEX, files)
    return url


def model_files(files: Mapping[str, StoredPart]) -> dict[str, StoredPart]:
    """Return those files of a version that are the model's, and no attachments."""
    return {name: part for name, part in files.items() if "/" not in name}


def read_part(place: Place, version: Version, name: str, files: Mapping[str, StoredPart]) -> bytes:
    """Read a file of a version, checked against its size and hash.

    Raises
    ------
    ModelRefused
        If it is missing or damaged.
    """
    part, url = files[name], folder_url(place, version, name)
    try:
        # memory is taken for what is there, whatever the list says
        size = size_of(url, place.options)
        data = read_at_most(url, size, place.options) if size == part.n_bytes else None
    except MissingInput:
        raise _damaged(place, version, f"{name} is missing") from None
    if data is None or _sha256(data) != part.sha256:
        raise _damaged(place, version, f"{name} has changed since it was published")
    return data


def folder_url(place: Place, version: Version, *names: str) -> str:
    """Where the model of a version lies, or a file of it."""
    return place.at(MODELS, version.folder, *names)


def _begin(place: Place, run_id: str, last: int, is_alone: bool) -> int:
    """Return a number that all versions of this run are above: the last one when it first began."""
    url = place.at("runs", f"{key_of(run_id)}.json")
    data = encode("registry run", {"run_id": run_id, "after": last})
    # two that begin a run at the same time may say the same
    found = put_if_absent(url, data, place.options, is_alone=is_alone)
    body = decode("registry run", found, url, {"run_id": (str,), "after": (int,)})
    if body["run_id"] != run_id:
        raise ModelRefused(f"{url} is damaged: it is of another run.")
    return int(body["after"])


def _walk(place: Place, number: int, run_id: str) -> tuple[int, bool]:
    """From a number on, return the first that is free, or this run's, and whether it is that."""
    while True:
        data = read_bytes(version_url(place, number), place.options)
        if data is None:
            return number, False
        if _is_of(data, place, number, run_id):
            return number, True
        number += 1


def _claim(place: Place, version: Version, is_alone: bool) -> int:
    """Write the record of a version under the first number that is free, from its own on.

    No number is left out, so that two claims of one run cannot miss each other.
    """
    while True:
        data = encode_version(version)
        url = version_url(place, version.number)
        found = put_if_absent(url, data, place.options, is_alone=is_alone)
        if found == data or _is_of(found, place, version.number, version.run_id):
            return version.number
        number, known = _walk(place, version.number + 1, version.run_id)
        if known:
            return number
        version = replace(version, number=number)


def _is_of(data: bytes, place: Place, number: int, run_id: str) -> bool:
    """Whether a record is of a run; a damaged one is somebody else's."""
    try:
        return decode_version(data, number, version_url(place, number)).run_id == run_id
    except NewerFormat:
        raise
    except ModelRefused:
        return False


def _files_of(model: Model) -> dict[str, bytes]:
    """Return the files of a saved model, the index last."""
    with tempfile.TemporaryDirectory(prefix="dkmeans-") as folder:
        model.save(f"{folder}/model")
        paths = sorted(Path(folder, "model").iterdir(), key=lambda path: (path.name == INDEX, path))
        return {path.name: path.read_bytes() for path in paths}


def _summary(model: Model) -> dict[str, Any]:
    weight = float(model.weights.sum())
    return {
        "model_id": model_id(model),
        "n_clusters": model.n_clusters,
        "n_features": model.n_features,
        "weight": weight,
        "inertia_per_row": model.inertia / weight if weight > 0 else None,
        "fit_run_id": _text(model.provenance.get("run_id")),
        "next_cluster_id": model.next_cluster_id,
        "retrain": model.provenance.get("retrain"),
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _damaged(place: Place, version: Version, why: str) -> ModelRefused:
    return ModelRefused(f"version {version.number} of {place} is damaged: {why}.")
