"""Driving algorithms: who shares which pass, and what history says of it."""

import numpy as np
import pytest

from dkmeans import Rows
from dkmeans.algorithms.drive import Ask, best_of, drive, drive_in_memory
from dkmeans.errors import BadValues
from dkmeans.kernels.block import Block
from dkmeans.partials import Moments
from dkmeans.rows.requests import Reduce, Scan

ORIGIN = np.zeros(2)


@pytest.fixture
def rows():
    rows = Rows.from_array(np.arange(20.0).reshape(10, 2), block_rows=3)
    assert rows.n_blocks > 1
    return rows


def counting(n_passes, name):
    """Ask for the moments `n_passes` times and return the sum of the means of the first feature."""
    total = 0.0
    for i in range(n_passes):
        request = Reduce(f"{name} {i}", Moments.from_block, (ORIGIN,))
        moments, record = yield Ask(request, (i, total))
        total += moments.mean[0]
        record.update(inertia=total)
    return total


def test_runs_of_different_length_share_their_passes(rows):
    results = drive(rows, [counting(3, "a"), counting(0, "b"), counting(5, "c")])
    assert rows.n_passes == 5
    assert [result for result, _ in results] == [27.0, 0, 45.0]
    assert [len(history) for _, history in results] == [3, 0, 5]
    assert [record["kind"] for record in results[0][1]] == ["a 0", "a 1", "a 2"]
    assert [record["inertia"] for record in results[2][1]] == [9, 18, 27, 36, 45]


def test_each_pass_is_recorded_with_its_cost(rows):
    ((_, history),) = drive(rows, [counting(2, "a")])
    assert [record["rows_read"] for record in history] == [10, 10]
    assert all({"seconds", "bytes_read", "kind"} <= record.keys() for record in history)


def test_each_pass_is_told_with_where_all_are_and_what_it_gave(rows):
    told = []

    def on_pass(runs, answered):
        told.append((
            [(run.state, run.result, len(run.history)) for run in runs],
            {i: (one.ask.state, one.ask.request.kind, one.partial.mean[0])
             for i, one in answered.items()},
        ))  # fmt: skip
        return {}

    drive(rows, [counting(1, "a"), counting(2, "b")], on_pass=on_pass)
    assert told == [
        ([((0, 0.0), None, 0), ((0, 0.0), None, 0)], {}),
        (
            [(None, 9.0, 1), ((1, 9.0), None, 1)],
            {0: ((0, 0.0), "a 0", 9.0), 1: ((0, 0.0), "b 0", 9.0)},
        ),
        ([(None, 9.0, 1), (None, 18.0, 2)], {1: ((1, 9.0), "b 1", 9.0)}),
    ]


def test_what_is_told_of_a_pass_can_replace_runs(rows):
    def on_pass(runs, answered):
        kinds = [one.ask.request.kind for one in answered.values()]
        return {1: counting(1, "instead"), 2: counting(0, "end")} if kinds[:1] == ["a 1"] else {}

    results = drive(
        rows, [counting(3, "a"), counting(9, "b"), counting(9, "c")], on_pass=on_pass
    )  # fmt: skip
    assert rows.n_passes == 3
    assert [result for result, _ in results] == [27.0, 9.0, 0.0]
    kinds = [[record["kind"] for record in history] for _, history in results]
    assert kinds == [["a 0", "a 1", "a 2"], ["b 0", "b 1", "instead 0"], ["c 0", "c 1"]]


def test_the_best_of_a_pass_is_the_run_of_least_inertia():
    assert best_of({3: {"inertia": 2.0}, 5: {"inertia": 0.0}, 7: {"inertia": 1.0}}) == 5
    assert best_of({3: {"inertia": None}, 5: {"inertia": 9.0}}) == 5
    assert best_of({3: {"inertia": None}, 5: {}}) == 3


def test_no_runs_make_no_pass(rows):
    assert drive(rows, []) == []
    assert rows.n_passes == 0


def test_an_error_of_one_run_reaches_the_caller(rows):
    def failing():
        yield Ask(Reduce("moments", Moments.from_block, (ORIGIN,)), None)
        raise BadValues("no good")

    with pytest.raises(BadValues, match="no good"):
        drive(rows, [counting(3, "a"), failing()])


def summing_step(block, state, number):
    """Add the pass's number to each row's state and give its moments."""
    state = np.full((block.n_rows, 2), float(number)) if state is None else state + number
    summed = Block(np.asfortranarray(state), block.ranges)
    return Moments.from_block(summed, ORIGIN), state


def scanning(name):
    broadcasts = ()
    means = []
    for number in (1, 10, 100):
        broadcasts = (*broadcasts, (number,))
        request = Scan("scan", summing_step, broadcasts, name, last=number == 100)
        moments, _ = yield Ask(request, broadcasts)
        means.append(moments.mean[0])
    return means


def test_state_beside_blocks_lasts_from_pass_to_pass(rows):
    ((means, _),) = drive(rows, [scanning("scan-a")])
    assert means == [1, 11, 111]


def test_one_block_in_memory_gives_the_same_as_many(rows):
    X = np.asfortranarray(np.arange(20.0).reshape(10, 2))
    block = Block(X, ((0, 10),))
    assert drive_in_memory(block, counting(3, "a")) == 27.0
    assert drive_in_memory(block, counting(0, "a")) == 0
    assert drive_in_memory(block, scanning("scan-b")) == [1, 11, 111]
