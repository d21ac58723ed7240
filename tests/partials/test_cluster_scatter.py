"""ClusterScatter: the laws, and NumPy's covariances."""

import numpy as np
import pytest

from dkmeans.kernels.block import Block
from dkmeans.kernels.nearest import nearest
from dkmeans.partials import cluster_scatter, merge_all
from dkmeans.partials.cluster_scatter import ClusterScatter
from tests.laws import WeightsAsCopies
from tests.strategies import blocks_of

CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)


def scatter_of(block, centers):
    return ClusterScatter.from_block(block, nearest(block.X, centers)[0], centers)


class TestLaws(WeightsAsCopies):
    def build(self, block):
        return scatter_of(block, CENTERS[:, : block.n_features])

    def zero(self, block):
        return ClusterScatter.zero(CENTERS[:, : block.n_features])

    def finish(self, partial):
        empty = partial.weight == 0
        assert np.isnan(partial.covariance).all(axis=(1, 2)).tolist() == empty.tolist()


def test_three_points_by_hand():
    X = np.asfortranarray([[0.0, 0.0], [2.0, 4.0], [7.0, 7.0]])
    labels = np.array([0, 0, 1], np.int32)
    centers = np.array([[1.0, 1.0], [5.0, 7.0], [0.0, 0.0]])
    found = ClusterScatter.from_block(Block(X, ((0, 3),)), labels, centers)
    assert found.weight.tolist() == [2, 1, 0]
    assert found.sums.tolist() == [[0, 2], [2, 0], [0, 0]]
    assert found.products[0].tolist() == [[2, 4], [4, 10]]
    assert found.covariance[:2].tolist() == [[[1, 2], [2, 4]], [[0, 0], [0, 0]]]
    assert np.isnan(found.covariance[2]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_covariances_are_numpys(blobs, dtype, weighted, monkeypatch):
    X, centers = blobs
    X = X.astype(dtype)
    weight = np.random.default_rng(1).integers(0, 4, len(X)) if weighted else None
    # several tiles a block
    monkeypatch.setattr(cluster_scatter, "_TILE_BYTES", 0)
    blocks = blocks_of(X, 3, None if weight is None else weight.astype(float))
    assert all(block.n_rows > 1024 for block in blocks)
    found = merge_all(scatter_of(block, centers) for block in blocks)
    labels = nearest(X, centers)[0]
    for c in range(len(centers)):
        own = labels == c
        expected = np.cov(
            X[own].T.astype(np.float64), fweights=None if weight is None else weight[own], ddof=0
        )
        np.testing.assert_allclose(found.covariance[c], expected, rtol=1e-9, atol=1e-10)
        np.testing.assert_array_equal(found.covariance[c], found.covariance[c].T)
