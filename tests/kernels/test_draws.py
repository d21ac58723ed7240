"""Random numbers belong to source rows, whatever block or filter they are asked for through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.kernels.block import Block
from dkmeans.kernels.draws import exponentials, generator, uniforms
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
