"""A map of rows and centers on their first two principal components."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS
from dkmeans.evaluation.charts.map2d import Map2D
from dkmeans.evaluation.charts.palette import OTHERS
from dkmeans.evaluation.charts.sampled import MAP_ROWS, SampledRows, sampled_rows
from dkmeans.evaluation.shown import percent
from dkmeans.plots.drawing import (
    Inks,
    axes_for,
    check_matplotlib,
    count,
    figure_of,
    font_size,
    plain_axes,
    safe,
    texts_of,
)
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEYOND = 0.005
"""Share of the points on either side of either axis that may lie outside of the picture."""

_ORDINALS = ("First", "Second")


def map2d(
    of: Any,
    X: Any = None,
    *,
    sample_weight: Any = None,
    sample_size: int = MAP_ROWS,
    random_state: int = 0,
    most_clusters: int = MOST_CLUSTERS,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw sampled rows and centers in the two directions in which rows vary most, in one pass.

    The directions are the principal components of all rows, in the space where the model measures
    distances. One more pass counts rows of unknown number (Dask DataFrames).

    Parameters
    ----------
    of
        A `Model` or a fitted estimator; or the chart data, `Map2D`, or what it is made of,
        `SampledRows`: then without X, and no pass is made.
    X, sample_weight, random_state
        See `sampled_rows`.
    sample_size
        Rows to draw.
    most_clusters
        Clusters with a color and a label; the others are gray.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or a parameter cannot be.
    FeaturesMismatch
        If X has other features than the model.
    """
    check_matplotlib()
    if isinstance(of, (Map2D, SampledRows)):
        found = of
    elif X is None:
        raise ArgumentError("X=None leaves nothing to show; pass the rows.")
    else:
        found = sampled_rows(
            of,
            X,
            sample_weight=sample_weight,
            map_size=sample_size,
            silhouette_size=0,
            random_state=random_state,
        )
    chart = found if isinstance(found, Map2D) else Map2D.of(found, most_clusters=most_clusters)
    ax, inks = axes_for(ax, 6.8, 5.8)
    plain_axes(ax, inks, x=_axis(chart, 0), y=_axis(chart, 1))
    n_outside = _limit(ax, chart)
    colors = np.array([*(one.color for one in chart.clusters), OTHERS])
    n = max(len(chart.points), 1)
    ax.scatter(
        chart.points[:, 0],
        chart.points[:, 1],
        # the order of draws: no cluster covers the others
        c=colors[chart.point_clusters],
        s=float(np.clip(30_000 / n, 4, 30)),
        alpha=float(np.clip(1_500 / n, 0.45, 0.85)),
        lw=0,
        zorder=2,
        rasterized=True,
    )
    if len(chart.other_centers):
        ax.scatter(
            chart.other_centers[:, 0],
            chart.other_centers[:, 1],
            c=OTHERS,
            s=18,
            marker="X",
            ec=inks.ground,
            zorder=3,
        )
    if not chart.explained[1]:
        ax.set_yticks([])
    rows = f"all {count(chart.n_rows)} rows"
    if not chart.is_all:
        rows = f"{chart.n_sampled:,} of {count(chart.n_rows)} rows, drawn at random"
    notes = [f"{rows}; centers have the number of their cluster"]
    if n_outside:
        are = "row is" if n_outside == 1 else "rows are"
        notes.append(f"{n_outside:,} far off {are} outside of the picture")
    n_clusters = len(chart.clusters) + len(chart.other_centers)
    finish(ax, inks, f"Map of {n_clusters:,} clusters", (*notes, *chart.notes))
    _pin(ax, inks, chart)
    return ax


def _axis(chart: Map2D, i: int) -> str:
    """What an axis is, and what it is made of."""
    share = percent(chart.explained[i])
    if not chart.explained[i]:
        return "" if i else "All rows are alike"
    names = ", ".join(safe(name) for name in chart.leading[i])
    return f"{_ORDINALS[i]} component, {share} of the variance: mostly {names}"


def _limit(ax: "Axes", chart: Map2D) -> int:
    """Leave the farthest points outside, so that all others can be seen; return how many."""
    low, high = np.quantile(chart.points, [_BEYOND, 1 - _BEYOND], axis=0)
    low, high = (
        np.minimum(low, chart.centers.min(axis=0)),
        np.maximum(high, chart.centers.max(axis=0)),
    )
    room = 0.06 * (high - low)
    room = np.where(room > 0, room, 1.0)
    low, high = low - room, high + room
    # what lies just beyond is worth the room
    near = (chart.points >= low - 2 * room) & (chart.points <= high + 2 * room)
    inside = chart.points[near.all(axis=1)]
    if len(inside):
        low = np.minimum(low, inside.min(axis=0) - room / 3)
        high = np.maximum(high, inside.max(axis=0) + room / 3)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    return int(((chart.points < low) | (chart.points > high)).any(axis=1).sum())


def _pin(ax: "Axes", inks: Inks, chart: Map2D) -> None:
    """Put the text of each cluster on its center, or beside it where there is no room."""
    from dkmeans.plots.pins import PAD, placed

    figure = figure_of(ax)
    figure.draw_without_rendering()
    pins = [
        ax.annotate(
            text,
            center,
            (0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            color=inks.text,
            fontsize=font_size(0.85),
            fontweight="bold",
            annotation_clip=False,
            bbox={"boxstyle": f"round,pad={PAD}", "fc": inks.ground, "ec": one.color, "lw": 1.8},
            arrowprops={"arrowstyle": "-", "color": inks.text, "lw": 0.8, "shrinkA": 0},
            zorder=5,
        )
        for one, text, center in zip(chart.clusters, texts_of(chart.clusters), chart.centers)
    ]
    placed(ax, pins)
    for one, center in zip(chart.clusters, chart.centers):
        ax.plot(*center, "o", ms=5, mfc=one.color, mec=inks.text, mew=0.8, zorder=4)
