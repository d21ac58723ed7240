"""Verdicts: what passes, what fails and why, with and without a champion."""

import json
import math

import numpy as np
import pytest

from dkmeans.errors import ArgumentError
from dkmeans.jobs import figures as made
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import DEFAULT_GATES, METRICS, Rule

GOOD = Figures(
    inertia_per_row=2.0,
    silhouette=0.5,
    smallest_share=0.1,
    churn=0.02,
    drift=0.05,
    misfit=1.01,
    new_region=0.012,
    outside_range=0.01,
    mean_shift=0.05,
    spread_change=1.02,
    rows=1.0,
    n_rows=1e6,
    bad_files=0.0,
    missing_share=0.0,
)
OF_CHAMPION = Figures(inertia_per_row=2.1, silhouette=0.49, smallest_share=0.11)

RULES = (
    Rule("inertia_per_row", max_increase=0.1),
    Rule("churn", max=0.25),
    Rule("spread_change", max=1.5),
    Rule("rows", min=0.95, max=1.5),
)


def reason(rule, figures, champion=OF_CHAMPION):
    (one,) = judge([rule], figures, champion).judgments
    return one.passed, one.reason


def test_a_good_challenger_passes_the_default_gates_and_each_limit_is_listed():
    verdict = judge(DEFAULT_GATES, GOOD, OF_CHAMPION)
    assert verdict.passed
    assert verdict.has_champion
    assert verdict.reasons == ()
    listed = [(one.metric, one.kind, one.limit) for one in verdict.judgments]
    assert listed == [
        (rule.metric, kind, limit)
        for rule in DEFAULT_GATES
        for kind, limit in rule.limits().items()
    ]
    assert not any(one.skipped for one in verdict.judgments)


@pytest.mark.parametrize(
    ("rule", "value", "passed", "sentence"),
    [
        (Rule("churn", max=0.2), 0.2, True, "churn 20.0% is at most its max of 20.0%."),
        (Rule("churn", max=0.2), 0.41, False, "churn 41.0% is above its max of 20.0%."),
        # by a hair: what is shown must not read as if it were kept to
        (
            Rule("churn", max=0.2),
            0.2000001,
            False,
            "churn 0.2000001 is above its max of 0.2.",
        ),
        (Rule("n_rows", min=1000), 999, False, "n_rows 999 is below its min of 1,000."),
        (Rule("n_rows", min=1000), 1000, True, "n_rows 1,000 is at least its min of 1,000."),
        (
            Rule("inertia_per_row", max_increase=0.1),
            2.31,
            True,
            "inertia_per_row 2.31 is at most 2.31, which is 10.0% more than the champion's 2.1.",
        ),
        (
            Rule("inertia_per_row", max_increase=0.1),
            2.4,
            False,
            "inertia_per_row 2.4 is above 2.31, which is 10.0% more than the champion's 2.1.",
        ),
        (
            Rule("silhouette", max_decrease=0.5),
            0.1,
            False,
            "silhouette 0.1 is below 0.245, which is 50.0% less than the champion's 0.49.",
        ),
        (
            Rule("drift", max=1.0),
            math.nan,
            False,
            "drift is nan, and its rule needs a finite value.",
        ),
        (
            Rule("misfit", min=0.5),
            math.inf,
            False,
            "misfit is inf, and its rule needs a finite value.",
        ),
        (Rule("drift", max=1.0), None, False, "drift was not measured, and its rule needs it."),
    ],
)  # fmt: skip
def test_each_limit_is_judged_in_one_sentence(rule, value, passed, sentence):
    assert reason(rule, Figures(**{rule.metric: value})) == (passed, sentence)


def test_shares_of_a_negative_value_go_the_right_way():
    champion = Figures(silhouette=-0.2)
    rule = Rule("silhouette", max_decrease=0.5)
    assert reason(rule, Figures(silhouette=-0.25), champion)[0]
    assert not reason(rule, Figures(silhouette=-0.31), champion)[0]


def test_a_champion_without_the_figure_fails_the_challenger():
    passed, said = reason(Rule("silhouette", max_decrease=0.5), GOOD, Figures())
    assert not passed
    assert said == "silhouette of the champion has no value on these rows; its rule needs it."
    assert not reason(Rule("silhouette", max_decrease=0.5), GOOD, Figures(silhouette=math.nan))[0]


def test_a_first_model_skips_what_compares_and_says_so():
    first = Figures(silhouette=0.5, n_rows=100.0, bad_files=0.0, missing_share=0.2)
    verdict = judge(DEFAULT_GATES, first, None)
    skipped = {one.metric for one in verdict.judgments if one.skipped}
    assert skipped == {
        rule.metric
        for rule in DEFAULT_GATES
        if METRICS[rule.metric].needs_champion or rule.is_relative
    }
    assert all(one.passed for one in verdict.judgments if one.skipped)
    # what needs no champion is judged all the same
    assert [one.metric for one in verdict.failed] == ["missing_share"]
    assert "Not judged, since there is no champion yet: inertia_per_row" in str(verdict)


def test_the_first_model_is_judged_by_the_rows_that_are_expected():
    figures = Figures.of(made.reading(80, expected=100))
    (one,) = judge([Rule("rows", min=0.95)], figures, None).judgments
    assert not one.skipped
    assert one.reason == "rows 0.8 is below its min of 0.95."


def test_a_refusal_names_all_reasons():
    verdict = judge(RULES, Figures(**{**GOOD.to_dict(), "churn": 0.9, "rows": 0.5}), OF_CHAMPION)
    assert not verdict.passed
    assert verdict.reasons == (
        "churn 90.0% is above its max of 25.0%.",
        "rows 0.5 is below its min of 0.95.",
    )


def test_a_verdict_is_shown_as_text_html_frame_and_json():
    figures = Figures(**{**GOOD.to_dict(), "churn": 0.9, "spread_change": math.inf})
    verdict = judge(RULES, figures, OF_CHAMPION)
    text = str(verdict)
    assert text.startswith("Gate: refused, the champion stays")
    assert "max_increase 10.0%" in text
    assert "churn 90.0% is above its max of 25.0%." in text
    assert "<td" in verdict._repr_html_()
    frame = verdict.to_frame()
    assert len(frame) == len(verdict.judgments)
    assert set(frame["metric"][~frame["passed"]]) == {"churn", "spread_change"}
    # strict JSON, in which there is no infinity
    back = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert back["passed"] is False
    assert len(back["judgments"]) == len(verdict.judgments)
    assert json.loads(json.dumps(figures.to_dict(), allow_nan=False))["spread_change"] == "inf"


def test_no_rules_let_everything_pass_and_say_so():
    verdict = judge((), Figures(), None)
    assert verdict.passed
    assert "There are no rules: every challenger passes." in str(verdict)
    assert list(verdict.to_frame().columns)[:2] == ["metric", "kind"]


def test_figures_of_quality_are_those_of_an_evaluation():
    weights = np.array([6.0, 2.0])
    assert made.quality({"inertia": 4.0, "silhouette_simplified": 0.25}, weights) == {
        "inertia_per_row": 0.5,
        "silhouette": 0.25,
        "smallest_share": 0.25,
    }
    # not defined, as for one cluster: not measured
    assert made.quality({"inertia": 4.0}, weights)["silhouette"] is None
    assert all(math.isnan(one) for one in made.quality({"inertia": 0.0}, 0 * weights).values())


def test_churn_is_the_share_of_rows_whose_id_changes():
    before, after = np.array([4, 7]), np.array([7, 9, 4])
    flow = np.array([[1.0, 2.0, 30.0], [60.0, 3.0, 4.0]])
    assert made.churn(before, after, flow)["churn"] == pytest.approx(10 / 100)
    assert math.isnan(made.churn(before, after, 0 * flow)["churn"])


def test_stability_is_the_index_of_the_books():
    # 0.1 ln 1.25 + 0.1 ln 2 by hand: shares 0.5, 0.2, 0.3 against 0.4, 0.1, 0.5
    by_hand = 0.1 * math.log(0.5 / 0.4) + 0.1 * math.log(0.2 / 0.1) + 0.2 * math.log(0.5 / 0.3)
    found = made.stability(np.array([4.0, 1.0, 5.0]), np.array([50.0, 20.0, 30.0]))
    assert found == pytest.approx(by_hand)
    assert made.stability(np.array([1.0, 1.0]), np.array([5.0, 5.0])) == 0
    assert math.isfinite(made.stability(np.array([1.0, 1.0]), np.array([5.0, 0.0])))


def test_shifts_take_the_worst_feature_and_constants_at_their_word():
    mean, std = np.array([0.0, 10.0, 5.0]), np.array([1.0, 4.0, 0.0])
    found = made.shifts(mean, std, np.array([0.5, 11.0, 5.0]), np.array([2.0, 1.0, 0.0]))
    assert found == {"mean_shift": 0.5, "spread_change": 4.0}
    gone = made.shifts(mean, std, mean, np.array([1.0, 0.0, 0.0]))
    assert gone == {"mean_shift": 0.0, "spread_change": math.inf}
    moved = made.shifts(mean, std, np.array([0.0, 10.0, 6.0]), std)
    assert moved == {"mean_shift": math.inf, "spread_change": 1.0}
    lost = made.shifts(mean, std, np.array([0.0, math.nan, 5.0]), std)
    assert math.isnan(lost["mean_shift"])
    assert math.isnan(made.shifts(mean, std, mean, np.array([1.0, math.nan, 0.0]))["spread_change"])


def test_misfit_compares_inertia_per_row():
    assert made.misfit(3.0, 200.0, 100.0) == {"misfit": 1.5}
    assert made.misfit(0.0, 0.0, 100.0) == {"misfit": 1.0}
    assert made.misfit(1.0, 0.0, 100.0) == {"misfit": math.inf}
    assert math.isnan(made.misfit(1.0, 1.0, 0.0)["misfit"])


def test_what_was_read_counts_missing_rows_and_bad_files():
    found = made.reading(900, expected=1000, n_missing=100, n_bad_files=2)
    assert found == {"n_rows": 900.0, "rows": 0.9, "missing_share": 0.1, "bad_files": 2.0}
    nothing = made.reading(0)
    assert nothing["rows"] is None
    assert math.isnan(nothing["missing_share"])


def test_figures_have_a_field_for_each_metric_and_refuse_others():
    assert set(vars(Figures())) == set(METRICS)
    with pytest.raises(ArgumentError, match="'sihouette' is no metric"):
        Figures.of({"sihouette": 0.5})
    assert Figures.of({"churn": 0.5}, {"drift": None})["churn"] == 0.5
