"""How the values of features are spread in each cluster: boxes, violins, histograms."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster
from dkmeans.evaluation.charts.distributions import MOST_PANELS, Distributions, FeatureSpread
from dkmeans.evaluation.profiles.profile import profile
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.plots.drawing import (
    Inks,
    axes_for,
    check_matplotlib,
    figure_of,
    font_size,
    ink_on,
    inks_of,
    plain_axes,
    rows_of_text,
    safe,
    texts_of,
)
from dkmeans.plots.heads import broken, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SpreadKind = Literal["box", "violin", "histogram"]

_KINDS = ("box", "violin", "histogram")
_COLUMNS = 3
_SAID = {
    "box": "boxes hold the middle half of the rows of a cluster, whiskers nine in ten, with median "
    "(line) and mean (dot); dotted: mean of all",
    "violin": "as wide as there are rows; with median (dot); dotted: mean of all",
    "histogram": "as high as there are rows; dotted: mean of all",
}


def distributions(
    of: Any,
    X: Any = None,
    *,
    features: Any = None,
    kind: SpreadKind = "box",
    clusters: Any = None,
    model: Any = None,
    most_clusters: int = MOST_CLUSTERS,
    sample_weight: Any = None,
    ax: "Axes | None" = None,
) -> Any:
    """Draw the distribution of features in each cluster: of a profile, or in two passes over X.

    All rows count, not a sample. The dotted line is the mean of all rows.

    Parameters
    ----------
    of
        A `Profile`, or the chart data, `Distributions`: then without X, and no pass is made. A
        `Model` or a fitted estimator, with X.
    X, sample_weight
        See `dkmeans.profile`.
    features
        One or several, by name or number; None for the six that set clusters apart the most, or
        the first of these if `ax` is given.
    kind
        "box", "violin" or "histogram".
    clusters
        Which to show, by id; None for the largest.
    model
        Whose names and colors clusters have, where a profile knows of none.
    most_clusters
        Most clusters to show where they are not given.
    ax
        Where to draw one feature; None for a new figure.

    Returns
    -------
    Axes, or a list of them
        The Axes of one feature that is asked for, or that `ax` is given for; else a list, those of
        each feature.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, a parameter cannot be, or `ax` is given for several
        features.
    FeaturesMismatch
        If X has other features than the model.
    """
    check_matplotlib()
    if kind not in _KINDS:
        raise ArgumentError(f"kind={kind!r} should be 'box', 'violin' or 'histogram'.")
    if isinstance(of, Distributions):
        chart = of
    else:
        if not isinstance(of, Profile):
            if X is None:
                raise ArgumentError("X=None leaves nothing to show; pass the rows, or a profile.")
            model = of if model is None else model
            of = profile(of, X, sample_weight=sample_weight)
        chart = Distributions.of(
            of,
            model=model,
            features=features,
            clusters=clusters,
            most_features=MOST_PANELS if ax is None else 1,
            most_clusters=most_clusters,
        )
    if ax is not None and len(chart.features) > 1:
        raise ArgumentError(
            f"ax is for one feature, and {len(chart.features)} are asked for; draw each on its own."
        )
    is_one = isinstance(features, (str, int, np.integer)) or ax is not None
    if is_one:
        ax, inks = axes_for(ax, 6.4, 1.7 + _height(chart))
        one = chart.features[0]
        _draw(ax, inks, one, chart.clusters, kind)
        rows_of_text(ax, inks, np.arange(len(chart.clusters)), texts_of(chart.clusters))
        ax.set_ylabel("Cluster", color=inks.text)
        finish(ax, inks, safe(one.feature, 48), (_SAID[kind], *chart.notes))
        return ax
    return _panels(chart, kind)


def _height(chart: Distributions) -> float:
    return 0.28 * max(len(chart.clusters), 4)


def _panels(chart: Distributions, kind: str) -> "list[Axes]":
    """Draw each feature in Axes of its own."""
    from dkmeans.plots.axes import Panels, new_panels

    n = len(chart.features)
    n_columns = min(n, _COLUMNS)
    n_rows = -(-n // n_columns)
    scale = font_size(0.1)
    widest = max(len(text) for text in texts_of(chart.clusters))
    width = (3.3 * n_columns + 0.07 * widest + 0.4) * scale
    panels = new_panels(n_rows, n_columns, width, (n_rows * (0.9 + _height(chart)) + 0.6) * scale)
    for panel in panels[n:]:
        panel.remove()
    inks = inks_of(panels[0])
    for i, (panel, one) in enumerate(zip(panels, chart.features)):
        _draw(panel, inks, one, chart.clusters, kind)
        is_first = i % n_columns == 0
        texts = texts_of(chart.clusters)
        rows_of_text(panel, inks, np.arange(len(texts)), texts if is_first else [""] * len(texts))
        if is_first:
            panel.set_ylabel("Cluster", color=inks.text)
        panel.set_title(safe(one.feature, 30), loc="left", color=inks.text, fontweight="bold")
    said = [_SAID[kind], *chart.notes]
    figure = figure_of(panels[0])
    heading = figure.suptitle(
        ". ".join(one[:1].upper() + one[1:] for one in said),
        x=0.012,
        ha="left",
        color=inks.muted,
        fontsize=font_size(0.85),
    )
    broken(heading, 0.97 * figure.bbox.width)
    return Panels(panels[:n])


def _draw(
    ax: "Axes", inks: Inks, one: FeatureSpread, clusters: Sequence[ChartCluster], kind: str
) -> None:
    from matplotlib.ticker import MaxNLocator

    plain_axes(ax, inks, grid="x")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    ax.set_ylim(len(clusters) - 0.4, -0.6)
    if kind == "box":
        _draw_boxes(ax, inks, one, clusters)
    else:
        _draw_shapes(ax, inks, one, clusters, is_violin=kind == "violin")
    if not np.isnan(one.overall_mean):
        ax.axvline(one.overall_mean, color=inks.text, ls=":", lw=1.2, zorder=1)


def _draw_boxes(
    ax: "Axes", inks: Inks, one: FeatureSpread, clusters: Sequence[ChartCluster]
) -> None:
    for place, (cluster, box, mean) in enumerate(zip(clusters, one.boxes, one.mean)):
        if np.isnan(box).any():
            continue
        low, first, median, third, high = box
        ax.plot([low, high], [place, place], color=cluster.color, lw=1.5, zorder=2)
        ax.barh(
            place,
            third - first,
            0.62,
            left=first,
            color=cluster.color,
            # a box of no width is seen, too
            ec=cluster.color,
            lw=1.5,
            zorder=3,
        )
        ax.plot([median, median], [place - 0.31, place + 0.31], color=inks.text, lw=2, zorder=4)
        ax.plot(
            mean,
            place,
            "o",
            ms=5,
            mfc=ink_on(cluster.color),
            mec=cluster.color if ink_on(cluster.color) == "#ffffff" else "#ffffff",
            mew=0.8,
            zorder=5,
        )


def _draw_shapes(
    ax: "Axes",
    inks: Inks,
    one: FeatureSpread,
    clusters: Sequence[ChartCluster],
    *,
    is_violin: bool,
) -> None:
    """Draw the bins of each cluster, around its line or above it."""
    if one.is_discrete:
        gap = float(np.diff(one.edges).min(initial=np.inf))
        half = 0.4 * gap if np.isfinite(gap) else 0.4
        left, right = one.edges - half, one.edges + half
    else:
        left, right = one.edges[:-1], one.edges[1:]
    for place, (cluster, heights) in enumerate(zip(clusters, one.heights)):
        # bins are of like widths; the highest of each cluster has all the room
        most = float(np.nan_to_num(heights).max(initial=0.0))
        if not most > 0:
            continue
        share = heights / most
        if is_violin:
            bottom, height = place - 0.4 * share, 0.8 * share
        else:
            bottom, height = place + 0.4 - 0.82 * share, 0.82 * share
            ax.axhline(place + 0.4, color=inks.faint, lw=0.8, zorder=1)
        ax.bar(
            left, height, right - left, bottom=bottom, align="edge", color=cluster.color, zorder=2
        )
        median = one.boxes[place][2]
        if is_violin and not np.isnan(median):
            ink = ink_on(cluster.color)
            ax.plot(median, place, "o", ms=5, mfc=ink, mec=cluster.color, mew=0.8, zorder=5)
    if len(left):
        room = 0.02 * (right[-1] - left[0])
        ax.set_xlim(left[0] - room, right[-1] + room)
