"""Which clusters and features are shown, and what they are called."""

import numpy as np
import pytest

from dkmeans import KMeans, evaluate, profile
from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import Faces, chart_cluster, cut
from dkmeans.evaluation.charts.features import leading, named, separations
from dkmeans.evaluation.charts.sizes import Sizes

FACES = Faces(np.array([7, 3, 5, 4]), np.array([10.0, 40.0, 0.0, 40.0]), {3: "many"}, {})


def test_the_largest_are_shown_by_id_and_the_rule_is_told():
    shown, notes = FACES.chosen(None, most=2)
    assert [one.cluster_id for one in shown] == [3, 4]
    assert [one.label for one in shown] == [1, 3]
    assert [one.text for one in shown] == ["3 many", "4"]
    assert notes == ("the 2 largest of 4 clusters; the others have 11% of the rows",)
    everyone, nothing = FACES.chosen(None, most=4)
    assert [one.cluster_id for one in everyone] == [3, 4, 5, 7]
    assert nothing == ()


def test_clusters_that_are_asked_for_are_shown_in_that_order():
    assert [one.label for one in FACES.chosen([5, 7])[0]] == [2, 0]
    assert [one.label for one in FACES.chosen(np.int64(5))[0]] == [2]
    with pytest.raises(ArgumentError, match="has 8, which is not the id of a cluster; there are 7"):
        FACES.chosen([5, 8])
    with pytest.raises(ArgumentError, match="chooses none"):
        FACES.chosen([])


def test_long_names_are_cut():
    assert chart_cluster(0, 12, {12: "x" * 40}).text == "12 " + "x" * 20 + "…"
    assert cut("a" * 24) == "a" * 24


def test_features_that_set_apart_come_first():
    z = np.array([[1.0, np.nan, -2.0], [-1.0, np.nan, 0.5]])
    found = separations(z, np.array([1.0, 3.0]))
    np.testing.assert_allclose(found, [1.0, 0.0, (4 + 3 * 0.25) / 4])
    order, notes = leading(found, 2)
    assert order.tolist() == [2, 0]
    assert notes == ("the 2 features that set clusters apart the most, of 3",)
    assert leading(found, 1)[1] == ("the feature that sets clusters apart the most, of 3",)
    assert leading(np.zeros(3), 3)[0].tolist() == [0, 1, 2]


def test_features_are_found_by_name_and_number():
    assert named("b", "abc").tolist() == [1]
    assert named([2, "a"], "abc").tolist() == [2, 0]
    for wrong in ("d", 3, True, -1):
        with pytest.raises(ArgumentError, match="is not a feature; there are 'a'"):
            named(wrong, "abc")
    with pytest.raises(ArgumentError, match="chooses none"):
        named([], "abc")


def test_sizes_of_what_users_have_at_hand():
    X = np.array([[0.0], [0.0], [9.0], [9.0], [9.0], [20.0]])
    fitted = KMeans(3, init=[[0.0], [9.0], [20.0]]).fit(X)
    model = fitted.model_.renamed({1: "nines"}, colors={2: "#010203"})
    later = X[:3]
    for one in (fitted, model):
        chart = Sizes.of(one)
        assert chart.weights.tolist() == [3, 2, 1]
        assert (chart.total, chart.unit, chart.n_empty) == (6, "rows", 0)
    for one in (evaluate(fitted, later, metrics="inertia"), profile(fitted, later)):
        chart = Sizes.of(one, model=model, most=2)
        assert chart.weights.tolist() == [2, 1]
        np.testing.assert_allclose(chart.shares, [2 / 3, 1 / 3])
        assert [one.text for one in chart.clusters] == ["0", "1 nines"]
        assert (chart.n_others, chart.others_weight, chart.n_empty) == (1, 0, 1)
    assert Sizes.of(model).clusters[2].color == "#010203"
    assert Sizes.of(KMeans(1).fit(X, sample_weight=[0.5] * 5 + [1.0])).unit == "weight"
    with pytest.raises(ArgumentError, match="most=0"):
        Sizes.of(model, most=0)
    with pytest.raises(ArgumentError, match="pass a dkmeans Model"):
        Sizes.of(X)
