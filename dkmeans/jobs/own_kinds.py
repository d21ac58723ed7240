"""Kinds of values that only jobs have: places, filters, spans, secrets, numbers of clusters."""

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dkmeans.errors import ArgumentError
from dkmeans.jobs.counts import parse_counts
from dkmeans.jobs.kinds import INVALID, Context, Kind, Text
from dkmeans.jobs.problems import HIDDEN, without_password
from dkmeans.jobs.reading import Node
from dkmeans.jobs.secrets import Env, hidden
from dkmeans.rows.filters import OPERATORS, parse_comparison
from dkmeans.storage.filesystem import join

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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


Comparison = tuple[str, str, Any]


@dataclass(frozen=True)
class Filters(Kind):
    """Comparisons, and-ed in a list, or-ed in a list of lists."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return "['amount > 0', 'kind in [\"a\", \"b\"]']"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return groups of comparisons: all of a group must pass, any group may."""
        if isinstance(node.value, Mapping):
            return context.refuse_value(node, path, f"a list of comparisons, as {self.example}")
        items = node.value if isinstance(node.value, tuple) else (node,)
        if _is_comparison(node):
            items = (node,)
        are_groups = [isinstance(one.value, tuple) and not _is_comparison(one) for one in items]
        if any(are_groups) and not all(are_groups):
            return context.refuse(
                node.where,
                path,
                "comparisons stand beside lists of them; write one list of comparisons that must "
                "all hold, or only lists, any of which may.",
            )
        groups = []
        for group in items if any(are_groups) else (Node(node.where, tuple(items)),):
            assert isinstance(group.value, tuple)
            if any(are_groups) and not group.value:
                context.refuse(group.where, path, "a list of comparisons is empty; remove it.")
            groups.append(tuple(self._comparison(one, path, context) for one in group.value))
        if path in context.refused:
            return INVALID
        return tuple(group for group in groups if group)

    def _comparison(self, node: Node, path: str, context: Context) -> Any:
        if _is_comparison(node):
            return self._triple(node, path, context)
        text = Text("a comparison, as 'amount > 0'").read(node, path, context)
        if text is INVALID:
            return INVALID
        try:
            column, op, value = parse_comparison(text)
        except ArgumentError:
            column, op, value = "", "", ""
        # `a => 1` and `a >> 1` would compare with the text "> 1"
        if not column or (isinstance(value, str) and value[:1] in "=<>!" and value):
            return context.refuse(
                node.where,
                path,
                f"{node.shown()} is no comparison; write it as 'amount > 0' or "
                '\'kind in ["a", "b"]\'.',
            )
        return self._sound(node, path, context, (column, op, value))

    def _triple(self, node: Node, path: str, context: Context) -> Any:
        assert isinstance(node.value, tuple)
        column, op, value = node.value
        of_text = Text("the name of a column").read(column, path, context)
        nodes = value.value if isinstance(value.value, tuple) else (value,)
        found: list[Any] = []
        for one in nodes:
            if isinstance(one.value, str):
                found.append(Text(templates=True).read(one, path, context))
            elif isinstance(one.value, int | float):
                found.append(one.value)
            else:
                rule = "text, a number, true or false"
                found.append(context.refuse_value(one, path, rule))
        if INVALID in (of_text, *found):
            return INVALID
        is_list = isinstance(value.value, tuple)
        return self._sound(
            node, path, context, (of_text, str(op.value), tuple(found) if is_list else found[0])
        )

    def _sound(
        self, node: Node, path: str, context: Context, comparison: Comparison
    ) -> Comparison | Any:
        column, op, value = comparison
        is_list = isinstance(value, tuple | list)
        if is_list != (op in ("in", "not in")):
            needs = (
                'needs a list, as \'kind in ["a", "b"]\''
                if not is_list
                else ("needs one value; use in for a list")
            )
            return context.refuse(node.where, path, f"{op!r} in {node.shown()} {needs}.")
        if is_list and not value:
            return context.refuse(
                node.where, path, f"{op!r} in {node.shown()} has an empty list; name some values."
            )
        return column, op, tuple(value) if is_list else value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        plain = {"type": ["string", "number", "boolean"]}
        triple = {
            "type": "array",
            "prefixItems": [
                {"type": "string"},
                {"enum": list(OPERATORS)},
                {"anyOf": [plain, {"type": "array", "items": plain, "minItems": 1}]},
            ],
            "minItems": 3,
            "maxItems": 3,
        }
        one = {"anyOf": [{"type": "string", "minLength": 1}, triple]}
        group = {"type": "array", "items": one}
        return {"anyOf": [one, group, {"type": "array", "items": {**group, "minItems": 1}}]}

    def written(self, value: Any) -> Any:
        """Return the comparisons as lists of column, operator and value."""
        groups = [
            [
                [column, op, list(one) if isinstance(one, tuple) else one]
                for column, op, one in group
            ]
            for group in value
        ]
        return groups[0] if len(groups) == 1 else groups


def _is_comparison(node: Node) -> bool:
    value = node.value
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and isinstance(value[0].value, str)
        and value[1].value in OPERATORS
    )


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
