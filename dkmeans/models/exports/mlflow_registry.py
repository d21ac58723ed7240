"""Versions and aliases in a model registry of MLflow's, which is MLflow's own setting."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError, StoreUnreachable
from dkmeans.models.exports.packages import needed
from dkmeans.storage.filesystem import one_line

_DIGEST, _MODEL_ID, _VERSION = "dkmeans.digest", "dkmeans.model_id", "dkmeans.version"
"""Tags of a version: of the bytes, of what they predict, and its number in our registry."""


@dataclass(frozen=True)
class Registered:
    """A version in a registry of MLflow's."""

    name: str
    """Of the registered model."""

    version: int
    """Its number there."""

    aliases: tuple[str, ...]
    """That were set to it now."""


def refuse_taken(name: str, source: str, digest: str) -> None:
    """Raise if a version of a registered model lies at `source` with other bytes.

    A version of MLflow's is where it lies: to write another model there would change it.

    Raises
    ------
    ArgumentError
        If it does, or MLflow is not installed, or refuses the name.
    StoreUnreachable
        If the registry fails.
    """
    client = _client()
    with _refusals(name):
        for one in _versions(client, name):
            if one.source == source and one.tags.get(_DIGEST) != digest:
                raise ArgumentError(
                    f"{source} is version {one.version} of {name!r} in MLflow; export to another "
                    "place, so that it stays what it is."
                )


def register(
    name: str,
    source: str,
    *,
    digest: str,
    model_id: str,
    version: int | None = None,
    aliases: Sequence[str] = (),
) -> Registered:
    """Make an exported model a version of a registered model, which is made if there is none.

    What is registered already, from the same place with the same bytes, is found again: an export
    may be repeated.

    Parameters
    ----------
    name
        Of the registered model.
    source
        Where the exported model lies. A tracking server of others cannot read local paths.
    digest, model_id
        Of the model: all of it, and what it predicts.
    version
        Its number in our own registry, for `set_aliases`; None if it has none.
    aliases
        Names that are to stand for it.

    Raises
    ------
    ArgumentError
        If MLflow is not installed, or refuses a name or the source.
    StoreUnreachable
        If the registry fails.
    """
    client = _client()
    tags = {_DIGEST: digest, _MODEL_ID: model_id}
    if version is not None:
        tags[_VERSION] = str(version)
    with _refusals(name):
        _ensure(client, name)
        known = [
            one
            for one in _versions(client, name)
            if one.source == source and tags.items() <= dict(one.tags).items()
        ]
        found = known[0] if known else client.create_model_version(name, source, tags=tags)
        for alias in aliases:
            client.set_registered_model_alias(name, alias, str(found.version))
    return Registered(name, int(found.version), tuple(aliases))


def set_aliases(name: str, aliases: Mapping[str, int]) -> dict[str, int]:
    """Set the aliases of a registered model to those of our own registry.

    Aliases that stand for versions without a number of ours are others' and stay; ours that
    `aliases` lacks are removed.

    Parameters
    ----------
    name
        Of the registered model.
    aliases
        Alias to number in our registry. Versions that were not registered in MLflow are refused.

    Returns
    -------
    dict
        Alias to number in MLflow's registry.

    Raises
    ------
    ArgumentError
        If MLflow is not installed, knows no such model, or lacks one of the versions.
    StoreUnreachable
        If the registry fails.
    """
    client = _client()
    with _refusals(name):
        model = client.get_registered_model(name)
        # the latest of several that were registered from different places
        ours: dict[int, int] = {}
        for one in _versions(client, name):
            if _VERSION in one.tags:
                number = int(one.tags[_VERSION])
                ours[number] = max(int(one.version), ours.get(number, 0))
        lacking = sorted(set(aliases.values()) - ours.keys())
        if lacking:
            raise ArgumentError(
                f"{name!r} of MLflow has no version {lacking[0]} of this registry; export it with "
                "registered_model_name first."
            )
        wanted = {alias: ours[number] for alias, number in aliases.items()}
        of_ours = {int(one.version) for one in _versions(client, name) if _VERSION in one.tags}
        for alias, at in dict(model.aliases).items():
            if alias not in wanted and int(at) in of_ours:
                client.delete_registered_model_alias(name, alias)
        for alias, number in wanted.items():
            client.set_registered_model_alias(name, alias, str(number))
    return wanted


def _client() -> Any:
    return needed("mlflow", "mlflow").MlflowClient()


def _versions(client: Any, name: str) -> list[Any]:
    """All versions of a registered model, newest first."""
    quoted = name.replace("'", "\\'")
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name='{quoted}'", page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda one: -int(one.version))


def _ensure(client: Any, name: str) -> None:
    """Make a registered model, unless somebody has."""
    failure = needed("mlflow.exceptions", "mlflow").MlflowException
    try:
        client.create_registered_model(name)
    except failure as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Turn what MLflow raises into errors of ours."""
    failure = needed("mlflow.exceptions", "mlflow").MlflowException
    try:
        yield
    except failure as error:
        said = f"MLflow refuses {name!r}: {one_line(error)[:300]}"
        if error.error_code in (
            "INTERNAL_ERROR",
            "TEMPORARILY_UNAVAILABLE",
            "REQUEST_LIMIT_EXCEEDED",
        ):
            raise StoreUnreachable(f"{said}; run again.") from None
        raise ArgumentError(f"{said}") from None
