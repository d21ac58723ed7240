"""Values that are set beside a job file: `--set model.n_clusters=12`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dkmeans.jobs.problems import Problem, Where
from dkmeans.jobs.reading import Entry, Node, Unreadable, parse

SOURCE = "--set"
"""What stands in place of file and line."""


def override(
    root: Node, sets: Sequence[str], shorts: Mapping[str, str], problems: list[Problem]
) -> Node:
    """Return a job with some of its values replaced, or added.

    Parameters
    ----------
    root
        The job as it is written.
    sets
        `key=value` each: the key with those around it, as `data.filters`; the value as YAML.
    shorts
        Keys whose value may be a text, and for which of the keys below them it stands.
    problems
        Gets what is wrong.
    """
    for number, text in enumerate(sets, start=1):
        where = Where(True, number, 1, SOURCE)
        path, equals, value = text.partition("=")
        path = path.strip()
        names = path.split(".")
        if not equals or not all(names):
            # what follows the = may be a secret, and so may a text without one
            problems.append(
                Problem(
                    where, path if equals else "", "should be KEY=VALUE, as model.n_clusters=8."
                )
            )
            continue
        try:
            node = parse(value, lambda line, column, at=where: at, problems, path)  # type: ignore[misc]
        except Unreadable as error:
            problems.append(error.problem)
            continue
        value_node = node or Node(where, None)
        changed = _replaced(root, (), names, value_node, where, shorts)
        if changed is None:
            problems.append(
                Problem(where, path, "a key above it has a value without keys; set all of that.")
            )
            continue
        root = changed
    return root


def _replaced(
    node: Node,
    above: tuple[str, ...],
    names: Sequence[str],
    value: Node,
    where: Where,
    shorts: Mapping[str, str],
) -> Node | None:
    """Return `node`, which is the value of `above`, with `value` at `names` below it.

    None if there is something without keys on the way.
    """
    if not names:
        return value
    short = shorts.get(".".join(above))
    if node.value is None:
        node = Node(where, {})
    elif short is not None and isinstance(node.value, str):
        node = Node(node.where, {short: Entry(node.where, node)})
    if not isinstance(node.value, Mapping):
        return None
    name, *rest = names
    before = node.value.get(name)
    inner = Node(where, None) if before is None else before.node
    changed = _replaced(inner, (*above, name), rest, value, where, shorts)
    if changed is None:
        return None
    # where only a part below it is set, the key is still the file's
    at = where if before is None or not rest else before.where
    return replace(node, value={**node.value, name: Entry(at, changed)})
