"""YAML with the place of every value, read without running anything.

Values are those of YAML 1.2: `no` and `2026-11-20` are texts, `2:30` is no number of minutes, 1e-4
is a number. Anchors and aliases are allowed, as far as what they stand for is small.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from dkmeans.errors import JobRefused
from dkmeans.jobs.problems import Problem, Where, shown

MOST_BYTES = 2**18
"""Of a job file."""

_MOST_NODES = 10_000
"""Values of a job file, those that aliases stand for counted each time."""

_MOST_DEPTH = 20

Plain = str | int | float | bool | None

_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str")}


@dataclass(frozen=True)
class Node:
    """A value, and where it is written."""

    where: Where
    value: "Plain | tuple[Node, ...] | Mapping[str, Entry]"
    text: str = ""
    """As it is written, of plain values."""

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        if isinstance(self.value, Mapping):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        return self.value

    def shown(self) -> str:
        """Return the value as messages show it."""
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return shown(self.text) if is_number and len(self.text) > 40 else shown(self.value)


@dataclass(frozen=True)
class Entry:
    """A value of a mapping, and where its key is written."""

    where: Where
    node: Node


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012


class Dumper(yaml.SafeDumper):
    """Writes what `read` reads back as it was."""

    yaml_implicit_resolvers = {}  # noqa: RUF012


for _kind in (_Loader, Dumper):
    for _name, _pattern, _first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
        (
            "float",
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            list("-+.0123456789"),
        ),
    ):
        _kind.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})$"), _first)


class Unreadable(Exception):
    """The text is no YAML that can be used; holds the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def read(data: bytes, source: str, problems: list[Problem]) -> Node:
    """Read the text of a job file.

    Parameters
    ----------
    data
        UTF-8.
    source
        The name of the file, for messages.
    problems
        Gets what is wrong: keys that are written twice, tags.

    Raises
    ------
    JobRefused
        If nothing can be said beyond that: it is no YAML, too large, or empty.
    """

    def where(line: int, column: int) -> Where:
        return Where(False, line, column, source)

    def unreadable(text: str, line: int = 1) -> JobRefused:
        return JobRefused(str(Problem(where(line, 1), "", text)))

    if len(data) > MOST_BYTES:
        raise unreadable(
            f"the file has {len(data):,} bytes; a job has at most {MOST_BYTES:,}: check that it "
            "is the job file."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise unreadable("the line is not UTF-8 text; save the file as UTF-8.", line) from None
    try:
        node = parse(text, where, problems)
    except Unreadable as error:
        raise JobRefused(str(error.problem)) from None
    if node is None or node.value is None:
        raise unreadable("the file is empty; write task, name, data and model.")
    return node


def parse(
    text: str, where: Callable[[int, int], Where], problems: list[Problem], path: str = ""
) -> Node | None:
    """Turn YAML into nodes; None for an empty text.

    `where` tells the place of a line and column, both from 1; `path` is the key that the value
    belongs to.

    Raises
    ------
    Unreadable
        If it is no YAML, or stands for more than a job may hold.
    """
    try:
        composed = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise Unreadable(
            Problem(where(line, column), path, f"not YAML: {_why(error, text, line)}")
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Unreadable(
            Problem(where(line, 1), path, "the line has a control character; remove it.")
        ) from None
    except RecursionError:
        raise Unreadable(_too_deep(where(1, 1), path)) from None
    if composed is None:
        return None
    return _Walk(where, problems).node(composed, path, 0)


def _why(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    """What is wrong with the syntax; the line itself, which may hold secrets, is not shown."""
    lines = text.splitlines()
    # a flow mapping that goes on behind its brackets is found at its end, or on the next line
    if any("{{" in one for one in lines[max(0, line - 2) : line]):
        return "put a value with {{ }} in quotes."
    if error.problem and "'\\t'" in error.problem:
        return "a tab indents the line; use spaces."
    return f"{error.problem or error.context}; check the line and the one above."


def _too_deep(where: Where, path: str) -> Problem:
    # an alias that stands for itself makes a path without end
    path = ".".join(path.split(".")[:3])
    return Problem(where, path, f"values lie more than {_MOST_DEPTH} levels deep; write them flat.")


class _Walk:
    """Turns what PyYAML has composed into nodes, counting them."""

    def __init__(self, where: Callable[[int, int], Where], problems: list[Problem]) -> None:
        self._where, self._problems = where, problems
        self._n_nodes = 0

    def node(self, node: yaml.Node, path: str, depth: int) -> Node:
        """Return a node with all that is in it."""
        where = self._place(node)
        self._n_nodes += 1
        if depth > _MOST_DEPTH:
            raise Unreadable(_too_deep(where, path))
        if self._n_nodes > _MOST_NODES:
            raise Unreadable(
                Problem(
                    where,
                    "",
                    f"the file stands for more than {_MOST_NODES:,} values; use fewer aliases.",
                )
            )
        if isinstance(node, yaml.ScalarNode):
            return Node(where, self._scalar(node, path), node.value)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return Node(where, tuple(self.node(one, path, depth + 1) for one in node.value))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return Node(where, self._mapping(node, path, depth))
        self._refuse_tag(node, path)
        return Node(where, None)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for key, value in node.value:
            where = self._place(key)
            if isinstance(key, yaml.MappingNode):
                self._refuse(where, path, "put a value with {{ }} in quotes.")
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(where, path, "a key is a list; keys are texts.")
                continue
            name = key.value
            inside = f"{path}.{name}" if path else name
            entry = Entry(where, self.node(value, inside, depth + 1))
            if name in entries:
                first = entries[name].where
                self._refuse(
                    where, inside, f"is written twice, first in line {first.line}; remove one."
                )
                continue
            entries[name] = entry
        return entries

    def _scalar(self, node: yaml.ScalarNode, path: str) -> Plain:
        text = node.value
        if node.tag not in _PLAIN:
            self._refuse_tag(node, path)
            return None
        try:
            return _VALUES[node.tag.removeprefix(_TAG)](text)
        except (ValueError, KeyError):
            self._refuse(
                self._place(node), path, f"{shown(text)} is no {node.tag.removeprefix(_TAG)}."
            )
            return None

    def _refuse_tag(self, node: yaml.Node, path: str) -> None:
        name = node.tag.replace(_TAG, "!!")
        self._refuse(
            self._place(node), path, f"the tag {name} is not allowed; write the plain value."
        )

    def _refuse(self, where: Where, path: str, text: str) -> None:
        self._problems.append(Problem(where, path, text))

    def _place(self, node: yaml.Node) -> Where:
        return self._where(node.start_mark.line + 1, node.start_mark.column + 1)


def _integer(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=[inIN])", "", text))


_VALUES: Mapping[str, Callable[[str], Plain]] = {
    "null": lambda text: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": _float,
    "str": lambda text: text,
}
