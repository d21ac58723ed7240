"""WeightedSample: the laws, which rows are drawn and how often, and what they stand for."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.kernels.draws import uniforms
from dkmeans.partials import WeightedSample, merge_all
from tests.laws import PartialLaws, checked
from tests.strategies import CutRows, blocks_of, cut_rows

PURPOSE = ("test", 1)


def sample(blocks, size, seed=0, purpose=PURPOSE):
    return merge_all(WeightedSample.from_block(block, size, seed, purpose) for block in blocks)


class LawsOfSize(PartialLaws):
    size: int

    def build(self, block):
        importance = block.weights * (np.abs(block.X).astype(np.float64).sum(axis=1))
        return WeightedSample.from_block(block, self.size, 7, PURPOSE, importance)

    def zero(self, block):
        return WeightedSample.zero(self.size, block.n_features, block.X.dtype)

    def finish(self, partial):
        assert len(partial.X) == len(partial.weight) == len(partial.row_numbers) <= self.size
        assert partial.threshold > 0


class TestLawsOfASmallSample(LawsOfSize):
    size = 2


class TestLawsOfASampleLargerThanTheData(LawsOfSize):
    size = 1000


@checked
@given(cut_rows())
def test_the_smallest_keys_are_kept(rows: CutRows):
    found = sample(rows.blocks, 3)
    block = rows.whole
    drawn = uniforms(0, 200, 0, *PURPOSE)[block.row_numbers]
    keys = [
        (-np.log1p(-u) / w, number, i)
        for i, (u, w, number) in enumerate(zip(drawn, block.weights, block.row_numbers))
        if w > 0
    ]
    expected = sorted(keys)[:4]
    rows_in_order = [i for _, _, i in expected[:3]]
    assert found.row_numbers.tolist() == [number for _, number, _ in expected[:3]]
    np.testing.assert_array_equal(found.X, block.X[rows_in_order])
    np.testing.assert_array_equal(found.weight, block.weights[rows_in_order])
    assert found.X.dtype == block.X.dtype
    assert found.total == block.weights.sum()
    assert found.n_rows == block.n_rows
    if len(expected) == 4:
        assert found.threshold == pytest.approx(expected[3][0], rel=1e-12)
    else:
        assert found.threshold == np.inf


def test_rows_of_importance_zero_are_never_drawn():
    X = np.arange(40.0).reshape(20, 2)
    weight = np.zeros(20)
    weight[[3, 11, 17]] = [1e-9, 1.0, 1e9]
    for seed in range(50):
        assert set(sample(blocks_of(X, 3, weight), 2, seed).row_numbers) < {3, 11, 17}
    everything = sample(blocks_of(X, 3, weight), 5)
    assert sorted(everything.row_numbers) == [3, 11, 17]
    assert everything.threshold == np.inf
    assert everything.total == weight.sum()


def test_nothing_is_drawn_where_all_importance_is_zero():
    found = sample(blocks_of(np.ones((6, 2)), 2, np.zeros(6)), 3)
    assert found.X.shape == (0, 2)
    assert found.threshold == np.inf
    assert (found.total, found.n_rows) == (0, 6)


def chi_square(counts, expected):
    return float((((counts - expected) ** 2) / expected).sum())


def test_the_first_draw_is_proportional_to_importance():
    weight = np.array([1.0, 1.0, 2.0, 4.0, 8.0, 16.0])
    n_seeds = 4000
    blocks = blocks_of(np.arange(6.0)[:, None], 3, weight)
    firsts = [int(sample(blocks, 1, seed).row_numbers[0]) for seed in range(n_seeds)]
    counts = np.bincount(firsts, minlength=6)
    # 20.5 is the 99.9 % point of chi-square with 5 degrees of freedom
    assert chi_square(counts, n_seeds * weight / weight.sum()) < 20.5


def test_inclusion_is_that_of_draws_without_replacement():
    weight = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    share = weight / weight.sum()
    second = share * ((share / (1 - share)).sum() - share / (1 - share))
    n_seeds = 4000
    blocks = blocks_of(np.arange(5.0)[:, None], 2, weight)
    drawn = np.concatenate([sample(blocks, 2, seed).row_numbers for seed in range(n_seeds)])
    frequency = np.bincount(drawn, minlength=5) / n_seeds
    inclusion = share + second
    assert inclusion.sum() == pytest.approx(2)
    error = np.sqrt(inclusion * (1 - inclusion) / n_seeds)
    assert (np.abs(frequency - inclusion) < 4 * error).all()


def test_weight_w_is_drawn_as_often_as_w_copies_together():
    n_seeds = 3000
    one = blocks_of(np.arange(3.0)[:, None], 2, np.array([1.0, 2.0, 5.0]))
    copies = np.repeat(np.arange(3.0), [1, 2, 5])[:, None]
    many = blocks_of(copies, 2)
    of_weight = np.bincount([int(sample(one, 1, s).X[0, 0]) for s in range(n_seeds)], minlength=3)
    of_copies = np.bincount([int(sample(many, 1, s).X[0, 0]) for s in range(n_seeds)], minlength=3)
    # the difference of two counts has at most twice the variance of one; 13.8 is the 99.9 % point
    expected = n_seeds * np.array([1, 2, 5]) / 8
    assert ((of_weight - of_copies) ** 2 / (2 * expected)).sum() < 13.8


def test_the_same_rows_are_drawn_whatever_the_blocks_and_their_order():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(5000, 3)), rng.uniform(0, 1, 5000)
    whole = sample(blocks_of(X, 1, weight), 50)
    assert len(np.unique(whole.row_numbers)) == 50
    for n_blocks in (7, 313):
        blocks = blocks_of(X, n_blocks, weight)
        assert len(blocks) == n_blocks
        cut = sample(blocks[::-1], 50)
        np.testing.assert_array_equal(cut.row_numbers, whole.row_numbers)
        np.testing.assert_array_equal(cut.X, whole.X)
        assert cut.threshold == whole.threshold


def test_a_filter_leaves_the_numbers_of_the_other_rows_as_they_were():
    X = np.random.default_rng(1).normal(size=(400, 2))
    kept = X[:, 0] > 0
    filtered = Block(np.asfortranarray(X[kept]), ((0, 400),), None, kept)
    by_filter = WeightedSample.from_block(filtered, 20, 3, PURPOSE)
    by_weight = WeightedSample.from_block(blocks_of(X, 1, kept * 1.0)[0], 20, 3, PURPOSE)
    np.testing.assert_array_equal(by_filter.row_numbers, by_weight.row_numbers)
    np.testing.assert_array_equal(by_filter.X, by_weight.X)
    assert by_filter.threshold == by_weight.threshold


def test_another_seed_or_purpose_draws_other_rows():
    blocks = blocks_of(np.arange(1000.0)[:, None], 2)
    samples = [
        sample(blocks, 20, seed, purpose)
        for seed, purpose in [(0, ("a", 0)), (1, ("a", 0)), (0, ("b", 0)), (0, ("a", 1))]
    ]
    drawn = [set(s.row_numbers.tolist()) for s in samples]
    # 20 of 1000 rows share 0.4 rows in the mean
    assert all(len(drawn[i] & drawn[j]) < 5 for i in range(4) for j in range(i))


def test_kept_rows_weighted_by_inclusion_estimate_the_whole_without_bias():
    rng = np.random.default_rng(5)
    n, size, n_seeds = 300, 30, 800
    X = rng.normal(size=(n, 1)) + 3
    weight = rng.choice([0.5, 1.0, 4.0], n)
    importance = weight * (X[:, 0] ** 2 + 1)
    by_row_number = importance
    estimates = np.empty((n_seeds, 2))
    for seed in range(n_seeds):
        found = merge_all(
            WeightedSample.from_block(b, size, seed, PURPOSE, by_row_number[b.row_numbers])
            for b in blocks_of(X, 4, weight)
        )
        inclusion = -np.expm1(-importance[found.row_numbers] * found.threshold)
        stands_for = found.weight / inclusion
        estimates[seed] = stands_for.sum(), (stands_for * found.X[:, 0] ** 3).sum()
        assert len(found.X) == size
    truth = np.array([weight.sum(), (weight * X[:, 0] ** 3).sum()])
    error = estimates.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    assert (error < 0.02 * truth).all()
    assert (np.abs(estimates.mean(axis=0) - truth) < 4 * error).all()


@checked
@given(cut_rows())
def test_rows_beyond_a_key_are_left_out_and_the_others_are_the_same(rows: CutRows):
    whole = sample([rows.whole], 1000)
    for most_key in (0.5, 1.0, np.inf):
        found = merge_all(
            WeightedSample.from_block(block, 1000, 0, PURPOSE, None, most_key)
            for block in rows.blocks
        )
        below = whole.keys < most_key
        np.testing.assert_array_equal(found.keys, whole.keys[below])
        np.testing.assert_array_equal(found.X_kept, whole.X_kept[below])
        np.testing.assert_array_equal(found.row_numbers_kept, whole.row_numbers_kept[below])
        assert (found.total, found.n_rows) == (whole.total, whole.n_rows)


def test_expanded_weights_estimate_sums_without_bias():
    rng = np.random.default_rng(6)
    n, size, n_seeds = 400, 40, 800
    X, weight = rng.normal(size=(n, 1)) + 2, rng.choice([0.0, 0.3, 1.0, 6.0], n)
    blocks = blocks_of(X, 3, weight)
    estimates = np.empty((n_seeds, 2))
    for seed in range(n_seeds):
        found = sample(blocks, size, seed)
        assert len(found.expanded_weight) == size
        assert (found.expanded_weight >= found.weight).all()
        estimates[seed] = (
            found.expanded_weight.sum(),
            (found.expanded_weight * found.X[:, 0] ** 2).sum(),
        )
    truth = np.array([weight.sum(), (weight * X[:, 0] ** 2).sum()])
    error = estimates.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    assert (error < 0.02 * truth).all()
    assert (np.abs(estimates.mean(axis=0) - truth) < 4 * error).all()


def test_rows_that_are_all_there_stand_for_themselves():
    weight = np.array([0.0, 0.5, 3.0, 1.0])
    found = sample(blocks_of(np.arange(4.0)[:, None], 2, weight), 3)
    assert found.threshold == np.inf
    assert sorted(found.expanded_weight) == [0.5, 1.0, 3.0]
    expanded = found.expanded_weight
    expanded[:] = 7
    assert sorted(found.weight) == [0.5, 1.0, 3.0]
