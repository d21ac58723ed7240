"""Greedy k-means++ in memory: what it may draw, how often, and how good its seeds are."""

import numpy as np
from sklearn.cluster import kmeans_plusplus

from dkmeans.algorithms.plus_plus import best_of_restarts, greedy_plus_plus


def cost_of(X, centers):
    return ((X[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1).sum()


def test_separated_clusters_get_one_center_each(blobs):
    X, truth = blobs
    for seed in range(5):
        centers = greedy_plus_plus(X, np.ones(len(X)), 10, np.random.default_rng(seed))
        nearest = ((centers[:, None, :] - truth) ** 2).sum(axis=2).argmin(axis=1)
        assert sorted(nearest) == list(range(10))


def test_centers_are_rows_as_they_are():
    X = (np.random.default_rng(0).normal(size=(50, 3)) + 100).astype(np.float32)
    centers = greedy_plus_plus(X, np.ones(50), 6, np.random.default_rng(1))
    assert centers.dtype == np.float64
    assert all((center == X).all(axis=1).any() for center in centers)
    assert len(np.unique(centers, axis=0)) == 6


def test_the_first_center_is_drawn_in_proportion_to_weight():
    X, weight = np.arange(4.0)[:, None], np.array([1.0, 0.0, 2.0, 5.0])
    random = np.random.default_rng(2)
    drawn = [int(greedy_plus_plus(X, weight, 1, random)[0, 0]) for _ in range(4000)]
    counts = np.bincount(drawn, minlength=4)
    expected = 4000 * weight / 8
    assert counts[1] == 0
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected) + 1e-9).all()


def test_rows_of_weight_zero_are_never_chosen():
    X = np.concatenate([np.arange(20.0), [1e6, -1e6]])[:, None]
    weight = np.concatenate([np.ones(20), [0, 0]])
    for seed in range(20):
        centers = greedy_plus_plus(X, weight, 20, np.random.default_rng(seed))
        assert sorted(centers[:, 0]) == list(range(20))


def test_fewer_distinct_rows_than_centers_give_repeated_ones():
    X = np.repeat([[1.0, 2.0], [3.0, 4.0]], 5, axis=0)
    centers = greedy_plus_plus(X, np.ones(10), 4, np.random.default_rng(3))
    assert centers.shape == (4, 2)
    assert {tuple(center) for center in centers} == {(1.0, 2.0), (3.0, 4.0)}


def test_seeds_are_as_good_as_those_of_scikit_learn():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(30, 5))[rng.integers(0, 30, 2000)] * 5 + rng.normal(size=(2000, 5))
    ours = [
        cost_of(X, greedy_plus_plus(X, np.ones(2000), 30, np.random.default_rng(seed)))
        for seed in range(25)
    ]
    theirs = [cost_of(X, kmeans_plusplus(X, 30, random_state=seed)[0]) for seed in range(25)]
    assert 0.9 < np.median(ours) / np.median(theirs) < 1.1


def test_an_offset_does_not_blur_the_distances():
    X = np.concatenate([np.zeros(50), np.ones(50), np.full(50, 3.0)])[:, None]
    for seed in range(10):
        centers = greedy_plus_plus(X + 1e9, np.ones(150), 3, np.random.default_rng(seed))
        assert sorted(centers[:, 0] - 1e9) == [0, 1, 3]


def test_restarts_end_at_a_local_optimum_no_worse_than_the_first_of_them():
    rng = np.random.default_rng(5)
    X, weight = rng.uniform(size=(300, 2)), rng.uniform(0.5, 2, 300)
    one = best_of_restarts(X, weight, 12, np.random.default_rng(6), 1)
    many = best_of_restarts(X, weight, 12, np.random.default_rng(6), 10)
    assert many.inertia < one.inertia
    sq_distances = ((X[:, None, :] - many.centers) ** 2).sum(axis=2).min(axis=1)
    np.testing.assert_allclose(many.inertia, weight @ sq_distances, rtol=1e-12)
    assert many.gain <= 1e-4 * many.inertia
