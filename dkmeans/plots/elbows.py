"""The curves of a sweep: inertia and silhouettes by number of clusters."""

from typing import TYPE_CHECKING, Any, Literal

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.elbow import Curve, Elbow
from dkmeans.evaluation.charts.palette import COLORS
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.plots.drawing import Inks, axes_for, count, figure_of, plain_axes, tick
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ElbowKind = Literal["inertia", "silhouette"]

_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _SKY, _ = COLORS
_STYLES = {
    "inertia": (_BLUE, "o", "-"),
    "silhouette_simplified": (_BLUE, "o", "-"),
    "silhouette_squared": (_SKY, "s", "-"),
    "silhouette": (_PURPLE, "^", "-"),
    "silhouette_reference": ("", "", "--"),
}
_MOST_MARKERS = 40
"""Numbers of clusters up to which each has a marker."""


def elbow(sweep: Any, *, kind: ElbowKind = "inertia", ax: "Axes | None" = None) -> "Axes":
    """Draw the inertia, or silhouettes, against the number of clusters. Makes no pass.

    Parameters
    ----------
    sweep
        What `dkmeans.sweep` has found, or the chart data, `Elbow`.
    kind
        "inertia", with its elbow, or "silhouette": all silhouettes that were computed.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or a parameter cannot be.

    Examples
    --------
    >>> from dkmeans import plots, sweep
    >>> found = sweep([[0.0], [1.0], [9.0], [10.0], [30.0]], [1, 2, 3], random_state=0)
    >>> plots.elbow(found).get_xlabel()
    'Number of clusters k'
    """
    chart = elbow_of(sweep)
    if kind not in ("inertia", "silhouette"):
        raise ArgumentError(f"kind={kind!r} should be 'inertia' or 'silhouette'.")
    is_ours = ax is None
    ax, inks = axes_for(ax, 6.4, 4.4)
    if kind == "inertia":
        draw_inertia(ax, inks, chart)
        title = "Inertia by number of clusters"
    else:
        draw_silhouettes(ax, inks, chart)
        title = "Silhouettes by number of clusters"
    draw_marks(ax, inks, chart)
    number_axis(ax, chart)
    handles, labels = ax.get_legend_handles_labels()
    if handles and is_ours:
        # below the picture: within it curves may be anywhere
        figure_of(ax).legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2,
            frameon=False,
            labelcolor=inks.text,
        )
    elif handles:
        ax.legend(handles, labels, labelcolor=inks.text, facecolor=inks.ground, framealpha=0.8)
    finish(ax, inks, title, (f"{count(chart.n_rows)} rows",))
    return ax


def elbow_of(sweep: Any) -> Elbow:
    """Return the chart data of a sweep, or that itself.

    Raises
    ------
    ArgumentError
        If it is neither.
    """
    if isinstance(sweep, Elbow):
        return sweep
    if isinstance(sweep, Sweep):
        return Elbow.of(sweep)
    raise ArgumentError(f"sweep is a {type(sweep).__name__}; pass what dkmeans.sweep has found.")


def draw_inertia(ax: "Axes", inks: Inks, chart: Elbow) -> None:
    """Draw the inertia, from 0 on."""
    plain_axes(ax, inks, x="Number of clusters k", y="Inertia (squared distance)", grid="y")
    _draw(ax, inks, chart.inertia)
    ax.set_ylim(bottom=0)


def draw_silhouettes(ax: "Axes", inks: Inks, chart: Elbow) -> None:
    """Draw a curve for each kind of silhouette, over the k that it is defined for."""
    plain_axes(ax, inks, x="Number of clusters k", y="Mean silhouette (at most 1)", grid="y")
    for curve in chart.silhouettes:
        _draw(ax, inks, curve, label=curve.text)


def draw_marks(ax: "Axes", inks: Inks, chart: Elbow) -> None:
    """Draw lines where k is recommended and where the elbow is; one where they are the same."""
    for k, words in chart.marks:
        is_recommended = words.startswith("recommended")
        ax.axvline(
            k,
            color=_GREEN if is_recommended else _VERMILION,
            ls="-" if is_recommended else ":",
            lw=1.8,
            zorder=1,
            label=f"{words}: k={k}",
        )


def number_axis(ax: "Axes", chart: Elbow) -> None:
    """Give the axis of k whole numbers; a logarithmic one if k spans much."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if chart.is_wide:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.xaxis.set_major_formatter(FuncFormatter(tick))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, min_n_ticks=1))


def _draw(ax: "Axes", inks: Inks, curve: Curve, label: str | None = None) -> None:
    color, marker, line = _STYLES[curve.name]
    if len(curve.counts) > _MOST_MARKERS:
        marker = ""
    ax.plot(
        curve.counts,
        curve.values,
        color=color or inks.muted,
        marker=marker,
        ls=line,
        ms=5,
        lw=1.8,
        label=label,
    )
