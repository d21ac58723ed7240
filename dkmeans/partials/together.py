"""Several partials of the same rows as one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dkmeans.partials.base import Partial


@dataclass(frozen=True, eq=False)
class Together:
    """Partials by name, which merge each with its like."""

    parts: Mapping[str, Partial]
    """At least one; those that merge have the same names."""

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)({name: one.merge(other.parts[name]) for name, one in self.parts.items()})

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __contains__(self, name: str) -> bool:
        return name in self.parts

    @property
    def n_rows(self) -> int:
        """Rows seen by each; -1 if they disagree, which no pass accepts."""
        counts = {one.n_rows for one in self.parts.values()}
        return counts.pop() if len(counts) == 1 else -1
