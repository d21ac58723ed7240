"""What reading a job knows and finds out: templates, problems, and which keys were given."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dkmeans.jobs.problems import Problem, Where
from dkmeans.jobs.reading import Node


class _Invalid:
    """Stands for a value that was refused."""


INVALID: Final = _Invalid()


@dataclass
class Context:
    """What reading a job knows and finds out."""

    as_of: datetime.datetime
    """In UTC."""

    root: Where
    """Where the job begins."""

    folder: str
    """What relative paths are relative to."""

    values: Mapping[str, str] = field(default_factory=dict)
    """What templates may name."""

    problems: list[Problem] = field(default_factory=list)
    given: dict[str, Where] = field(default_factory=dict)
    """Where each key is written."""

    shown: dict[str, str] = field(default_factory=dict)
    """The value of each key as messages show it."""

    chosen: set[str] = field(default_factory=set)
    """Keys whose values are not the default."""

    refused: set[str] = field(default_factory=set)
    """Keys whose values cannot be."""

    unread: set[str] = field(init=False)
    """Keys of which it is known already that their values cannot be read."""

    def __post_init__(self) -> None:
        self.unread = {one.path for one in self.problems}

    def refuse(self, where: Where, path: str, text: str) -> Any:
        """Add a problem of a value; returns what stands for it."""
        if path not in self.unread:
            self.tell(where, path, text)
        self.refused.add(path)
        return INVALID

    def tell(self, where: Where, path: str, text: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(where, path, text if text[-1] in ".?" else f"{text}."))

    def refuse_value(self, node: Node, path: str, rule: str) -> Any:
        """Add that a value should be something else."""
        return self.refuse(node.where, path, f"{node.shown()} should be {rule}")
