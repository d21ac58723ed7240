"""Spans of leaves: however they are cut, few tasks walk them all, and results are the same."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkmeans.rows import spans as module
from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Home, Leaf, LeafResult
from dkmeans.rows.spans import (
    FREE_TASKS,
    count_tasks,
    cut_spans,
    held_results,
    most_leaves,
    run_span,
)
from dkmeans.rows.stretch import Lacking, Stretch, join, joined, n_pieces


@dataclass(frozen=True)
class Merged:
    """A partial that knows how it was merged."""

    how: Any
    n_rows: int = 1

    def merge(self, other: "Merged") -> "Merged":
        return Merged((self.how, other.how), self.n_rows + other.n_rows)


def result(i: int) -> LeafResult:
    return LeafResult((Merged(i),), n_rows=1, n_source_rows=2, homes={Home("", True): (i,)})


def by_hand(n_leaves: int) -> Any:
    """How the tree merges: eight at a time, each eight from left to right."""
    level: list[Any] = list(range(n_leaves))
    while len(level) > 1:
        above = []
        for i in range(0, len(level), FAN_IN):
            how = level[i]
            for other in level[i + 1 : i + FAN_IN]:
                how = (how, other)
            above.append(how)
        level = above
    return level[0]


def stretch(first: int, stop: int, n_leaves: int) -> Stretch:
    return joined((Stretch.of_leaf(i, result(i)) for i in range(first, stop)), n_leaves)


@given(st.integers(1, 700), st.lists(st.integers(0, 700)), st.integers(2, 5))
@settings(deadline=None, max_examples=150)
def test_joins_of_any_cut_are_the_tree(n_leaves, cuts, fan_in):
    edges = sorted({0, n_leaves, *(cut for cut in cuts if cut < n_leaves)})
    level: list[Any] = [stretch(*pair, n_leaves) for pair in pairwise(edges)]
    while len(level) > 1:
        level = [join(level[i : i + fan_in], n_leaves) for i in range(0, len(level), fan_in)]
    whole = level[0].whole
    assert whole.partials[0].how == by_hand(n_leaves)
    assert (whole.n_rows, whole.n_source_rows) == (n_leaves, 2 * n_leaves)
    assert whole.homes == {Home("", True): tuple(range(n_leaves))}


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000))
@settings(deadline=None, max_examples=60)
def test_a_stretch_holds_few_results(n_leaves, one, other):
    first, stop = sorted((one % (n_leaves + 1), other % (n_leaves + 1)))
    # less than a group before the first whole one, at each level, and one result after the last
    levels = len({n_leaves // FAN_IN**i for i in range(6)}) + 1
    assert len(stretch(first, stop, n_leaves).pieces) <= FAN_IN * levels
    assert len(stretch(0, stop, n_leaves).pieces) <= levels
    assert len(stretch(first, stop, n_leaves).pieces) == n_pieces(first, stop, n_leaves)


def test_results_that_lack_blocks_are_named_and_nothing_is_joined():
    found = [stretch(0, 2, 5), Lacking((7, 8)), stretch(2, 4, 5), Lacking((9,))]
    assert join(found, 5) == Lacking((7, 8, 9))


def leaves(n: int) -> list[Leaf]:
    source: Any = None
    return [Leaf("rows", i, (i,), source, "memory") for i in range(n)]


@given(st.lists(st.sampled_from("aab"), max_size=60), st.integers(1, 20), st.integers(0, 9))
def test_spans_hold_each_leaf_once_in_order_at_one_place(places, most, first):
    spans = cut_spans(leaves(first + len(places)), places, lambda place: most, first)
    numbers = [leaf.number for span in spans for leaf in span.leaves]
    assert numbers == list(range(first, first + len(places)))
    for span in spans:
        assert 1 <= len(span.leaves) < most + FAN_IN
        assert span.first == span.leaves[0].number
        assert len({places[leaf.number - first] for leaf in span.leaves}) == 1


def test_spans_of_a_place_are_of_nearly_one_length():
    spans = cut_spans(leaves(20), ["a"] * 20, lambda place: 6)
    assert [len(span.leaves) for span in spans] == [5, 5, 5, 5]
    # long ones end where leaves that merge do
    spans = cut_spans(leaves(120), ["a"] * 97, lambda place: 32, 23)
    assert [(span.first, len(span.leaves)) for span in spans] == [
        (23, 25),
        (48, 24),
        (72, 24),
        (96, 24),
    ]


@pytest.mark.parametrize("n_workers", [1, 2, 7, 200])
@pytest.mark.parametrize("n_leaves", [1, 9, 64, 250, 4000])
def test_a_process_holds_no_more_results_than_stated(n_leaves, n_workers):
    """Of one that is ahead of all others, so that nothing is joined but what is its own."""
    held = [0]
    for tasks in (module.FREE_TASKS, module.HOME_TASKS):
        most = most_leaves(n_leaves, n_workers, tasks)
        first, stop = (
            n_leaves * (n_workers // 2) // n_workers,
            n_leaves * (n_workers // 2 + 1) // n_workers,
        )
        here = leaves(n_leaves)[first:stop]
        spans = cut_spans(leaves(n_leaves), [0] * len(here), lambda place, most=most: most, first)
        levels: list[list[Stretch]] = [[]]
        for span in spans:
            level = 0
            found = stretch(span.first, span.first + len(span.leaves), n_leaves)
            while True:
                levels[level].append(found)
                held.append(sum(len(one.pieces) for level in levels for one in level))
                if len(levels[level]) < FAN_IN:
                    break
                found = joined(levels[level], n_leaves)
                levels[level] = []
                level += 1
                if level == len(levels):
                    levels.append([])
    assert max(held) <= held_results(n_leaves, [1] * n_workers) <= 10 * FAN_IN


@pytest.mark.parametrize(
    ("n_leaves", "n_slots", "most"),
    [(4000, 200, 5), (4000, 2, 32), (7, 2, 1), (64, 2, 8), (3, 0, 1)],
)
def test_tasks_are_few_and_enough_for_all_slots(n_leaves, n_slots, most):
    assert most_leaves(n_leaves, n_slots, FREE_TASKS) == most
    if n_slots and n_leaves >= FREE_TASKS * n_slots:
        assert n_leaves / most >= FREE_TASKS * n_slots


def test_tasks_are_counted_with_their_joins():
    assert count_tasks(4000, [1] * 200) == 800 + 100 + 13 + 2 + 1
    assert count_tasks(1, [2]) == 1
    assert count_tasks(16, [1, 1]) == 8 + 1


def test_a_span_that_lacks_blocks_says_of_which_leaves_and_finds_nothing(monkeypatch):
    def run_leaf(leaf: Leaf, shared: Any, part: Any, then: Leaf | None) -> LeafResult:
        assert then is None or then.number == leaf.number + 1
        if part is None and leaf.number in (2, 4):
            return LeafResult(missing=(leaf.number,))
        return result(leaf.number)

    monkeypatch.setattr(module, "run_leaf", run_leaf)
    (span,) = cut_spans(leaves(6), [0] * 6, lambda place: 6)
    shared: Any = None
    seen: list[int] = []
    assert run_span(span, shared, on_leaf=lambda: seen.append(1)) == Lacking((2, 4))
    assert len(seen) == 2
    found = run_span(span, shared, range(6), on_leaf=lambda: seen.append(1))
    assert isinstance(found, Stretch)
    assert found.whole.partials[0].how == by_hand(6)
    assert len(seen) == 2 + 6
    rest = replace(span, first=3, leaves=span.leaves[3:4])
    assert run_span(rest, shared) == Stretch.of_leaf(3, result(3))
