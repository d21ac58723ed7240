"""What all plots share: Axes, inks that suit the theme of the user, titles, numbers, room."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import LONGEST_TEXT, ChartCluster, cut
from dkmeans.evaluation.shown import brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {
    "circle": "o",
    "square": "s",
    "triangle": "^",
    "diamond": "D",
    "plus": "P",
    "star": "*",
    "cross": "X",
    "pentagon": "p",
}
"""The markers of clusters, as matplotlib has them."""

MINUS = "\N{MINUS SIGN}"

_PLAIN_FONT = 10.0
"""Points of the font that sizes of figures are made for."""

_Rgb = tuple[float, float, float]

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def check_matplotlib() -> None:
    """Raise `ArgumentError` if matplotlib is not installed."""
    try:
        is_there = find_spec("matplotlib") is not None
    except ValueError:
        # a module that says that it is not there
        is_there = False
    if not is_there:
        raise ArgumentError('a plot needs matplotlib; pip install "dkmeans[plot]".')


@dataclass(frozen=True)
class Inks:
    """Colors that can be read on the Axes, as #rrggbb."""

    text: str
    muted: str
    """For what is said beside."""

    faint: str
    """For grids and what lies behind."""

    ground: str
    """What the Axes are filled with."""


def axes_for(ax: "Axes | None", width: float, height: float) -> "tuple[Axes, Inks]":
    """Return the Axes to draw on, and inks that suit them.

    Parameters
    ----------
    ax
        The user's; None for those of a new figure.
    width, height
        Inches of a new figure, for a font of 10 points.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or `ax` is something else.
    """
    check_matplotlib()
    from matplotlib.axes import Axes

    from dkmeans.plots.axes import new_axes

    if ax is None:
        scale = font_size() / _PLAIN_FONT
        ax = new_axes(width * scale, height * scale)
    elif not isinstance(ax, Axes):
        raise ArgumentError(f"ax is a {type(ax).__name__}; pass matplotlib Axes, or None.")
    return ax, inks_of(ax)


def figure_of(ax: "Axes") -> "Figure":
    """Return the figure that Axes lie in, whatever lies between.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ArgumentError("ax belongs to no figure; pass Axes of one, or None.")
    return figure


def inks_of(ax: "Axes") -> Inks:
    """Return inks that can be read on some Axes."""
    from matplotlib import rcParams
    from matplotlib.colors import to_hex, to_rgba

    def mixed(one: _Rgb, other: _Rgb, share: float) -> _Rgb:
        red, green, blue = (share * a + (1 - share) * b for a, b in zip(one, other))
        return red, green, blue

    def over(color: Any, ground: _Rgb) -> _Rgb:
        red, green, blue, alpha = to_rgba(color)
        return mixed((red, green, blue), ground, alpha)

    paper = over(figure_of(ax).get_facecolor(), (1.0, 1.0, 1.0))
    ground = over(ax.get_facecolor(), paper)
    text = over(rcParams["text.color"], ground)
    if abs(luminance(to_hex(text)) - luminance(to_hex(ground))) < 0.25:
        # the theme of the figure is not the one in force now
        text = (0.0, 0.0, 0.0) if luminance(to_hex(ground)) > 0.5 else (1.0, 1.0, 1.0)

    muted, faint = mixed(text, ground, 0.68), mixed(text, ground, 0.14)
    return Inks(to_hex(text), to_hex(muted), to_hex(faint), to_hex(ground))


def luminance(color: str) -> float:
    """Return how light a color looks, 0 for black to 1 for white; `color` is #rrggbb."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def ink_on(color: str) -> str:
    """Return black or white, whichever can be read on a color."""
    return "#000000" if luminance(color) > 0.55 else "#ffffff"


def font_size(scale: float = 1.0) -> float:
    """Return the size of the user's font in points, or a share of it."""
    from matplotlib import rcParams

    return scale * float(rcParams["font.size"])


def safe(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a name as a plot can show it: on one line, not too long, and never as a formula."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return cut(printable, longest).replace("$", r"\$")


def texts_of(clusters: Iterable[ChartCluster]) -> list[str]:
    """Return what clusters are called beside an axis."""
    return [safe(one.text) for one in clusters]


def tick(value: float, _: Any = None) -> str:
    """Write a number beside an axis: six digits, thousands apart, millions as M."""
    if value == 0:
        return "0"
    size = abs(value)
    for unit, letter in _UNITS:
        if unit <= size < 1e3 * unit:
            return f"{value / unit:,.6g} {letter}".replace("-", MINUS)
    if size >= 1e15 or size < 1e-4:
        return f"{value:.3g}".replace("-", MINUS)
    digits = max(0, 5 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


def number(value: float) -> str:
    """Write a number to three digits, or whole, with millions as M."""
    return tick(float(f"{value:.3g}")) if abs(value) >= 1e6 else brief(value).replace("-", MINUS)


def count(value: float) -> str:
    """Write a number of rows, or a sum of weights."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else brief(value)


def plain_axes(
    ax: "Axes", inks: Inks, *, x: str = "", y: str = "", grid: Literal["", "x", "y"] = ""
) -> None:
    """Give Axes labels, a quiet grid along an axis, numbers with thousands apart; no frame."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(inks.muted)
    ax.tick_params(colors=inks.muted, labelcolor=inks.text)
    # what the theme of the user draws is drawn as asked here
    ax.grid(False)
    if grid:
        ax.grid(axis=grid, color=inks.faint, lw=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel(x, color=inks.text)
    ax.set_ylabel(y, color=inks.text)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))


def rows_of_text(ax: "Axes", inks: Inks, places: Any, texts: Sequence[str]) -> None:
    """Write a text beside each place on the vertical axis, without ticks or a spine."""
    ax.set_yticks(places, labels=texts, color=inks.text)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def end_for_texts(ax: "Axes", longest: float) -> float:
    """Return where a horizontal axis from 0 must end for texts beside lines to lie within.

    `longest` is the greatest length of a line; all texts get the room of the widest.
    """
    figure_of(ax).draw_without_rendering()
    room = ax.get_window_extent().width
    widest = max(text.get_window_extent().width for text in ax.texts) + 1.4 * font_size()
    return (longest or 1.0) / max(0.2, 1 - widest / room)
