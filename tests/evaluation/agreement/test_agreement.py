"""Agreement: the figures of scikit-learn, its special cases, weights as copies, and the result."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from dkmeans.errors import ArgumentError, TooLarge
from dkmeans.evaluation.agreement import agreement
from dkmeans.evaluation.agreement.agreement import (
    Agreement,
    adjusted_mutual_info,
    adjusted_rand,
    fowlkes_mallows,
    homogeneity_completeness_v_measure,
    normalized_mutual_info,
    purity,
)
from dkmeans.kernels.block import Labels
from dkmeans.partials.contingency import Contingency
from tests.laws import checked

METHODS = ("arithmetic", "geometric", "min", "max")

SPECIAL = {
    "nothing": ([], []),
    "one row": ([0], [0]),
    "one label, one cluster": ([0] * 4, [0] * 4),
    "one label": ([0] * 4, [0, 0, 1, 1]),
    "one cluster": ([0, 0, 1, 1], [0] * 4),
    "the same": ([0, 0, 1, 1], [1, 1, 0, 0]),
    "all alone in both": (list(range(5)), list(range(5))),
    "two alone in both": ([0, 1], [0, 1]),
    "all alone, one cluster": (list(range(6)), [0] * 6),
    "nothing shared": ([0, 0, 1, 1], [0, 1, 0, 1]),
    "a finer one": ([0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 3]),
}


def table_of(true, pred, weight=None):
    labels = []
    for values in (true, pred):
        different, codes = np.unique(np.asarray(values, np.int64), return_inverse=True)
        labels.append(Labels(codes.astype(np.int32), tuple(different.tolist())))
    weight = None if weight is None else np.asarray(weight, np.float64)
    return Contingency.from_pairs(*labels, weight)


def of_weights(dense):
    """The contingency of a table of weights."""
    true, pred = np.indices(np.shape(dense))
    return table_of(true.ravel(), pred.ravel(), np.ravel(dense))


def assert_as_scikit_learn(table, true, pred):
    with warnings.catch_warnings():
        # it takes many labels for measurements
        warnings.simplefilter("ignore")
        assert adjusted_rand(table) == metrics.adjusted_rand_score(true, pred)
        assert fowlkes_mallows(table) == metrics.fowlkes_mallows_score(true, pred)
        for beta in (0.3, 1.0, 2.5):
            np.testing.assert_allclose(
                homogeneity_completeness_v_measure(table, beta),
                metrics.homogeneity_completeness_v_measure(true, pred, beta=beta),
                rtol=0,
                atol=1e-12,
            )
        for method in METHODS:
            found = normalized_mutual_info(table, method)
            expected = metrics.normalized_mutual_info_score(true, pred, average_method=method)
            assert found == pytest.approx(expected, rel=0, abs=1e-12)
            alone = len(true) in (len(table.values_true), len(table.values_pred))
            if method == "min" and alone:
                continue  # its figure is the sign of a rounding error
            found = adjusted_mutual_info(table, method)
            expected = metrics.adjusted_mutual_info_score(true, pred, average_method=method)
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


labelings = st.integers(0, 60).flatmap(
    lambda n: st.tuples(
        *(
            st.integers(0, 6).flatmap(
                lambda most: st.lists(st.integers(0, most), min_size=n, max_size=n)
            )
            for _ in range(2)
        )
    )
)


@checked
@given(labelings)
def test_every_figure_is_that_of_scikit_learn(pair):
    true, pred = pair
    if not true:
        return
    assert_as_scikit_learn(table_of(true, pred), true, pred)


@checked
@given(labelings, st.randoms(use_true_random=False))
def test_weights_are_copies(pair, random):
    true, pred = map(np.array, pair)
    weight = np.array([random.randrange(4) for _ in true], int)
    if not weight.any():
        return
    table = table_of(true, pred, weight)
    assert_as_scikit_learn(table, np.repeat(true, weight), np.repeat(pred, weight))


def test_large_labelings_agree_too():
    random = np.random.default_rng(0)
    true = random.integers(0, 7, 30_000)
    pred = np.where(random.random(30_000) < 0.7, true, random.integers(0, 11, 30_000))
    table = table_of(true, pred)
    assert adjusted_rand(table) == metrics.adjusted_rand_score(true, pred)
    assert fowlkes_mallows(table) == metrics.fowlkes_mallows_score(true, pred)
    expected = metrics.adjusted_mutual_info_score(true, pred)
    assert adjusted_mutual_info(table) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases_are_those_of_scikit_learn(name):
    true, pred = SPECIAL[name]
    assert_as_scikit_learn(table_of(true, pred), np.array(true, int), np.array(pred, int))


def test_figures_by_hand():
    assert adjusted_rand(table_of([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 2, 2])) == pytest.approx(
        0.24, abs=0.005
    )
    table = of_weights([[3, 1], [0, 4]])
    assert purity(table) == 7 / 8
    # 3 + 6 pairs are together in both, 6 + 6 in labels, 3 + 10 in clusters
    assert fowlkes_mallows(table) == pytest.approx(9 / math.sqrt(12 * 13), rel=1e-15)
    assert adjusted_rand(table) == pytest.approx((9 - 12 * 13 / 28) / (12.5 - 12 * 13 / 28))
    assert purity(Contingency.zero()) == 1.0


def test_where_all_rows_are_alone_only_chance_is_left():
    table = table_of(range(6), [0, 0, 1, 1, 2, 2])
    assert [adjusted_mutual_info(table, method) for method in METHODS] == [0.0] * 4


def test_ten_billion_rows_are_exact():
    # the products of sums of squares exceed 64 and 128 bits
    dense = np.array([[3_000_000_001, 7, 1_999_999_999], [11, 4_000_000_003, 1_000_000_007]])
    table = of_weights(dense)
    cells = [int(cell) for cell in dense.ravel()]
    n = sum(cells)
    squares = sum(cell**2 for cell in cells)
    squares_true = sum(sum(map(int, row)) ** 2 for row in dense)
    squares_pred = sum(sum(map(int, row)) ** 2 for row in dense.T)
    tp, fn, fp = squares - n, squares_true - squares, squares_pred - squares
    tn = n**2 - fn - fp - squares
    assert n > 10**10
    expected = 2.0 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))
    assert adjusted_rand(table) == expected
    assert fowlkes_mallows(table) == math.sqrt(tp / (tp + fp)) * math.sqrt(tp / (tp + fn))


def test_figures_of_proportions_do_not_depend_on_the_scale_of_weights():
    dense = np.array([[3.0, 1, 0], [2, 2, 9]])
    for of in (purity, normalized_mutual_info, homogeneity_completeness_v_measure):
        expected = of(of_weights(dense))
        np.testing.assert_allclose(of(of_weights(dense / 7)), expected, rtol=1e-14)


def test_fractional_weights_enter_the_same_formulas():
    dense = np.array([[30.25, 1.5, 0.125], [2.75, 20, 9.5]])
    nearly = np.round(dense * 1e6) / 1e6 + np.array([[1e-9, 0, 0], [0, 0, 0]])
    whole, fractional = of_weights(np.array([[30, 2, 0], [3, 20, 9]])), of_weights(dense)
    for of in (adjusted_rand, fowlkes_mallows, adjusted_mutual_info):
        assert of(fractional) == pytest.approx(of(of_weights(nearly)), rel=1e-7)
        assert of(fractional) == pytest.approx(of(whole), abs=0.05)
    n, squares = dense.sum(), (dense**2).sum()
    true, pred = (dense.sum(axis=1) ** 2).sum(), (dense.sum(axis=0) ** 2).sum()
    expected = (squares - n) / math.sqrt((true - n) * (pred - n))
    assert fowlkes_mallows(fractional) == pytest.approx(expected, rel=1e-14)
    perfect = of_weights(np.diag([0.1, 0.2, 0.3]))
    assert adjusted_rand(perfect) == adjusted_mutual_info(perfect) == 1.0
    # less than no pairs of different rows
    tiny = of_weights(dense / dense.sum())
    assert math.isnan(adjusted_rand(tiny))
    assert math.isnan(fowlkes_mallows(tiny))


def test_agreement_beyond_chance_vanishes_for_labels_dealt_out_at_random():
    random = np.random.default_rng(5)
    true = random.integers(0, 4, 2000)
    found = [adjusted_mutual_info(table_of(true, random.permutation(true))) for _ in range(30)]
    assert abs(np.mean(found)) < 3e-4
    assert min(found) < 0 < max(found)


def test_beta_says_how_much_completeness_counts():
    table = of_weights([[3, 1, 0], [2, 2, 9]])
    homogeneity, completeness, mean = homogeneity_completeness_v_measure(table, 0)
    assert mean == homogeneity != completeness
    assert homogeneity_completeness_v_measure(table, 1e9)[2] == pytest.approx(completeness)
    # where scikit-learn divides by zero
    assert homogeneity_completeness_v_measure(of_weights([[3, 1]]), 0) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("beta", [-1, math.nan, math.inf])
def test_a_beta_that_cannot_be_is_refused(beta):
    with pytest.raises(ArgumentError, match=f"beta={beta} should be"):
        homogeneity_completeness_v_measure(of_weights([[1]]), beta)


@pytest.mark.parametrize("of", [adjusted_mutual_info, normalized_mutual_info])
def test_an_average_that_is_not_known_is_refused(of):
    with pytest.raises(ArgumentError, match="average_method='mode' should be 'arithmetic'"):
        of(of_weights([[1]]), "mode")


def test_the_result_holds_every_figure():
    dense = np.array([[30, 1, 0], [2, 20, 9]])
    table = of_weights(dense)
    result = Agreement.of(table)
    assert result.adjusted_rand == adjusted_rand(table)
    assert result.adjusted_mutual_info == adjusted_mutual_info(table)
    assert result.normalized_mutual_info == normalized_mutual_info(table)
    told = (result.homogeneity, result.completeness, result.v_measure)
    assert told == homogeneity_completeness_v_measure(table)
    assert result.fowlkes_mallows == fowlkes_mallows(table)
    assert result.purity == 59 / 62
    assert result.contingency is table
    frame = result.to_frame()
    assert frame.index.tolist() == [0, 1]
    assert frame.columns.tolist() == [0, 1, 2]
    assert frame.to_numpy().tolist() == dense.tolist()
    assert frame.dtypes.tolist() == [np.int64] * 3
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["adjusted_rand"] == result.adjusted_rand
    assert plain["n_rows"] == 6
    assert plain["total_weight"] == 62
    assert plain["contingency"]["pairs"] == table.pairs.tolist()
    assert plain["contingency"]["weight"] == [30, 1, 2, 20, 9]


def test_the_table_is_shown_as_text_and_as_html():
    table = Contingency(
        ("<b>", "x"), (0, 1), np.array([[0, 0], [1, 0], [1, 1]]), np.array([2.0, 1, 3000]), 4
    )
    result = Agreement.of(table)
    text = str(result)
    assert "4 rows, weight 3,003." in text
    assert [line.split() for line in text.splitlines() if line.startswith(("<b>", "x "))] == [
        ["<b>", "2", "0"],
        ["x", "1", "3,000"],
    ]
    assert "Not shown" not in text
    assert "&lt;b&gt;" in result._repr_html_()
    assert result.to_frame().loc["x", 1] == 3000
    half = Contingency(("a",), (0,), np.array([[0, 0]]), np.array([0.5]), 1)
    assert Agreement.of(half).to_frame().loc["a", 0] == 0.5


def test_a_large_table_is_cut_to_the_heaviest_and_says_so(monkeypatch):
    weight = np.ones((25, 30))
    weight[3], weight[:, 29] = 100, 50
    result = Agreement.of(of_weights(weight))
    _, table = result.sections()
    assert len(table.rows) == 20
    assert len(table.columns) == 21
    assert "3" in [row[0] for row in table.rows]
    assert table.columns[-1] == "29"
    hidden = weight.sum() - weight[:20][:, [*range(19), 29]].sum()
    assert table.sentences == (
        "Not shown: 5 of 25 labels and 10 of 30 clusters, those of the least weight; "
        f"{hidden / weight.sum():.1%} of the weight is there.",
    )
    monkeypatch.setattr(agreement, "_MOST_CELLS", 25 * 30 - 1)
    with pytest.raises(TooLarge, match=r"25 true labels and 30 clusters .* contingency\.pairs"):
        result.to_frame()


def test_a_table_of_large_weights_has_fewer_columns_and_no_broken_cell():
    result = Agreement.of(of_weights(np.full((2, 12), 987_654_321.0)))
    _, table = result.sections()
    assert len(table.columns) == 8
    assert str(result).count("987,654,321") == 14


def test_the_agreement_of_nothing_can_be_shown():
    result = Agreement.of(Contingency.zero())
    assert result.adjusted_rand == 1.0
    assert "0 rows" in str(result)
    assert result.to_frame().shape == (0, 0)
