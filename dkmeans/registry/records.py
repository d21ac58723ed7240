"""Records of a registry: small JSON files that name their kind and format and hold their hash.

To change a record, raise `FORMAT`: those who read an older one refuse it with the remedy.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from dkmeans.errors import InputRefused, MissingInput, ModelRefused
from dkmeans.storage.filesystem import NO_OPTIONS, join, redact
from dkmeans.storage.objects import read_at_most

FORMAT = 1
MOST_BYTES = 2**20
TEXT_OR_NONE = (str, NoneType)
NUMBER_OR_NONE = (int, NoneType)


class NewerFormat(ModelRefused):
    """A record was written by a newer version of dkmeans."""


@dataclass(frozen=True)
class Place:
    """Where a registry lies."""

    url: str
    """Its folder, absolute."""

    options: str = NO_OPTIONS
    """Reference of the storage options."""

    def at(self, *names: str) -> str:
        """Return the URL of what lies in it."""
        return join(self.url, *names)

    def __str__(self) -> str:
        return redact(self.url)


def encode(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return the file of a record."""
    whole = {"kind": f"dkmeans {kind}", "format": FORMAT, **body}
    whole["sha256"] = _digest(whole)
    return json.dumps(whole, indent=1).encode()


def decode(kind: str, data: bytes, url: str, fields: Mapping[str, tuple[type, ...]]) -> Any:
    """Return the body of a record that was read from `url`.

    Parameters
    ----------
    kind
        What it should be.
    data
        The file.
    url
        Where it lies, for errors.
    fields
        What it must hold, and of which types.

    Raises
    ------
    ModelRefused
        If it is damaged, or something else, or of a newer format.
    """
    where = redact(url)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise ModelRefused(f"{where} is damaged: it is not JSON.") from None
    if not isinstance(body, dict) or body.get("kind") != f"dkmeans {kind}":
        raise ModelRefused(f"{where} is not a dkmeans {kind}.")
    if body.get("format") != FORMAT:
        raise NewerFormat(
            f"{where} has format {body.get('format')!r}; this version of dkmeans knows format "
            f"{FORMAT} of registries: use the version that wrote it."
        )
    if body.get("sha256") != _digest(body):
        raise ModelRefused(f"{where} is damaged: it has changed since it was written.")
    for name, types in fields.items():
        # not isinstance: true is no number
        if name not in body or type(body[name]) not in types:
            raise ModelRefused(f"{where} is damaged: its {name!r} is missing or of another type.")
    return body


def read(
    kind: str, url: str, options: str, fields: Mapping[str, tuple[type, ...]]
) -> dict[str, Any] | None:
    """Read a record; None if nothing lies there. Errors as `decode`."""
    data = read_bytes(url, options)
    if data is None:
        return None
    body: dict[str, Any] = decode(kind, data, url, fields)
    return body


def read_bytes(url: str, options: str) -> bytes | None:
    """Read the file of a record; None if nothing lies there.

    Raises
    ------
    ModelRefused
        If it is too large for a record.
    """
    try:
        return read_at_most(url, MOST_BYTES, options)
    except MissingInput:
        return None
    except InputRefused as error:
        raise ModelRefused(str(error)) from None


def _digest(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
