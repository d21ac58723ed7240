"""Several partials as one: what a step gives that finds more than one thing in a block."""

from dataclasses import dataclass
from typing import Self

from dkmeans.errors import DkmeansError
from dkmeans.partials.base import Partial


@dataclass(frozen=True, eq=False)
class Together:
    """Partials of the same rows, which merge one by one."""

    parts: tuple[Partial, ...]
    """At least one; those that merge have the same kinds in the same order."""

    @property
    def n_rows(self) -> int:
        """Rows that each part has seen.

        Raises
        ------
        DkmeansError
            If the parts do not agree.
        """
        counts = {part.n_rows for part in self.parts}
        if len(counts) > 1:
            told = ", ".join(f"{type(part).__name__} {part.n_rows}" for part in self.parts)
            raise DkmeansError(
                f"partials of the same rows count them differently ({told}); this is a fault of "
                "dkmeans or of the machine, run again."
            )
        return counts.pop()

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        return type(self)(
            tuple(ours.merge(theirs) for ours, theirs in zip(self.parts, other.parts, strict=True))
        )
