"""Where the rows of each old cluster are in the new model, as ribbons."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster
from dkmeans.evaluation.charts.flow import Flow
from dkmeans.evaluation.charts.palette import OTHERS
from dkmeans.evaluation.lineage.lineage import lineage
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.evaluation.shown import share
from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import Inks, axes_for, check_matplotlib, count, safe
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = 0.6
"""Share of the height that is for texts, a line for each cluster."""

_HEAD = 0.07
"""Share of the height above the clusters, for words."""

_WIDTH = 0.03
_LEAST = 0.002
"""Share of all rows from which on a ribbon is drawn."""


def flow(
    of: Any,
    challenger: Any = None,
    X: Any = None,
    *,
    sample_weight: Any = None,
    most_clusters: int = MOST_CLUSTERS,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw where the rows of each old cluster are in a new model: the thicker, the more rows.

    One pass over X, or none of a lineage; one more counts rows of unknown number.

    Parameters
    ----------
    of
        What `dkmeans.lineage` has found with rows, or the chart data, `Flow`; or the old model: a
        `Model` or a fitted estimator.
    challenger
        The new model, if `of` is the old one; its clusters are called by the ids that continue
        those of the old.
    X, sample_weight
        The rows that both label, if `of` is the old model; see `dkmeans.lineage`.
    most_clusters
        Most clusters to show by themselves, on either side; all others are taken together.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or there is no flow.
    FeaturesMismatch
        If X or the models have other features.
    """
    check_matplotlib()
    chart = _chart(of, challenger, X, sample_weight, most_clusters)
    n = max(len(chart.old), len(chart.new)) + bool(chart.n_other_old or chart.n_other_new)
    ax, inks = axes_for(ax, 7.0, 1.4 + 0.34 * max(n, 6))
    total = float(chart.weight.sum())
    sides = [_Side(chart.weight.sum(axis=axis) / total) for axis in (1, 0)]
    _draw_ribbons(ax, chart, sides, total)
    old = [*chart.old, None]
    new = [*chart.new, None]
    for i, (side, clusters, n_others) in enumerate(
        zip(sides, (old, new), (chart.n_other_old, chart.n_other_new))
    ):
        _draw_bars(ax, inks, side, clusters, n_others, x=float(i))
    ax.set_xlim(-0.02 - _WIDTH, 1.02 + _WIDTH)
    ax.set_ylim(1.01, -_HEAD)
    ax.set_axis_off()
    _draw_heads(ax, inks)
    changed = "" if chart.churn is None else f": {share(chart.churn, 1.0)} of the rows changed"
    unit = "rows" if chart.unit == "rows" else "of weight"
    notes = (
        f"{count(total)} {unit}; streams below {_LEAST:.1%} of them are left out",
        *chart.notes,
    )
    finish(ax, inks, f"From old to new clusters{changed}", notes)
    return ax


def _chart(of: Any, challenger: Any, X: Any, sample_weight: Any, most_clusters: int) -> Flow:
    if isinstance(of, Flow):
        return of
    if isinstance(of, Lineage):
        return Flow.of(of, challenger=challenger, most_clusters=most_clusters)
    old = model_of(of)
    if challenger is None or X is None:
        raise ArgumentError("a flow needs a lineage, or two models and rows: flow(old, new, X).")
    new = model_of(challenger)
    found = lineage(old, new, X, sample_weight=sample_weight)
    return Flow.of(found, champion=old, challenger=new, most_clusters=most_clusters)


class _Side:
    """Where the bars of one side lie, from 0 on top to 1; as high as their shares of the rows."""

    def __init__(self, shares: Array) -> None:
        there = shares > 0
        # a line of text for each, the rest by rows
        line = _LINES / max(int(there.sum()), 1)
        self.shares = shares
        self.scale = 1 - _LINES
        slots = np.where(there, shares * self.scale + line, 0.0)
        self.heights = shares * self.scale
        self.tops = np.cumsum(slots) - slots + line / 2


def _draw_ribbons(ax: "Axes", chart: Flow, sides: list[_Side], total: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    old, new = sides
    parts = chart.weight / total
    left, right = old.tops.copy(), new.tops.copy()
    colors = [*(one.color for one in chart.old), OTHERS]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    begin, end, middle = _WIDTH, 1 - _WIDTH, 0.5
    for i in range(len(parts)):
        for j in range(len(parts[i])):
            thick = parts[i, j]
            if not thick > 0:
                continue
            y0, y1 = left[i], right[j]
            h0, h1 = thick * old.scale, thick * new.scale
            left[i] += h0
            right[j] += h1
            if thick < _LEAST:
                continue
            corners = [
                (begin, y0),
                (middle, y0),
                (middle, y1),
                (end, y1),
                (end, y1 + h1),
                (middle, y1 + h1),
                (middle, y0 + h0),
                (begin, y0 + h0),
                (begin, y0),
            ]
            shape = Path(corners, codes)
            ax.add_patch(
                PathPatch(
                    shape,
                    facecolor=colors[i],
                    alpha=0.5 if i < len(chart.old) else 0.25,
                    lw=0,
                    zorder=1,
                )
            )


def _draw_bars(
    ax: "Axes",
    inks: Inks,
    side: _Side,
    clusters: Sequence[ChartCluster | None],
    n_others: int,
    *,
    x: float,
) -> None:
    """Draw the bars of a side, each with its text and its share of the rows."""
    is_old = x == 0
    left = 0.0 if is_old else 1 - _WIDTH
    for one, top, height, part in zip(clusters, side.tops, side.heights, side.shares):
        if not part > 0:
            continue
        ax.barh(
            top + height / 2,
            _WIDTH,
            height,
            left=left,
            color=OTHERS if one is None else one.color,
            # a thin one is seen, too
            ec=OTHERS if one is None else one.color,
            lw=1,
            zorder=2,
        )
        text = f"{n_others:,} more" if one is None else safe(one.text)
        said = f"{text}  {share(part, 1.0)}" if is_old else f"{share(part, 1.0)}  {text}"
        ax.annotate(
            said,
            (x, top + height / 2),
            (-5 if is_old else 5, 0),
            textcoords="offset points",
            ha="right" if is_old else "left",
            va="center",
            color=inks.text,
            annotation_clip=False,
        )


def _draw_heads(ax: "Axes", inks: Inks) -> None:
    for x, word, side in ((0.0, "Before", "left"), (1.0, "After", "right")):
        ax.annotate(
            word,
            (x, -0.02),
            (0, 2),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontweight="bold",
            color=inks.muted,
            annotation_clip=False,
        )
