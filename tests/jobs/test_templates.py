"""Dates in texts: months of all lengths, leap days, time zones."""

import datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.errors import ArgumentError
from dkmeans.jobs.templates import parse_as_of, rendered, written

NAMES = {"name": "nightly"}


def of(text: str, as_of: str) -> str:
    return rendered(text, parse_as_of(as_of), NAMES)


@pytest.mark.parametrize(
    ("template", "as_of", "text"),
    [
        ("{{ as_of }}", "2026-11-20", "2026-11-20"),
        ("{{as_of}}", "2026-11-20", "2026-11-20"),
        ("{{ as_of - 7d }}", "2026-11-20", "2026-11-13"),
        ("{{ as_of - 1w }}", "2026-01-03", "2025-12-27"),
        ("{{ as_of + 1d }}", "2027-02-28", "2027-03-01"),
        ("{{ as_of + 1d }}", "2028-02-28", "2028-02-29"),
        ("{{ as_of - 1 months }}", "2026-03-31", "2026-02-28"),
        ("{{ as_of - 1 month }}", "2028-03-31", "2028-02-29"),
        ("{{ as_of - 1 months }}", "2026-01-15", "2025-12-15"),
        ("{{ as_of - 1 years }}", "2028-02-29", "2027-02-28"),
        ("{{ as_of + 4 years }}", "2028-02-29", "2032-02-29"),
        ("{{ as_of - 1 years }}", "2100-03-01", "2099-03-01"),
        ("{{ as_of - 1d - 1 months }}", "2026-03-31", "2026-02-28"),
        ("{{ as_of - 1 months - 1d }}", "2026-03-31", "2026-02-27"),
        ("{{ as_of - 7d | %Y/%m }}", "2026-11-03", "2026/10"),
        ("{{ as_of | %G-W%V-%u }}", "2027-01-01", "2026-W53-5"),
        ("{{ as_of | %Y-%m-01 }}", "2026-11-20", "2026-11-01"),
        ("{{ as_of | %d%% }}", "2026-11-20", "20%"),
        ("{{ as_of - 6h }}", "2026-11-20", "2026-11-19T18:00:00"),
        ("{{ as_of - 6h | %H }}", "2026-11-20T07:30", "01"),
        ("{{ as_of }}", "2026-11-20T23:59:59", "2026-11-20"),
        ("s3://a/{{ name }}/dt={{ as_of }}/*", "2026-11-20", "s3://a/nightly/dt=2026-11-20/*"),
        ("{{ as_of }} to {{ as_of + 1d }}", "2026-12-31", "2026-12-31 to 2027-01-01"),
        ("no template } {", "2026-11-20", "no template } {"),
    ],
)
def test_templates_are_filled_in(template: str, as_of: str, text: str) -> None:
    assert of(template, as_of) == text


@given(
    st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2200-12-31")),
    st.lists(
        st.tuples(
            st.sampled_from("+-"), st.integers(0, 500), st.sampled_from(["d", "w", "months"])
        ),
        max_size=3,
    ),
)
def test_spans_are_as_pandas_has_them(
    moment: datetime.datetime, steps: list[tuple[str, int, str]]
) -> None:
    moment = moment.replace(tzinfo=datetime.UTC, microsecond=0)
    expected = pd.Timestamp(moment)
    kinds = {"d": "days", "w": "weeks", "months": "months"}
    for sign, number, unit in steps:
        offset = pd.DateOffset(**{kinds[unit]: number})
        expected = expected + offset if sign == "+" else expected - offset
    inside = "".join(f" {sign} {number} {unit}" for sign, number, unit in steps)
    text = rendered(f"{{{{ as_of{inside} | %Y-%m-%d %H:%M:%S }}}}", moment, {})
    assert text == expected.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T06:00", "2026-11-20T06:00:00Z"),
        ("2026-11-20 06:00:30Z", "2026-11-20T06:00:30Z"),
        ("2026-11-20T00:30+01:00", "2026-11-19T23:30:00Z"),
        ("2026-12-31T23:30:00-05:00", "2027-01-01T04:30:00Z"),
        ("2026-11-20T00:00Z", "2026-11-20"),
        ("2026-11-20T06:00:00.123456", "2026-11-20T06:00:00Z"),
    ],
)
def test_moments_are_in_utc(text: str, moment: str) -> None:
    assert written(parse_as_of(text)) == moment
    assert parse_as_of(moment) == parse_as_of(text)


@pytest.mark.parametrize(
    "text", ["", "today", "2026-02-30", "20261120", "2026-W47", "2026-11-20T25:00", "2026-11"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no date; write it as 2026-11-20"):
        parse_as_of(text)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ as_off }}", "does not begin with a name"),
        ("{{ }}", "does not begin with a name"),
        ("{{ as_of - 7 }}", "is no span"),
        ("{{ as_of 7d }}", "is no span"),
        ("{{ as_of - 7m }}", "the unit 'm'"),
        ("{{ as_of | %B }}", "the format %B"),
        ("{{ as_of | }}", "has no format"),
        ("{{ as_of | 50% }}", "the format %"),
        ("{{ as_of", "is not closed"),
        ("{{ as_of - 9999 years }}", "out of the years"),
        ("{{ as_of - 999999 w }}", "out of the years"),
        ("{{ name - 7d }}", "does not begin with a name"),
    ],
)
def test_templates_that_cannot_be_filled_in_are_refused(template: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        of(template, "2026-11-20")
