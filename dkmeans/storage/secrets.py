"""Take credentials out of texts that are kept or sent: records, logs, notifications.

Errors and lines of ours hold none to begin with. What programs and services of others print may.
"""

import os
import re
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from dkmeans.storage.filesystem import known_options

HIDDEN = "..."
"""What stands in the place of a secret."""

_NAME = r"(?:secret|token|passw(?:or)?d|passwd|credential|signature|private|api_?key|access_?key)"
_SECRET_NAME = re.compile(rf"(?i){_NAME}|^key$|_key$|authorization|webhook")
_IN_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@")
_QUERY = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"<>]+)\?[^\s'\"<>]+")
_ASSIGNED = re.compile(rf"(?i)({_NAME}[\w.-]*[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s,;&}}]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")
_LEAST_LENGTH = 6
"""Shorter values are not looked for: they would be found in every text."""

_hidden: set[str] = set()
_lock = Lock()


def hide(value: str) -> None:
    """Have `scrub` take `value` out from now on, wherever it stands."""
    if len(value) >= _LEAST_LENGTH:
        with _lock:
            _hidden.add(value)


def scrub(text: str) -> str:
    """Return `text` without what is a secret by its place, or by its value.

    By its place: user and password of a URL, its query, values of names such as `token=`. By its
    value: what storage options of this process and variables of its environment hold under such
    names, and what `hide` was called with.
    """
    with _lock:
        values = set(_hidden)
    values.update(_secret_values(known_options()), _secret_values(dict(os.environ)))
    # the longest first: one may be a part of another
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = _IN_URL.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1?{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def scrubbed(value: Any) -> Any:
    """Return plain values, nested as they are, with `scrub` done to every text.

    Texts under names of secrets are left out whole.
    """
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {
            str(name): HIDDEN
            if isinstance(one, str) and _SECRET_NAME.search(str(name))
            else scrubbed(one)
            for name, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [scrubbed(one) for one in value]
    return value


def _secret_values(options: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Texts under names of secrets, however deep."""
    if isinstance(options, str):
        if is_secret and len(options) >= _LEAST_LENGTH:
            yield options
    elif isinstance(options, Mapping):
        for name, value in options.items():
            yield from _secret_values(
                value, is_secret=is_secret or bool(_SECRET_NAME.search(str(name)))
            )
    elif isinstance(options, (list, tuple)):
        for value in options:
            yield from _secret_values(value, is_secret=is_secret)
