"""Quantiles, histograms and examples: what they refuse, and what they say of themselves."""

import numpy as np
import pytest

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.profiles.edges import Bins
from dkmeans.evaluation.profiles.parts import Examples, Histogram, Quantiles


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
    assert found.uncertainty(np.array([4.0, 2.0])) == (0.5, 0, 1)
    assert found.uncertainty(np.array([4.0, 0.0])) == (0.25, 0, 0)
    assert found.uncertainty(np.array([0.0, 0.0]))[0] == 0.0
    assert quantiles([[[1, 2]]]).uncertainty(np.ones(1))[0] == 0.0


def test_quantiles_beyond_their_bounds_or_of_other_shapes_are_refused():
    value = np.ones((1, 1, 2))
    with pytest.raises(ArgumentError, match="between low and high"):
        Quantiles(np.array([0.1, 0.5]), value, value + 1, value + 2)
    with pytest.raises(ArgumentError, match="probabilities"):
        Quantiles(np.array([0.1]), value, value, value)
    with pytest.raises(ArgumentError, match="one shape"):
        Quantiles(np.array([0.1, 0.5]), value, value[:, :, :1], value)


def test_histograms_need_counts_for_each_edge():
    bins = Bins(np.zeros((2, 3)), np.zeros(2, bool))
    with pytest.raises(ArgumentError, match=r"counts .* must be \(5, 2, 3\)"):
        Histogram(bins, np.zeros((5, 2, 4)), np.zeros((5, 2)))
    with pytest.raises(ArgumentError, match=r"other .* must be \(5, 2\)"):
        Histogram(bins, np.zeros((5, 2, 3)), np.zeros((5, 1)))


def test_a_histogram_tells_of_one_feature_at_a_time():
    bins = Bins(np.array([[0.0, 5.0, np.inf], [0.0, 1.0, 2.0]]), np.array([True, False]))
    counts = np.array([[[7.0, 3.0, 0.0], [4.0, 6.0, 0.0]]])
    found = Histogram(bins, counts, np.array([[1.0, 0.0]]))
    assert [part.tolist() for part in found.of(0)] == [[0.0, 5.0], [[7.0, 3.0]]]
    assert [part.tolist() for part in found.of(1)] == [[0.0, 1.0, 2.0], [[4.0, 6.0]]]
    assert found.to_dict() == [
        {"values": [0.0, 5.0], "counts": [[7.0, 3.0]], "other": [1.0]},
        {"edges": [0.0, 1.0, 2.0], "counts": [[4.0, 6.0]], "other": [0.0]},
    ]


def examples(n=1, **others):
    given = {
        "labels": np.ones(n, np.int32),
        "X": np.tile([5.0, 6.0], (n, 1)),
        "row_numbers": np.arange(42, 42 + n),
        "distances": np.full(n, 0.5),
        "second_labels": np.zeros(n, np.int32),
        "second_distances": np.full(n, 2.0),
        "keys": {},
    }
    return Examples(**given | others)


def test_examples_need_fields_of_one_length():
    with pytest.raises(ArgumentError, match=r"one entry per example; they have \[2, 2, 2, 1"):
        examples(2, distances=np.zeros(1))
    with pytest.raises(ArgumentError, match="one entry per example"):
        examples(2, keys={"id": [1]})


def test_examples_keep_features_and_keys_named_like_other_columns():
    found = examples(keys={"row": ["key-17"], "id": [9]})
    assert found.margins.tolist() == [0.75]
    assert found.columns(("id", "x"), np.array([7, 8])) == {
        "cluster_id": [8],
        "row": [42],
        "distance": [0.5],
        "second_cluster_id": [7],
        "second_distance": [2.0],
        "key row": ["key-17"],
        "id": [9],
        "feature id": [5.0],
        "x": [6.0],
    }


def test_examples_of_a_single_cluster_have_no_next_one():
    found = examples(
        labels=np.zeros(1, np.int32),
        second_labels=np.full(1, -1, np.int32),
        second_distances=np.full(1, np.nan),
    )
    columns = found.columns(("a", "b"), np.array([7]))
    assert columns["second_cluster_id"] == columns["second_distance"] == [None]
    assert np.isnan(found.margins).all()
