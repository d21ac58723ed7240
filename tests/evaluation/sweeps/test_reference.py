"""The silhouette of rows without clusters: that of k-means on uniform noise of the same spread."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.cluster import KMeans

from dkmeans.evaluation.sweeps.reference import reference_silhouette, spread_of
from dkmeans.kernels.block import Block
from dkmeans.partials.weighted_sample import WeightedSample


def sample_of(X: np.ndarray, size: int, weight: np.ndarray | None = None) -> WeightedSample:
    block = Block(np.asfortranarray(X), ((0, len(X)),), weight)
    return WeightedSample.from_block(block, size, 0, ("test",))


def simplified(X: np.ndarray, k: int) -> float:
    fitted = KMeans(k, n_init=3, random_state=0).fit(X)
    own, other = np.sort(fitted.transform(X), axis=1)[:, :2].T
    return float((1 - own / other).mean())


@pytest.mark.parametrize("sides", [[1.0], [1.0, 1.0], [1.0, 4.0], [1.0] * 6])
def test_it_is_that_of_uniform_rows(sides):
    X = np.random.default_rng(1).uniform(size=(4000, len(sides))) * sides
    counts = [2, 3, 6, 12]
    spread = spread_of(sample_of(X, 10_000))
    found = [reference_silhouette(spread, len(X), k) for k in counts]
    assert found == pytest.approx([simplified(X, k) for k in counts], abs=0.03)


def test_the_spread_is_that_of_all_rows_whatever_the_axes():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    X = (rng.normal(size=(1500, 5)) * [5, 4, 3, 2, 1]) @ rotation + 100
    found = spread_of(sample_of(X, 10_000))
    expected = np.sqrt(np.linalg.eigvalsh(np.cov(X.T, bias=True)))[::-1]
    assert found == pytest.approx(expected, rel=1e-9)
    sampled = spread_of(sample_of(np.tile(X, (20, 1)), 2000))
    assert sampled == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("size", [1000, 4000])
def test_weights_count_as_copies(size):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 3)) * [3, 2, 1]
    weight = rng.integers(0, 5, 1200).astype(float)
    X[weight > 2] *= 4
    copies = np.repeat(X, weight.astype(int), axis=0)
    expected = np.sqrt(np.linalg.eigvalsh(np.cov(copies.T, bias=True)))[::-1]
    # of a sample, up to chance
    assert spread_of(sample_of(X, size, weight)) == pytest.approx(
        expected, rel=1e-9 if size > 1200 else 0.1
    )


def test_more_features_than_rows_are_as_many_axes_as_rows():
    X = np.random.default_rng(0).normal(size=(40, 90))
    found = spread_of(sample_of(X, 100))
    assert len(found) == 40
    assert (found**2).sum() == pytest.approx(X.var(axis=0).sum())


def test_few_rows_have_the_silhouette_of_as_few():
    # 30 rows in 10 clusters look more clustered than 3000 do
    few, many = (reference_silhouette(np.ones(2), n, 10) for n in (30, 3000))
    assert few > many + 0.05


def test_there_is_none_without_spread_or_rows():
    assert reference_silhouette(np.zeros(3), 100, 2) is None
    assert reference_silhouette(np.zeros(0), 0, 2) is None
    found = [reference_silhouette(np.ones(2), 12, k) for k in (1, 2, 11, 12, 20)]
    assert [one is None for one in found] == [True, False, False, True, True]
    # more clusters than the rows that are drawn can tell of
    assert reference_silhouette(np.ones(2), 10**9, 6000) is None


def test_the_same_seed_gives_the_same():
    spread = np.array([3.0, 1.0])
    found = [reference_silhouette(spread, 500, 4, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_the_first_rows_of_a_sample_are_a_smaller_sample():
    X = np.random.default_rng(0).normal(size=(300, 2))
    large, small = sample_of(X, 200), sample_of(X, 50)
    first = large.first(50)
    assert first.row_numbers.tolist() == small.row_numbers.tolist()
    assert first.threshold == small.threshold < np.inf
    assert first.X.tolist() == small.X.tolist()
    assert large.first(500) is large
    assert replace(first).size == 50
