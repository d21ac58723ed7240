"""The contract of a partial, and the merge of several in order."""

from collections.abc import Iterable
from functools import reduce
from typing import Protocol, Self, TypeVar


class Partial(Protocol):
    """An immutable value built from one block of rows, that merges with its like.

    `merge` is associative and commutative up to rounding, and exactly so on integer-valued data.
    Every partial has a `zero`, which an empty block gives and which changes nothing it is merged
    with. All arrays are owned and, where they hold sums, float64.
    """

    @property
    def n_rows(self) -> int:
        """Rows seen: every pass checks that each row was seen once."""
        ...

    def merge(self, other: Self) -> Self:
        """Combine the contributions of two disjoint sets of rows."""
        ...


_P = TypeVar("_P", bound=Partial)


def merge_all(partials: Iterable[_P]) -> _P:
    """Merge at least one partial, from left to right."""
    return reduce(lambda so_far, partial: so_far.merge(partial), partials)
