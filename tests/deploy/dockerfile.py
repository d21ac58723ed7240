"""Dockerfiles as far as ours goes; anything else in one is an error."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

_WITH_LISTS = {"ENTRYPOINT", "CMD"}
_KNOWN = {
    "FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "STOPSIGNAL", "ENTRYPOINT",
    "CMD", "EXPOSE", "HEALTHCHECK",
}  # fmt: skip


@dataclass
class Target:
    """A stage, with what the stages before it say."""

    base: str
    steps: list[tuple[str, Any]] = field(default_factory=list)
    """Instruction and its text, or list where it has one."""

    def last(self, instruction: str) -> Any:
        """Return what holds in the end."""
        return [value for name, value in self.steps if name == instruction][-1]

    def all(self, instruction: str) -> list[Any]:
        return [value for name, value in self.steps if name == instruction]

    @property
    def environment(self) -> dict[str, str]:
        words = " ".join(self.all("ENV")).split()
        return dict(word.split("=", 1) for word in words)


def read_dockerfile(text: str) -> dict[str, Target]:
    """Return the stages by name; each with the steps of those that it is built on."""
    found: dict[str, Target] = {}
    current = None
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, rest = line.partition(" ")
        assert name in _KNOWN, line
        if name == "FROM":
            base, keyword, stage = rest.split()
            assert keyword == "AS", line
            current = found[stage] = Target(base, list(found[base].steps) if base in found else [])
            continue
        if current is None:
            assert name == "ARG", line
            continue
        value: Any = json.loads(rest) if name in _WITH_LISTS else rest
        if name == "HEALTHCHECK" and rest != "NONE":
            options, _, command = rest.partition(" CMD ")
            value = {"options": options.split(), "command": json.loads(command)}
        current.steps.append((name, value))
    return found
