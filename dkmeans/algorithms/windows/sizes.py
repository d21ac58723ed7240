"""How many rows the coreset of each partition of a window should have, at least and at most."""

import math
from collections.abc import Mapping

_MOST_KEPT = 8
"""How many times the rows of the window's coreset all partitions together may have. What share of
the inertia a partition has differs from window to window: one that has hardly any beside others may
have most of it when they have left."""

_ENOUGH = 0.5
"""Which part of the least rows that a partition should have is enough, if they are kept."""


def least_sizes(n_rows: Mapping[str, int], size: int, fewest: int) -> dict[str, int]:
    """Return the fewest rows of each coreset: a share by rows, or an even one, if that is more.

    Parameters
    ----------
    n_rows
        Rows of each partition of a window, by name.
    size
        Rows that a coreset of the window would have.
    fewest
        Fewest rows of any.
    """
    even, total = -(-size // len(n_rows)), sum(n_rows.values())
    return {
        name: max(fewest, even, math.ceil(size * one / total) if total else 0)
        for name, one in n_rows.items()
    }


def size_to_draw(n_rows: int, n_partitions: int, size: int, least: int) -> int:
    """Return how many rows to draw of a partition of a window: as many as any window may need.

    No more than a window would have, than half of the rows, and than a share of what all together
    may have.
    """
    return max(least, min(size, _MOST_KEPT * size // n_partitions, n_rows // 2))


def is_enough(size: int, least: int) -> bool:
    """Whether a coreset that is kept will do where it should have some rows at least."""
    return size >= _ENOUGH * least
