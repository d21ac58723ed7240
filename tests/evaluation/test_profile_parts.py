"""Quantiles, histograms and examples: what they refuse, and what they say of themselves."""

import numpy as np
import pytest

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.profile_parts import Examples, Histogram, Quantiles


def quantiles(value, beyond=0.0, probabilities=(0.05, 0.5)):
    value = np.array(value, float)
    return Quantiles(np.array(probabilities), value, value - beyond, value + 2 * beyond)


def test_quantiles_are_named_and_found_by_probability():
    found = quantiles(np.zeros((2, 3, 4)), probabilities=(0.025, 0.07, 0.5, 0.999))
    assert found.names == ("p2.5", "p07", "p50", "p99.9")
    value = np.arange(4.0).reshape(1, 2, 2)
    assert quantiles(value).at(0.5).tolist() == [[1, 3]]
    assert quantiles(value).at(0.25) is None


def test_uncertainty_is_the_largest_distance_to_a_bound():
    found = quantiles([[[1, 2], [3, 4]], [[np.nan] * 2] * 2], beyond=0.5)
    assert found.uncertainty(np.array([4.0, 2.0])) == 0.5
    assert found.uncertainty(np.array([4.0, 0.0])) == 0.25
    assert found.uncertainty(np.array([0.0, 0.0])) == 0.0
    assert quantiles([[[1, 2]]]).uncertainty(np.ones(1)) == 0.0


def test_quantiles_beyond_their_bounds_or_of_other_shapes_are_refused():
    value = np.ones((1, 1, 2))
    with pytest.raises(ArgumentError, match="between low and high"):
        Quantiles(np.array([0.1, 0.5]), value, value + 1, value + 2)
    with pytest.raises(ArgumentError, match="probabilities"):
        Quantiles(np.array([0.1]), value, value, value)
    with pytest.raises(ArgumentError, match="one shape"):
        Quantiles(np.array([0.1, 0.5]), value, value[:, :, :1], value)


def test_histograms_need_one_more_edge_than_bins():
    with pytest.raises(ArgumentError, match=r"must be \(2, 4\)"):
        Histogram(np.zeros((2, 3)), np.zeros((5, 2, 3)))


def test_examples_need_fields_of_one_length():
    with pytest.raises(ArgumentError, match=r"\[2, 2, 1\]"):
        Examples(np.zeros(2, int), np.zeros((2, 1)), np.zeros(1))


def test_examples_keep_features_named_like_other_columns():
    found = Examples(np.array([1]), np.array([[5.0, 6.0]]), np.array([0.5]), rows=np.array([42]))
    assert found.columns(("row", "x"), np.array([7, 8])) == {
        "cluster_id": [8],
        "row": [42],
        "distance": [0.5],
        "feature row": [5.0],
        "x": [6.0],
    }
