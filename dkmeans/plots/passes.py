"""How the inertia fell, pass by pass."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.charts.convergence import Convergence
from dkmeans.evaluation.charts.palette import COLORS
from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import axes_for, number, plain_axes
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def convergence(of: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the inertia of the centers after each pass of a fit. Makes no pass.

    Passes before the first inertia, which scale rows and look for first centers, are shaded.

    Parameters
    ----------
    of
        A `Model` or a fitted estimator, or the chart data, `Convergence`.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or the model has no history.

    Examples
    --------
    >>> from dkmeans import KMeans, plots
    >>> ax = plots.convergence(KMeans(2, random_state=0).fit([[0.0], [1.0], [9.0]]))
    >>> ax.get_xlabel()
    'Passes over the rows'
    """
    chart = of if isinstance(of, Convergence) else Convergence.of(of)
    ax, inks = axes_for(ax, 6.4, 4.2)
    known = ~np.isnan(chart.inertia)
    exact = known & ~chart.is_estimate
    plain_axes(ax, inks, x="Passes over the rows", y="Inertia (squared distance)", grid="y")
    passes, inertia = chart.passes, chart.inertia
    ax.plot(passes[known], inertia[known], color=COLORS[0], lw=1.8, zorder=2)
    ax.plot(
        passes[exact],
        inertia[exact],
        "o",
        color=COLORS[0],
        ms=5 if exact.sum() < 60 else 0,
        label="of all rows",
        zorder=3,
    )
    estimated = known & chart.is_estimate
    if estimated.any():
        ax.plot(
            passes[estimated],
            inertia[estimated],
            "D",
            mfc=inks.ground,
            mec=COLORS[0],
            mew=1.5,
            ms=7,
            label="estimated by the coreset",
            zorder=4,
        )
        ax.legend(frameon=False, labelcolor=inks.text, loc="upper right")
    _number_passes(ax, chart)
    first = _seeding(chart, known)
    if first:
        ax.axvspan(0.5, first + 0.5, color=inks.faint, alpha=0.6, lw=0, zorder=0)
    if known.any():
        _give_room(ax, inertia[known])
    said = [f"{chart.n_passes:,} passes" if chart.n_passes != 1 else "1 pass"]
    if first:
        said.append(f"{first:,} of them for scale and first centers (shaded)")
    if exact.any():
        said.append(f"inertia {number(chart.final)} in the end")
    fell = _fell(inertia[exact])
    if fell:
        said.append(f"{fell} less than after the first assignment")
    finish(ax, inks, f"{chart.n_clusters:,} clusters {chart.outcome}", (", ".join(said),))
    return ax


def _seeding(chart: Convergence, known: Array) -> int:
    """Passes before the first that found an inertia."""
    if not known.any():
        return int(chart.passes[-1])
    return int(chart.passes[known][0]) - 1


def _number_passes(ax: "Axes", chart: Convergence) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlim(0.5, chart.passes[-1] + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True, min_n_ticks=1))


def _give_room(ax: "Axes", inertia: Array) -> None:
    """Show what differs, but do not make mountains of rounding."""
    low, high = float(inertia.min()), float(inertia.max())
    room = max(0.08 * (high - low), 0.002 * high) or 1.0
    ax.set_ylim(low - room, high + 2 * room)


def _fell(inertia: Array) -> str:
    """By how much the inertia fell since it was first measured; nothing if it did not."""
    if len(inertia) < 2 or not inertia[0] > 0:
        return ""
    share = 1 - inertia[-1] / inertia[0]
    return f"{share:.1%}" if share >= 0.0005 else ""
