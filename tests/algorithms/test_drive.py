"""Driving algorithms: who shares which pass, and what history says of it."""

import numpy as np
import pytest

from dkmeans import Rows
from dkmeans.algorithms.drive import Ask, drive, drive_in_memory
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
