"""From frozen dataclasses to kinds of values: what is defined once is read, checked, described."""

import ast
import inspect
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from dkmeans.jobs.context import INVALID, Context
from dkmeans.jobs.kinds import Choice, Flag, Kind, Many, Text, near
from dkmeans.jobs.problems import Where
from dkmeans.jobs.reading import Node


@dataclass(frozen=True)
class Record(Kind):
    """A mapping with the keys that are the fields of a dataclass.

    A field without a default is required; null is as if the key were not there.
    """

    of: type

    short: str | None = None
    """The key that a value stands for which is no mapping; None if there is none."""

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        needed = [one.name for one in fields(self.of) if _is_required(one)]
        names = needed or [self.short or fields(self.of)[0].name]
        inside = ", ".join(f"{name}: {kinds_of(self.of)[name].example}" for name in names)
        return f"{{{inside}}}"

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return the dataclass; fields that were refused have their defaults, or None."""
        value = node.value
        if not isinstance(value, Mapping):
            if self.short is None or isinstance(value, tuple):
                return context.refuse_value(node, path, f"keys and values, as {self.example}")
            kind = kinds_of(self.of)[self.short]
            inside = _below(path, self.short)
            context.given[inside] = node.where
            context.shown[inside] = kind.shown(node)
            # messages name what is written
            short = kind.read(node, path, context)
            if short is INVALID:
                return INVALID
            context.chosen.add(inside)
            return self.of(**{self.short: short})
        kinds = kinds_of(self.of)
        found: dict[str, Any] = {}
        defaults = {one.name: _default(one) for one in fields(self.of)}
        for name, entry in value.items():
            inside = _below(path, name)
            if name not in kinds:
                owner = path or "a job"
                context.refuse(entry.where, inside, f"is no key of {owner}{_hint(name, kinds)}")
            elif entry.node.value is not None:
                context.given[inside] = entry.where
                context.shown[inside] = kinds[name].shown(entry.node)
                one = kinds[name].read(entry.node, inside, context)
                if one is not INVALID:
                    found[name] = one
                    if one != defaults[name]:
                        context.chosen.add(inside)
        for field in fields(self.of):
            if _is_required(field) and field.name not in found:
                inside = _below(path, field.name)
                if inside not in context.given:
                    self._missing(value, field.name, inside, node.where, context)
                found[field.name] = None
        return self.of(**found)

    def _missing(
        self, value: Mapping[str, Any], name: str, path: str, where: Where, context: Context
    ) -> None:
        is_there = name in value
        context.refuse(
            value[name].where if is_there else where,
            path,
            f"is {'empty' if is_there else 'missing'}; write {name}: "
            f"{kinds_of(self.of)[name].example}.",
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        texts = descriptions(self.of)
        properties = {}
        for one in fields(self.of):
            kind = kinds_of(self.of)[one.name]
            about: dict[str, Any] = {"description": texts[one.name]}
            schema = kind.schema()
            if _is_required(one):
                properties[one.name] = {**about, **schema}
                continue
            if isinstance(one.default, str | int | float):
                about["default"] = kind.written(one.default)
            properties[one.name] = {**about, "anyOf": [schema, {"type": "null"}]}
        whole: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        required = [one.name for one in fields(self.of) if _is_required(one)]
        if required:
            whole["required"] = required
        if self.short is None:
            return whole
        return {"anyOf": [kinds_of(self.of)[self.short].schema(), whole]}

    def written(self, value: Any) -> Any:
        """Return what is neither None nor empty, as plain values that read back as the record."""
        found = {
            name: kind.written(getattr(value, name))
            for name, kind in kinds_of(self.of).items()
            if getattr(value, name) is not None
        }
        return {name: one for name, one in found.items() if one not in ([], {})}


@dataclass(frozen=True)
class TextOr(Kind):
    """A mapping, or a text that is something else."""

    text: Kind
    record: Record

    @property
    def example(self) -> str:
        """A value, as it could be written."""
        return self.record.example

    def read(self, node: Node, path: str, context: Context) -> Any:
        """Return what either gives."""
        is_text = isinstance(node.value, str)
        return (self.text if is_text else self.record).read(node, path, context)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of it."""
        return {"anyOf": [self.text.schema(), self.record.schema()]}

    def written(self, value: Any) -> Any:
        """Return plain values."""
        return (self.text if isinstance(value, str) else self.record).written(value)


@cache
def kinds_of(record: type) -> Mapping[str, Kind]:
    """Return the kind of value that each field of a dataclass takes."""
    hints = get_type_hints(record, include_extras=True)
    return {one.name: kind_of(hints[one.name]) for one in fields(record)}


def kind_of(hint: Any) -> Kind:
    """Return the kind of value that a type hint stands for: what annotates it, else by the type."""
    if get_origin(hint) is Annotated:
        for one in get_args(hint)[1:]:
            if isinstance(one, Kind):
                return one
        return kind_of(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        inner = [one for one in get_args(hint) if one is not type(None)]
        return kind_of(inner[0])
    if get_origin(hint) is Literal:
        return Choice(get_args(hint))
    if get_origin(hint) is tuple:
        return Many(kind_of(get_args(hint)[0]))
    if hint is bool:
        return Flag()
    if hint is str:
        return Text()
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        return Record(hint)
    raise TypeError(f"no kind of value for {hint}")


def descriptions(record: type) -> dict[str, str]:
    """Return the string below each field of a dataclass, on one line."""
    (body,) = ast.parse(inspect.getsource(record)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for one, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[one.target.id] = " ".join(str(text.value.value).split())
    return found


def paths_of(record: type, path: str = "") -> list[str]:
    """Return the path of every key of a record, and of those below it."""
    found = []
    for name, kind in kinds_of(record).items():
        inside = _below(path, name)
        found.append(inside)
        inner = kind.record if isinstance(kind, TextOr) else kind
        if isinstance(inner, Record):
            found += paths_of(inner.of, inside)
    return found


def shorts_of(record: type) -> dict[str, str]:
    """Return the keys whose value may be a text, each with the key that the text stands for."""
    return {
        name: kind.short
        for name, kind in kinds_of(record).items()
        if isinstance(kind, Record) and kind.short is not None
    }


def _is_required(one: "Field[Any]") -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _default(one: "Field[Any]") -> Any:
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hint(name: str, known: Mapping[str, Kind]) -> str:
    """What a key that is not known may have been meant as."""
    from dkmeans.jobs.definition import Job

    found = [path for path in paths_of(Job) if path.rpartition(".")[2] == name][:1]
    found += near(name.replace("-", "_"), known)
    return f"; did you mean {' or '.join(found)}?" if found else f"; use {', '.join(known)}"
