"""ClusterSums: the laws, four points by hand, and float64 brute force."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.partials import ClusterSums, merge_all
from tests.laws import WeightsAsCopies, assert_same, checked
from tests.strategies import CutRows, blocks_of, cut_rows

# the third repeats the first: always an empty cluster, and its rows are ties
CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)
ORIGIN = np.array([1, -2, 0, 5], np.float64)

pytestmark = pytest.mark.usefixtures("each_kernel")

FOUR = np.array([[0, 0], [0.5, 0], [0.5, 1], [1, 1]])
ZERO = np.zeros(2)


def four_points(dtype="float64", weight=None):
    weight = None if weight is None else np.array(weight, np.float64)
    return Block(np.asfortranarray(FOUR, dtype), ((0, 4),), weight)


class TestLaws(WeightsAsCopies):
    def build(self, block):
        d = block.n_features
        return ClusterSums.from_block(block, CENTERS[:, :d], ORIGIN[:d])

    def zero(self, block):
        return ClusterSums.zero(len(CENTERS), ORIGIN[: block.n_features])

    def finish(self, partial):
        centers = CENTERS[:, : len(partial.origin)]
        partial.centers(otherwise=centers)
        partial.gain(centers)
        assert partial.inertia >= 0
        assert partial.empty[2]


@checked
@given(cut_rows())
def test_sums_equal_those_of_plain_integers(rows: CutRows):
    block, d = rows.whole, rows.whole.n_features
    weight, sums, sq_distances = [0] * 4, [[0] * d for _ in range(4)], [0] * 4
    for x, w in zip(block.X.astype(int).tolist(), block.weights.astype(int).tolist(), strict=True):
        far = [sum((a - int(b)) ** 2 for a, b in zip(x, center)) for center in CENTERS]
        label = far.index(min(far))
        weight[label] += w
        sq_distances[label] += w * far[label]
        for i in range(d):
            sums[label][i] += w * (x[i] - int(ORIGIN[i]))
    found = ClusterSums.from_block(block, CENTERS[:, :d], ORIGIN[:d])
    assert found.weight.tolist() == weight
    assert found.sums.tolist() == sums
    assert found.sq_distances.tolist() == sq_distances
    assert found.n_rows == len(block.X)
    assert found.empty.tolist() == [w == 0 for w in weight]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_weighted_points_by_hand(dtype):
    block = four_points(dtype, [3, 1, 1, 3])
    centers = np.array([[0.0, 0.0], [1.0, 1.0]])
    ledger = ClusterSums.from_block(block, centers, ZERO)
    assert ledger.weight.tolist() == [4, 4]
    assert ledger.sums.tolist() == [[0.5, 0], [3.5, 4]]
    assert ledger.inertia == 0.5
    assert ledger.centers(otherwise=centers).tolist() == [[0.125, 0], [0.875, 1]]
    assert ledger.gain(centers) == 0.125
    assert ledger.sums.dtype == ledger.sq_distances.dtype == np.float64


@pytest.mark.parametrize("origin", [(0.0, 0.0), (1.0, -3.0)])
def test_an_empty_cluster_keeps_its_center_and_gains_nothing(origin):
    origin = np.array(origin)
    centers = np.array([[0.25, 0.5], [3.0, 3.0]])
    ledger = ClusterSums.from_block(four_points(), centers, origin)
    assert ledger.empty.tolist() == [False, True]
    assert ledger.centers(otherwise=centers).tolist() == [[0.5, 0.5], [3, 3]]
    assert ledger.gain(centers) == 4 * 0.25**2


def test_a_cluster_of_weightless_rows_is_empty():
    centers = np.array([[0.0, 0.0], [1.0, 1.0]])
    ledger = ClusterSums.from_block(four_points(weight=[0, 0, 1, 1]), centers, ZERO)
    assert ledger.empty.tolist() == [True, False]
    assert ledger.n_rows == 4
    assert ledger.centers(otherwise=centers).tolist() == [[0, 0], [0.75, 1]]


@pytest.mark.parametrize("origin", [(0.0, 0.0), (1.0, 1.0)])
def test_moving_a_row_makes_it_the_only_one_of_its_new_cluster(origin):
    centers = np.array([[0.5, 0.5], [3.0, 3.0]])
    weight = [2, 1, 1, 1]
    ledger = ClusterSums.from_block(four_points(weight=weight), centers, np.array(origin))
    moved = ledger.move(np.array([0]), np.array([1]), FOUR[:1], np.array([2.0]))
    assert moved.weight.tolist() == [3, 2]
    assert moved.empty.tolist() == [False, False]
    np.testing.assert_allclose(
        moved.centers(otherwise=centers), [[2 / 3, 2 / 3], [0, 0]], atol=1e-15
    )
    assert ledger.weight.tolist() == [5, 0]


def test_two_rows_leave_one_cluster_for_two_others():
    centers = np.array([[0.5, 0.5], [8.0, 8.0], [9.0, 9.0]])
    ledger = ClusterSums.from_block(four_points(), centers, ZERO)
    moved = ledger.move(np.array([0, 0]), np.array([2, 1]), FOUR[[0, 3]], np.ones(2))
    assert moved.weight.tolist() == [2, 1, 1]
    assert moved.centers(otherwise=centers).tolist() == [[0.5, 0.5], [1, 1], [0, 0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_rows_in_blocks_equal_brute_force_in_float64(blobs, dtype, weighted):
    X, centers = blobs
    X = X.astype(dtype)
    weight = np.random.default_rng(1).uniform(0, 3, len(X)) if weighted else None
    blocks = blocks_of(X, 7, weight)
    assert len(blocks) == 7
    origin = X[:100].mean(axis=0, dtype=np.float64)
    found = merge_all(ClusterSums.from_block(block, centers, origin) for block in blocks)

    wide, w = X.astype(np.float64), np.ones(len(X)) if weight is None else weight
    far = ((wide[:, None] - centers) ** 2).sum(axis=2)
    label = far.argmin(axis=1)
    means = [np.average(wide[label == j], axis=0, weights=w[label == j]) for j in range(10)]
    np.testing.assert_allclose(found.weight, [w[label == j].sum() for j in range(10)])
    np.testing.assert_allclose(found.centers(otherwise=centers), means, rtol=1e-12, atol=1e-12)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found.inertia, (w * far.min(axis=1)).sum(), rtol=rtol)


def test_the_gain_is_what_moving_the_centers_brings_with_labels_fixed(blobs):
    X, centers = blobs
    centers = centers[::2] + 5
    ledger = merge_all(ClusterSums.from_block(b, centers, np.ones(4)) for b in blocks_of(X, 3))
    label = ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    moved = ledger.centers(otherwise=centers)
    with_labels_fixed = ((X - moved[label]) ** 2).sum()
    np.testing.assert_allclose(ledger.gain(centers), ledger.inertia - with_labels_fixed, rtol=1e-10)
    following = ClusterSums.from_block(blocks_of(X, 1)[0], moved, np.ones(4))
    assert following.inertia <= ledger.inertia - ledger.gain(centers) < ledger.inertia


def test_the_new_centers_are_scikit_learns(blobs):
    from sklearn.cluster import KMeans

    X, centers = blobs
    weight = np.random.default_rng(2).uniform(0.1, 3, len(X))
    theirs = KMeans(10, init=centers + 3, n_init=1, max_iter=1).fit(X, sample_weight=weight)
    blocks = blocks_of(X, 4, weight)
    ledger = merge_all(ClusterSums.from_block(b, centers + 3, centers[0]) for b in blocks)
    ours = ledger.centers(otherwise=centers)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, rtol=1e-11, atol=1e-11)


def test_rows_far_from_zero_lose_no_digits():
    offset = 1e8
    X = offset + np.random.default_rng(3).normal(size=(1000, 2))
    ledger = ClusterSums.from_block(blocks_of(X, 1)[0], X[:1], X[0])
    exact = [sum(int(v * 2**27) for v in column.tolist()) for column in X.T]
    expected = [(total - 1000 * int(X[0, i] * 2**27)) / 2**27 for i, total in enumerate(exact)]
    np.testing.assert_allclose(ledger.sums[0], expected, rtol=1e-12)


def test_decay_takes_part_of_all_weight_and_leaves_the_means(blobs):
    X, centers = blobs
    weight = np.random.default_rng(2).uniform(0.1, 3, len(X))
    ledger = ClusterSums.from_block(blocks_of(X, 1, weight)[0], centers, centers[0])
    decayed = ledger.decay(0.25)
    lighter = ClusterSums.from_block(blocks_of(X, 1, 0.25 * weight)[0], centers, centers[0])
    np.testing.assert_array_equal(decayed.weight, lighter.weight)
    np.testing.assert_array_equal(decayed.sums, lighter.sums)
    np.testing.assert_array_equal(decayed.sq_distances, lighter.sq_distances)
    assert decayed.n_rows == ledger.n_rows == 5000
    np.testing.assert_array_equal(decayed.centers(centers), ledger.centers(centers))
    assert_same(ledger.decay(1.0), ledger)


def test_emptied_clusters_have_nothing_and_the_others_all(blobs):
    X, centers = blobs
    ledger = ClusterSums.from_block(blocks_of(X, 1)[0], centers, centers[0])
    gone = np.zeros(10, bool)
    gone[[2, 7]] = True
    left = ledger.without(gone)
    np.testing.assert_array_equal(left.empty, gone)
    assert not left.sums[gone].any()
    assert not left.sq_distances[gone].any()
    for name in ("weight", "sums", "sq_distances"):
        np.testing.assert_array_equal(getattr(left, name)[~gone], getattr(ledger, name)[~gone])
    otherwise = centers + 1
    np.testing.assert_array_equal(left.centers(otherwise)[gone], otherwise[gone])
    assert not ledger.empty.any()
