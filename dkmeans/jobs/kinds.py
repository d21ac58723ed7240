"""Kinds of values that keys of a job can have: how each is read, checked, described and written."""

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.context import INVALID, Context
from dkmeans.jobs.reading import Node
from dkmeans.jobs.templates import rendered


class Kind:
    """A kind of value."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        raise NotImplementedError

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the value of a node, which is not null, or `INVALID`."""
        raise NotImplementedError

    def shown(self, node: Node) -> str:
        """Return a value as messages show it."""
        return node.shown()

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        raise NotImplementedError

    def written(self, value: Any) -> Any:
        """Return a value as plain values that read back as it, but for secrets."""
        return value


@dataclass(frozen=True)
class Text(Kind):
    """A text, which may have templates."""

    rule: str = "text"
    """What it should be."""

    sample: str = "text"
    templates: bool = True

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return self.sample

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the text, its templates filled in."""
        value = node.value
        if not isinstance(value, str):
            quotes = f"; put it in quotes: '{node.text}'" if node.text else ""
            return context.refuse_value(node, path, f"{self.rule}{quotes}")
        if self.templates:
            try:
                value = rendered(value, context.as_of, context.values)
            except ArgumentError as error:
                return context.refuse(node.where, path, str(error))
        if not value.strip():
            return context.refuse_value(node, path, f"{self.rule}, as {self.sample}")
        return self.checked(value, node, path, context)

    def checked(self, value: str, node: Node, path: str, context: Context) -> Any:
        """Return the value of a text whose templates are filled in."""
        return value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Choice(Kind):
    """One of some words."""

    names: tuple[str, ...]

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return self.names[0]

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the word."""
        if node.value in self.names:
            return node.value
        known = f"{', '.join(self.names[:-1])} or {self.names[-1]}"
        return context.refuse_value(node, path, known + meant(str(node.value), self.names))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"enum": list(self.names)}


@dataclass(frozen=True)
class Flag(Kind):
    """true or false."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "true"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the value."""
        if isinstance(node.value, bool):
            return node.value
        return context.refuse_value(node, path, "true or false")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Integer(Kind):
    """An integer."""

    least: int | None = 1

    @property
    def rule(self) -> str:
        """What it should be."""
        return "an integer" if self.least is None else f"an integer of at least {self.least}"

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "8"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the value."""
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and self._may(value):
            return value
        return context.refuse_value(node, path, self.rule + _unquoted(value))

    def _may(self, value: int) -> bool:
        return self.least is None or value >= self.least

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        least = {} if self.least is None else {"minimum": self.least}
        return {"type": "integer", **least}


@dataclass(frozen=True)
class Number(Kind):
    """A finite number."""

    least: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def rule(self) -> str:
        """What it should be."""
        if self.below is not None:
            return f"a number above {self.above:g} and below {self.below:g}"
        if self.above is not None:
            return f"a number above {self.above:g}"
        return "a number" if self.least is None else f"a number of at least {self.least:g}"

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "0.5"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the value."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and self._may(value):
            return value
        return context.refuse_value(node, path, self.rule + _unquoted(value))

    def _may(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        least = {} if self.least is None else {"minimum": self.least}
        above = {} if self.above is None else {"exclusiveMinimum": self.above}
        below = {} if self.below is None else {"exclusiveMaximum": self.below}
        return {"type": "number", **least, **above, **below}


def _unquoted(value: Any) -> str:
    """The remedy for numbers in quotes."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return ", without quotes"
    return ""


@dataclass(frozen=True)
class Many(Kind):
    """Several values of a kind: a list, or one value alone."""

    of: Kind

    most: int | None = None

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return f"[{self.of.example}]"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return a tuple."""
        if isinstance(node.value, Mapping):
            return context.refuse_value(node, path, f"a list, as {self.example}")
        nodes = node.value if isinstance(node.value, tuple) else (node,)
        if not nodes:
            return context.refuse(
                node.where, path, f"the list is empty; write {self.example}, or leave the key out."
            )
        found = []
        for one in nodes:
            value = self.of.read(one, path, context)
            if value is not INVALID and value in found:
                context.refuse(one.where, path, f"{one.shown()} is named twice; remove one.")
            found.append(value)
        return INVALID if path in context.refused else tuple(found)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        of = self.of.schema()
        return {"anyOf": [of, {"type": "array", "items": of, "minItems": 1}]}

    def written(self, value: Sequence[Any]) -> Any:
        """Return a value as plain values that read back as it, but for secrets."""
        return [self.of.written(one) for one in value]


def meant(name: str, known: Collection[str]) -> str:
    """Return what to say of a name that is not known, if one that is comes near."""
    return "".join(f"; did you mean {one}?" for one in near(name, known))


def near(name: str, known: Collection[str]) -> list[str]:
    """Return what is known by nearly that name: one, or none."""
    return difflib.get_close_matches(name.lower(), list(known), n=1)
