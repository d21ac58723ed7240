"""`URL@champion`, `URL@17`: a model of a registry, wherever a saved model may be named."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import MissingInput
from dkmeans.models.model import Model
from dkmeans.registry.names import is_name
from dkmeans.registry.publish import INDEX
from dkmeans.registry.registry import Registry
from dkmeans.storage.filesystem import join, remember
from dkmeans.storage.objects import exists

# where the first part after :// is a bucket, and nobody is named before an @ without a password
_BUCKETS = ("s3", "s3a", "gs", "gcs")
_VERSION = re.compile(r"[1-9]\d{0,11}")


@dataclass(frozen=True)
class Reference:
    """What names a model: a registry and a name in it, or the URL of a model."""

    url: str
    """Of the registry; of the model itself if there is no name."""

    name: int | str | None = None
    """A version, or an alias; None if there is none."""


@dataclass(frozen=True)
class Located:
    """Where the model of a reference lies now."""

    url: str
    """The URL of the model."""

    version: int | None = None
    """Its version; None if it is not of a registry."""

    registry: str | None = None
    """The URL of the registry; None if it is not of one."""


def parse(text: str) -> Reference:
    """Take `URL@name` apart; what has no name is the URL of a model.

    A name is what follows the last `@` of the last segment of a path. So an `@` in a folder above,
    before a host (`s3://key:secret@host`), or in a query is none of a reference. A model whose own
    folder ends in what looks like a name is meant by a slash at the end.

    Examples
    --------
    >>> parse("s3://lake/models@champion")
    Reference(url='s3://lake/models', name='champion')
    >>> parse("models@17")
    Reference(url='models', name=17)
    >>> parse("s3://key:secret@host/models")
    Reference(url='s3://key:secret@host/models', name=None)
    """
    plain = Reference(text)
    head, at, name = text.rpartition("@")
    if not at or not is_name(name):
        return plain
    # with an empty segment, as in ftp://user@host/@champion, the registry is the folder itself
    url, slash = head.rstrip("/"), head.endswith("/")
    if not url or url.endswith(":") or "?" in head.rpartition("/")[2]:
        return plain
    if "://" in url and not _can_be_a_registry(url, slash):
        return plain
    return Reference(url, int(name) if _VERSION.fullmatch(name) else name)


def _can_be_a_registry(url: str, has_slash: bool) -> bool:
    """Whether a URL may be cut where it is, and no credentials are cut apart."""
    scheme, _, rest = url.rpartition("://")
    host, slash, _ = rest.partition("/")
    port = host.rpartition("@")[2].rpartition(":")
    if port[1] and not port[2].isdigit():
        # the @ after it, if any, is further on: this is a key, and a piece of its secret
        return False
    return bool(slash) or has_slash or (scheme.rpartition("::")[2] in _BUCKETS and ":" not in host)


def locate(text: str, storage_options: Mapping[str, Any] | None = None) -> Located:
    """Return where the model lies that `text` names, checked if it is one of a registry.

    A reference that no registry knows may be the name of a folder: a model that lies there is
    meant.

    Raises
    ------
    MissingInput
        If there is no such registry, version or alias, and no model of that name.
    ModelRefused
        If the version is damaged.
    """
    reference = parse(text)
    if reference.name is None:
        return Located(text)
    registry = Registry(reference.url, storage_options)
    try:
        number = registry.resolve(reference.name)
        return Located(registry.model_url(number), number, reference.url)
    except MissingInput:
        is_path = "://" not in text or "/" in text.rpartition("://")[2]
        if is_path and exists(join(text, INDEX), remember(storage_options)):
            return Located(text)
        raise


def load(text: str, storage_options: Mapping[str, Any] | None = None) -> Model:
    """Load the model that `text` names; errors as `locate` and `Model.load`."""
    return Model.load(locate(text, storage_options).url, storage_options=storage_options)
