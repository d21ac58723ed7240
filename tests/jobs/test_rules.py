"""Rules of gates as job files write them, and what is said of wrong ones."""

import pytest

from dkmeans.errors import ArgumentError
from dkmeans.jobs.rules import DEFAULT_GATES, METRICS, Rule, parse_gates, parse_rule


@pytest.mark.parametrize(
    ("metric", "value", "rule"),
    [
        ("churn", {"max": 0.2}, Rule("churn", max=0.2)),
        ("churn", {"max": "20 %"}, Rule("churn", max=0.2)),
        ("churn", {"max": "20%"}, Rule("churn", max=0.2)),
        ("churn", {"max": " 2.5e1 % "}, Rule("churn", max=0.25)),
        ("churn", {"max": "1e-1"}, Rule("churn", max=0.1)),
        ("inertia_per_row", {"max_increase": "10 %"}, Rule("inertia_per_row", max_increase=0.1)),
        ("inertia_per_row", {"max_increase": "150 %"}, Rule("inertia_per_row", max_increase=1.5)),
        ("silhouette", {"min": -0.1, "max_decrease": 1}, Rule("silhouette", -0.1, None, None, 1.0)),
        ("rows", {"min": "90 %", "max": 2}, Rule("rows", 0.9, 2.0)),
        ("n_rows", {"min": 1_000_000}, Rule("n_rows", min=1e6)),
        ("bad_files", {"max": 0}, Rule("bad_files", max=0.0)),
    ],
)
def test_limits_are_numbers_percentages_or_texts_of_them(metric, value, rule):
    assert parse_rule(metric, value) == rule
    # and a rule says what a job file would
    assert parse_rule(metric, rule.to_dict()) == rule


WRONG = [
    (
        "chrun",
        {"max": 0.2},
        "'chrun' is no metric of gates (did you mean 'churn'?); use "
        "inertia_per_row, silhouette, smallest_share, churn, drift, misfit, new_region, "
        "outside_range, mean_shift, spread_change, rows, n_rows, bad_files, missing_share.",
    ),
    ("churn", 0.2, "churn: 0.2 should be limits; write churn: {max: 10 %}."),
    ("churn", {}, "churn: {} should be limits; write churn: {max: 10 %}."),
    (
        "churn",
        {"maximum": 0.2},
        "churn: 'maximum' is no kind of limit (did you mean 'max'?); "
        "use min, max, max_increase, max_decrease.",
    ),
    (
        "silhouette",
        {"max-decrease": 0.2},
        "silhouette: 'max-decrease' is no kind of limit (did you mean 'max_decrease'?); "
        "use min, max, max_increase, max_decrease.",
    ),
    (
        "churn",
        {"max": "ten"},
        "churn: max='ten' should be a number or a percentage; write max: 10 %.",
    ),
    (
        "churn",
        {"max": True},
        "churn: max=True should be a number or a percentage; write max: 10 %.",
    ),
    (
        "n_rows",
        {"min": float("nan")},
        "n_rows: min=nan should be a number or a percentage; write min: 1000.",
    ),
    (
        "churn",
        {"max": [0.1]},
        "churn: max=[0.1] should be a number or a percentage; write max: 10 %.",
    ),
    (
        "churn",
        {"max": 20},
        "churn: max=20 is a share, and would be 2000 %; write max: 20 %, or max: 2000 % if that is "
        "meant.",
    ),
    (
        "inertia_per_row",
        {"max_increase": 10},
        "inertia_per_row: max_increase=10 is a share, and would be 1000 %; write max_increase: "
        "10 %, or max_increase: 1000 % if that is meant.",
    ),
    (
        "drift",
        {"max": "10 %"},
        "drift: max='10 %' should be a number: it is the population stability index (PSI) of the "
        "champion's cluster shares, which is no share of anything.",
    ),
    (
        "churn",
        {"max_increase": 0.1},
        "churn: max_increase cannot be used, since it compares with the champion already; "
        "use min or max.",
    ),
    (
        "n_rows",
        {"max_decrease": 0.1},
        "n_rows: max_decrease cannot be used, since it is not measured of the champion; "
        "use min or max.",
    ),
    (
        "silhouette",
        {"max_decrease": -0.1},
        "silhouette: max_decrease=-0.1 should not be negative; for the other direction use "
        "max_increase.",
    ),
    (
        "rows",
        {"min": 2, "max": 1},
        "rows: min=2 is above max=1, so that nothing could pass; exchange them.",
    ),
    (
        "silhouette",
        {"min": 1.5},
        "silhouette: min=1.5 could never be reached: it is at most 1; write max_decrease: 10 %.",
    ),
    (
        "spread_change",
        {"max": 0.5},
        "spread_change: max=0.5 could never be kept to: it is at least 1; write max: 1.5.",
    ),
]


@pytest.mark.parametrize(("metric", "value", "sentence"), WRONG)
def test_wrong_rules_are_refused_in_one_sentence_with_the_remedy(metric, value, sentence):
    with pytest.raises(ArgumentError) as caught:
        parse_rule(metric, value)
    assert str(caught.value) == sentence


def test_every_remedy_that_is_proposed_is_itself_a_rule():
    for name in METRICS:
        with pytest.raises(ArgumentError) as caught:
            parse_rule(name, 7)
        remedy = str(caught.value).partition("{")[2].partition("}")[0]
        kind, _, limit = remedy.partition(": ")
        assert parse_rule(name, {kind: limit}).to_dict().keys() == {kind}


def test_a_job_that_names_no_rules_has_the_default_ones():
    assert parse_gates(None) == DEFAULT_GATES
    assert parse_gates({}) == DEFAULT_GATES
    for rule in DEFAULT_GATES:
        assert parse_rule(rule.metric, rule.to_dict()) == rule


def test_rules_that_a_job_names_take_the_places_of_default_ones():
    rules = {rule.metric: rule for rule in parse_gates({"churn": {"max": 0.5}, "rows": "off"})}
    default = {rule.metric: rule for rule in DEFAULT_GATES}
    assert rules.pop("churn") == Rule("churn", max=0.5)
    del default["churn"], default["rows"]
    assert rules == default
    added = parse_gates({"outside_range": {"max": "5 %"}, "drift": False, "misfit": None})
    assert added[-1] == Rule("outside_range", max=0.05)
    assert not {"drift", "misfit"} & {rule.metric for rule in added}


def test_all_rules_can_be_switched_off_at_once_but_not_by_zero():
    assert parse_gates("off") == parse_gates(False) == ()
    with pytest.raises(ArgumentError, match="gates=0 should be rules by metric"):
        parse_gates(0)
    with pytest.raises(ArgumentError, match="churn: 0 should be limits"):
        parse_gates({"churn": 0})
    with pytest.raises(ArgumentError, match="did you mean 'churn'"):
        parse_gates({"churns": "off"})
