"""Judge a challenger by the rules of its gate."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from dkmeans.evaluation.shown import Section, Shown, brief, percent, plain
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.metrics import METRICS, Unit
from dkmeans.jobs.rules import Rule

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Judgment:
    """What one limit of a rule says."""

    metric: str

    kind: str
    """"min", "max", "max_increase" or "max_decrease"."""

    limit: float
    """As the rule has it: of increases and decreases the share."""

    bound: float | None
    """The least or greatest value that passes; None if there is nothing to take a share of."""

    value: float | None
    """What was measured; None if it was not."""

    champion: float | None
    """The champion's value; None if it has none."""

    passed: bool
    """Whether the limit is kept to, or does not apply."""

    skipped: bool
    """Whether it does not apply, for want of a champion."""

    reason: str
    """All that in one sentence."""


@dataclass(frozen=True)
class Verdict(Shown):
    """What a gate says of a challenger, limit by limit."""

    judgments: tuple[Judgment, ...]

    has_champion: bool
    """Whether there was a champion to compare with."""

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Return the verdict that `to_dict` has written."""
        return cls(tuple(Judgment(**one) for one in told["judgments"]), told["has_champion"])

    @property
    def passed(self) -> bool:
        """Whether every limit is kept to."""
        return all(one.passed for one in self.judgments)

    @property
    def failed(self) -> tuple[Judgment, ...]:
        """The limits that are not kept to."""
        return tuple(one for one in self.judgments if not one.passed)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, a sentence each; none if it did."""
        return tuple(one.reason for one in self.failed)

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a limit: metric, kind, limit, bound, value, champion, passed, reason."""
        import pandas as pd

        columns = list(Judgment.__dataclass_fields__)
        return pd.DataFrame([asdict(one) for one in self.judgments], columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "passed": self.passed,
            "has_champion": self.has_champion,
            "judgments": [plain(asdict(one)) for one in self.judgments],
        }

    def sections(self) -> Sequence[Section]:
        """Return the limits as a table, and why it did not pass."""
        title = "Gate: passed" if self.passed else "Gate: refused, the champion stays"
        sentences = list(self.reasons)
        skipped = [one for one in self.judgments if one.skipped]
        if skipped:
            names = ", ".join(dict.fromkeys(one.metric for one in skipped))
            sentences.append(f"Not judged, since there is no champion yet: {names}.")
        if not self.judgments:
            sentences.append("There are no rules: every challenger passes.")
            return [Section(title, tuple(sentences))]
        rows = tuple(
            (
                one.metric,
                _shown(one.value, METRICS[one.metric].unit),
                _limit_shown(one.metric, one.kind, one.limit),
                _shown(one.champion, METRICS[one.metric].unit),
                "skipped" if one.skipped else "passed" if one.passed else "failed",
            )
            for one in self.judgments
        )
        return [
            Section(
                title, tuple(sentences), ("Metric", "Value", "Limit", "Champion", "Result"), rows
            )
        ]


def judge(rules: Iterable[Rule], figures: Figures, champion_figures: Figures | None) -> Verdict:
    """Judge a challenger.

    Parameters
    ----------
    rules
        What it must keep to. Limits are kept to by values that equal them.
    figures
        What was measured of the challenger, and of the new rows.
    champion_figures
        What was measured of the champion on the same rows; None if there is no champion, for a
        first model: limits that compare with it are skipped then, unless what they are about was
        measured (as `rows` is where a number is expected).

    Returns
    -------
    Verdict
        A judgment of every limit of every rule, in their order. What was not measured, or is not
        finite, fails.
    """
    judgments = [
        _judgment(rule.metric, kind, limit, figures, champion_figures)
        for rule in rules
        for kind, limit in rule.limits().items()
    ]
    return Verdict(tuple(judgments), champion_figures is not None)


def _judgment(
    metric: str, kind: str, limit: float, figures: Figures, champion_figures: Figures | None
) -> Judgment:
    known, value = METRICS[metric], figures[metric]
    champion = None
    if champion_figures is not None and known.has_champion_value:
        champion = champion_figures[metric]
    is_relative = kind in ("max_increase", "max_decrease")
    bound: float | None = limit
    if is_relative:
        step = limit if kind == "max_increase" else -limit
        bound = None if champion is None else champion + step * abs(champion)

    # a limit that is missed by a hair must not read as if it were kept to
    is_apart = value == bound or _shown(value, known.unit) != _shown(bound, known.unit)

    def found(passed: bool, reason: str, skipped: bool = False) -> Judgment:
        return Judgment(metric, kind, limit, bound, value, champion, passed, skipped, reason)

    def said(number: float) -> str:
        return _shown(number, known.unit) if is_apart else f"{number:.9g}"

    if champion_figures is None and (is_relative or (known.needs_champion and value is None)):
        return found(True, f"{metric} was not judged: there is no champion yet.", skipped=True)
    if value is None:
        return found(False, f"{metric} was not measured, and its rule needs it.")
    if not math.isfinite(value):
        return found(False, f"{metric} is {value}, and its rule needs a finite value.")
    if bound is None or not math.isfinite(bound):
        return found(
            False, f"{metric} of the champion has no value on these rows; its rule needs it."
        )
    is_lower_end = kind in ("min", "max_decrease")
    passed = value >= bound if is_lower_end else value <= bound
    sides = ("at least", "below") if is_lower_end else ("at most", "above")
    side = sides[not passed]
    than = f"its {kind} of {said(bound)}"
    if is_relative:
        change = "less" if is_lower_end else "more"
        than = f"{said(bound)}, which is {percent(limit)} {change} than the champion's "
        than += said(champion if champion is not None else math.nan)
    return found(passed, f"{metric} {said(value)} is {side} {than}.")


def _shown(value: float | None, unit: Unit) -> str:
    if value is None or value != value:
        return "-"
    return percent(value) if unit == "share" else brief(value)


def _limit_shown(metric: str, kind: str, limit: float) -> str:
    is_relative = kind in ("max_increase", "max_decrease")
    return f"{kind} {percent(limit) if is_relative else _shown(limit, METRICS[metric].unit)}"
