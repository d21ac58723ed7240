"""Random numbers belong to source rows, whatever block or filter they are asked for through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.kernels.block import Block
from dkmeans.kernels.draws import exponentials, generator, permuted, uniforms
from tests.laws import checked
from tests.strategies import CutRows, cut_rows


@pytest.mark.parametrize("first", [*range(10), 96, 97, 98, 99])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 5, 50])
def test_rows_draw_their_own_numbers_from_any_first_row_on(first, n_rows):
    everything = uniforms(0, 200, 11, "seeding", 2)
    np.testing.assert_array_equal(
        uniforms(first, first + n_rows, 11, "seeding", 2), everything[first : first + n_rows]
    )


def test_numbers_are_those_of_the_seeded_generator_read_in_order():
    np.testing.assert_array_equal(uniforms(0, 1000, 3, "a"), generator(3, "a").random(1000))


@checked
@given(st.integers(0, 2**40), st.integers(0, 30), st.integers(0, 30))
def test_adjacent_ranges_join_far_into_the_data(first, some, more):
    seam, stop = first + some, first + some + more
    parts = [uniforms(first, seam, 5, "x"), uniforms(seam, stop, 5, "x")]
    np.testing.assert_array_equal(np.concatenate(parts), uniforms(first, stop, 5, "x"))


def test_uniforms_are_uniform_and_below_one():
    drawn = uniforms(3, 100_003, 0, "x")
    counts = np.histogram(drawn, bins=50, range=(0, 1))[0]
    assert counts.sum() == 100_000
    # 85.4 is the 99.9 % point of chi-square with 49 degrees of freedom
    assert ((counts - 2000) ** 2 / 2000).sum() < 85.4
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.015


def test_seeds_and_purposes_draw_independently():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (2**63, "a")]
    drawn = np.array([uniforms(0, 10_000, seed, *purpose) for seed, *purpose in names])
    correlations = np.corrcoef(drawn) - np.eye(len(names))
    assert np.abs(correlations).max() < 0.05


def block_of(ranges, kept=None):
    n_rows = sum(stop - first for first, stop in ranges) if kept is None else int(kept.sum())
    return Block(np.zeros((n_rows, 1)), ranges, None, kept)


def test_a_filter_changes_no_number_of_the_rows_that_it_keeps():
    kept = np.random.default_rng(0).random(500) < 0.3
    everything = exponentials(block_of(((7, 507),)), 1, "x")
    np.testing.assert_array_equal(
        exponentials(block_of(((7, 507),), kept), 1, "x"), everything[kept]
    )


def test_ranges_with_gaps_draw_as_if_nothing_were_missing():
    everything = exponentials(block_of(((0, 100),)), 1, "x")
    found = exponentials(block_of(((2, 5), (5, 6), (41, 60))), 1, "x")
    np.testing.assert_array_equal(found, everything[[2, 3, 4, 5, *range(41, 60)]])


@checked
@given(cut_rows())
def test_every_cut_into_blocks_draws_the_same(rows: CutRows):
    assert len(rows.blocks) > 1
    parts = [exponentials(block, 1, "x") for block in rows.blocks]
    whole = exponentials(rows.whole, 1, "x")
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(whole) == rows.whole.n_rows


def test_a_block_without_rows_draws_nothing():
    assert exponentials(block_of(()), 1, "x").shape == (0,)
    assert exponentials(block_of(((3, 6),), np.zeros(3, bool)), 1, "x").shape == (0,)


def test_exponentials_have_the_standard_distribution():
    drawn = np.sort(exponentials(block_of(((1, 20_001),)), 4, "x"))
    assert drawn[0] >= 0
    assert np.isfinite(drawn).all()
    steps = np.arange(20_001) / 20_000
    distribution = 1 - np.exp(-drawn)
    gap = max(np.abs(distribution - steps[1:]).max(), np.abs(distribution - steps[:-1]).max())
    # Kolmogorov's 99.9 % point
    assert gap < 1.95 / np.sqrt(20_000)
    assert drawn.mean() == pytest.approx(1, abs=0.03)
    assert drawn.var() == pytest.approx(1, abs=0.06)


# permutations

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 255, 256, 257, 1023, 1025, 4097]


@pytest.mark.parametrize("n", SIZES)
def test_every_position_comes_once_in_a_permutation(n):
    found = permuted(0, n, n, 3, "x")
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(n))


@checked
@given(st.integers(1, 3000), st.data())
def test_parts_of_a_permutation_are_those_of_the_whole(n, data):
    first, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
    whole = permuted(0, n, n, 1, "x", n)
    np.testing.assert_array_equal(permuted(first, stop, n, 1, "x", n), whole[first:stop])


def test_a_few_positions_of_a_huge_permutation_are_distinct_and_within():
    n = 2**40 + 1
    found = permuted(n - 5000, n, n, 0, "x")
    assert found.min() >= 0
    assert found.max() < n
    assert len(np.unique(found)) == 5000
    # in the mean in the middle: 0.289 is the deviation of a uniform number
    assert abs(found.mean() / n - 0.5) < 4 * 0.289 / np.sqrt(5000)


def test_nothing_of_nothing_is_permuted():
    assert permuted(0, 0, 0, 0, "x").shape == (0,)


@pytest.mark.parametrize(
    ("n", "n_seeds"), [(2, 4000), (3, 4000), (5, 4000), (16, 4000), (17, 4000)]
)
def test_each_value_comes_at_each_position_equally_often(n, n_seeds):
    counts = np.zeros((n, n))
    for seed in range(n_seeds):
        counts[np.arange(n), permuted(0, n, n, seed, "x")] += 1
    expected = n_seeds / n
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    freedom = (n - 1) ** 2
    # Wilson and Hilferty's 99.99 % point
    most = freedom * (1 - 2 / (9 * freedom) + 3.72 * np.sqrt(2 / (9 * freedom))) ** 3
    assert chi_square < most


def test_neighbours_go_to_unrelated_places():
    n = 20_000
    found = permuted(0, n, n, 5, "x")
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(found, np.arange(n))[0, 1]) < 0.03
    counts = np.histogram(found[:2000], bins=50, range=(0, n))[0]
    # 85.4 is the 99.9 % point of chi-square with 49 degrees of freedom; draws without replacement
    # vary less
    assert ((counts - 40) ** 2 / 40).sum() < 85.4


def test_permutations_differ_by_seed_and_purpose():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", 1, 0)]
    found = np.array([permuted(0, 5000, 5000, seed, *purpose) for seed, *purpose in names])
    correlations = np.corrcoef(found) - np.eye(len(names))
    assert np.abs(correlations).max() < 0.07
    np.testing.assert_array_equal(found[0], permuted(0, 5000, 5000, 0, "a"))
