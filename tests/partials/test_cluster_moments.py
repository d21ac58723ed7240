"""ClusterMoments: the laws, four points by hand, and NumPy far from zero."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.kernels.nearest import nearest
from dkmeans.partials import merge_all
from dkmeans.partials.cluster_moments import ClusterMoments
from tests.laws import WeightsAsCopies, checked
from tests.strategies import CutRows, blocks_of, cut_rows

# the third repeats the first: always an empty cluster
CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)
ORIGINS = np.array([[1, -2, 0, 5], [3, 0, 4, -7], [0, 0, 0, 0], [-8, 1, 1, 3]], np.float64)


def moments_of(block, centers, origins):
    labels, sq_distances = nearest(block.X, centers)
    return ClusterMoments.from_block(block, labels, sq_distances, origins)


class TestLaws(WeightsAsCopies):
    def build(self, block):
        return moments_of(block, CENTERS[:, : block.n_features], ORIGINS[:, : block.n_features])

    def zero(self, block):
        return ClusterMoments.zero(ORIGINS[:, : block.n_features])

    def finish(self, partial):
        assert np.isnan(partial.mean).all(axis=1).tolist() == partial.empty.tolist()
        assert np.isnan(partial.variance).all(axis=1).tolist() == partial.empty.tolist()
        assert partial.empty[2]


@checked
@given(cut_rows())
def test_sums_equal_those_of_plain_integers(rows: CutRows):
    block, d = rows.whole, rows.whole.n_features
    found = merge_all(moments_of(b, CENTERS[:, :d], ORIGINS[:, :d]) for b in rows.blocks)
    labels, sq_distances = nearest(block.X, CENTERS[:, :d])
    for c in range(4):
        own = [i for i in range(block.n_rows) if labels[i] == c and block.weights[i] > 0]
        X = block.X.astype(int)[own].tolist()
        w = block.weights.astype(int)[own].tolist()
        origin = ORIGINS[c].astype(int).tolist()
        assert found.weight[c] == sum(w)
        assert found.sq_distances[c] == sum(a * int(sq_distances[i]) for a, i in zip(w, own))
        for j in range(d):
            moved = [x[j] - origin[j] for x in X]
            assert found.sums[c, j] == sum(a * x for a, x in zip(w, moved))
            assert found.sq_sums[c, j] == sum(a * x * x for a, x in zip(w, moved))
            assert found.minimum[c, j] == min((x[j] for x in X), default=np.inf)
            assert found.maximum[c, j] == max((x[j] for x in X), default=-np.inf)
    assert found.n_rows == block.n_rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_weighted_points_by_hand(dtype):
    X = np.asfortranarray([[0, 8], [2, 8], [9, 1], [7, 0]], dtype)
    block = Block(X, ((0, 4),), np.array([3.0, 1.0, 2.0, 0.0]))
    labels, sq_distances = np.array([0, 0, 2, 2], np.int32), np.array([1, 2, 3, 4], dtype)
    found = ClusterMoments.from_block(block, labels, sq_distances, np.ones((3, 2)))
    assert found.weight.tolist() == [4, 0, 2]
    assert found.sq_distances.tolist() == [5, 0, 6]
    assert found.mean[[0, 2]].tolist() == [[0.5, 8], [9, 1]]
    assert found.variance[[0, 2]].tolist() == [[0.75, 0], [0, 0]]
    assert found.minimum[[0, 2]].tolist() == [[0, 8], [9, 1]]
    assert found.maximum[[0, 2]].tolist() == [[2, 8], [9, 1]]
    assert np.isnan(found.mean[1]).all()
    assert np.isnan(found.variance[1]).all()
    assert found.empty.tolist() == [False, True, False]
    assert found.minimum.dtype == found.sums.dtype == np.float64


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("offset", "apart"), [(0.0, 5.0), (1e8, 5.0), (0.0, 1e4), (1e8, 1e4)])
def test_means_and_variances_are_numpys_far_from_zero_and_far_apart(offset, apart, weighted):
    rng = np.random.default_rng(0)
    n, k, d = 20_000, 5, 3
    centers = offset + apart * np.arange(k)[:, None] * np.array([1.0, -1.0, 2.0])
    labels = rng.integers(0, k, n).astype(np.int32)
    X = centers[labels] + rng.normal(size=(n, d))
    weight = rng.integers(0, 4, n).astype(float) if weighted else None
    blocks = blocks_of(X, 6, weight)
    assert len(blocks) == 6
    origins = centers + 0.3
    parts, first = [], 0
    for block in blocks:
        own = labels[first : first + block.n_rows]
        parts.append(ClusterMoments.from_block(block, own, np.zeros(len(own)), origins))
        first += block.n_rows
    found = merge_all(parts)
    copies = np.ones(n, int) if weight is None else weight.astype(int)
    for c in range(k):
        own = np.repeat(X[labels == c], copies[labels == c], axis=0)
        np.testing.assert_allclose(found.mean[c], own.mean(axis=0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(found.variance[c], own.var(axis=0), rtol=1e-9)
        np.testing.assert_array_equal(found.minimum[c], own.min(axis=0))
        np.testing.assert_array_equal(found.maximum[c], own.max(axis=0))
        assert found.weight[c] == len(own)


def test_more_labels_than_a_short_integer_holds():
    k = 70_000
    X = np.asfortranarray(np.arange(5.0)[:, None])
    labels = np.array([69_999, 3, 69_999, 4, 3], np.int32)
    found = ClusterMoments.from_block(Block(X, ((0, 5),)), labels, np.zeros(5), np.zeros((k, 1)))
    assert np.flatnonzero(found.weight).tolist() == [3, 4, 69_999]
    assert found.mean[[3, 4, 69_999], 0].tolist() == [2.5, 3, 1]
