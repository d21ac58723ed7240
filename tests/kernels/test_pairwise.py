"""Sums of distances to the rows of clusters and groups, against direct differences."""

import tracemalloc

import numpy as np
import pytest

from dkmeans.kernels.pairwise import TILE_OTHERS, TILE_ROWS, distance_sums


def gathered(X, *args, **settings):
    """All tiles together; each row must come once, in order."""
    tiles = list(distance_sums(X, *args, **settings))
    at = 0
    for rows, sums in tiles:
        assert (rows.start, len(sums)) == (at, rows.stop - rows.start)
        at = rows.stop
    assert at == len(X)
    return np.concatenate([sums for _, sums in tiles])


def direct(X, Y, labels, weight, n_clusters, groups=None, n_groups=1):
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    out = np.zeros((len(X), n_groups, n_clusters))
    for j, row in enumerate(Y):
        distances = np.sqrt(((X - row) ** 2).sum(axis=1))
        out[:, 0 if groups is None else groups[j], labels[j]] += distances * (
            1.0 if weight is None else weight[j]
        )
    return out


def test_three_rows_by_hand():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    Y = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    labels = np.array([2, 0, 2])
    assert gathered(X, Y, labels, None, 3).tolist() == [[[5, 0, 10]], [[0, 0, 10]]]
    weight = np.array([7.0, 2.0, 0.5])
    assert gathered(X, Y, labels, weight, 3).tolist() == [[[10, 0, 5]], [[0, 0, 37.5]]]
    groups = np.array([1, 1, 0])
    assert gathered(X, Y, labels, weight, 3, groups, 2).tolist() == [
        [[0, 0, 5], [10, 0, 0]],
        [[0, 0, 2.5], [0, 0, 35]],
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_features", [1, 2, 33])
def test_many_rows_equal_direct_sums(dtype, n_features):
    rng = np.random.default_rng(n_features)
    X = np.asfortranarray(5 + rng.normal(size=(TILE_ROWS + 77, n_features)), dtype)
    Y = np.asfortranarray(5 + rng.normal(size=(TILE_OTHERS + 55, n_features)), dtype)
    labels, groups = rng.integers(0, 5, len(Y)).astype(np.int32), rng.integers(0, 3, len(Y))
    labels[labels == 1] = 2
    weight = rng.uniform(0, 4, len(Y))
    kept = X.copy(), Y.copy(), labels.copy(), weight.copy()
    found = gathered(X, Y, labels, weight, 6, groups, 3)
    assert found.dtype == np.float64
    assert not found[..., [1, 5]].any()
    np.testing.assert_allclose(found, direct(X, Y, labels, weight, 6, groups, 3), rtol=1e-10)
    whole = gathered(X, Y, labels, weight, 6)
    np.testing.assert_allclose(found.sum(axis=1, keepdims=True), whole, rtol=1e-12)
    for before, after in zip(kept, (X, Y, labels, weight), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("apart", [0.0, 1e3, 1e9])
def test_near_duplicates_far_from_the_origin_keep_their_distances(apart):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 4, 700))
    # rows of a cluster differ by millionths of an offset of a million
    X = 1e6 + apart * labels[:, None] + rng.normal(size=(700, 3))
    found, expected = gathered(X, X, labels, None, 4), direct(X, X, labels, None, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_pairs_that_cancel_are_exact_whatever_else_is_in_their_tile():
    X = np.array([[0.0], [1e6], [1e6 + 2**-10], [-1e6]])
    found = gathered(X, X, np.arange(4), None, 4)[:, 0]
    assert found[1, 2] == found[2, 1] == 2**-10
    assert found.diagonal().tolist() == [0] * 4
    np.testing.assert_allclose(found, np.abs(X - X.T), rtol=1e-15)


def test_duplicates_are_at_distance_zero():
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(7, 5)) * 10.0 ** rng.integers(-3, 7, (7, 1)), 100, axis=0)
    found = gathered(X, X, np.repeat(np.arange(7), 100), None, 7)[:, 0]
    assert (found[np.arange(700), np.repeat(np.arange(7), 100)] == 0).all()
    assert np.count_nonzero(found) == 700 * 6


def test_no_rows_add_up_to_nothing():
    X, none = np.ones((3, 2)), np.empty((0, 2))
    no_labels = np.empty(0, np.int32)
    assert gathered(X, none, no_labels, None, 2).tolist() == [[[0, 0]]] * 3
    assert list(distance_sums(none, X, np.zeros(3, int), None, 2)) == []


@pytest.mark.parametrize(("n_clusters", "n_groups"), [(2, 1), (1000, 40)])
def test_memory_is_bounded_whatever_the_number_of_rows(n_clusters, n_groups):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(30_000, 4))
    labels, groups = rng.integers(0, n_clusters, 30_000), rng.integers(0, n_groups, 30_000)
    tracemalloc.start()
    try:
        tiles = distance_sums(X, X, labels, np.ones(30_000), n_clusters, groups, n_groups)
        for (_, sums), _ in zip(tiles, range(2)):
            assert sums.shape[1:] == (n_groups, n_clusters)
        assert tracemalloc.get_traced_memory()[1] < 48e6
    finally:
        tracemalloc.stop()
