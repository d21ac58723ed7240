"""Where features are cut into cells: edges of each cluster's own, and bins that all share."""

import numpy as np
import pytest

from dkmeans.evaluation.profiles import edges as module
from dkmeans.evaluation.profiles.edges import (
    CELL_BYTES,
    MOST_BINS,
    OWN_EDGES,
    Bins,
    joined,
    most_edges,
    nice_edges,
    own_edges,
)
from dkmeans.partials.cells import Cells
from tests.strategies import blocks_of

INF = np.inf


@pytest.mark.parametrize(("k", "d"), [(2, 3), (100, 32), (300, 200), (1000, 768), (1000, 1000)])
def test_edges_are_as_many_as_the_budget_has_room_for(k, d):
    own, shared = most_edges(k, d)
    assert 1 <= own <= OWN_EDGES
    assert 2 <= shared <= MOST_BINS + 1

    def n_bytes(edges):
        return k * d * (2 * edges + 1) * 8

    assert n_bytes(own + shared) <= CELL_BYTES
    assert (own, shared) == (OWN_EDGES, MOST_BINS + 1) or n_bytes(own + shared + 1) > CELL_BYTES


def test_few_edges_are_left_for_many_clusters_and_features_but_never_none():
    assert most_edges(100, 32) == (48, 31)
    assert most_edges(1000, 768) == (2, 2)
    assert most_edges(10**4, 10**4) == (1, 2)


def test_few_distinct_values_are_the_edges_of_their_cluster():
    X = np.array([[3.0, 0.0], [1.0, -0.0], [3.0, 0.0], [7.0, 9.0], [2.0, 9.0]], np.float32)
    labels = np.array([0, 0, 0, 2, 2], np.int32)
    found = own_edges(X, labels, np.ones(5), 4, 5)
    assert found.tolist() == [
        [[1, 3], [0, INF]],
        [[INF, INF], [INF, INF]],
        [[2, 7], [9, INF]],
        [[INF, INF], [INF, INF]],
    ]
    assert found.dtype == np.float64


@pytest.mark.parametrize("weighted", [False, True])
def test_many_distinct_values_are_cut_at_quantiles(weighted):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(4000, 3)), rng.integers(0, 3, 4000).astype(np.int32)
    X[:, 1] = rng.integers(0, 6, 4000)
    X[rng.random(4000) < 0.5, 2] = 0
    weight = rng.uniform(0.1, 3, 4000) if weighted else np.ones(4000)
    most = 9
    found = own_edges(X, labels, weight, 3, most)
    assert found.shape == (3, 3, most)
    levels = np.arange(1, most + 1) / (most + 1)
    for c in range(3):
        own = labels == c
        np.testing.assert_array_equal(found[c, 1], [*range(6), INF, INF, INF])
        for j in (0, 2):
            expected = np.unique(
                np.quantile(X[own, j], levels, weights=weight[own], method="inverted_cdf")
            )
            np.testing.assert_array_equal(found[c, j, : len(expected)], expected)
            assert (found[c, j, len(expected) :] == INF).all()
        assert 0 in found[c, 2]


def test_shared_edges_join_those_of_each_cluster():
    own = np.array([[[1, 3, INF]], [[2, INF, INF]], [[INF, INF, INF]]])
    found = joined(own, np.array([[2.0, 3.0, INF]]))
    assert found.tolist() == [[[1, 2, 3]], [[2, 3, INF]], [[2, 3, INF]]]
    nothing = joined(np.full((2, 3, 4), INF), np.full((3, 1), INF))
    assert nothing.shape == (2, 3, 1)


@pytest.mark.parametrize(
    ("low", "high", "first", "last", "n_bins"),
    [(0.03, 0.97, 0, 1, 20), (-2.3, 2.4, -2.4, 2.4, 24), (1e8, 1e8 + 3, 1e8, 1e8 + 3, 30)],
)
def test_bins_have_nice_edges(low, high, first, last, n_bins):
    found = nice_edges(low, high, 30)
    assert (found[0], found[-1], len(found) - 1) == (first, last, n_bins)
    np.testing.assert_array_equal(found, [float(f"{edge:.12g}") for edge in found])


@pytest.mark.parametrize("most", [1, 2, 7, 30])
def test_bins_cover_the_range_and_are_never_too_many(most):
    rng = np.random.default_rng(most)
    ranges = [(1.0, np.nextafter(1.0, 2)), (1e300, 1.1e300), (-1e-300, 1e-300), (-3.0, 5.0)]
    for scale in 10.0 ** np.arange(-12, 13):
        low = rng.normal() * 10 ** rng.uniform(-2, 2) * scale
        ranges.append((low, low + rng.random() * scale))
    for low, high in ranges:
        found = nice_edges(low, high, most)
        assert 2 <= len(found) <= most + 1
        assert found[0] <= low < high <= found[-1]
        assert np.all(np.diff(found) > 0)


def sample(n=3000):
    """A continuous, a discrete and a mostly zero feature, and a weight that moves percentiles."""
    rng = np.random.default_rng(1)
    rare = np.zeros(n)
    rare[::60] = np.tile([-1.5, 1.0], n // 120) * rng.uniform(1, 2, n // 60)
    X = np.column_stack([rng.normal(size=n), rng.integers(0, 5, n) * 2.5, rare])
    return X, np.where(X[:, 0] > 0, 3.0, 1.0)


def test_bins_span_the_percentiles_of_the_weighted_sample():
    X, weight = sample()
    bins = Bins.of(X, weight)
    assert bins.discrete.tolist() == [False, True, False]
    low, high = np.quantile(X[:, 0], [0.01, 0.99], weights=weight, method="inverted_cdf")
    edges = bins.edges[0][np.isfinite(bins.edges[0])]
    width = edges[1] - edges[0]
    assert edges[0] <= low < edges[0] + width
    assert edges[-1] - width < high <= edges[-1]
    assert 10 <= len(edges) - 1 <= MOST_BINS
    assert bins.edges[1, :6].tolist() == [0, 2.5, 5, 7.5, 10, INF]
    # its percentiles are one value, but not its range
    edges = bins.edges[2][np.isfinite(bins.edges[2])]
    assert edges[0] <= X[:, 2].min() < 0 < X[:, 2].max() <= edges[-1]
    assert 10 <= len(edges) - 1 <= MOST_BINS


@pytest.mark.parametrize("weighted", [False, True])
def test_bins_hold_what_numpy_counts(weighted):
    X, weight = sample()
    bins = Bins.of(X, np.ones(len(X)))
    X[7, 1] = 3.25
    # rows at edges, at the first and at the last as well
    for j in (0, 2):
        edges = bins.edges[j][np.isfinite(bins.edges[j])]
        X[100 : 100 + 3 * len(edges), j] = np.tile(edges, 3)
    labels = np.random.default_rng(2).integers(0, 3, len(X)).astype(np.int32)
    w = weight if weighted else np.ones(len(X))
    (block,) = blocks_of(X, 1, weight if weighted else None)
    cells = Cells.from_block(block, labels, 4, bins.edges[None])
    found, other = bins.counts(cells.weight)
    for c in range(4):
        own = labels == c
        for j in (0, 2):
            edges = bins.edges[j][np.isfinite(bins.edges[j])]
            inside = np.clip(X[own, j], edges[0], edges[-1])
            expected, _ = np.histogram(inside, edges, weights=w[own])
            np.testing.assert_array_equal(found[c, j, : len(expected)], expected)
            assert not found[c, j, len(expected) :].any()
        values = bins.edges[1, :5]
        expected = [w[own & (X[:, 1] == value)].sum() for value in values]
        np.testing.assert_array_equal(found[c, 1, :5], expected)
        assert other[c].tolist() == [0, w[own & (X[:, 1] == 3.25)].sum(), 0]
    np.testing.assert_allclose(found.sum(axis=2) + other, cells.weight.sum(axis=2))


def test_a_constant_feature_has_one_bin_and_no_rows_have_none():
    bins = Bins.of(np.full((10, 1), 4.0), np.ones(10))
    assert bins.edges.tolist() == [[4.0]]
    assert bins.discrete.tolist() == [True]
    none = Bins.none(2)
    found, other = none.counts(np.zeros((3, 2, 3)))
    assert not found.any()
    assert not other.any()
    assert module.MOST_BINS == 30
