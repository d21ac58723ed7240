"""Farthest: the laws, four points by hand, and a full sort in float64."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.partials import Farthest, merge_all
from tests.laws import PartialLaws, checked
from tests.strategies import CutRows, blocks_of, cut_rows

CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)


class LawsOfSize(PartialLaws):
    size: int

    def build(self, block):
        return Farthest.from_block(block, CENTERS[:, : block.n_features], self.size)

    def zero(self, block):
        return Farthest.zero(self.size, block.n_features, block.X.dtype)

    def finish(self, partial):
        assert len(partial.X) == len(partial.labels) == len(partial.weight) <= self.size


class TestLawsOfAFew(LawsOfSize):
    size = 3


class TestLawsOfMoreThanThereAre(LawsOfSize):
    size = 1000


@checked
@given(cut_rows())
def test_the_farthest_come_first_and_equal_ones_by_row_number(rows: CutRows):
    block = rows.whole
    centers = CENTERS[:, : block.n_features]
    found = merge_all(Farthest.from_block(b, centers, 5) for b in rows.blocks)
    expected = []
    for x, w, number in zip(block.X.astype(int), block.weights, block.row_numbers, strict=True):
        far = [int(((x - center) ** 2).sum()) for center in centers.astype(int)]
        if min(far) > 0 and w > 0:
            expected.append((-min(far), int(number), far.index(min(far)), w, x.tolist()))
    expected = sorted(expected)[:5]
    assert found.sq_distances.tolist() == [-row[0] for row in expected]
    assert found.row_numbers.tolist() == [row[1] for row in expected]
    assert found.labels.tolist() == [row[2] for row in expected]
    assert found.weight.tolist() == [row[3] for row in expected]
    assert found.X.tolist() == [row[4] for row in expected]
    assert found.X.dtype == block.X.dtype
    assert found.n_rows == block.n_rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_points_by_hand(dtype):
    X = np.asfortranarray([[0, 0], [0.5, 0], [0.5, 1], [3, 1]], dtype)
    centers = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = Farthest.from_block(Block(X, ((10, 14),)), centers, 2)
    assert found.row_numbers.tolist() == [13, 11]
    assert found.sq_distances.tolist() == [4, 0.25]
    assert found.labels.tolist() == [1, 0]
    assert found.X.tolist() == [[3, 1], [0.5, 0]]
    assert found.weight.tolist() == [1, 1]


def test_rows_on_their_center_or_without_weight_are_left_out():
    X = np.asfortranarray([[0.0], [9.0], [1.0], [4.0]])
    block = Block(X, ((0, 4),), np.array([1.0, 0.0, 2.0, 0.0]))
    found = Farthest.from_block(block, np.array([[0.0]]), 3)
    assert found.row_numbers.tolist() == [2]
    assert found.weight.tolist() == [2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_are_centers_are_left_out_far_from_zero(dtype):
    X = (1000 + np.random.default_rng(0).normal(size=(300, 5))).astype(dtype)
    found = Farthest.from_block(blocks_of(X, 1)[0], X[:7].astype(np.float64), 1000)
    assert sorted(found.row_numbers) == list(range(7, 300))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_give_the_same_rows_as_a_full_sort(blobs, dtype):
    X, centers = blobs
    X = X.astype(dtype)
    blocks = blocks_of(X, 9)
    assert len(blocks) == 9
    found = merge_all(Farthest.from_block(block, centers, 25) for block in blocks)
    far = ((X.astype(np.float64)[:, None] - centers) ** 2).sum(axis=2)
    order = far.min(axis=1).argsort()[::-1][:25]
    np.testing.assert_array_equal(found.row_numbers, order)
    np.testing.assert_array_equal(found.labels, far.argmin(axis=1)[order])
    np.testing.assert_allclose(found.sq_distances, far.min(axis=1)[order], rtol=1e-5)
    np.testing.assert_array_equal(found.X, X[order])
