"""Several partials as one: what a step gives that finds more than one thing in a block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dkmeans.errors import DkmeansError
from dkmeans.partials.base import Partial


@dataclass(frozen=True, eq=False)
class Together:
    """Partials of the same rows, which merge one by one."""

    parts: Mapping[str, Partial]
    """By name, at least one; those that merge have the same names."""

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __contains__(self, name: str) -> bool:
        return name in self.parts

    @property
    def n_rows(self) -> int:
        """Rows that each part has seen.

        Raises
        ------
        DkmeansError
            If the parts do not agree.
        """
        counts = {part.n_rows for part in self.parts.values()}
        if len(counts) > 1:
            told = ", ".join(f"{name} {part.n_rows}" for name, part in self.parts.items())
            raise DkmeansError(
                f"partials of the same rows count them differently ({told}); this is a fault of "
                "dkmeans or of the machine, run again."
            )
        return counts.pop()

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            {name: part.merge(other.parts[name]) for name, part in self.parts.items()}
        )
