"""How long clusters are: known covariances, and what has no shape."""

import numpy as np
import pytest

from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.profiles.shape import Shape


def shape_of(*covariances, weight=None, mean=None):
    covariances = np.array(covariances, float)
    k, d = covariances.shape[:2]
    mean = np.zeros((k, d)) if mean is None else np.array(mean, float)
    variance = np.einsum("kii->ki", covariances)
    weight = np.full(k, 10.0) if weight is None else np.array(weight, float)
    return Shape.from_covariances(covariances, GroupMoments(weight, mean, variance))


def test_elongation_is_length_over_width_in_any_direction():
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    found = shape_of(np.eye(3), turn @ np.diag([18.0, 1.0, 3.0]) @ turn.T)
    np.testing.assert_allclose(found.elongation, [1, 3])
    np.testing.assert_allclose(found.longest_share, [1 / 3, 18 / 22])


def test_a_line_is_infinitely_long():
    found = shape_of([[1, 2], [2, 4]])
    assert found.elongation.tolist() == [np.inf]
    assert found.longest_share.tolist() == [1.0]


def test_constant_features_are_no_axes():
    found = shape_of(np.diag([4.0, 0, 1]), np.diag([1.0, 0, 1]), mean=[[0, 7, 0], [9, 7, 0]])
    assert found.n_features == 2
    assert found.elongation.tolist() == [2, 1]
    # a feature that tells clusters apart is one
    assert shape_of(np.diag([4.0, 0, 1]), np.eye(3)).n_features == 3


def test_what_has_no_spread_or_rows_has_no_shape():
    nothing = np.full((2, 2), np.nan)
    # rounding of rows that are all alike, far from zero
    rounding = 1e-20 * np.array([[3, 1], [1, 1]])
    found = shape_of(
        np.eye(2), nothing, rounding, weight=[5, 0, 5], mean=[[1e6] * 2, [np.nan] * 2, [1e6] * 2]
    )
    np.testing.assert_array_equal(found.elongation, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.longest_share, [0.5, np.nan, np.nan])


@pytest.mark.parametrize("d", [1, 2])
def test_one_feature_has_no_shape(d):
    found = shape_of(np.diag([2.0, 0.0])[:d, :d])
    assert found.n_features == 1
    assert np.isnan(found.elongation).all()
    assert found.longest_share.tolist() == [1.0]


def test_covariances_that_were_not_computed_leave_shapes_unknown():
    found = Shape.not_known(2, 5)
    assert found.unknown
    assert np.isnan(found.elongation).all()
