"""Extremes: the laws, and a full sort of plain Python numbers."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels import block as blocks
from dkmeans.kernels.block import Block
from dkmeans.kernels.nearest import nearest
from dkmeans.partials import merge_all
from dkmeans.partials.extremes import Extremes
from tests.laws import PartialLaws, checked
from tests.strategies import CutRows, blocks_of, cut_rows

CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)


def extremes_of(block, size):
    labels, sq_distances = nearest(block.X, CENTERS[:, : block.n_features])
    both = np.column_stack([sq_distances, sq_distances + 1]).astype(np.float64)
    return Extremes.from_block(block, labels, sq_distances, both, size)


class LawsOfSize(PartialLaws):
    size: int

    def build(self, block):
        return extremes_of(block, self.size)

    def zero(self, block):
        return Extremes.zero(self.size, block.n_features, block.X.dtype)

    def finish(self, partial):
        assert np.bincount(partial.labels, minlength=1).max() <= self.size


class TestLawsOfOne(LawsOfSize):
    size = 1


class TestLawsOfAFew(LawsOfSize):
    size = 3


class TestLawsOfMoreThanThereAre(LawsOfSize):
    size = 1000


@checked
@given(cut_rows())
def test_the_smallest_of_each_cluster_come_first_and_equal_ones_by_row_number(rows: CutRows):
    block = rows.whole
    found = merge_all(extremes_of(b, 3) for b in rows.blocks)
    centers = CENTERS[:, : block.n_features].astype(int)
    expected = []
    for x, w, number in zip(block.X.astype(int), block.weights, block.row_numbers, strict=True):
        far = [int(((x - center) ** 2).sum()) for center in centers]
        if w > 0:
            expected.append((far.index(min(far)), min(far), int(number), w, x.tolist()))
    expected.sort()
    expected = [row for i, row in enumerate(expected) if i < 3 or expected[i - 3][0] != row[0]]
    assert found.labels.tolist() == [row[0] for row in expected]
    assert found.values.tolist() == [row[1] for row in expected]
    assert found.distances.tolist() == [[row[1], row[1] + 1] for row in expected]
    assert found.row_numbers.tolist() == [row[2] for row in expected]
    assert found.weight.tolist() == [row[3] for row in expected]
    assert found.X.tolist() == [row[4] for row in expected]
    assert found.X.dtype == block.X.dtype
    assert found.n_rows == block.n_rows


@pytest.mark.parametrize("weighted", [False, True])
def test_many_rows_in_tiles_and_blocks_equal_a_full_sort(blobs, weighted, monkeypatch):
    X, centers = blobs
    labels, far = nearest(X, centers)
    # ties: few distinct values
    values = np.round(far)
    weight = np.random.default_rng(0).integers(0, 2, len(X)).astype(float) if weighted else None
    monkeypatch.setattr(Block, "tiles", in_small_tiles)
    cut = blocks_of(X, 3, weight)
    assert len(cut) == 3
    parts, first = [], 0
    for block in cut:
        rows = slice(first, first + block.n_rows)
        both = np.column_stack([far, far])[rows]
        parts.append(Extremes.from_block(block, labels[rows], values[rows], both, 7))
        first = rows.stop
    found = merge_all(parts)
    for c in range(len(centers)):
        able = np.flatnonzero((labels == c) & (True if weight is None else weight > 0))
        expected = able[np.argsort(values[able], kind="stable")][:7]
        np.testing.assert_array_equal(found.row_numbers[found.labels == c], expected)
        np.testing.assert_array_equal(found.X[found.labels == c], X[expected])


_tiles = Block.tiles


def in_small_tiles(block):
    assert blocks.TILE_ROWS > 200
    return _tiles(block, 200)
