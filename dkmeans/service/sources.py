"""Where a served model comes from, and how to see cheaply whether it is another one by now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec

from dkmeans.errors import MissingInput
from dkmeans.models.files import saved_digest
from dkmeans.models.model import Model
from dkmeans.registry.moves import Move
from dkmeans.registry.publish import INDEX
from dkmeans.registry.reference import locate, parse
from dkmeans.registry.registry import Registry
from dkmeans.storage.access import OURS, access_of
from dkmeans.storage.filesystem import absolute, join, redact, remember
from dkmeans.storage.listing import version_at

_RETRY_SECONDS = 20.0
"""How long one request of a look or of loading is tried again: the old model serves meanwhile."""

_CONNECT_SECONDS = 5
_READ_SECONDS = 10
_LOOKS_PER_LISTING = 12
"""One look of so many lists the moves of an alias, and so sees a registry that is gone."""


@dataclass(frozen=True)
class Target:
    """What is to be served. Equal ones are the same model."""

    version: int | None
    """Its version; None if it is not of a registry."""

    content: str = ""
    """Hash of its files; empty for a version, which never changes."""


class Source(Protocol):
    """Names a model that may become another one."""

    name: str
    """As the user wrote it, without credentials."""

    registry: str | None
    """URL of the registry, without credentials; None if it is not of one."""

    can_move: bool
    """Whether it may ever become another one."""

    def look(self, *, closely: bool) -> Target:
        """Return what is to be served now; `closely` relies on nothing that was seen before."""
        ...

    def load(self, target: Target) -> Model:
        """Load it, every byte checked against its hash."""
        ...


def source_of(text: str, storage_options: Mapping[str, Any] | None = None) -> Source:
    """Find out what `text` names: an alias, a version, or the folder of a model.

    Raises
    ------
    MissingInput
        If there is no such model.
    StoreUnreachable
        If the store does not answer.
    """
    options = hasty(text, storage_options)
    reference, located = parse(text), locate(text, options)
    if located.registry is None:
        return Folder(located.url, options)
    registry = Registry(located.registry, options)
    name = f"{redact(located.registry)}@{reference.name}"
    if isinstance(reference.name, str):
        return Alias(registry, located.registry, reference.name, name, options)
    return Fixed(registry, located.registry, located.version or 0, name, options)


def hasty(text: str, storage_options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return storage options under which no request takes long, whatever the store does."""
    options = dict(storage_options or {})
    seconds = min(_RETRY_SECONDS, access_of(options).retry_seconds)
    protocol = fsspec.utils.get_protocol(text)
    if protocol == "file":
        return options
    options[OURS] = {**options.get(OURS, {}), "retry_seconds": seconds}
    if protocol in ("s3", "s3a"):
        limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
        options["config_kwargs"] = {**limits, **options.get("config_kwargs", {})}
    return options


class Fixed:
    """A version of a registry, which never changes."""

    can_move = False
    registry: str | None

    def __init__(
        self, registry: Registry, url: str, version: int, name: str, options: Mapping[str, Any]
    ) -> None:
        self.name, self.registry = name, redact(url)
        self._registry, self._version, self._options = registry, version, options

    def look(self, *, closely: bool) -> Target:
        """Return the version."""
        return Target(self._version)

    def load(self, target: Target) -> Model:
        """Load a version of the registry."""
        assert target.version is not None
        url = self._registry.model_url(target.version)
        return Model.load(url, storage_options=self._options)


class Alias(Fixed):
    """What an alias of a registry points to.

    A look is one small request: whether a move follows the last one that is known.
    """

    can_move = True

    def __init__(
        self, registry: Registry, url: str, alias: str, name: str, options: Mapping[str, Any]
    ) -> None:
        super().__init__(registry, url, 0, name, options)
        self._alias = alias
        self._at: Move | None = None
        self._n_looks = 0

    def look(self, *, closely: bool) -> Target:
        """Return the version that the alias points to, whichever way it moved."""
        if closely or self._at is None or self._n_looks % _LOOKS_PER_LISTING == 0:
            at = self._registry.last_move(self._alias)
            if at is None:
                self._at = None
                # it knows what to say of an alias that is not there
                return Target(self._registry.resolve(self._alias))
            self._at = at
        # on some stores listings lag behind
        self._at = self._registry.last_move(self._alias, self._at) or self._at
        self._n_looks += 1
        return Target(self._at.version)


class Folder:
    """A model that lies in a folder of its own, and may be replaced there.

    A look asks for the version of its index: one request, and another one when that has changed.
    """

    registry: str | None = None
    can_move = True

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.name = redact(url)
        self._url, self._options = absolute(url), options
        self._reference = remember(options)
        self._seen: tuple[str, Target] | None = None

    def look(self, *, closely: bool) -> Target:
        """Return which model lies there."""
        index = join(self._url, INDEX)
        try:
            version = version_at(index, self._reference)
        except MissingInput:
            raise MissingInput(f"no model at {self.name}: there is no {INDEX}.") from None
        if closely or self._seen is None or self._seen[0] != version:
            # read after its version was: what is written in between is seen by the next look
            self._seen = version, Target(None, saved_digest(self._url, self._reference))
        return self._seen[1]

    def load(self, target: Target) -> Model:
        """Load what lies there by now."""
        return Model.load(self._url, storage_options=self._options)
