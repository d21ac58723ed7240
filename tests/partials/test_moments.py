"""Moments: the laws, four points by hand, and NumPy, far from zero too."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.kernels.choice import are_compiled
from dkmeans.partials import Moments, merge_all
from tests.laws import WeightsAsCopies, assert_same, checked
from tests.strategies import CutRows, blocks_of, cut_rows

ORIGIN = np.array([1, -2, 0, 5], np.float64)


def moments(blocks, origin):
    return merge_all(Moments.from_block(block, origin) for block in blocks)


class TestLaws(WeightsAsCopies):
    def build(self, block):
        return Moments.from_block(block, ORIGIN[: block.n_features])

    def zero(self, block):
        return Moments.zero(ORIGIN[: block.n_features])

    def finish(self, partial):
        assert np.isfinite(partial.mean).all()
        assert (partial.variance >= 0).all()
        assert partial.constant.dtype == bool


class TestLawsCompiled(TestLaws):
    """The laws of what adds up large blocks."""

    def build(self, block):
        return Moments._compiled(block, ORIGIN[: block.n_features])


@checked
@given(cut_rows())
def test_compiled_sums_are_numpys_on_integers(rows: CutRows):
    origin = ORIGIN[: rows.whole.n_features]
    assert not are_compiled(*rows.whole.X.shape)
    assert_same(Moments._compiled(rows.whole, origin), Moments.from_block(rows.whole, origin))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [1, 31, 32, 33, 8191, 8192, 8193, 30_000])
def test_compiled_sums_are_numpys_whatever_the_rows_and_their_order(dtype, weighted, n_rows):
    rng = np.random.default_rng(n_rows)
    wide = np.asfortranarray(3.0 + rng.normal(size=(2 * n_rows, 6)), dtype)
    weight = rng.integers(0, 3, size=n_rows) * 0.7 if weighted else None
    origin = np.full(3, 2.5)
    # a tile of a larger block, some of its features, every other row, and row-major
    some = (
        wide[:n_rows, 1:4],
        wide[n_rows:, ::2],
        wide[::2, 3:],
        np.ascontiguousarray(wide[1::2, :3]),
    )
    for X in some:
        block = Block(X, ((0, n_rows),), weight)
        expected, found = Moments.from_block(block, origin), Moments._compiled(block, origin)
        np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-14)
        np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-11, atol=1e-9)
        np.testing.assert_allclose(found.sq_sums, expected.sq_sums, rtol=1e-11)
        np.testing.assert_array_equal(found.minimum, expected.minimum)
        np.testing.assert_array_equal(found.maximum, expected.maximum)


LARGE = """
import sys
import numpy as np
from dkmeans.kernels.block import Block
from dkmeans.partials import Moments
from dkmeans.kernels.choice import _ENOUGH

for n_rows in (_ENOUGH - 1, _ENOUGH):
    X = np.ones((n_rows, 1), np.float32, order="F")
    print(int(Moments.from_block(Block(X, ((0, n_rows),)), np.zeros(1)).sums[0]) == n_rows)
    print("numba" in sys.modules)
"""


def test_only_large_blocks_wait_for_the_compiler():
    ran = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False", "True", "True"]


@checked
@given(cut_rows())
def test_mean_variance_and_range_are_numpys(rows: CutRows):
    block = rows.whole
    found = moments(rows.blocks, ORIGIN[: block.n_features])
    assert found.n_rows == block.n_rows
    assert found.weight == block.weights.sum()
    X, weight = block.X[block.weights > 0].astype(np.float64), block.weights[block.weights > 0]
    if len(X):
        mean = np.average(X, axis=0, weights=weight)
        variance = np.average((X - mean) ** 2, axis=0, weights=weight)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(found.variance, variance, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(found.minimum, X.min(axis=0))
        np.testing.assert_array_equal(found.maximum, X.max(axis=0))
        np.testing.assert_array_equal(found.constant, np.ptp(X, axis=0) == 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_weighted_points_by_hand(dtype):
    X = np.asfortranarray([[0, 8], [2, 8], [4, 8], [100, -100]], dtype)
    block = Block(X, ((0, 4),), np.array([1.0, 2.0, 1.0, 0.0]))
    found = Moments.from_block(block, np.array([1.0, 1.0]))
    assert found.n_rows == 4
    assert found.weight == 4
    assert found.mean.tolist() == [2, 8]
    assert found.variance.tolist() == [2, 0]
    assert found.minimum.tolist() == [0, 8]
    assert found.maximum.tolist() == [4, 8]
    assert found.constant.tolist() == [False, True]
    assert found.minimum.dtype == found.sums.dtype == np.float64


def test_no_rows_have_an_empty_range_and_no_weight():
    zero = Moments.zero(np.array([3.0]))
    assert (zero.n_rows, zero.weight) == (0, 0)
    assert zero.minimum > zero.maximum


@pytest.mark.parametrize("weighted", [False, True])
def test_the_variance_holds_at_an_offset_of_1e8(weighted):
    rng = np.random.default_rng(0)
    X = 1e8 + rng.normal(size=(30_000, 3)) * [1.0, 1e-2, 100.0]
    weight = rng.uniform(0, 2, len(X)) if weighted else None
    blocks = blocks_of(X, 5, weight)
    assert len(blocks) == 5
    found = moments(blocks, blocks[0].X.mean(axis=0))
    near_zero = X - 1e8
    mean = np.average(near_zero, axis=0, weights=weight)
    variance = np.average((near_zero - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(found.mean, 1e8 + mean, rtol=3e-16)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-10)


def test_float32_rows_are_added_up_in_float64():
    rng = np.random.default_rng(1)
    X = (1e4 + rng.normal(size=(50_000, 2))).astype(np.float32)
    found = moments(blocks_of(X, 3), X[:100].mean(axis=0, dtype=np.float64))
    wide = X.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.variance, wide.var(axis=0), rtol=1e-10)


def test_constant_means_one_value_and_not_nearly_one():
    X = np.full((100, 4), 0.1)
    X[:, 1] = 1e8
    X[50, 1] += 1e-6
    X[:, 2] = 0
    X[7, 3] = 0.1 + 1e-9
    found = moments(blocks_of(X, 4), np.array([0.1, 1e8, 0.0, 0.0]))
    assert found.constant.tolist() == [True, False, True, False]


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e8])
@pytest.mark.parametrize("apart", [0.0, 3.0, 1e6])
def test_moments_from_two_origins_join_without_loss(offset: float, apart: float):
    rng = np.random.default_rng(4)
    near = [rng.normal(size=(5000, 2)) * [1, 1e-2], apart + rng.normal(size=(700, 2))]
    one, other = (
        moments(blocks_of(offset + part, 3), offset + part[:10].mean(axis=0)) for part in near
    )
    assert not np.array_equal(one.origin, other.origin)
    X = np.concatenate([(offset + part) - offset for part in near])
    for joined in (one.join(other), other.join(one)):
        assert (joined.n_rows, joined.weight) == (5700, 5700)
        np.testing.assert_allclose(joined.mean - offset, X.mean(axis=0), rtol=1e-10, atol=3e-8)
        np.testing.assert_allclose(joined.variance, X.var(axis=0), rtol=1e-9)
        np.testing.assert_array_equal(joined.maximum - offset, X.max(axis=0))


def test_joining_no_rows_changes_nothing():
    X = np.random.default_rng(5).normal(size=(300, 2))
    one, none = moments(blocks_of(X, 2), X[0]), Moments.zero(np.array([7.0, 9.0]))
    for joined in (one.join(none), none.join(one)):
        np.testing.assert_allclose(joined.mean, one.mean, rtol=1e-13)
        np.testing.assert_allclose(joined.variance, one.variance, rtol=1e-13)
