"""The laws of every partial: inherit `PartialLaws`, say how yours is built, get the suite."""

import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dkmeans.kernels.block import Block
from dkmeans.partials import merge_all
from tests.strategies import CutRows, cut_rows, weighted_blocks

checked = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    # laws are inherited on purpose, and nothing is replayed from a database
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


def assert_same(one: Any, other: Any, but: tuple[str, ...] = ()) -> None:
    """Assert that two partials have the same fields, to the bit and the dtype."""
    assert type(one) is type(other)
    for field in fields(one):
        if field.name not in but:
            expected, found = getattr(one, field.name), getattr(other, field.name)
            np.testing.assert_array_equal(found, expected, err_msg=field.name, strict=True)


class PartialLaws:
    """What holds for every partial, exactly so on integer-valued rows."""

    def build(self, block: Block) -> Any:
        """Build the partial of a block; its other arguments depend on `block.n_features` only."""
        raise NotImplementedError

    def zero(self, block: Block) -> Any:
        """Return the partial of no rows that are like those of `block`."""
        raise NotImplementedError

    def finish(self, partial: Any) -> None:
        """Ask `partial` for everything that it can tell."""
        raise NotImplementedError

    @checked
    @given(cut_rows())
    def test_an_empty_block_gives_the_zero(self, rows: CutRows) -> None:
        whole = rows.whole
        nothing = np.zeros((0, whole.n_features), whole.X.dtype, order="F")
        weight = None if whole.weight is None else np.empty(0)
        assert_same(self.build(Block(nothing, (), weight)), self.zero(whole))
        all_dropped = Block(nothing, ((3, 5), (8, 9)), weight, np.zeros(3, bool))
        assert_same(self.build(all_dropped), self.zero(whole))

    @checked
    @given(cut_rows())
    def test_zero_is_neutral(self, rows: CutRows) -> None:
        partial, zero = self.build(rows.whole), self.zero(rows.whole)
        assert_same(zero.merge(partial), partial)
        assert_same(partial.merge(zero), partial)

    @checked
    @given(cut_rows(least_blocks=3))
    def test_merge_is_associative(self, rows: CutRows) -> None:
        first, second, third = map(self.build, rows.blocks[:3])
        assert_same(first.merge(second).merge(third), first.merge(second.merge(third)))

    @checked
    @given(cut_rows())
    def test_merge_is_commutative(self, rows: CutRows) -> None:
        first, second = map(self.build, rows.blocks[:2])
        assert_same(first.merge(second), second.merge(first))

    @checked
    @given(cut_rows(), st.randoms(use_true_random=False))
    def test_any_cut_into_blocks_in_any_order_gives_the_same_partial(
        self, rows: CutRows, order: Any
    ) -> None:
        assert len(rows.blocks) > 1
        partials = [self.build(block) for block in rows.blocks]
        assert_same(merge_all(partials), self.build(rows.whole))
        order.shuffle(partials)
        assert_same(merge_all(partials), self.build(rows.whole))

    @checked
    @given(cut_rows())
    def test_building_changes_no_row_and_keeps_hold_of_none(self, rows: CutRows) -> None:
        block = rows.whole
        before, expected = pickle.loads(pickle.dumps(block)), self.build(block)
        assert_same(block, before)
        partial = self.build(block)
        block.X[:] = 77
        if block.weight is not None:
            block.weight[:] = 77
        assert_same(partial, expected)

    @checked
    @given(cut_rows())
    def test_merging_changes_neither_operand(self, rows: CutRows) -> None:
        first, second = map(self.build, rows.blocks[:2])
        first.merge(second)
        assert_same(first, self.build(rows.blocks[0]))
        assert_same(second, self.build(rows.blocks[1]))

    @checked
    @given(cut_rows())
    def test_a_partial_survives_pickling(self, rows: CutRows) -> None:
        partial = self.build(rows.whole)
        assert_same(pickle.loads(pickle.dumps(partial)), partial)

    @checked
    @given(cut_rows())
    def test_a_finished_partial_still_merges(self, rows: CutRows) -> None:
        first, second = map(self.build, rows.blocks[:2])
        expected = first.merge(second)
        self.finish(first)
        self.finish(second)
        assert_same(first.merge(second), expected)
        self.finish(self.zero(rows.whole))

    def test_a_partial_is_immutable(self) -> None:
        partial = self.build(Block(np.ones((3, 2), order="F"), ((0, 3),)))
        for field in fields(partial):
            with pytest.raises(FrozenInstanceError):
                setattr(partial, field.name, None)


class WeightsAsCopies(PartialLaws):
    """The laws of a partial that takes a row of weight w for w copies of it."""

    @checked
    @given(weighted_blocks())
    def test_weight_w_stands_for_w_copies_of_the_row(self, block: Block) -> None:
        copies = np.repeat(block.X, block.weight.astype(int), axis=0)
        repeated = Block(np.asfortranarray(copies), ((0, len(copies)),))
        assert_same(self.build(block), self.build(repeated), but=("n_rows",))
