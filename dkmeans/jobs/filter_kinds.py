"""Row filters, as job files have them: texts such as `amount > 0`, or column, operator, value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.context import INVALID, Context
from dkmeans.jobs.kinds import Kind, Text
from dkmeans.jobs.reading import Node
from dkmeans.rows.filters import OPERATORS, parse_comparison

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
