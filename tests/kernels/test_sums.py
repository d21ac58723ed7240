"""Weights and sums of the rows of each label, against plain Python."""

import math

import numpy as np
import pytest

from dkmeans.kernels.sums import sums_by_label, sums_of_nearest, weight_by_label

pytestmark = pytest.mark.usefixtures("each_kernel")

LABELS = np.array([2, 0, 2, 2], np.int32)
X = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
WEIGHT = np.array([1.0, 5.0, 0.0, 2.0])


def test_weights_of_four_rows_by_hand():
    counts = weight_by_label(LABELS, None, 4)
    assert counts.tolist() == [1, 0, 3, 0]
    assert counts.dtype == np.float64
    assert weight_by_label(LABELS, WEIGHT, 4).tolist() == [5, 0, 3, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_of_four_rows_by_hand(dtype, order):
    rows = np.asarray(X, dtype, order=order)
    origin = np.array([1.0, 10.0])
    unweighted = sums_by_label(rows, LABELS, None, origin, 4)
    assert unweighted.tolist() == [[1, 10], [0, 0], [5, 50], [0, 0]]
    assert unweighted.dtype == np.float64
    weighted = sums_by_label(rows, LABELS, WEIGHT, origin, 4)
    assert weighted.tolist() == [[5, 50], [0, 0], [6, 60], [0, 0]]
    np.testing.assert_array_equal(rows, X.astype(dtype))


def test_no_rows_add_up_to_nothing():
    nothing = np.empty(0, np.int32)
    assert weight_by_label(nothing, None, 3).tolist() == [0, 0, 0]
    assert weight_by_label(nothing, np.empty(0), 3).dtype == np.float64
    sums = sums_by_label(np.empty((0, 2), np.float32), nothing, None, np.ones(2), 3)
    assert sums.tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_rows_equal_the_exact_sums(dtype, weighted):
    rng = np.random.default_rng(0)
    rows = np.asfortranarray(50 + rng.normal(size=(20_000, 3)), dtype)
    labels = rng.integers(0, 6, 20_000).astype(np.int32)
    weight = rng.uniform(0, 2, 20_000) if weighted else None
    origin = np.array([50.0, 49.5, 0.0])
    found = sums_by_label(rows, labels, weight, origin, 7)
    factors = np.ones(20_000) if weight is None else weight
    for j in range(7):
        mine = labels == j
        terms = (rows[mine].astype(np.float64) - origin) * factors[mine, None]
        np.testing.assert_allclose(
            found[j], [math.fsum(t) for t in terms.T], rtol=1e-11, atol=1e-11
        )


def test_float32_rows_are_added_in_float64():
    rows = np.full((300_000, 1), 0.1, np.float32)
    found = sums_by_label(rows, np.zeros(300_000, np.int32), None, np.zeros(1), 1)
    np.testing.assert_allclose(found, 300_000 * float(np.float32(0.1)), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("n_rows", "n_features"), [(0, 3), (1, 1), (45, 2), (4099, 11), (900, 300)]
)
def test_sums_of_the_nearest_equal_those_of_float64(n_rows, n_features, order, weighted, dtype):
    rng = np.random.default_rng(n_rows)
    rows = np.asarray(30 + rng.normal(size=(n_rows, n_features)), dtype, order=order)
    centers = 30 + rng.normal(size=(13, n_features))
    centers[7] = 50  # nobody's
    weight = rng.uniform(0, 2, n_rows) * rng.integers(0, 2, n_rows) if weighted else None
    origin = centers.mean(axis=0)
    wide = rows.astype(np.float64)
    sq_distances = ((wide[:, None] - centers) ** 2).sum(axis=2)
    labels = sq_distances.argmin(axis=1)
    factors = np.ones(n_rows) if weight is None else weight
    by_label = np.eye(13)[labels] * factors[:, None]
    found = sums_of_nearest(rows, weight, centers, origin)
    assert [array.dtype for array in found] == [np.float64] * 3
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found[0], by_label.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[1], by_label.T @ (wide - origin), rtol=1e-10, atol=1e-9)
    least = sq_distances.min(axis=1, initial=np.inf)
    np.testing.assert_allclose(found[2], by_label.T @ least, rtol=100 * eps, atol=1e-9)
    assert found[0][7] == 0
    assert not found[1][7].any()


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_inertia_of_float32_rows_is_that_of_float64(offset):
    rng = np.random.default_rng(0)
    rows = np.asfortranarray(offset + rng.normal(size=(50_000, 6)), np.float32)
    centers = offset + rng.normal(size=(30, 6))
    sq_distances = sums_of_nearest(rows, None, centers, centers[0])[2]
    wide = rows.astype(np.float64)
    true = sum(
        ((wide[i : i + 5000, None] - centers) ** 2).sum(axis=2).min(axis=1).sum()
        for i in range(0, 50_000, 5000)
    )
    np.testing.assert_allclose(sq_distances.sum(), true, rtol=1e-6)
