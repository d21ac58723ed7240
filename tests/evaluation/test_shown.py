"""How numbers, shares and names are written, and how sections are laid out."""

import re

import numpy as np
import pytest
from IPython.lib.pretty import pretty

from dkmeans.evaluation.shown import (
    Section,
    Shown,
    as_html,
    as_text,
    brief,
    broken,
    cluster,
    decimals,
    name,
    number,
    percent,
    plain,
    probability,
    share,
)

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1,000"),
        (-1234.5, "-1,234"),
        (1234567, "1,234,567"),
        (1.5e12, "1.5e+12"),
        (1e-7, "1e-07"),
        (INF, "inf"),
        (-INF, "-inf"),
        (NAN, "-"),
        (None, "-"),
        (np.float32(0.1), "0.1"),
    ],
)
def test_brief(value, text):
    assert brief(value) == text


def test_signs():
    assert [brief(one, sign=True) for one in (2.0, -2.0, 0.0, 4321.0)] == [
        "+2",
        "-2",
        "0",
        "+4,321",
    ]
    assert [decimals(one, 2, sign=True) for one in (1.0, -0.456, NAN)] == ["+1.00", "-0.46", "-"]
    assert [decimals(one, 2, sign=True) for one in (-0.001, 0.001, 0.0)] == ["0.00"] * 3
    assert decimals(1234.5678, 1) == "1,234.6"
    assert decimals(INF, 1) == "inf"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "<0.001"),
        (0.00099, "<0.001"),
        (0.001, "0.001"),
        (0.0496, "0.050"),
        (1.0, "1.000"),
        (NAN, "-"),
        (None, "-"),
    ],
)
def test_probability(value, text):
    assert probability(value) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (0, "0%"),
        (1e-6, "<0.01%"),
        (0.0031, "0.31%"),
        (0.00996, "1.0%"),
        (0.0421, "4.2%"),
        (0.0996, "10%"),
        (0.5, "50%"),
        (0.994, "99%"),
        (0.996, ">99%"),
        (1, "100%"),
    ],
)
def test_share(part, text):
    assert share(part, 1) == text
    assert share(part * 7, 7) == text


def test_number_percent_and_share_of_nothing():
    assert [number(1234567.0), number(1234.567), number(0.123456789), number(None)] == [
        "1,234,567",
        "1,234.57",
        "0.12346",
        "-",
    ]
    assert [percent(0.1234), percent(None)] == ["12.3%", "-"]
    assert share(0, 0) == "-"


@pytest.mark.parametrize(
    ("heading", "lines"),
    [
        ("short_one", ["short_one"]),
        ("purchases_installment_frequency", ["purchases_", "installment_", "frequency"]),
        ("cash advance per month", ["cash advance per", "month"]),
        ("x" * 30, ["x" * 30]),
        ("", [""]),
    ],
)
def test_headings_are_broken_between_words(heading, lines):
    assert broken(heading) == lines


def test_name_is_one_line():
    assert name("a\nb") == r"a\nb"
    assert name('say "x"') == '"say "x""'


def test_plain_is_what_json_takes():
    value = {1: np.array([1.0, NAN]), "a": (np.int64(3), [INF]), "b": np.str_("x"), "c": None}
    assert plain(value) == {"1": [1.0, None], "a": [3, [None]], "b": "x", "c": None}
    assert type(plain(np.int64(3))) is int


SECTION = Section("Title", ("One sentence.",), ("Name", "Size"), (("a", "1"), ("b", "-20")))


def test_text_has_numbers_to_the_right():
    lines = as_text([SECTION, Section("Next", ("Two.",))]).splitlines()
    assert lines[0] == "Title"
    assert [line.split() for line in lines[3:5]] == [["a", "1"], ["b", "-20"]]
    assert len(lines[3]) == len(lines[4])
    assert lines[5:] == ["One sentence.", "", "Next", "Two."]


def test_infinities_bounds_and_dashes_count_as_numbers():
    rows = (("inf",), ("<0.001",), ("-",), ("12%",), (">99%",))
    lines = as_text([Section("T", (), ("Column",), rows)]).splitlines()[3:]
    assert len({len(line) for line in lines}) == 1
    words = as_text([Section("T", (), ("Column",), (("information",), ("-x",)))]).splitlines()
    assert words[-1] == "-x"


def test_markup_in_cells_is_text():
    section = Section("[red]T[/red]", ("[b]s[/b] :smile:",), ("[i]h",), (("[bold]c[/bold]",),))
    text = as_text([section])
    assert all(one in text for one in ("[red]T[/red]", "[b]s[/b] :smile:", "[i]h", "[bold]c"))


def test_html_is_escaped():
    html = as_html([Section("<t>", ("<s>",), ("<h>",), (("<c>",),))])
    assert not any(f"<{one}>" in html for one in "tshc")
    assert all(f"&lt;{one}&gt;" in html for one in "tshc")


def test_clusters_go_by_their_names_where_they_have_some():
    names = {3: "night owls", 5: "a, b"}
    ids = np.array([3, 4, 5])
    assert [cluster(one, names) for one in ids] == ["3 (night owls)", "4", '5 ("a, b")']


def test_numbers_in_html_are_not_broken():
    html = as_html([Section("T", (), ("Name", "Size"), (("a b", "1e-23"),))])
    (of_text,) = re.findall("<td ([^>]*)>a b", html)
    (of_number,) = re.findall("<td ([^>]*)>1e-23", html)
    assert "nowrap" in of_number
    assert "nowrap" not in of_text


class OneSection(Shown):
    def to_frame(self):
        raise NotImplementedError

    def to_dict(self):
        raise NotImplementedError

    def sections(self):
        return [SECTION]


def test_ipython_shows_what_print_does():
    assert pretty(OneSection()) == str(OneSection())
    assert "One sentence." in pretty(OneSection())
