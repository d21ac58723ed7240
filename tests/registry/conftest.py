"""Registries on each kind of store."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from dkmeans.registry import probe
from dkmeans.registry.registry import Registry


@dataclass(frozen=True)
class Store:
    """Where a registry may lie that is not there yet."""

    url: str
    options: dict

    def registry(self) -> Registry:
        """The registry, as another process would open it."""
        return Registry(self.url, self.options)


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks: tests kill processes, which lose nothing that they have written."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(autouse=True)
def probes_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores be tried briefly before the first write, but for tests of just that."""
    monkeypatch.setattr(probe, "ROUNDS", 2)


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(str(tmp_path / "registry"), {})
    return Store(f"{request.getfixturevalue('bucket')}/registry", request.getfixturevalue("s3"))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry on disk that is not there yet, at `tmp_path / "registry"`."""
    return Registry(str(tmp_path / "registry"))
