"""Contingency: the laws, pairs by hand, labels of several types, and its limit."""

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.errors import BadValues
from dkmeans.kernels.block import Block, Labels
from dkmeans.partials import contingency, merge_all
from dkmeans.partials.contingency import MOST_LABELS, Contingency, ordered
from tests.laws import WeightsAsCopies, assert_same, checked

NAMES = ("setosa", 1, 2.5, False, True, 0.0, "1", -7)


def labeled(block):
    """The rows with labels that depend on their values alone."""
    first = np.abs(block.X[:, 0]).astype(np.int32) % len(NAMES)
    last = np.abs(block.X[:, -1]).astype(np.int32) % 3
    return replace(block, labels=(Labels(first, NAMES), Labels(last, (2, 0, 1))))


def labels_of(values):
    """Labels of some values, numbered as they come."""
    different = tuple(dict.fromkeys((type(value), value) for value in values))
    codes = [different.index((type(value), value)) for value in values]
    return Labels(np.array(codes, np.int32), tuple(value for _, value in different))


def told(partial):
    """The weight of each pair of labels, by their values."""
    return {
        (partial.values_true[a], partial.values_pred[b]): weight
        for (a, b), weight in zip(partial.pairs.tolist(), partial.weight.tolist(), strict=True)
    }


class TestLaws(WeightsAsCopies):
    def build(self, block):
        return Contingency.from_block(labeled(block))

    def zero(self, block):
        return Contingency.zero()

    def finish(self, partial):
        assert partial.weight_true.sum() == partial.weight_pred.sum() == partial.total_weight


def test_pairs_by_hand():
    true = labels_of(["b", "a", "b", "c", "a"])
    pred = labels_of([1, 0, 1, 0, 1])
    found = Contingency.from_pairs(true, pred, np.array([1, 2, 0.5, 0, 4]))
    assert found.values_true == ("a", "b")  # no row of "c" has weight
    assert found.values_pred == (0, 1)
    assert found.pairs.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert found.weight.tolist() == [2, 4, 1.5]
    assert found.n_rows == 5
    assert found.weight_true.tolist() == [6, 1.5]
    assert found.weight_pred.tolist() == [2, 5.5]
    assert found.total_weight == 7.5
    assert found.pairs.dtype == np.int64
    assert found.weight.dtype == np.float64


values = st.sampled_from(["a", "b", "1", "", 0, 1, 2, 0.0, -0.0, 1.0, 2.5, True, False, -3])


@checked
@given(st.lists(st.tuples(values, values, st.integers(0, 3)), max_size=30), st.integers(0, 30))
def test_counts_equal_those_of_a_counter(rows, cut):
    expected = Counter()
    for a, b, weight in rows:
        expected[a, b] += weight
    expected = {pair: weight for pair, weight in expected.items() if weight}

    def build(some):
        weight = np.array([row[2] for row in some], np.float64)
        firsts, seconds = labels_of([row[0] for row in some]), labels_of([row[1] for row in some])
        return Contingency.from_pairs(firsts, seconds, weight)

    whole = build(rows)
    assert told(whole) == expected
    first, second = build(rows[:cut]), build(rows[cut:])
    for merged in (first.merge(second), second.merge(first)):
        assert_same(merged, whole)
        assert repr(merged.values_true) == repr(whole.values_true)
        assert repr(merged.values_pred) == repr(whole.values_pred)


def test_equal_numbers_are_one_label_and_text_is_another():
    assert repr(ordered([True, 1.0, "1"])) == "(1.0, '1')"
    assert repr(ordered([True, 1.0, 1, "1"])) == "(1, '1')"
    assert repr(ordered([True, False])) == "(False, True)"
    assert repr(ordered([-0.0])) == "(0.0,)"
    assert ordered(["b", 10, "B", -1, 2.5, "10"]) == (-1, 2.5, 10, "10", "B", "b")
    assert repr(ordered([np.int32(3), np.str_("x"), np.float32(0.5), np.True_])) == (
        "(0.5, True, 3, 'x')"
    )
    assert ordered([2**53 + 1, float(2**53)]) == (2**53, 2**53 + 1)


@pytest.mark.parametrize("value", [None, float("nan"), (1, 2), b"a", np.datetime64("2020-01-01")])
def test_what_is_neither_text_nor_number_is_no_label(value):
    pred = Labels(np.zeros(2, np.int32), (0,))
    true = Labels(np.array([0, 1], np.int32), ("a", value))
    with pytest.raises(BadValues, match="is no label: labels are text"):
        Contingency.from_pairs(true, pred)
    # a value that no row has is not looked at
    assert Contingency.from_pairs(true[:1], pred[:1]).values_true == ("a",)


def test_many_labels_are_counted_as_few_are(monkeypatch):
    random = np.random.default_rng(3)
    n = 400_000
    a, b = random.integers(0, 900, n), random.integers(0, 50, n)
    weight = random.integers(0, 4, n).astype(np.float64)
    true = Labels(a.astype(np.int32), tuple(range(900)))
    pred = Labels(b.astype(np.int32), tuple(f"{i:02}" for i in range(50)))
    expected = np.zeros((900, 50))
    np.add.at(expected, (a, b), weight)
    for most_dense in (0, 2**20):
        monkeypatch.setattr(contingency, "_DENSE_CELLS", most_dense)
        found = Contingency.from_pairs(true, pred, weight)
        assert found.values_true == true.values
        assert found.values_pred == pred.values
        dense = np.zeros((900, 50))
        dense[tuple(found.pairs.T)] = found.weight
        np.testing.assert_array_equal(dense, expected)
        assert len(found.pairs) == np.count_nonzero(expected)


def test_a_column_that_tells_rows_apart_is_no_label():
    codes = np.arange(MOST_LABELS, dtype=np.int32)
    most = Labels(codes, tuple(range(MOST_LABELS)))
    one = Labels(np.zeros(MOST_LABELS, np.int32), (0,))
    found = Contingency.from_pairs(most, one)
    assert len(found.values_true) == MOST_LABELS
    assert found.merge(found).total_weight == 2 * MOST_LABELS
    other = Contingency.from_pairs(Labels(codes[:1], (-1,)), one[:1])
    refused = (
        "the true labels have more than 65536 different values: what differs so from row to row is "
        "no label; name a column with fewer values, or put values into groups."
    )
    with pytest.raises(BadValues) as caught:
        found.merge(other)
    assert str(caught.value) == refused
    more = Labels(np.arange(MOST_LABELS + 1, dtype=np.int32), tuple(range(MOST_LABELS + 1)))
    alike = Labels(np.zeros(MOST_LABELS + 1, np.int32), (0,))
    with pytest.raises(BadValues, match="the true labels have more than 65536"):
        Contingency.from_pairs(more, alike)
    with pytest.raises(BadValues, match="the clusters have more than 65536"):
        Contingency.from_pairs(alike, more)


def test_merging_many_blocks_in_any_order_is_exact():
    random = np.random.default_rng(0)
    parts = []
    for _ in range(20):
        codes = random.integers(0, 5, (2, 1000)).astype(np.int32)
        names = tuple(random.permutation(["a", "b", "c", "d", "e"]).tolist())
        block = Block(
            np.empty((1000, 0)),
            ((0, 1000),),
            labels=(Labels(codes[0], names), Labels(codes[1], (4, 3, 2, 1, 0))),
        )
        parts.append(Contingency.from_block(block))
    whole = merge_all(parts)
    assert_same(merge_all(parts[::-1]), whole)
    assert_same(pickle.loads(pickle.dumps(whole)), whole)
    assert whole.n_rows == whole.total_weight == 20_000
    assert len(whole.pairs) == 25
