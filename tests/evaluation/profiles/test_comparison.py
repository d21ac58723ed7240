"""Welch's test and Holm's correction: SciPy on the rows themselves, and the definition."""

import itertools
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dkmeans.errors import TooLarge
from dkmeans.evaluation.profiles.comparison import all_pairs, holm, welch
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from tests.evaluation.profiles.groups import Groups, draw

NAMES = ("a", "b", "c")


def compare(groups, pairs=((0, 1),)):
    ids = 10 * np.arange(len(groups.rows))
    names = tuple(f"f{i}" for i in range(groups.rows[0].shape[1]))
    return welch(groups.moments, pairs, names, ids)


@pytest.mark.parametrize("sizes", [(20, 31), (2, 40), (2, 2), (500, 3)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_welch_is_scipys(sizes, offset, weighted):
    groups = draw(sizes, offset=offset, weighted=weighted, seed=4)
    a, b = groups.copies
    assert min(len(a), len(b)) > 1
    found = compare(groups)
    truth = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(found.t[0], truth.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.df[0], truth.df, rtol=1e-9)
    np.testing.assert_allclose(found.p_value[0], truth.pvalue, rtol=1e-9)
    squares = ((a - a.mean(axis=0)) ** 2).sum(axis=0) + ((b - b.mean(axis=0)) ** 2).sum(axis=0)
    pooled = np.sqrt(squares / (len(a) + len(b) - 2))
    np.testing.assert_allclose(
        found.cohens_d[0], (a.mean(axis=0) - b.mean(axis=0)) / pooled, rtol=1e-9
    )
    np.testing.assert_allclose(found.difference[0], a.mean(axis=0) - b.mean(axis=0), rtol=1e-9)


def test_hedges_corrects_the_bias_of_few_rows():
    found = compare(draw((4, 5)))
    # the usual approximation of the exact factor
    np.testing.assert_allclose(found.hedges_g / found.cohens_d, 1 - 3 / (4 * 7 - 1), rtol=3e-3)
    many = compare(draw((100_000, 100_000)))
    np.testing.assert_allclose(many.hedges_g, many.cohens_d, rtol=1e-5)
    assert (np.abs(many.hedges_g) < np.abs(many.cohens_d)).all()


@pytest.mark.parametrize(
    ("a", "b"), [([1], [2, 3]), ([1], [1]), ([2, 2], [2, 2, 2]), ([1, 1], [2, 2])]
)
def test_what_cannot_be_tested_is_as_in_scipy(a, b):
    groups = Groups(tuple(np.array(one, float)[:, None] for one in (a, b)))
    found = compare(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy's, of constant or too few rows
        truth = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_array_equal(found.t[0], truth.statistic)
    np.testing.assert_array_equal(found.p_value[0], truth.pvalue)


def test_empty_clusters_have_no_test():
    found = compare(draw((5, 0)))
    assert np.isnan(found.p_value).all()
    assert np.isnan(found.p_holm).all()


def test_fractional_weights_count_as_rows():
    # half the weight on each of twice the rows is the same weight on the rows themselves
    groups = draw((20, 31))
    twice = Groups(
        tuple(np.concatenate([X, X]) for X in groups.rows),
        tuple(np.full(2 * len(X), 0.5) for X in groups.rows),
    )
    np.testing.assert_allclose(compare(twice).p_value, compare(groups).p_value, rtol=1e-9)
    assert np.isnan(compare(Groups(groups.rows, (np.full(20, 0.04), np.ones(31)))).t).all()


def test_all_pairs_are_those_of_clusters_with_rows():
    groups = draw((5, 0, 6, 7))
    pairs = all_pairs(groups.moments)
    assert pairs.tolist() == [[0, 2], [0, 3], [2, 3]]
    found = compare(groups, pairs)
    for n, (a, b) in enumerate(pairs):
        truth = stats.ttest_ind(groups.rows[a], groups.rows[b], equal_var=False)
        np.testing.assert_allclose(found.p_value[n], truth.pvalue, rtol=1e-9)
    np.testing.assert_array_equal(found.p_holm, holm(found.p_value))
    frame = found.to_frame()
    assert frame["cluster_a"].tolist() == [0] * 6 + [20] * 3
    assert frame["cluster_b"].tolist() == [20] * 3 + [30] * 6
    assert frame["feature"].tolist() == ["f0", "f1", "f2"] * 3
    assert frame["p_holm"].tolist() == found.p_holm.ravel().tolist()


def test_too_many_tests_are_refused():
    many = np.ones((4000, 1))
    with pytest.raises(TooLarge, match=r"7,998,000 tests.*compare\(a, b\)"):
        all_pairs(GroupMoments(many[:, 0], many, many))


def test_holm_by_hand():
    # the example of Holm's paper's procedure: 4 * 0.005, 3 * 0.01, 2 * 0.03, then not below
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([])).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    # a hypothesis falls if Bonferroni rejects every intersection that it is part of
    expected = [
        max(
            min(1.0, size * min(p_values[i] for i in subset))
            for size in range(1, len(p_values) + 1)
            for subset in itertools.combinations(range(len(p_values)), size)
            if one in subset
        )
        for one in range(len(p_values))
    ]
    np.testing.assert_allclose(holm(np.array(p_values)), expected, rtol=1e-12)


def test_holm_leaves_out_nan_and_keeps_shapes():
    p_values = np.array([[0.01, np.nan], [0.03, 0.04]])
    np.testing.assert_allclose(holm(p_values), [[0.03, np.nan], [0.06, 0.06]])
    np.testing.assert_array_equal(p_values, [[0.01, np.nan], [0.03, 0.04]])


def test_text_and_dict_of_a_pair_and_of_all():
    groups = draw((30, 40, 50))
    one = compare(groups)
    assert str(one).startswith("Clusters 0 and 10 compared")
    assert "circular" in str(one)
    assert "Holm for all 3 tests" in str(one).replace("\n", " ")
    every = compare(groups, all_pairs(groups.moments))
    assert "3 pairs of clusters compared in 3 features" in str(every)
    tests = json.loads(json.dumps(every.to_dict(), allow_nan=False))["tests"]
    assert len(tests) == 9
    assert tests[0]["cluster_b"] == 10
    # the largest effect stands first
    first = str(every).splitlines()[3].split()
    largest = every.to_frame().assign(size=lambda f: f["hedges_g"].abs()).nlargest(1, "size")
    assert first[:3] == [str(largest.iloc[0][c]) for c in ("cluster_a", "cluster_b", "feature")]


def test_many_tests_are_cut_and_counted():
    groups = draw((9,) * 6, n_features=4)
    text = str(compare(groups, all_pairs(groups.moments)))
    assert "30 largest effects are shown; .to_frame() has all 60 tests" in text


def test_hedges_g_of_very_many_rows_is_cohens_d():
    random = np.random.default_rng(0)
    mean, variance = random.normal(size=(2, 3)), random.uniform(1, 2, (2, 3))
    for weight in (5e3, 1.1e4, 1e6, 1e9, 1e15):
        moments = GroupMoments(np.full(2, weight), mean, variance)
        found = welch(moments, [(0, 1)], ("a", "b", "c"), np.arange(2))
        df = 2 * weight - 2
        exact = 1 - 3 / (4 * df - 1)
        np.testing.assert_allclose(found.hedges_g / found.cohens_d, exact, rtol=1e-8)
