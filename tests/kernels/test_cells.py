"""The cells of values: against searchsorted, exactly, at edges and between."""

import numpy as np
import pytest

from dkmeans.kernels import cells as kernel
from dkmeans.kernels.cells import cells_of, padded


def expected_cells(values, edges):
    """2 i below edge i, 2 i + 1 at it, by two searches."""
    wide = values.astype(np.float64)
    return np.searchsorted(edges, wide) + np.searchsorted(edges, wide, side="right")


@pytest.mark.parametrize("n_edges", [1, 2, 3, 7, 8, 31, 48, 79])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_of_one_list_are_those_of_searchsorted(n_edges, dtype, monkeypatch):
    monkeypatch.setattr(kernel, "_TILE_ROWS", 100)
    rng = np.random.default_rng(n_edges)
    edges = np.unique(rng.normal(size=n_edges).astype(dtype)).astype(np.float64)
    values = np.concatenate([rng.normal(size=450).astype(dtype), edges.astype(dtype)])
    found = cells_of(values, padded(edges[None]), None)
    np.testing.assert_array_equal(found, expected_cells(values, edges))
    assert (found % 2).sum() == len(edges)


def test_each_value_is_searched_in_its_own_list():
    rng = np.random.default_rng(0)
    lists = [np.array([0.0]), np.empty(0), np.arange(5.0), np.array([-1.0, 0.5])]
    edges = np.full((4, 5), np.inf)
    for row, some in zip(edges, lists, strict=True):
        row[: len(some)] = some
    edges = padded(edges)
    assert edges.shape == (4, 8)
    which = rng.integers(0, 4, 300)
    values = rng.integers(-3, 7, 300) / 2
    found = cells_of(values, edges, which)
    for number, some in enumerate(lists):
        own = which == number
        expected = expected_cells(values[own], some) + 16 * number
        np.testing.assert_array_equal(found[own], expected)


def test_float32_values_are_compared_with_float64_edges_as_what_they_are():
    nearly = np.float32(0.1)
    assert float(nearly) > 0.1
    edges = padded(np.array([[0.1]]))
    assert cells_of(np.array([nearly]), edges, None).tolist() == [2]
    assert cells_of(np.array([0.1]), edges, None).tolist() == [1]


def test_the_two_zeros_are_one_point_and_no_rows_have_no_cells():
    edges = padded(np.array([[0.0, 1.0]]))
    assert cells_of(np.array([-0.0, 0.0]), edges, None).tolist() == [1, 1]
    assert cells_of(np.empty(0, np.float32), edges, None).tolist() == []


@pytest.mark.parametrize(("n", "width"), [(1, 2), (2, 4), (3, 4), (4, 8), (7, 8), (31, 32)])
def test_padding_leaves_an_inf_at_the_end(n, width):
    out = padded(np.arange(float(n))[None])
    assert out.shape == (1, width)
    assert out[0].tolist() == [*range(n), *[np.inf] * (width - n)]
