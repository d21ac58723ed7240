"""A registry in memory, with the calls that jobs make, for tests of these calls."""

from collections.abc import Mapping
from typing import Any

from dkmeans.errors import DkmeansError
from dkmeans.models.model import Model


class AliasMoved(DkmeansError):
    """An alias points elsewhere than expected."""


class Registry:
    """Versions and aliases, by URL."""

    everywhere: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        fresh: dict[str, Any] = {"models": [], "runs": [], "files": [], "aliases": {}, "moves": []}
        self.kept = self.everywhere.setdefault(url, fresh)

    def publish(
        self, model: Model, *, run_id: str, attachments: Mapping[str, bytes] | None = None
    ) -> int:
        if run_id not in self.kept["runs"]:
            self.kept["runs"].append(run_id)
            self.kept["models"].append(model)
            self.kept["files"].append(dict(attachments or {}))
        return self.kept["runs"].index(run_id) + 1

    def aliases(self) -> dict[str, int]:
        return dict(self.kept["aliases"])

    def move(self, alias: str, version: int, *, reason: str, expected: int | None) -> None:
        if self.kept["aliases"].get(alias) != expected:
            raise AliasMoved(alias)
        self.kept["aliases"][alias] = version
        self.kept["moves"].append((alias, version, reason))
