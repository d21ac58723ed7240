"""Dates in job files: `{{ as_of }}`, `{{ as_of - 7d }}`, `{{ as_of - 1 months | %Y/%m }}`.

All times are UTC, so that a job gives the same texts wherever it runs.
"""

import calendar
import datetime
import re
from collections.abc import Mapping

from dkmeans.errors import ArgumentError

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_EXPRESSION = re.compile(r"\s*as_of\b(?P<steps>[^|]*)(?:\|(?P<format>.*))?", re.DOTALL)
_STEP = re.compile(r"\s*([-+])\s*(\d{1,6})\s*([A-Za-z]+)\s*")
_DIRECTIVE = re.compile(r"%(.?)")
_DIRECTIVES = "YmdHMSjGVuy%"
"""Of `strftime`: those that are the same in every language."""

_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
_MONTHS = {"month": 1, "months": 1, "year": 12, "years": 12}
_UNITS = "h, d, w, months or years"
_DATE, _TIME = "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"


def parse_as_of(text: str) -> datetime.datetime:
    """Turn a date, or a date and time, into a moment in UTC, whole seconds.

    A time without an offset is UTC.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    moment = None
    if re.match(r"\d{4}-\d{2}-\d{2}(?:$|[T ]\d{2}:)", text):
        try:
            moment = datetime.datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                moment = moment.astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            moment = None
    if moment is None:
        raise ArgumentError(
            f"as_of={text!r} is no date; write it as 2026-11-20 or 2026-11-20T06:00+01:00."
        )
    return moment.replace(tzinfo=datetime.UTC, microsecond=0)


def written(as_of: datetime.datetime) -> str:
    """Return a moment as `parse_as_of` reads it: a date at midnight, else date and time."""
    if as_of.time() == datetime.time():
        return as_of.strftime(_DATE)
    return f"{as_of.strftime(_TIME)}Z"


def rendered(text: str, as_of: datetime.datetime, values: Mapping[str, str]) -> str:
    """Return a text with its templates filled in.

    Parameters
    ----------
    text
        Any text. In `{{ }}` stands a name of `values`, or `as_of`, from which and to which spans of
        h, d, w, months and years are taken and added in turn; the last day of a month stands for
        days that it lacks. Behind a `|` stands a format as of `strftime`; without one, dates are
        2026-11-20, and 2026-11-20T06:00:00 where h is used.
    as_of
        In UTC.
    values
        What other names stand for.

    Raises
    ------
    ArgumentError
        If a template cannot be filled in.
    """

    def fill(found: re.Match[str]) -> str:
        name = found[1].strip()
        return values[name] if name in values else _date(found[0], found[1], as_of, values)

    left = _BRACES.sub("", text)
    if "{{" in left:
        raise ArgumentError(f"the template in {text!r} is not closed; write }}}} behind it.")
    return _BRACES.sub(fill, text)


def _date(template: str, inside: str, as_of: datetime.datetime, values: Mapping[str, str]) -> str:
    expression = _EXPRESSION.fullmatch(inside)
    if expression is None:
        known = ", ".join(("as_of", *values))
        raise ArgumentError(
            f"the template {template!r} does not begin with a name that is known ({known}); "
            "write it as {{ as_of - 7d }}."
        )
    moment, at, uses_hours = as_of, 0, False
    steps = expression["steps"]
    while steps[at:].strip():
        step = _STEP.match(steps, at)
        if step is None:
            raise ArgumentError(
                f"the template {template!r} has {steps[at:].strip()!r}, which is no span; write it "
                "as {{ as_of - 7d }}."
            )
        sign, number, unit = step.groups()
        if unit not in _HOURS and unit not in _MONTHS:
            raise ArgumentError(f"the template {template!r} has the unit {unit!r}; use {_UNITS}.")
        moment = _moved(moment, int(f"{sign}{number}"), unit, template)
        uses_hours |= unit == "h"
        at = step.end()
    pattern = _TIME if uses_hours else _DATE
    if expression["format"] is not None:
        pattern = expression["format"].strip()
        for directive in _DIRECTIVE.findall(pattern):
            if directive == "" or directive not in _DIRECTIVES:
                raise ArgumentError(
                    f"the template {template!r} has the format %{directive}; use "
                    f"{', '.join(f'%{one}' for one in _DIRECTIVES)}."
                )
        if not pattern:
            raise ArgumentError(f"the template {template!r} has no format; write %Y/%m behind |.")
    return moment.strftime(pattern)


def _moved(moment: datetime.datetime, number: int, unit: str, template: str) -> datetime.datetime:
    try:
        if unit in _HOURS:
            return moment + datetime.timedelta(hours=number * _HOURS[unit])
        months = moment.year * 12 + moment.month - 1 + number * _MONTHS[unit]
        year, month = divmod(months, 12)
        if not datetime.MINYEAR <= year <= datetime.MAXYEAR:
            raise OverflowError
        last = calendar.monthrange(year, month + 1)[1]
        return moment.replace(year=year, month=month + 1, day=min(moment.day, last))
    except OverflowError:
        raise ArgumentError(
            f"the template {template!r} leads out of the years 1 to 9999; take less away."
        ) from None
