"""Rules of gates, as job files have them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.context import INVALID, Context
from dkmeans.jobs.kinds import Kind
from dkmeans.jobs.reading import Node
from dkmeans.jobs.rules import (
    DEFAULT_GATES,
    LIMITS,
    METRICS,
    Rule,
    is_off,
    parse_gates,
    parse_rule,
)


@dataclass(frozen=True)
class Rules(Kind):
    """Rules by the name of their metric, in place of the default ones."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "{churn: {max: 20 %}}"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return a tuple of rules."""
        if is_off(node.value):
            return ()
        if not isinstance(node.value, Mapping):
            return context.refuse_value(node, path, f"rules by metric, as {self.example}, or off")
        for name, entry in node.value.items():
            self._check(name, entry.node, f"{path}.{name}", context)
        if any(one.startswith(f"{path}.") for one in context.refused):
            return INVALID
        return parse_gates(node.plain())

    def _check(self, name: str, node: Node, path: str, context: Context) -> None:
        """Refuse what is wrong with a rule, each limit where it is written."""
        if is_off(node.value) and name in METRICS:
            return
        if isinstance(node.value, Mapping) and name in METRICS:
            for kind, entry in node.value.items():
                inside = f"{path}.{kind}" if kind in LIMITS else path
                at = Node(entry.where, {kind: entry})
                self._try(name, at, inside, context)
        if not any(one == path or one.startswith(f"{path}.") for one in context.refused):
            self._try(name, node, path, context)

    def _try(self, name: str, node: Node, path: str, context: Context) -> None:
        try:
            parse_rule(name, node.plain())
        except ArgumentError as error:
            context.refuse(node.where, path, str(error).removeprefix(f"{name}: "))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        limit = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[^%]*%?\s*$"}]}
        rule = {
            "type": "object",
            "properties": dict.fromkeys(LIMITS, limit),
            "additionalProperties": False,
            "minProperties": 1,
        }
        off = {"enum": ["off", False, None]}
        return {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        name: {"description": metric.title, "anyOf": [rule, off]}
                        for name, metric in METRICS.items()
                    },
                    "additionalProperties": False,
                },
                off,
            ]
        }

    def written(self, value: tuple[Rule, ...]) -> Any:
        """Return the limits by metric; of defaults that do not hold, that they are off."""
        if not value:
            return "off"
        defaults = {rule.metric: "off" for rule in DEFAULT_GATES}
        return defaults | {rule.metric: rule.to_dict() for rule in value}
