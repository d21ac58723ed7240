"""The nearest centers against brute force in float64: shapes, layouts, ties, offsets, scratch."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from dkmeans.kernels.nearest import (
    bring_up_to_date,
    distances,
    nearest,
    nearest_other,
    nearest_two,
    sq_distances_to,
)
from dkmeans.kernels.tables import MOST_IN_MEDIAN

DTYPES = ["float32", "float64"]

pytestmark = pytest.mark.usefixtures("each_kernel")


def brute_force(X, centers):
    """Squared distances of all rows to all centers, `(n_rows, n_centers)` float64."""
    wide, out = X.astype(np.float64), np.empty((len(X), len(centers)))
    for j, center in enumerate(centers.astype(np.float64)):
        out[:, j] = ((wide - center) ** 2).sum(axis=1)
    return out


def tolerances(X, centers):
    """The relative and absolute error that rounding about the centers' mean explains."""
    eps = float(np.finfo(X.dtype).eps)
    spread = X.astype(np.float64) - centers.mean(axis=0)
    return 100 * eps, 100 * eps * float((spread**2).sum(axis=1).max())


def check(X, centers):
    """Check labels and squared distances of `nearest` and `nearest_two` against brute force."""
    true = brute_force(X, centers)
    rtol, atol = tolerances(X, centers)
    every_row = np.arange(len(X))
    labels, sq_distances = nearest(X, centers)
    assert labels.dtype == np.int32
    assert labels.shape == sq_distances.shape == (len(X),)
    assert sq_distances.dtype == X.dtype
    np.testing.assert_allclose(true[every_row, labels], true.min(axis=1), rtol=rtol, atol=atol)
    np.testing.assert_allclose(sq_distances, true[every_row, labels], rtol=rtol, atol=atol)
    if len(centers) == 1:
        return
    two = np.sort(true, axis=1)[:, :2]
    clear = two[:, 1] - two[:, 0] > 2 * atol
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(labels[clear], true.argmin(axis=1)[clear])
    labels, sq_distances = nearest_two(X, centers)
    assert labels.dtype == np.int32
    assert labels.shape == sq_distances.shape == (len(X), 2)
    assert (labels[:, 0] != labels[:, 1]).all()
    np.testing.assert_allclose(true[every_row[:, None], labels], two, rtol=rtol, atol=atol)
    found = true[every_row[:, None], labels]
    np.testing.assert_allclose(sq_distances, found, rtol=rtol, atol=atol)


def normal(n_rows, n_centers, n_features, dtype, offset=0.0):
    rng = np.random.default_rng([n_rows, n_centers, n_features])
    X = (offset + rng.normal(size=(n_rows, n_features))).astype(dtype)
    return np.asfortranarray(X), offset + rng.normal(size=(n_centers, n_features))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_centers", [1, 2, 15, 16, 17, 511, 512, 513, 1100])
def test_any_number_of_centers(n_centers, dtype):
    check(*normal(3000, n_centers, 5, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [1, 2, 3, 8, 31, 100, 256, 257, 700])
def test_any_number_of_features(n_features, dtype):
    check(*normal(2500, 40, n_features, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 7, 31, 32, 33, 2047, 2048, 2049, 6145])
def test_any_number_of_rows(n_rows, dtype):
    check(*normal(n_rows, 20, 6, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_centers_of_many_features(dtype):
    check(*normal(700, 1100, 600, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows_have_no_labels(dtype):
    X, centers = normal(0, 5, 3, dtype)
    labels, sq_distances = nearest(X, centers)
    assert labels.shape == sq_distances.shape == (0,)
    assert nearest_two(X, centers)[0].shape == (0, 2)
    assert distances(X, centers).shape == (0, 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_offset_of_1e3_costs_no_labels(dtype):
    X, centers = normal(20_000, 50, 8, dtype, offset=1e3)
    check(X, centers)
    true = brute_force(X, centers)
    labels, sq_distances = nearest(X, centers)
    assert (labels != true.argmin(axis=1)).mean() < 1e-3
    np.testing.assert_allclose(sq_distances, true.min(axis=1), rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_four_points_by_hand(dtype):
    X = np.asfortranarray([[0, 0], [0.5, 0], [0.5, 1], [1, 1]], dtype)
    centers = np.array([[0.0, 0.0], [1.0, 1.0], [4.0, 1.0]])
    labels, sq_distances = nearest_two(X, centers)
    assert labels.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    np.testing.assert_allclose(
        sq_distances, [[0, 2], [0.25, 1.25], [0.25, 1.25], [0, 2]], atol=1e-6
    )
    expected = np.sqrt([[0, 2, 17], [0.25, 1.25, 13.25], [1.25, 0.25, 12.25], [2, 0, 9]])
    np.testing.assert_allclose(distances(X, centers), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_halfway_between_centers_go_to_the_lowest_index(dtype):
    X = np.asfortranarray([[0, 0], [0, 1], [0, -3]], dtype)
    centers = np.array([[9.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-9.0, 0.0]])
    assert nearest(X, centers)[0].tolist() == [1, 1, 1]
    assert nearest(X, centers[::-1])[0].tolist() == [1, 1, 1]
    assert nearest_two(X, centers)[0].tolist() == [[1, 2]] * 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [2, 17, 100])
@pytest.mark.parametrize("n_centers", [20, 1100])
def test_of_repeated_centers_the_lowest_index_is_taken(n_centers, n_features, dtype):
    X, centers = normal(3000, n_centers, n_features, dtype)
    half = n_centers // 2
    centers[half : 2 * half] = centers[half - 1 :: -1]
    labels, sq_distances = nearest_two(X, centers)
    assert len(np.unique(labels[:, 0])) > min(half, 100) // 2
    assert (labels[:, 0] < half).all()
    np.testing.assert_array_equal(labels[:, 1], 2 * half - 1 - labels[:, 0])
    np.testing.assert_array_equal(sq_distances[:, 0], sq_distances[:, 1])
    np.testing.assert_array_equal(nearest(X, centers)[0], labels[:, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_a_row_that_is_a_center_is_at_distance_zero(offset, dtype):
    X, _ = normal(4000, 1, 7, dtype, offset)
    centers = X[::5].astype(np.float64)
    labels, sq_distances = nearest(X, centers)
    np.testing.assert_array_equal(labels[::5], np.arange(800))
    assert not sq_distances[::5].any()
    assert sq_distances[1::5].all()
    assert not np.diagonal(distances(X[::5], centers)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_repeated_rows_get_one_answer(dtype):
    X, centers = normal(1000, 30, 9, dtype)
    repeated = np.asfortranarray(np.tile(X, (5, 1)))
    for found, alone in zip(nearest_two(repeated, centers), nearest_two(X, centers), strict=True):
        np.testing.assert_array_equal(found, np.tile(alone, (5, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [nearest, nearest_two, distances])
@pytest.mark.parametrize(("n_centers", "n_features"), [(40, 33), (600, 3)])
def test_any_layout_of_the_rows_gives_the_same_bits(kernel, n_centers, n_features, dtype):
    X, centers = normal(5000, n_centers, n_features, dtype)
    sparse = np.zeros((10_000, 2 * n_features), dtype)
    sparse[::2, ::2] = X
    expected = kernel(X, centers)
    for layout in (np.ascontiguousarray(X), sparse[::2, ::2]):
        np.testing.assert_array_equal(kernel(layout, centers), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [nearest, nearest_two, distances])
@pytest.mark.parametrize(("n_centers", "n_features"), [(40, 33), (600, 3)])
def test_any_layout_of_the_centers_gives_the_same_bits(kernel, n_centers, n_features, dtype):
    X, centers = normal(3000, n_centers, n_features, dtype)
    by_column = np.asfortranarray(centers)
    np.testing.assert_array_equal(kernel(X, by_column), kernel(X, centers))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [nearest, nearest_two, distances])
@pytest.mark.parametrize(("n_centers", "n_features"), [(40, 33), (600, 3), (3, 1)])
def test_a_row_has_the_same_bits_in_any_block(kernel, n_centers, n_features, dtype):
    X, centers = normal(4500, n_centers, n_features, dtype)
    whole = kernel(X, centers)
    edges = [0, 1, 3, 20, 21, 2000, 2048, 4097, 4500]
    parts = [kernel(np.asfortranarray(X[a:b]), centers) for a, b in pairwise(edges)]
    assert len(parts) > 1
    if kernel is distances:
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    else:
        for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize(("n_centers", "n_features"), [(1, 1), (7, 100), (530, 4)])
def test_distances_to_all_centers(n_centers, n_features, offset, dtype):
    X, centers = normal(2100, n_centers, n_features, dtype, offset)
    found = distances(X, centers)
    assert found.dtype == X.dtype
    eps = float(np.finfo(dtype).eps)
    expected = np.sqrt(brute_force(X, centers))
    np.testing.assert_allclose(found, expected, rtol=100 * eps, atol=30 * eps)


def test_neither_rows_nor_centers_are_changed():
    X, centers = normal(3000, 600, 5, "float64")
    before = X.copy(), centers.copy()
    for kernel in (nearest, nearest_two, distances):
        kernel(X, centers)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(centers, before[1])


def peak_bytes(kernel, X, centers):
    tracemalloc.start()
    try:
        kernel(X, centers)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kernel", [nearest, nearest_two])
def test_scratch_is_bounded_whatever_the_rows_and_centers(kernel):
    X, centers = normal(20_000, 5000, 4, "float32")
    full_matrix_bytes = 4 * len(X) * len(centers)
    peak = peak_bytes(kernel, X, centers)
    assert peak < full_matrix_bytes / 20
    quarter = peak_bytes(kernel, X[:5000], centers)
    # labels and distances of each row are what grows
    assert peak - quarter < 1.2 * 2 * 8 * 15_000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_centers", [2, 16, 513])
def test_the_nearest_other_center_is_never_the_own_one(n_centers, dtype):
    X, centers = normal(3000, n_centers, 5, dtype)
    labels = np.random.default_rng(3).integers(0, n_centers, len(X))
    offsets = np.random.default_rng(4).exponential(size=n_centers)
    true = brute_force(X, centers)
    every_row = np.arange(len(X))
    rtol, atol = tolerances(X, centers)
    for given in (None, offsets):
        shifted = true + (0.0 if given is None else given)
        shifted[every_row, labels] = np.inf
        others, sq_distances = nearest_other(X, centers, labels, given)
        assert others.dtype == np.int32
        assert sq_distances.dtype == X.dtype
        assert (others != labels).all()
        found = shifted[every_row, others]
        np.testing.assert_allclose(found, shifted.min(axis=1), rtol=rtol, atol=atol)
        np.testing.assert_allclose(sq_distances, true[every_row, others], rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_centers_at_infinite_offsets_are_nobodys_other(dtype):
    X, centers = normal(2500, 20, 3, dtype)
    offsets = np.where(np.arange(20) % 2, np.inf, 0.0)
    others, _ = nearest_other(X, centers, np.zeros(len(X), np.int32), offsets)
    assert (others % 2 == 0).all()
    assert (others > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_repeated_center_is_an_other_one(dtype):
    X, centers = normal(100, 5, 3, dtype)
    centers = np.concatenate([centers, centers])
    labels, own = nearest(X, centers)
    others, sq_distances = nearest_other(X, centers, labels)
    np.testing.assert_array_equal(others, labels + 5)
    np.testing.assert_array_equal(sq_distances, own)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [0, 1, 2049])
def test_squared_distances_to_given_centers(n_rows, dtype):
    X, centers = normal(n_rows, 20, 6, dtype, offset=1e3)
    labels = np.random.default_rng(3).integers(0, 20, n_rows)
    rtol, atol = tolerances(X, centers) if n_rows else (0, 0)
    found = sq_distances_to(X, centers, labels)
    assert found.dtype == X.dtype
    expected = brute_force(X, centers)[np.arange(n_rows), labels]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_rows", [0, 1, 3000])
def test_centers_that_come_in_parts_are_found_as_if_together(n_rows, order, dtype):
    X, centers = normal(n_rows, 60, 5, dtype)
    X = np.asarray(X, order=order)
    # halfway, so that ties must go to the earlier ones
    X[::3] = (centers[10] + centers[40]) / 2
    labels, sq_distances = np.zeros(n_rows, np.int32), np.full(n_rows, np.inf, dtype)
    for first, last in pairwise([0, 1, 9, 40, 60]):
        bring_up_to_date(X, centers[first:last], first, labels, sq_distances)
    rtol, atol = tolerances(X, centers) if n_rows else (0, 0)
    true = brute_force(X, centers)
    np.testing.assert_allclose(sq_distances, true.min(axis=1), rtol=rtol, atol=atol)
    found = true[np.arange(n_rows), labels]
    np.testing.assert_allclose(found, true.min(axis=1), rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_nearer_center_changes_nothing(dtype):
    X, centers = normal(2500, 12, 4, dtype)
    labels, sq_distances = nearest(X, centers)
    before = labels.copy(), sq_distances.copy()
    bring_up_to_date(X, centers[3:5] + 20, 100, labels, sq_distances)
    np.testing.assert_array_equal(labels, before[0])
    np.testing.assert_array_equal(sq_distances, before[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize(("n_features", "n_centers"), [(2, 8), (8, 20), (64, 300), (768, 100)])
def test_labels_are_those_of_float64_but_for_true_ties(n_features, n_centers, offset, dtype):
    # every center has a twin that is hardly to be told from it
    rng = np.random.default_rng(1)
    X = np.asfortranarray(rng.normal(offset, size=(6000, n_features)), dtype)
    centers = rng.normal(offset, 0.3, size=(n_centers, n_features))
    spacing = float(np.spacing(np.asarray(offset + 1, dtype)))
    half = n_centers // 2
    centers[half:] = centers[:half] + spacing * rng.integers(-8, 9, size=(half, n_features))
    centers = centers.astype(dtype).astype(np.float64)
    some = centers[:: -(-n_centers // MOST_IN_MEDIAN)]
    shift = np.sort(some, axis=0)[(len(some) - 1) // 2]
    moved, rows = centers - shift, X.astype(np.float64) - shift
    scores = (moved**2).sum(axis=1) - 2 * rows @ moved.T
    labels, _ = nearest(X, centers)
    every_row = np.arange(len(X))
    lost = scores[every_row, labels] - scores.min(axis=1)
    # what the score is added up from, not what is left of it where that cancels
    sizes = 2 * np.linalg.norm(rows, axis=1) * np.linalg.norm(moved[labels], axis=1)
    assert (lost <= 4 * np.spacing(sizes.astype(dtype))).all()
    assert len(np.unique(labels)) > half


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_center_that_is_absurdly_far_costs_the_others_no_digits(dtype):
    rng = np.random.default_rng(5)
    X = np.asfortranarray(rng.normal(size=(5000, 6)), dtype)
    centers = rng.normal(size=(30, 6))
    centers[17] = 1e9
    labels, _ = nearest(X, centers)
    scores = ((X.astype(np.float64)[:, None, :] - centers) ** 2).sum(axis=2)
    lost = scores[np.arange(len(X)), labels] / scores.min(axis=1) - 1
    assert lost.max() <= 1e-4
    assert (labels == scores.argmin(axis=1)).mean() > 0.999
