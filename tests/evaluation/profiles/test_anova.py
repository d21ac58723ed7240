"""One-way ANOVA and Bartlett's test: SciPy on the rows themselves, and cases without a test."""

import json
import warnings

import numpy as np
import pytest
from scipy import stats

from dkmeans.evaluation.profiles.anova import bartlett, one_way
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from tests.evaluation.profiles.groups import Groups, draw

NAMES = ("a", "b", "c")


def column(values):
    return np.array(values, np.float64)[:, None]


def anova_of(*groups):
    moments = Groups(tuple(map(column, groups))).moments
    return one_way(moments, ("a",))


@pytest.mark.parametrize("sizes", [(20, 31), (5, 9, 40, 3), (1, 30, 2), (1, 1, 2), (400, 1000)])
@pytest.mark.parametrize("offset", [0.0, -1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_anova_is_scipys(sizes, offset, weighted):
    groups = draw(sizes, offset=offset, weighted=weighted, seed=7)
    filled = [X for X in groups.copies if len(X)]
    found = one_way(groups.moments, NAMES)
    assert found.n_clusters == len(filled) > 1
    truth = stats.f_oneway(*filled)
    np.testing.assert_allclose(found.f, truth.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p_value, truth.pvalue, rtol=1e-7, atol=1e-300)
    X = np.concatenate(filled)
    total = ((X - X.mean(axis=0)) ** 2).sum(axis=0)
    within = sum(((X - X.mean(axis=0)) ** 2).sum(axis=0) for X in filled)
    np.testing.assert_allclose(found.eta_squared, 1 - within / total, rtol=1e-9)
    assert found.reasons == ("", "", "")


def test_p_values_are_scipys_to_nine_digits():
    groups = draw((20, 31, 8), seed=3)
    found = one_way(groups.moments, NAMES)
    np.testing.assert_allclose(found.p_value, stats.f_oneway(*groups.rows).pvalue, rtol=1e-9)
    assert (found.p_value > 0).all()


def test_eta_and_omega_squared_by_hand():
    # between 12 on 2 degrees of freedom, within 4 on 3, total 16
    found = anova_of([1, 3], [2, 2], [4, 6])
    assert found.f.tolist() == pytest.approx([(12 / 2) / (4 / 3)])
    assert found.eta_squared.tolist() == pytest.approx([12 / 16])
    assert found.omega_squared.tolist() == pytest.approx([(12 - 2 * 4 / 3) / (16 + 4 / 3)])


def test_empty_clusters_are_left_out():
    groups = draw((20, 0, 31))
    found, without = one_way(groups.moments, NAMES), one_way(draw_without(groups).moments, NAMES)
    assert found.n_clusters == 2
    np.testing.assert_array_equal(found.f, without.f)


def draw_without(groups):
    return Groups(tuple(X for X in groups.rows if len(X)))


@pytest.mark.parametrize(
    ("groups", "f", "p_value", "eta", "reason"),
    [
        (([1, 2, 3],), None, None, None, "1 cluster with rows"),
        (([1], [2], [5]), None, None, 1.0, "no more rows than clusters"),
        (([3, 3], [3, 3, 3]), None, None, None, "constant"),
        (([0.1] * 3, [0.1] * 7), None, None, None, "constant"),
        (([3, 3], [5, 5, 5]), np.inf, 0.0, 1.0, ""),
        (([1, 3], [2, 2], [0, 4]), 0.0, 1.0, 0.0, ""),
    ],
)
def test_what_has_no_f_says_why(groups, f, p_value, eta, reason):
    found = anova_of(*groups)
    expected = [np.nan if one is None else one for one in (f, p_value, eta)]
    np.testing.assert_array_equal([found.f[0], found.p_value[0], found.eta_squared[0]], expected)
    assert found.reasons == (reason,)
    if len(groups) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy's, of constant or too few rows
            truth = stats.f_oneway(*groups)
        np.testing.assert_array_equal([f is None, p_value is None], np.isnan(truth))


def test_no_rows_at_all():
    nothing = np.full((2, 3), np.nan)
    found = one_way(GroupMoments(np.zeros(2), nothing, nothing), NAMES)
    assert found.reasons == ("no rows",) * 3
    assert np.isnan(found.f).all()


def test_rounded_means_of_a_constant_are_constant():
    mean = np.array([[0.1], [np.nextafter(0.1, 1)], [0.1]])
    found = one_way(GroupMoments(np.full(3, 1e6), mean, np.full((3, 1), 1e-33)), ("a",))
    assert found.reasons == ("constant",)


@pytest.mark.parametrize("weighted", [False, True])
def test_bartlett_is_scipys(weighted):
    groups = draw((20, 31, 4, 200), weighted=weighted, seed=11)
    found, truth = bartlett(groups.moments), stats.bartlett(*groups.copies)
    np.testing.assert_allclose(found.statistic, truth.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p_value, truth.pvalue, rtol=1e-7, atol=1e-300)
    deviations = np.array([X.std(axis=0, ddof=1) for X in groups.copies])
    ratio = deviations.max(axis=0) / deviations.min(axis=0)
    np.testing.assert_allclose(found.std_ratio, ratio, rtol=1e-12)
    np.testing.assert_array_equal(found.widest, deviations.argmax(axis=0))
    np.testing.assert_array_equal(found.narrowest, deviations.argmin(axis=0))


def test_bartlett_leaves_out_what_has_no_variance_or_too_little_weight():
    groups = draw((1, 20, 0, 31, 5))
    truth = stats.bartlett(groups.rows[1], groups.rows[3])
    found = bartlett(groups.moments, least_weight=6)
    np.testing.assert_allclose(found.statistic, truth.statistic, rtol=1e-9)
    assert set(found.widest) | set(found.narrowest) == {1, 3}
    assert np.isnan(bartlett(groups.moments, least_weight=25).statistic).all()


def test_bartlett_of_constants():
    one_constant = Groups((column([1, 1, 1]), column([1, 2, 3]))).moments
    assert bartlett(one_constant).statistic.tolist() == [np.inf]
    assert bartlett(one_constant).p_value.tolist() == [0.0]
    assert bartlett(one_constant).std_ratio.tolist() == [np.inf]
    both = Groups((column([1, 1, 1]), column([2, 2, 2]))).moments
    assert np.isnan(bartlett(both).statistic).all()
    assert np.isnan(bartlett(both).std_ratio).all()


def test_equal_variances_are_not_below_zero():
    same = np.array([0.1, 0.7, 0.4])
    found = bartlett(Groups(tuple(column(same + shift) for shift in (0, 0, 0))).moments)
    assert found.statistic[0] == pytest.approx(0, abs=1e-12)
    assert found.statistic[0] >= 0
    assert found.p_value[0] == pytest.approx(1)


def test_frame_dict_and_text_lead_with_the_effect():
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:30, 1] += 5
    X[:, 2] = 4
    found = one_way(Groups((X[:30], X[30:])).moments, NAMES)
    frame = found.to_frame()
    assert frame["feature"].tolist() == ["b", "a", "c"]
    assert frame["reason"].tolist() == ["", "", "constant"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["features"]["c"]["f"] is None
    text = str(found)
    assert text.index("Eta squared") < text.index(" F ")
    assert "circular" in text
    assert "every difference is significant" in text.replace("\n", " ")
    assert "constant" in text


def test_many_features_are_cut_and_counted():
    groups = draw((20, 20), n_features=25)
    text = str(one_way(groups.moments, tuple(f"feature{i}" for i in range(25))))
    assert sum(f"feature{i} " in text for i in range(25)) == 20
    assert "20 features of largest effect are shown; .anova.to_frame() has all 25" in text
