"""Kinds of values that only jobs have: places, spans, sizes, numbers of clusters."""

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dkmeans.errors import ArgumentError
from dkmeans.jobs.context import Context
from dkmeans.jobs.counts import parse_counts
from dkmeans.jobs.kinds import Kind, Text
from dkmeans.jobs.problems import without_password
from dkmeans.jobs.reading import Node
from dkmeans.storage.filesystem import join

_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


@dataclass(frozen=True)
class Matching(Text):
    """A text of a certain form."""

    pattern: str = ".*"

    def checked(self, value: str, node: Node, path: str, context: Context) -> Any:
        """Return the text if it has the form."""
        if re.fullmatch(self.pattern, value):
            return value
        return context.refuse_value(node, path, f"{self.rule}, as {self.sample}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class Place(Text):
    """A URL, or a path, which is relative to the folder of the job file."""

    rule: str = "a URL or path"
    sample: str = "s3://bucket/folder"

    def checked(self, value: str, node: Node, path: str, context: Context) -> Any:
        """Return the URL, or the absolute path."""
        return place(value, context.folder)

    def written(self, value: Any) -> Any:
        """Return the place without passwords."""
        return without_password(value)


def place(text: str, folder: str) -> str:
    """Return a URL as it is, a path below `folder` if it is relative."""
    if "://" in text or "::" in text:
        return text
    text = os.path.expanduser(text)
    if os.path.isabs(text):
        return text
    if "://" in folder:
        return join(folder, text.removeprefix("./"))
    return os.path.normpath(os.path.join(folder, text))


@dataclass(frozen=True)
class Counts(Kind):
    """Numbers of clusters."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "2:30"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return them ascending, each once."""
        rule = "numbers of clusters, as 2:30 or [10, 20, 50]"
        nodes = node.value if isinstance(node.value, tuple) else (node,)
        values = [one.value for one in nodes]
        if values and all(type(one) is int and one >= 1 for one in values):
            return tuple(sorted(set(values)))
        if not isinstance(node.value, str):
            return context.refuse_value(node, path, rule)
        try:
            return tuple(parse_counts(node.value))
        except ArgumentError as error:
            return context.refuse(node.where, path, str(error))

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        count = {"type": "integer", "minimum": 1}
        text = {"type": "string", "pattern": r"^\s*\d+\s*(:\s*\d+\s*)?(,\s*\d+\s*(:\s*\d+\s*)?)*$"}
        return {"anyOf": [count, text, {"type": "array", "items": count, "minItems": 1}]}

    def written(self, value: Any) -> Any:
        """Return a list."""
        return list(value)


@dataclass(frozen=True)
class Quantity(Kind):
    """A number above 0 with a unit, or of the smallest unit."""

    unit: Literal["bytes", "seconds"]

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "50 GB" if self.unit == "bytes" else "2h"

    @property
    def _units(self) -> Mapping[str, int]:
        return _BYTES if self.unit == "bytes" else _SECONDS

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return bytes, an integer, or seconds."""
        value = node.value
        number: float = 0
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = value
        elif isinstance(value, str) and (found := _QUANTITY.fullmatch(value.strip())):
            number = float(found[1]) * self._units.get(found[2], 0)
        if 0 < number < 2**62:
            return int(number) if self.unit == "bytes" or number == int(number) else number
        units = ", ".join(self._units)
        return context.refuse_value(
            node, path, f"{self.unit} above 0, as {self.example}, with {units}"
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        units = "|".join(self._units)
        return {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$"},
            ]
        }


@dataclass(frozen=True)
class HalfLife:
    """How much passes until what came before counts half."""

    amount: float
    unit: Literal["rows", "batches", "seconds"]


@dataclass(frozen=True)
class HalfLives(Kind):
    """Rows, batches, or a span of time."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "30d"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return a `HalfLife`; a bare number is of rows."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**62:
            return HalfLife(value, "rows")
        if isinstance(value, str) and (found := _QUANTITY.fullmatch(value.strip())):
            amount, unit = float(found[1]), found[2]
            if amount > 0 and unit in ("rows", "batches"):
                return HalfLife(amount, "rows" if unit == "rows" else "batches")
            if amount > 0 and unit in _SECONDS:
                return HalfLife(amount * _SECONDS[unit], "seconds")
        return context.refuse_value(node, path, "30d (or h, w), 1000000 rows or 50 batches")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        units = "|".join((*_SECONDS, "rows", "batches"))
        return {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$"},
            ]
        }

    def written(self, value: HalfLife) -> Any:
        """Return it with its unit."""
        unit = {"rows": " rows", "batches": " batches", "seconds": "s"}[value.unit]
        amount = int(value.amount) if value.amount == int(value.amount) else value.amount
        return f"{amount}{unit}"
