"""Values of job files that are never shown: options of stores, webhooks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.jobs.context import Context
from dkmeans.jobs.kinds import Kind
from dkmeans.jobs.problems import HIDDEN
from dkmeans.jobs.reading import Node
from dkmeans.jobs.secrets import Env, hidden

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Secrets(Kind):
    """Options of a store: keys that are shown, and values that are not."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "{key: {env: S3_KEY}}"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return a mapping, references to the environment as `Env`."""
        if not isinstance(node.value, Mapping):
            return context.refuse(
                node.where, path, f"{HIDDEN} should be keys and values, as {self.example}."
            )
        return self._value(node, path, context)

    def _value(self, node: Node, path: str, context: Context) -> Any:
        value = node.value
        if isinstance(value, tuple):
            return tuple(self._value(one, path, context) for one in value)
        if not isinstance(value, Mapping):
            return value
        if value.keys() == {"env"}:
            return read_env(value["env"].node, path, context)
        return {key: self._value(one.node, f"{path}.{key}", context) for key, one in value.items()}

    def shown(self, node: Node) -> str:
        """Return what stands for the value."""
        return HIDDEN

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"type": "object"}

    def written(self, value: Any) -> Any:
        """Return the keys, and references to the environment."""
        return hidden(value)


def read_env(node: Node, path: str, context: Context) -> Any:
    """Return the reference whose name a node holds."""
    if isinstance(node.value, str) and _ENV_NAME.fullmatch(node.value):
        return Env(node.value)
    return context.refuse(
        node.where,
        path,
        f"env: {HIDDEN} should be the name of an environment variable, as {{env: S3_KEY}}.",
    )


@dataclass(frozen=True)
class Secret(Kind):
    """A text that is not shown, or a reference to the environment."""

    may_be_text: bool = True

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "{env: WEBHOOK_URL}"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return a text or an `Env`."""
        value = node.value
        if isinstance(value, Mapping) and value.keys() == {"env"}:
            return read_env(value["env"].node, path, context)
        if self.may_be_text and isinstance(value, str) and value.strip():
            return value
        text = "a text, or " if self.may_be_text else ""
        return context.refuse(
            node.where, path, f"{HIDDEN} should be {text}a reference as {self.example}."
        )

    def shown(self, node: Node) -> str:
        """Return what stands for the value."""
        return HIDDEN

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        env = {
            "type": "object",
            "properties": {"env": {"type": "string", "pattern": f"^{_ENV_NAME.pattern}$"}},
            "required": ["env"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "string", "minLength": 1}, env]} if self.may_be_text else env

    def written(self, value: Any) -> Any:
        """Return the reference, or what stands for the text."""
        return hidden(value)
