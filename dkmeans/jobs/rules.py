"""Rules of a gate: what a challenger must keep to before it takes the champion's place."""

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.default_gates import DEFAULT_GATES, LIMITS, Rule
from dkmeans.jobs.metrics import METRICS, Metric

__all__ = [
    "DEFAULT_GATES",
    "LIMITS",
    "METRICS",
    "Metric",
    "Rule",
    "is_off",
    "parse_gates",
    "parse_rule",
]

_PERCENTAGE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*%")
_OFF = (None, False, "off")


def parse_gates(value: Any) -> tuple[Rule, ...]:
    """Return the rules of a job: the default ones, with those that it writes in their places.

    Parameters
    ----------
    value
        Rules by the name of their metric, as in `{"churn": {"max": "10 %"}}`. A metric that is
        "off" (or False, as YAML reads it, or None) has no rule. None for the default rules; "off"
        or False for no rules at all.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    if value is None:
        return DEFAULT_GATES
    if is_off(value):
        return ()
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"gates={value!r} should be rules by metric; write gates: {{churn: {{max: 20 %}}}}."
        )
    rules = {rule.metric: rule for rule in DEFAULT_GATES}
    for name, limits in value.items():
        if is_off(limits):
            rules.pop(_metric(name).name, None)
        else:
            rules[name] = parse_rule(name, limits)
    return tuple(rules.values())


def is_off(value: Any) -> bool:
    """Whether that is written in place of a rule's limits to have no rule."""
    # not `in`: 0 equals False
    return any(value is off for off in _OFF[:2]) or value == _OFF[2]


def parse_rule(metric: str, value: Any) -> Rule:
    """Return the rule that a job file writes as `metric: value`.

    Parameters
    ----------
    metric
        A name in `METRICS`.
    value
        Limits by their kind, as in `{"max_increase": "10 %"}`: `min` and `max` in the metric's own
        unit, `max_increase` and `max_decrease` as shares of the champion's value. Each is a number,
        or a text of a number or of a percentage.

    Raises
    ------
    ArgumentError
        If there is no such metric or kind of limit, or a limit is impossible.
    """
    known = _metric(metric)
    if not isinstance(value, Mapping) or not value:
        raise ArgumentError(
            f"{metric}: {value!r} should be limits; write {metric}: {{{_example(known)}}}."
        )
    limits = {}
    for kind, limit in value.items():
        if kind not in LIMITS:
            raise ArgumentError(
                f"{metric}: {kind!r} is no kind of limit{_did_you_mean(kind, LIMITS)}; "
                f"use {', '.join(LIMITS)}."
            )
        limits[kind] = _limit(known, kind, limit)
    _check_relative(known, limits)
    _check_range(known, limits)
    return Rule(metric, **limits)


def _metric(name: Any) -> Metric:
    known = METRICS.get(name) if isinstance(name, str) else None
    if known is None:
        raise ArgumentError(
            f"{name!r} is no metric of gates{_did_you_mean(name, METRICS)}; "
            f"use {', '.join(METRICS)}."
        )
    return known


def _did_you_mean(name: Any, known: Any) -> str:
    near = difflib.get_close_matches(str(name).lower().replace("-", "_"), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _limit(metric: Metric, kind: str, value: Any) -> float:
    """A limit as a number; percentages become shares."""
    number = None
    is_percentage = False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        text = value.strip()
        if match := _PERCENTAGE.fullmatch(text):
            number, is_percentage = float(match[1]) / 100, True
        else:
            # YAML reads 1e-3 as a text
            try:
                number = float(text)
            except ValueError:
                number = None
    if number is None or not math.isfinite(number):
        raise ArgumentError(
            f"{metric.name}: {kind}={value!r} should be a number or a percentage; "
            f"write {_example(metric)}."
        )
    is_relative = kind in ("max_increase", "max_decrease")
    if is_percentage and not is_relative and metric.unit not in ("share", "ratio"):
        raise ArgumentError(
            f"{metric.name}: {kind}={value!r} should be a number: it is the {metric.title}, which "
            "is no share of anything."
        )
    if not is_percentage and number > 1 and (is_relative or metric.unit == "share"):
        # a gate that lets everything through is worse than none
        raise ArgumentError(
            f"{metric.name}: {kind}={number:g} is a share, and would be {100 * number:g} %; "
            f"write {kind}: {number:g} %, or {kind}: {100 * number:g} % if that is meant."
        )
    return number


def _check_relative(metric: Metric, limits: Mapping[str, float]) -> None:
    """Check the limits that are shares of the champion's value."""
    for kind in ("max_increase", "max_decrease"):
        if kind not in limits:
            continue
        if not metric.has_champion_value:
            why = (
                "it compares with the champion already"
                if metric.needs_champion
                else "it is not measured of the champion"
            )
            raise ArgumentError(
                f"{metric.name}: {kind} cannot be used, since {why}; use min or max."
            )
        if limits[kind] < 0:
            other = "max_decrease" if kind == "max_increase" else "max_increase"
            raise ArgumentError(
                f"{metric.name}: {kind}={limits[kind]:g} should not be negative; "
                f"for the other direction use {other}."
            )


def _check_range(metric: Metric, limits: Mapping[str, float]) -> None:
    """Check that there are values within the limits."""
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None and low > high:
        raise ArgumentError(
            f"{metric.name}: min={low:g} is above max={high:g}, so that nothing could pass; "
            "exchange them."
        )
    least, most = _RANGES.get(metric.name, _RANGES_OF_UNITS[metric.unit])
    if low is not None and low > most:
        raise ArgumentError(
            f"{metric.name}: min={low:g} could never be reached: it is at most {most:g}; "
            f"write {_example(metric)}."
        )
    if high is not None and high < least:
        raise ArgumentError(
            f"{metric.name}: max={high:g} could never be kept to: it is at least {least:g}; "
            f"write {_example(metric)}."
        )


_RANGES_OF_UNITS = {
    "share": (0.0, 1.0),
    "ratio": (0.0, math.inf),
    "score": (0.0, math.inf),
    "sq_distance": (0.0, math.inf),
    "count": (0.0, math.inf),
}
_RANGES = {"silhouette": (-1.0, 1.0), "spread_change": (1.0, math.inf)}


def _example(metric: Metric) -> str:
    """How a rule on it could read."""
    if metric.has_champion_value:
        return "max_increase: 10 %" if metric.lower_is_better else "max_decrease: 10 %"
    if metric.name == "rows":
        return "min: 90 %"
    if metric.lower_is_better is False:
        return "min: 1000"
    if metric.unit == "count":
        return "max: 0"
    return {"share": "max: 10 %", "ratio": "max: 1.5", "score": "max: 0.5"}[metric.unit]
