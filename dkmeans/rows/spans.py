"""What a task of a pass walks: consecutive leaves, so many that few tasks make up a pass.

A scheduler takes about a millisecond for a task, whatever it is, and one process schedules for all
workers: with a task a leaf it would be busier than they are.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Leaf, Pass
from dkmeans.rows.stretch import Lacking, Stretch, joined
from dkmeans.rows.walk import run_leaf

FREE_TASKS = 4
"""Tasks for each slot where leaves may run anywhere: who is done early takes from others."""

HOME_TASKS = 2
"""Tasks for each slot where leaves stay at home."""

_MOST_LEAVES = 32
"""Of a task: what is lost with a worker, and the time from one sign of progress to the next."""


@dataclass(frozen=True)
class Span:
    """Consecutive leaves of a pass."""

    first: int
    """Position of the first one in the pass."""

    leaves: tuple[Leaf, ...]
    n_leaves: int
    """Of the pass."""


def most_leaves(n_leaves: int, n_slots: int, tasks_a_slot: int) -> int:
    """Return how many leaves a task may walk."""
    return min(_MOST_LEAVES, max(1, math.ceil(n_leaves / (tasks_a_slot * max(1, n_slots)))))


def cut_spans(
    leaves: Sequence[Leaf], places: Sequence[Hashable], most: Callable[[Any], int], first: int = 0
) -> list[Span]:
    """Cut leaves into spans of nearly one length, about as long as `most` of its place at most.

    Long ones end where leaves that merge do, so that they give few results.

    Parameters
    ----------
    leaves
        All leaves of the pass.
    places
        Where to run each of some consecutive ones; a span has leaves of one place.
    most
        Says how many leaves of a place a span may have.
    first
        Position of the first of those.
    """
    spans: list[Span] = []
    for place, members in groupby(places):
        n = len(list(members))
        n_spans = math.ceil(n / most(place))
        cuts = [first, *(_even(first + n * i // n_spans, n // n_spans) for i in range(1, n_spans))]
        cuts.append(first + n)
        spans += [
            Span(start, tuple(leaves[start:stop]), len(leaves)) for start, stop in pairwise(cuts)
        ]
        first += n
    return spans


def _even(cut: int, length: int) -> int:
    return cut if length < FAN_IN else round(cut / FAN_IN) * FAN_IN


def held_results(n_leaves: int, slots: Sequence[int]) -> int:
    """Return how many results a process may hold: of spans, and of joins at each level.

    `slots` are tasks at a time, of each process.
    """
    most = 0
    for tasks in (FREE_TASKS, HOME_TASKS):
        n_of_span = most_leaves(n_leaves, sum(slots), tasks)
        n = math.ceil(n_leaves / n_of_span / max(1, len(slots)))
        held = min(n, FAN_IN) * min(n_of_span, FAN_IN)
        while n > FAN_IN:
            n = math.ceil(n / FAN_IN)
            held += min(n, FAN_IN) * FAN_IN
        most = max(most, held)
    return min(n_leaves, most)


def count_tasks(n_leaves: int, slots: Sequence[int]) -> int:
    """Return the tasks of a pass over leaves that are nowhere yet: spans, and their joins.

    `slots` are tasks at a time, of each process.
    """
    most, dealt, n = most_leaves(n_leaves, sum(slots), FREE_TASKS), 0, 0
    for i in range(len(slots)):
        stop = n_leaves * sum(slots[: i + 1]) // sum(slots)
        n += math.ceil((stop - dealt) / most)
        dealt = stop
    total = n
    while n > 1:
        n = math.ceil(n / FAN_IN)
        total += n
    return total


def run_span(
    span: Span,
    shared: Pass,
    parts: Sequence[Any] = (),
    on_leaf: Callable[[], None] | None = None,
) -> Stretch | Lacking:
    """Answer all requests of a pass for some leaves.

    Parameters
    ----------
    span
        The leaves.
    shared
        What is the same for all leaves.
    parts
        The data that were sent along with each leaf; empty for none.
    on_leaf
        Called whenever a leaf is done.
    """
    so_far = Stretch(())
    lacking: list[int] = []
    for i, leaf in enumerate(span.leaves):
        then = span.leaves[i + 1] if i + 1 < len(span.leaves) else None
        result = run_leaf(leaf, shared, parts[i] if parts else None, then)
        lacking += result.missing
        if not lacking:
            leaf_result = Stretch.of_leaf(span.first + i, result)
            so_far = joined((so_far, leaf_result), span.n_leaves)
            if on_leaf is not None:
                on_leaf()
    return Lacking(tuple(lacking)) if lacking else so_far
