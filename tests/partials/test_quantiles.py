"""Quantiles: the laws, NumPy's percentiles while exact, and ranks of digests within their error."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.kernels.block import TILE_ROWS, Block
from dkmeans.partials import Quantiles, merge_all
from dkmeans.partials.quantiles import MOST_EXACT, RANK_ERROR
from tests.laws import WeightsAsCopies, assert_same, checked
from tests.strategies import CutRows, blocks_of, cut_block, cut_rows, weighted_blocks

PERCENTS = [0, 0.1, 1, 10, 25, 50, 75, 90, 99, 99.9, 100]
N = 200_000


def quantiles(blocks) -> Quantiles:
    return merge_all(Quantiles.from_block(block) for block in blocks)


class TestLaws(WeightsAsCopies):
    """While exact: rows of the laws have few distinct values."""

    def build(self, block):
        return Quantiles.from_block(block)

    def zero(self, block):
        return Quantiles.zero(block.n_features)

    def finish(self, partial):
        if partial.weight > 0:
            assert (np.diff([partial.quantile(q) for q in (0, 0.3, 1)], axis=0) >= 0).all()


@checked
@given(cut_rows(), st.floats(0, 100))
def test_few_values_give_numpys_percentiles_of_the_repeated_rows(rows: CutRows, percent: float):
    found, block = quantiles(rows.blocks), rows.whole
    copies = np.repeat(block.X.astype(np.float64), block.weights.astype(int), axis=0)
    if len(copies):
        expected = np.percentile(copies, percent, axis=0)
        np.testing.assert_array_equal(found.quantile(np.true_divide(percent, 100)), expected)


@checked
@given(weighted_blocks(), st.sampled_from([0.125, 0.5]), st.floats(0, 1), st.integers(0, 15))
def test_weights_below_one_count_as_multiples_of_the_least(
    block: Block, unit: float, q: float, place: int
):
    counts = np.where(np.arange(block.n_rows) == place % max(block.n_rows, 1), 1, block.weight)
    if block.n_rows:
        cut = len(counts) // 2
        found = quantiles(cut_block(Block(block.X, block.ranges, counts * unit), [cut]))
        copies = Quantiles.from_block(Block(block.X, block.ranges, counts))
        assert found.unit == unit
        np.testing.assert_allclose(found.quantile(q), copies.quantile(q), rtol=0, atol=1e-9)


def test_four_weighted_points_by_hand():
    X = np.asfortranarray([[4.0, 1], [0, 1], [2, 1], [100, -9]])
    found = Quantiles.from_block(Block(X, ((0, 4),), np.array([1.0, 2.0, 1.0, 0.0])))
    # the copies are 0, 0, 2, 4
    assert [found.quantile(q)[0] for q in (0, 0.25, 0.5, 0.75, 1)] == [0, 0, 1, 2.5, 4]
    assert found.quantile(0.5)[1] == 1
    assert (found.n_rows, found.weight, found.exact.all()) == (4, 4, True)
    narrow = Quantiles.from_block(Block(X.astype(np.float32), ((0, 4),)))
    assert narrow.values.dtype == narrow.minimum.dtype == narrow.maximum.dtype == np.float64


def test_thousands_of_distinct_values_are_still_exact():
    X = np.random.default_rng(0).normal(size=(MOST_EXACT, 1))
    found = quantiles(blocks_of(X, 7))
    assert found.exact.all()
    assert found.quantile(0.3)[0] == np.percentile(X, 30)
    more = quantiles(blocks_of(np.append(X, [[9.0]], axis=0), 7))
    assert not more.exact.any()


def rank_error(found: Quantiles, x: np.ndarray, weight: np.ndarray | None) -> float:
    """Greatest distance of a percentage to the true ranks of what was found for it."""
    order = np.argsort(x)
    copies = np.ones(len(x)) if weight is None else weight[order]
    ranks = np.concatenate([[0], np.cumsum(copies)]) / copies.sum()
    shares = np.array(PERCENTS) / 100
    reached = np.array([found.quantile(q)[0] for q in shares])
    below = ranks[np.searchsorted(x[order], reached, side="left")]
    up_to = ranks[np.searchsorted(x[order], reached, side="right")]
    return float(np.maximum(below - shares, shares - up_to).max())


def hard_rows() -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    rng = np.random.default_rng(0)
    normal, heavy = rng.normal(size=N), np.ones(N)
    heavy[[77, 9999]] = N * 0.3, N * 0.2
    return {
        "normal": (normal, None),
        "lognormal": (rng.lognormal(0, 3, N), None),
        "Cauchy": (rng.standard_cauchy(N), None),
        "tied integers": (rng.geometric(1e-4, N).astype(float), None),
        "60 % zeros": (np.where(rng.random(N) < 0.6, 0.0, normal), None),
        "ascending": (np.sort(normal), None),
        "descending": (np.arange(N, 0.0, -1), None),
        "far apart in turn": (np.arange(N) * np.where(np.arange(N) % 2, -1.0, 1e9), None),
        "skewed weights": (normal, rng.random(N) ** 20),
        "weights that grow with the value": (normal, np.exp(2 * normal)),
        "two rows with half of the weight": (normal, heavy),
        "tiny weights": (normal, rng.uniform(1e-19, 3e-19, N)),
    }


@pytest.mark.parametrize("n_blocks", [1, 8, 300])
@pytest.mark.parametrize("name", hard_rows())
def test_ranks_of_many_values_are_within_the_stated_error(name: str, n_blocks: int):
    x, weight = hard_rows()[name]
    found = quantiles(blocks_of(x[:, None], n_blocks, weight))
    assert not found.exact.any()
    assert rank_error(found, x, weight) <= RANK_ERROR
    assert found.quantile(0)[0] == x.min()
    assert found.quantile(1)[0] == x.max()
    assert found.weights.sum() == pytest.approx(found.weight, rel=1e-12)


@pytest.mark.parametrize("n_blocks", [1, 7, 300])
@pytest.mark.parametrize("share", [0.05, 0.6, 0.98])
def test_a_value_that_many_rows_have_comes_out_as_it_is(share: float, n_blocks: int):
    rng = np.random.default_rng(3)
    x = np.where(rng.random(N) < share, 0.1, rng.lognormal(-2, 1, N))
    found = quantiles(blocks_of(x[:, None], n_blocks))
    below, up_to = (x < 0.1).mean() + 2 * RANK_ERROR, (x <= 0.1).mean() - 2 * RANK_ERROR
    assert {found.quantile(q)[0] for q in np.linspace(below, up_to, 50)} == {0.1}


def test_the_two_zeros_are_one_value():
    one, other = (
        Quantiles.from_block(Block(np.asfortranarray(X), ((0, 2),)))
        for X in ([[0.0], [-0.0]], [[-0.0], [0.0]])
    )
    assert one.minimum.tobytes() == other.minimum.tobytes() == np.zeros(1).tobytes()
    assert one.values.tobytes() == other.values.tobytes() == np.zeros(1).tobytes()


@pytest.mark.parametrize("n_blocks", [1, 40])
def test_weights_and_copies_give_digests_alike(n_blocks: int):
    rng = np.random.default_rng(1)
    x, copies = rng.lognormal(size=50_000), rng.integers(0, 5, 50_000)
    weighted = quantiles(blocks_of(x[:, None], n_blocks, copies.astype(float)))
    assert rank_error(weighted, np.repeat(x, copies), None) <= RANK_ERROR
    assert weighted.weight == copies.sum()


@checked
@given(st.lists(st.integers(0, 30_000), max_size=8), st.randoms(use_true_random=False))
def test_any_cut_in_any_order_stays_within_the_error(cuts: list[int], order):
    x = np.random.default_rng(2).exponential(size=30_000)
    edges = [0, *sorted(cuts), len(x)]
    blocks = [
        Block(np.asfortranarray(x[a:b, None]), ((a, b),)) for a, b in itertools.pairwise(edges)
    ]
    order.shuffle(blocks)
    assert rank_error(quantiles(blocks), x, None) <= RANK_ERROR


def test_the_same_blocks_give_the_same_bits():
    x, weight = hard_rows()["skewed weights"]
    blocks = blocks_of(x[:, None], 5, weight)
    assert_same(quantiles(blocks), quantiles(blocks))


@pytest.mark.parametrize("weighted", [False, True])
def test_memory_is_bounded(weighted: bool):
    d, rng = 30, np.random.default_rng(4)
    X = np.asfortranarray(rng.lognormal(size=(2 * TILE_ROWS, d)))
    block = Block(X, ((0, len(X)),), rng.uniform(0, 1, len(X)) if weighted else None)
    tracemalloc.start()
    try:
        found = Quantiles.from_block(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    partial = 16 * MOST_EXACT * d
    assert found.values.nbytes + found.weights.nbytes <= partial
    assert peak <= 10 * 8 * TILE_ROWS + 3 * partial
