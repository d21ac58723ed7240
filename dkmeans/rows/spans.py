"""What a task of a pass walks: consecutive leaves, so many that few tasks make up a pass.

A scheduler takes about a millisecond for a task, whatever it is, and one process schedules for all
workers: with a task a leaf it would be busier than they are.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Leaf, Pass
from dkmeans.rows.stretch import Lacking, Stretch, joined, n_pieces
from dkmeans.rows.walk import run_leaf

FREE_TASKS = 4
"""Tasks for each slot where leaves may run anywhere: who is done early takes from others."""

HOME_TASKS = 1
"""Tasks for each slot where leaves stay at home: nobody can take from others."""

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
        stop = first + len(list(members))
        spans += [
            Span(start, tuple(leaves[start:end]), len(leaves))
            for start, end in pairwise(_cuts(first, stop, most(place)))
        ]
        first = stop
    return spans


def held_results(n_leaves: int, slots: Sequence[int]) -> int:
    """Return how many results a process may hold that wait to be joined.

    Of one that is ahead of all others, so that nothing is joined but what is its own: of spans, and
    of joins at each level. `slots` are tasks at a time, of each process.
    """
    most = 1
    for tasks in (FREE_TASKS, HOME_TASKS):
        of_span = most_leaves(n_leaves, sum(slots), tasks)
        for first, stop in _shares(n_leaves, slots):
            waiting: list[list[tuple[int, int]]] = [[]]
            for cut in pairwise(_cuts(first, stop, of_span)):
                _join_counted(waiting, cut)
                held = sum(n_pieces(*one, n_leaves) for level in waiting for one in level)
                most = max(most, held)
    return most


def _join_counted(waiting: list[list[tuple[int, int]]], found: tuple[int, int]) -> None:
    """Add leaves to those of each level that wait; full levels are joined after they are seen."""
    for level in waiting:
        if len(level) == FAN_IN:
            joined_here = (level[0][0], level[-1][1])
            level.clear()
            level.append(found)
            found = joined_here
        else:
            level.append(found)
            return
    waiting.append([found])


def _shares(n_leaves: int, slots: Sequence[int]) -> list[tuple[int, int]]:
    """Deal leaves out to processes, in one run each."""
    total, dealt = max(1, sum(slots)), [0, *accumulate(slots)]
    return [(n_leaves * a // total, n_leaves * b // total) for a, b in pairwise(dealt)]


def _cuts(first: int, stop: int, most: int) -> list[int]:
    """Cut a run of leaves into spans; long ones end where leaves that merge do."""
    n = stop - first
    n_spans = math.ceil(n / most)
    inner = (first + n * i // n_spans for i in range(1, n_spans))
    if n >= FAN_IN * n_spans:
        inner = (round(cut / FAN_IN) * FAN_IN for cut in inner)
    return [first, *inner, stop] if n else [first]


def count_tasks(n_leaves: int, slots: Sequence[int]) -> int:
    """Return the tasks of a pass over leaves that are nowhere yet: spans, and their joins.

    `slots` are tasks at a time, of each process.
    """
    most = most_leaves(n_leaves, sum(slots), FREE_TASKS)
    n = sum(math.ceil((stop - first) / most) for first, stop in _shares(n_leaves, slots))
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
