"""Cells: the laws, plain Python counts, and the quantiles of NumPy within the bounds."""

import numpy as np
import pytest
from hypothesis import given

from dkmeans.kernels.block import Block
from dkmeans.kernels.nearest import nearest
from dkmeans.partials import merge_all
from dkmeans.partials.cells import Cells
from tests.laws import WeightsAsCopies, checked
from tests.strategies import CutRows, blocks_of, cut_rows

INF = np.inf
CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7], [0, 2, -1, 0], [-9, 1, 2, 3]], np.float64)
# for each cluster and feature; lists of 0 to 3 edges
OWN = np.array(
    [
        [[-1, 0, 2.5], [0, INF, INF], [-3, 3, INF], [INF, INF, INF]],
        [[0, 1, 2], [-1.5, 1.5, INF], [4, INF, INF], [-9, -7, -5]],
        [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]],
        [[-20, -9, 0], [-4, 0, 4], [INF, INF, INF], [1, 3, INF]],
    ]
)
SHARED = OWN[1:2]
LEVELS = np.array([0, 0.01, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 1])


def labels_of(block):
    return nearest(block.X, CENTERS[:, : block.n_features])[0]


def cells_of_block(block, edges):
    return Cells.from_block(block, labels_of(block), 4, edges[:, : block.n_features])


class LawsOfEdges(WeightsAsCopies):
    edges: np.ndarray

    def build(self, block):
        return cells_of_block(block, self.edges)

    def zero(self, block):
        return Cells.zero(4, self.edges[:, : block.n_features])

    def finish(self, partial):
        d = partial.weight.shape[1]
        ranges = np.full((4, d), -100.0), np.full((4, d), 100.0)
        values, low, high = partial.quantiles(LEVELS, self.edges[:, :d], *ranges)
        empty = partial.weight[:, 0].sum(axis=1) == 0
        assert np.isnan(values).all(axis=(0, 2)).tolist() == empty.tolist()
        assert (low <= high)[:, ~empty].all()


class TestLawsOfOwnEdges(LawsOfEdges):
    edges = OWN


class TestLawsOfSharedEdges(LawsOfEdges):
    edges = SHARED


@pytest.mark.parametrize("edges", [OWN, SHARED])
@checked
@given(cut_rows())
def test_cells_hold_what_plain_python_counts(edges, rows: CutRows):
    block, d = rows.whole, rows.whole.n_features
    found = merge_all(cells_of_block(b, edges) for b in rows.blocks)
    expected = np.zeros((4, d, 7))
    for x, w, label in zip(block.X.tolist(), block.weights, labels_of(block), strict=True):
        for j in range(d):
            cell = 0
            for edge in edges[label % len(edges), j].tolist():
                cell += (x[j] >= edge) + (x[j] > edge)
            expected[label, j, cell] += w
    np.testing.assert_array_equal(found.weight, expected)
    assert found.n_rows == block.n_rows


def one_cluster(X, weight=None):
    X = np.asfortranarray(X)
    block = Block(X, ((0, len(X)),), weight)
    return block, np.zeros(len(X), np.int32)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quantiles_of_five_points_by_hand(dtype):
    X = np.array([[0], [0], [1], [4], [6]], dtype)
    block, labels = one_cluster(X, np.array([1.0, 2.0, 1.0, 4.0, 0.0]))
    edges = np.array([[[0.0, 2.0, INF]]])
    cells = Cells.from_block(block, labels, 1, edges)
    assert cells.weight.tolist() == [[[0, 3, 1, 0, 4, 0, 0]]]
    lowest, highest = np.array([[0.0]]), np.array([[4.0]])
    levels = np.array([0, 0.375, 0.4375, 0.5, 0.75, 1])
    values, low, high = cells.quantiles(levels, edges, lowest, highest)
    assert values.ravel().tolist() == [0, 0, 1, 2, 3, 4]
    assert low.ravel().tolist() == [0, 0, 0, 0, 2, 2]
    assert high.ravel().tolist() == [0, 0, 2, 2, 4, 4]


def test_without_edges_the_range_bounds_and_empty_clusters_are_nan():
    block, labels = one_cluster([[3.0], [5.0]])
    edges = np.full((2, 1, 1), INF)
    cells = Cells.from_block(block, labels, 2, edges)
    ranges = np.array([[3.0], [INF]]), np.array([[5.0], [-INF]])
    values, low, high = cells.quantiles(np.array([0.5]), edges, *ranges)
    assert (values[0, 0, 0], low[0, 0, 0], high[0, 0, 0]) == (4, 3, 5)
    assert np.isnan([values[0, 1, 0], low[0, 1, 0], high[0, 1, 0]]).all()


def test_one_row_is_every_quantile():
    block, labels = one_cluster([[7.25, -1.0]])
    edges = np.array([[[7.25, INF], [0.0, 2.0]]])
    cells = Cells.from_block(block, labels, 1, edges)
    values, low, high = cells.quantiles(LEVELS, edges, block.X, block.X)
    np.testing.assert_array_equal(values, np.broadcast_to(block.X, values.shape))
    np.testing.assert_array_equal(low, values)
    np.testing.assert_array_equal(high, values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["continuous", "zeros", "few values"])
def test_the_quantiles_of_numpy_lie_within_the_bounds(kind, weighted, dtype):
    rng = np.random.default_rng(3)
    n, k = 6000, 3
    X = rng.normal(size=(n, 2))
    if kind == "zeros":
        X[rng.random((n, 2)) < 0.6] = 0
    elif kind == "few values":
        X = np.round(X * 2)
    X = X.astype(dtype)
    labels = rng.choice(k, n, p=[0.9, 0.098, 0.002]).astype(np.int32)
    weight = rng.integers(0, 4, n).astype(float) if weighted else None
    edges = np.full((k, 2, 12), INF)
    for c in range(k):
        for j in range(2):
            some = np.unique(X[labels == c, j][:200])
            picked = np.union1d(some[:: max(1, len(some) // 10)][:11], X[:1, j] * 0)
            edges[c, j, : len(picked)] = picked
    blocks = blocks_of(X, 5, weight)
    assert len(blocks) == 5
    first = np.cumsum([0, *(block.n_rows for block in blocks)])
    cells = merge_all(
        Cells.from_block(block, labels[first[i] : first[i + 1]], k, edges)
        for i, block in enumerate(blocks)
    )
    w = np.ones(n) if weight is None else weight
    own = [(labels == c) & (w > 0) for c in range(k)]
    lowest = np.array([X[rows].min(axis=0) for rows in own], np.float64)
    highest = np.array([X[rows].max(axis=0) for rows in own], np.float64)
    values, low, high = cells.quantiles(LEVELS, edges, lowest, highest)
    assert ((low <= values) & (values <= high)).all()
    n_exact = 0
    for c in range(k):
        for j in range(2):
            copies = np.repeat(X[own[c], j].astype(np.float64), w[own[c]].astype(int))
            expected = np.quantile(copies, LEVELS, method="inverted_cdf")
            assert (low[:, c, j] <= expected).all()
            assert (expected <= high[:, c, j]).all()
            exact = low[:, c, j] == high[:, c, j]
            n_exact += int(exact.sum())
            np.testing.assert_array_equal(values[exact, c, j], expected[exact])
            if kind != "continuous" and len(copies) > 1000:
                assert exact[1:-1].any()
    assert kind == "continuous" or n_exact > 4 * k


def test_fractional_weights_have_the_quantiles_of_numpy(blobs):
    X = blobs[0][:1000]
    weight = np.random.default_rng(0).uniform(0.1, 2, 1000)
    block, labels = one_cluster(X, weight)
    edges = np.sort(X[:40], axis=0).T[None].copy()
    cells = Cells.from_block(block, labels, 1, edges)
    levels = np.linspace(0.05, 0.95, 19)
    ranges = X.min(axis=0)[None], X.max(axis=0)[None]
    _, low, high = cells.quantiles(levels, edges, *ranges)
    expected = np.quantile(X, levels, axis=0, weights=weight, method="inverted_cdf")
    assert ((low[:, 0] <= expected) & (expected <= high[:, 0])).all()
    assert (high - low < np.ptp(X, axis=0) / 2).all()


@checked
@given(cut_rows())
def test_cells_of_fewer_edges_follow_from_those_of_more(rows: CutRows):
    block, d = rows.whole, rows.whole.n_features
    fewer = np.array([[[0, 2, INF], [1, INF, INF], [-3, 3, 5], [INF, INF, INF]]])[:, :d]
    many = np.concatenate([OWN[:, :d], np.broadcast_to(fewer, (4, d, 3))], axis=2)
    edges = np.full(many.shape, INF)
    for c in range(4):
        for j in range(d):
            some = np.unique(many[c, j])
            edges[c, j, : len(some)] = some
    labels = labels_of(block)
    cells = Cells.from_block(block, labels, 4, edges)
    found = cells.regrouped(edges, fewer)
    expected = Cells.from_block(block, labels, 4, fewer)
    np.testing.assert_array_equal(found.weight, expected.weight)
    assert found.n_rows == expected.n_rows
