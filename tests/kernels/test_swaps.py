"""Swaps of centers for rows: which are made, what they cost, and what is never put in place."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dkmeans.kernels import swaps
from dkmeans.kernels.swaps import with_swaps

DTYPES = ["float32", "float64"]


@pytest.fixture(params=["compiled", "NumPy"])
def kind(request, monkeypatch):
    monkeypatch.setattr(swaps, "are_compiled", lambda *shape: request.param == "compiled")
    return request.param


def well_separated(n_rows, n_features, dtype, n_groups=30):
    rng = np.random.default_rng(7)
    means = rng.normal(size=(n_groups, n_features)) * 30
    X = means[rng.integers(0, n_groups, n_rows)] + rng.normal(size=(n_rows, n_features))
    return np.asfortranarray(X, dtype), rng.uniform(0.5, 2, n_rows)


def cost_of(X, weight, centers):
    far = [((X.astype(np.float64) - center) ** 2).sum(axis=1) for center in centers]
    return (weight * np.min(far, axis=0)).sum()


def swapped_by_definition(X, weight, centers, n_swaps, generator):
    """Try each center in turn, and take the cost of what is left."""
    centers = np.array(centers, np.float64)
    for uniform in generator.random(n_swaps):
        cost = cost_of(X, weight, centers)
        far = [((X.astype(np.float64) - center) ** 2).sum(axis=1) for center in centers]
        shares = np.cumsum(weight * np.min(far, axis=0)) / cost
        row = X[int(np.argmax(shares > uniform))]
        costs = []
        for out in range(len(centers)):
            instead = centers.copy()
            instead[out] = row
            costs.append(cost_of(X, weight, instead))
        if min(costs) < cost:
            centers[int(np.argmin(costs))] = row
    return centers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_rows", "n_features", "n_clusters"), [(9001, 3, 5), (8192, 9, 12), (700, 40, 2), (40, 8, 30)]
)
def test_the_same_draws_make_the_same_swaps_as_the_definition(
    kind, dtype, n_rows, n_features, n_clusters
):
    X, weight = well_separated(n_rows, n_features, dtype)
    # many centers in few groups: much to swap
    start = X[X[:, 0].argsort()[:n_clusters]].astype(np.float64)
    found = with_swaps(X, weight, start, 25, np.random.default_rng(1))
    expected = swapped_by_definition(X, weight, start, 25, np.random.default_rng(1))
    assert not np.array_equal(found, start)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_swaps_far_from_zero_are_those_near_it(kind, dtype):
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.integers(-400, 400, (9000, 4)), dtype)
    weight = rng.integers(1, 5, 9000).astype(np.float64)
    near = with_swaps(X, weight, X[:20], 40, np.random.default_rng(2))
    moved = X + np.dtype(dtype).type(2**20)
    far = with_swaps(moved, weight, moved[:20], 40, np.random.default_rng(2))
    assert not np.array_equal(near, X[:20])
    np.testing.assert_array_equal(far - 2**20, near)


def test_crowded_centers_move_to_where_there_are_none(kind):
    X, weight = well_separated(20_000, 6, "float32")
    start = X[((X - X[0]) ** 2).sum(axis=1).argsort()[:30]].astype(np.float64)
    found = with_swaps(X, weight, start, 120, np.random.default_rng(0))
    # each group at its center costs as many as it has features
    assert cost_of(X, weight, start) > 100 * 6 * weight.sum()
    assert cost_of(X, weight, found) < 4 * 6 * weight.sum()


def test_a_weight_of_two_is_two_copies(kind):
    X, _ = well_separated(4001, 5, "float32")
    copies = np.random.default_rng(1).integers(0, 4, len(X))
    written_out = np.asfortranarray(np.repeat(X, copies, axis=0))
    weighted = with_swaps(X, copies.astype(float), X[:15], 30, np.random.default_rng(2))
    ones = np.ones(len(written_out))
    repeated = with_swaps(written_out, ones, X[:15], 30, np.random.default_rng(2))
    np.testing.assert_array_equal(weighted, repeated)


def test_rows_of_weight_zero_are_never_put_in_place(kind):
    X, weight = well_separated(9000, 3, "float32")
    X[::2] *= 100
    weight[::2] = 0
    found = with_swaps(X, weight, X[1:20:2], 50, np.random.default_rng(0))
    of_weight = {tuple(row) for row in X[1::2].astype(np.float64)}
    assert {tuple(center) for center in found} <= of_weight


def test_where_every_row_is_a_center_nothing_is_swapped(kind):
    distinct = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    X = np.asfortranarray(np.tile(distinct, (800, 1)))
    start = np.concatenate([distinct, distinct[:2]]).astype(np.float64)
    found = with_swaps(X, np.ones(len(X)), start, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(found, start)


def test_one_center_stays(kind):
    X, weight = well_separated(9000, 3, "float32")
    found = with_swaps(X, weight, X[:1], 20, np.random.default_rng(0))
    np.testing.assert_array_equal(found, X[:1])


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_squares_may_leave_the_range_of_float32(kind, scale):
    X, weight = well_separated(9000, 4, "float32")
    X *= np.float32(scale)
    found = with_swaps(X, weight, X[:10], 20, np.random.default_rng(0))
    expected = swapped_by_definition(X, weight, X[:10], 20, np.random.default_rng(0))
    np.testing.assert_array_equal(found, expected)


def test_threads_side_by_side_find_what_one_does(kind):
    X, weight = well_separated(9000, 9, "float32")

    def found(seed):
        return with_swaps(X, weight, X[:10], 20, np.random.default_rng(seed))

    with ThreadPoolExecutor(4) as pool:
        for seed, centers in enumerate(pool.map(found, range(6))):
            np.testing.assert_array_equal(centers, found(seed))
