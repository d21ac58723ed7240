"""PresentSums: the laws, with and without missing values, and four points by hand."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.partials import merge_all
from dkmeans.partials.present_sums import PresentSums
from tests.laws import WeightsAsCopies, assert_same, checked
from tests.strategies import CutRows, cut_rows


class TestLaws(WeightsAsCopies):
    def build(self, block):
        return PresentSums.from_block(block, block.n_features)

    def zero(self, block):
        return PresentSums.zero(block.n_features)

    def finish(self, partial):
        assert partial.weight.dtype == partial.sums.dtype == np.float64
        assert np.isfinite(partial.sums).all()
        assert (partial.weight >= 0).all()


def lacking(block: Block, value: int) -> Block:
    """The same rows with NaN for every `value`."""
    X = np.asfortranarray(np.where(np.equal(block.X, value), np.nan, block.X))
    assert X.dtype == block.X.dtype
    return Block(X, block.ranges, block.weight, block.kept)


class TestLawsWhereValuesAreMissing(TestLaws):
    def build(self, block):
        return super().build(lacking(block, 1))


@checked
@given(cut_rows())
def test_sums_and_weights_are_those_of_the_values_that_are_there(rows: CutRows):
    whole = lacking(rows.whole, 0)
    assert len(rows.blocks) > 1
    found = merge_all(
        PresentSums.from_block(lacking(block, 0), block.n_features) for block in rows.blocks
    )
    X, weight = whole.X.astype(np.float64), whole.weights[:, None]
    assert found.n_rows == len(X)
    np.testing.assert_array_equal(found.sums, np.nansum(X * weight, axis=0))
    np.testing.assert_array_equal(found.weight, (~np.isnan(X) * weight).sum(axis=0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_weighted_points_by_hand(dtype):
    nan = np.nan
    X = np.asfortranarray([[1, nan, nan], [3, 8, nan], [nan, 5, nan], [9, 7, 2]], dtype)
    block = Block(X, ((0, 4),), np.array([1.0, 2.0, 4.0, 0.0]))
    found = PresentSums.from_block(block, 3)
    assert found.n_rows == 4
    assert found.weight.tolist() == [3, 6, 0]
    assert found.sums.tolist() == [7, 36, 0]
    unweighted = PresentSums.from_block(Block(X, ((0, 4),)), 3)
    assert unweighted.weight.tolist() == [3, 3, 1]
    assert unweighted.sums.tolist() == [13, 20, 2]
    assert_same(found.merge(PresentSums.zero(3)), found)


def test_float32_values_are_added_up_in_float64():
    rng = np.random.default_rng(0)
    X = (1e4 + rng.normal(size=(50_000, 2))).astype(np.float32)
    X[::3, 1] = np.nan
    found = PresentSums.from_block(Block(np.asfortranarray(X), ((0, len(X)),)), 2)
    mean = np.nanmean(X.astype(np.float64), axis=0)
    np.testing.assert_allclose(found.sums / found.weight, mean, rtol=1e-13)
