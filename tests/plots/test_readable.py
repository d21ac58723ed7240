"""Every plot can be read: with few and many features and clusters, in light and dark themes."""

import gc
import weakref

import matplotlib
import pytest
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dkmeans import plots
from tests.plots.subjects import drawings, subject
from tests.plots.written import faintest, problems, texts_of

NAMES = sorted(drawings(subject(2, 2)))
SIZES = [(2, 2), (200, 100)]
BETWEEN = [(2, 100), (200, 2)]
DEPENDS_ON_BOTH = ("centers_heatmap", "map2d")


@pytest.mark.parametrize(
    ("size", "name"),
    [(size, name) for size in SIZES for name in NAMES if name != "violins"]
    + [(size, name) for size in BETWEEN for name in DEPENDS_ON_BOTH]
    + [((2, 2), "violins")]
    + [
        pytest.param(size, name, marks=pytest.mark.slow)
        for size in BETWEEN
        for name in NAMES
        if name not in DEPENDS_ON_BOTH
    ]
    + [pytest.param((200, 100), "violins", marks=pytest.mark.slow)],
)
def test_no_text_covers_another_or_leaves_the_figure(size, name):
    drawn = drawings(subject(*size))[name](None)
    panels = drawn if isinstance(drawn, list) else [drawn]
    assert all(isinstance(one, Axes) for one in panels)
    assert problems(panels[0]) == []


def test_the_check_sees_texts_over_each_other_and_beyond():
    ax = drawings(subject(2, 2))["sizes"](None)
    under = ax.texts[0]
    ax.annotate("over it", under.xy, (4, 0), textcoords="offset points", va="center")
    ax.annotate("far away", (3, 0.5), xycoords="axes fraction", annotation_clip=False)
    ax.texts[-1].set_in_layout(False)
    found = problems(ax)
    assert any("covers" in one and "over it" in one for one in found)
    assert any("'far away' is not within the figure" in one for one in found)


@pytest.mark.parametrize("theme", ["dark_background", "ggplot"])
def test_texts_can_be_read_in_the_theme_of_the_user(theme):
    with style.context(theme):
        for name in ("map2d", "clusters"):
            ax = drawings(subject(2, 2))[name](None)
            assert faintest(ax) > 0.3
            assert problems(ax) == []
    # drawn in one theme, looked at in another
    with style.context("dark_background"):
        figure = Figure(layout="constrained")
        ax = figure.subplots()
    assert faintest(drawings(subject(2, 2))["sizes"](ax)) > 0.3


@pytest.mark.parametrize("name", NAMES)
def test_axes_of_the_user_are_drawn_on_and_given_back(name):
    import matplotlib.pyplot as plt

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    right.set_title("mine")
    drawn = drawings(subject(2, 2))[name](left)
    assert drawn is left
    assert left.get_title(loc="left")
    assert right.get_title() == "mine"
    assert not right.lines
    assert problems(left) == []
    assert plt.get_fignums() == []


def test_plots_beside_each_other_leave_each_other_room():
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    of = drawings(subject(2, 2))
    of["map2d"](left)
    assert problems(left) == []
    before = left.get_window_extent().width
    of["checks"](right)
    texts_of(figure)
    assert left.get_window_extent().width < before
    assert problems(left) == []


def test_figures_that_nobody_has_are_forgotten():
    ax = weakref.ref(drawings(subject(2, 2))["sizes"](None))
    gc.collect()
    assert ax() is None


def test_a_larger_font_has_a_larger_figure():
    small = drawings(subject(2, 2))["sizes"](None).figure
    with matplotlib.rc_context({"font.size": 16}):
        ax = drawings(subject(2, 2))["sizes"](None)
        assert problems(ax) == []
    assert ax.figure.get_figwidth() == pytest.approx(1.6 * small.get_figwidth())


def test_names_are_shown_as_they_are_and_not_as_formulas():
    ax = drawings(subject(2, 2))["sizes"](None)
    shown = [text._preprocess_math(text.get_text())[0] for text in texts_of(ax.figure)]
    assert any(one.endswith(" $night_owls$") for one in shown)
    assert any(one.endswith("…") for one in shown)


def test_notebooks_show_figures_that_plots_make_themselves():
    ax = drawings(subject(2, 2))["sizes"](None)
    assert ax._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"


def test_notebooks_show_panels_as_one_figure():
    panels = plots.distributions(subject(2, 2).profile)
    assert len(panels) == 2
    assert panels._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"
