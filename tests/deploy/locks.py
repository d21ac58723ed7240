"""Lock files of pip, and what packages ask for."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


@dataclass(frozen=True)
class Pin:
    """One version of a package, for the environments of a marker."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> Version:
        (only,) = self.requirement.specifier
        assert only.operator == "==", self.requirement
        return Version(only.version)


def read_lock(text: str) -> dict[str, list[Pin]]:
    """Return the pins of a lock file by name; anything else in it is an error."""
    found: dict[str, list[Pin]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        line = line.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        words = line.split(" --hash=")
        pin = Pin(Requirement(words[0].strip()), tuple(word.strip() for word in words[1:]))
        assert pin.requirement.url is None, line
        assert pin.hashes, line
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in pin.hashes), line
        found.setdefault(canonicalize_name(pin.requirement.name), []).append(pin)
    return found


def project() -> dict[str, list[str]]:
    """Return what pyproject.toml asks for: by extra, and under "" always."""
    with PYPROJECT.open("rb") as file:
        table = tomllib.load(file)["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def unmet(asked: list[str], lock: dict[str, list[Pin]]) -> list[str]:
    """Return the requirements of which a lock has no version, or one out of range."""
    found = []
    for text in asked:
        requirement = Requirement(text)
        pins = lock.get(canonicalize_name(requirement.name), [])
        versions = [pin.version for pin in pins]
        if not versions or not all(one in requirement.specifier for one in versions):
            found.append(text)
    return found
