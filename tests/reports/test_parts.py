"""Scales, colors, widths of text, places of names; and that templates are installed."""

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from dkmeans.evaluation.charts.palette import color_of
from dkmeans.reports.colors import DARK, LIGHT, contrast, level_of, on_dark, on_light, shades
from dkmeans.reports.drawing.elements import fitted, tag, width_of
from dkmeans.reports.drawing.maps import placed
from dkmeans.reports.drawing.scales import Scale, rounded_out, ticks
from dkmeans.reports.page import breakable


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3, 7), (0.2, 0.21), (1e6, 9e9), (-1e-9, 1e-9), (99.5, 100.5)]
)
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high, 6)
    assert 2 <= len(found) <= 6
    room = 1e-9 * (high - low)
    assert min(found) >= low - room
    assert max(found) <= high + room
    np.testing.assert_allclose(np.diff(found, 2), 0, atol=1e-6 * (high - low))
    ends = rounded_out(low, high)
    assert ends[0] <= low + room
    assert ends[1] >= high - room


def test_ticks_of_nothing() -> None:
    assert ticks(3, 3) == [3]
    assert rounded_out(3, 3)[0] < 3 < rounded_out(3, 3)[1]
    assert Scale(3, 3, 0, 10)(3) == 5


def test_scales_are_where_their_ends_say() -> None:
    scale = Scale(1, 100, 0, 50, is_log=True)
    assert [scale(one) for one in (1, 10, 100)] == pytest.approx([0, 25, 50])
    assert Scale(0, 1, 10, 0).clipped(7) == 0


def test_colors_are_seen_on_both_grounds() -> None:
    colors = [color_of(i) for i in range(30)] + ["#000000", "#ffffff", "#123456"]
    assert min(contrast(on_light(one), LIGHT) for one in colors) >= 1.7
    assert min(contrast(on_dark(one), DARK) for one in colors) >= 3
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for ground in (LIGHT, DARK):
        found = shades(ground)
        assert found[0][0] == ground
        assert min(contrast(*one) for one in found.values()) >= 4.5
        assert len({one for one, _ in found.values()}) == len(found)
    assert [level_of(z) for z in (-9, -1, 0, 0.1, 1, 2, 9)] == [-8, -4, 0, 0, 4, 8, 8]


def test_texts_fit_their_room() -> None:
    assert fitted("short", 100) == "short"
    cut = fitted("a very long name indeed", 60)
    assert cut.endswith("…")
    assert width_of(cut) <= 60
    assert width_of("顧客") > width_of("ab")
    assert "\n" not in fitted("a\nb", 100)


def test_markup_is_escaped() -> None:
    assert str(tag("text", "<&>", data_tip='"<')) == (
        '<text data-tip="&#34;&lt;">&lt;&amp;&gt;</text>'
    )
    assert str(breakable("<b_c>/d")) == "&lt;b_<wbr>c&gt;/<wbr>d"


def test_names_on_the_map_cover_nothing() -> None:
    points = np.random.default_rng(0).uniform(20, 180, size=(20, 2))
    widths = [30.0] * 20
    found = [
        (x - 15, y - 8, x + 15, y + 8)
        for x, y in filter(None, placed(points, widths, 200.0, 200.0))
    ]
    assert len(found) > 10
    for a, b in combinations(found, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert min(min(one) for one in found) >= 0
    assert max(max(one) for one in found) <= 200


def test_templates_are_listed_for_the_wheel() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    listed = {
        path
        for pattern in project["tool"]["setuptools"]["package-data"]["dkmeans"]
        for path in (root / "dkmeans").glob(pattern)
    }
    found = set((root / "dkmeans" / "reports" / "templates").iterdir())
    assert {path.name for path in found} == {"report.html", "report.css", "report.js"}
    assert found <= listed
