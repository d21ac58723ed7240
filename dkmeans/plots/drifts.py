"""What has drifted: figures against thresholds, features, shares of clusters."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS
from dkmeans.evaluation.charts.drift import DriftFigures
from dkmeans.evaluation.charts.features import MOST_FEATURES
from dkmeans.evaluation.charts.palette import COLORS
from dkmeans.evaluation.drift.result import Drift
from dkmeans.plots.drawing import (
    Inks,
    axes_for,
    count,
    end_for_texts,
    font_size,
    number,
    plain_axes,
    rows_of_text,
    safe,
    texts_of,
)
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DriftKind = Literal["checks", "features", "clusters"]

_QUIET, _ALARM = COLORS[0], COLORS[3]
_LONGEST_RATIO = 5.0
"""Times its threshold up to which a figure is drawn to scale."""

_VERDICTS = {"drift": "Drift", "no drift": "No drift", "unknown": "Too few rows to judge drift"}


def drift(
    of: Any,
    *,
    kind: DriftKind = "checks",
    model: Any = None,
    most_features: int = MOST_FEATURES,
    most_clusters: int = MOST_CLUSTERS,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw what has drifted, and by how much. Makes no pass.

    What drifts is drawn in vermilion, with a cross.

    Parameters
    ----------
    of
        What `dkmeans.drift` has found, or the chart data, `DriftFigures`.
    kind
        - "checks": the worst figure of each metric, over its threshold.
        - "features": the population stability index of features.
        - "clusters": the share of rows of clusters, then and now.
    model
        Whose names and colors clusters have.
    most_features, most_clusters
        Most of them to show: those that differ the most.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or a parameter cannot be.
    """
    if kind not in _KINDS:
        raise ArgumentError(f"kind={kind!r} should be 'checks', 'features' or 'clusters'.")
    if isinstance(of, DriftFigures):
        chart = of
    elif isinstance(of, Drift):
        chart = DriftFigures.of(
            of, model=model, most_features=most_features, most_clusters=most_clusters
        )
    else:
        raise ArgumentError(f"drift got a {type(of).__name__}; pass what dkmeans.drift has found.")
    counts = {
        "checks": len(chart.checks),
        "features": len(chart.features),
        "clusters": len(chart.clusters),
    }
    ax, inks = axes_for(ax, 7.0, 1.8 + 0.3 * max(3, counts[kind]))
    title, notes = _KINDS[kind](ax, inks, chart)
    rows = f"{count(chart.n_rows)} rows against {count(chart.base_rows)} of the baseline"
    finish(ax, inks, title, (rows, *notes))
    return ax


def _draw_checks(ax: "Axes", inks: Inks, chart: DriftFigures) -> tuple[str, tuple[str, ...]]:
    plain_axes(ax, inks, x="Figure over its threshold", grid="x")
    longest = 1.2
    for place, one in enumerate(chart.checks):
        ratio = min(one.ratio, _LONGEST_RATIO)
        longest = max(longest, ratio)
        _lollipop(ax, inks, place, ratio, drifts=one.drifts)
        beyond = "≫ " if one.ratio > _LONGEST_RATIO else ""
        _say(ax, inks, place, ratio, f"{beyond}{number(one.value)}, {safe(one.subject)}")
    _threshold(ax, inks, 1.0)
    rows_of_text(ax, inks, np.arange(len(chart.checks)), [one.title for one in chart.checks])
    _frame(ax, len(chart.checks), longest)
    n = sum(one.drifts for one in chart.checks)
    said = "the worst of each metric, where it is" if chart.checks else "nothing was checked"
    how = f": {n} of {len(chart.checks)} figures" if n else ""
    return f"{_VERDICTS[chart.verdict]}{how}", (said,)


def _draw_features(ax: "Axes", inks: Inks, chart: DriftFigures) -> tuple[str, tuple[str, ...]]:
    plain_axes(ax, inks, x="Population stability index (0 if nothing changed)", grid="x")
    for place, (psi, drifts) in enumerate(zip(chart.psi.tolist(), chart.psi_drifts)):
        _lollipop(ax, inks, place, psi, drifts=bool(drifts))
        _say(ax, inks, place, psi, number(psi))
    _threshold(ax, inks, chart.psi_threshold)
    names = [safe(name) for name in chart.features]
    rows_of_text(ax, inks, np.arange(len(names)), names)
    _frame(ax, len(names), max(float(chart.psi.max(initial=0.0)), chart.psi_threshold * 1.2))
    n = int(chart.psi_drifts.sum())
    title = f"{n:,} features drift" if n != 1 else "1 feature drifts"
    return (title if n else "No feature drifts"), chart.feature_notes


def _draw_clusters(ax: "Axes", inks: Inks, chart: DriftFigures) -> tuple[str, tuple[str, ...]]:
    plain_axes(ax, inks, x="Share of the rows", grid="x")
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    places = np.arange(len(chart.clusters))
    ax.hlines(places, chart.base_shares, chart.shares, color=inks.muted, lw=1.8, zorder=2)
    colors = [one.color for one in chart.clusters]
    ax.scatter(
        chart.base_shares,
        places,
        s=52,
        facecolors=inks.ground,
        edgecolors=colors,
        linewidths=1.8,
        zorder=3,
        clip_on=False,
    )
    ax.scatter(chart.shares, places, s=62, c=colors, ec=inks.text, lw=0.8, zorder=4, clip_on=False)
    rows_of_text(ax, inks, places, texts_of(chart.clusters))
    ax.set_ylabel("Cluster", color=inks.text)
    _frame(ax, len(places), float(max(chart.base_shares.max(), chart.shares.max())))
    legend = ("hollow: the baseline; filled: now", *chart.cluster_notes)
    return "Shares of clusters, then and now", legend


_KINDS = {"checks": _draw_checks, "features": _draw_features, "clusters": _draw_clusters}


def _lollipop(ax: "Axes", inks: Inks, place: int, length: float, *, drifts: bool) -> None:
    color = _ALARM if drifts else _QUIET
    ax.plot([0, length], [place, place], color=color, lw=2.2, zorder=2)
    ax.plot(
        length,
        place,
        "X" if drifts else "o",
        color=color,
        ms=10 if drifts else 8,
        mec=inks.ground,
        zorder=3,
    )


def _say(ax: "Axes", inks: Inks, place: int, length: float, text: str) -> None:
    ax.annotate(
        text,
        (length, place),
        (8, 0),
        textcoords="offset points",
        va="center",
        color=inks.text,
        fontsize=font_size(0.85),
        bbox={"boxstyle": "square,pad=0.1", "fc": inks.ground, "ec": "none"},
        zorder=4,
    )


def _threshold(ax: "Axes", inks: Inks, at: float) -> None:
    ax.axvline(at, color=inks.text, ls="--", lw=1.2, zorder=1, label="threshold")
    ax.legend(
        loc="lower right",
        frameon=True,
        facecolor=inks.ground,
        edgecolor="none",
        labelcolor=inks.text,
        framealpha=0.9,
    )


def _frame(ax: "Axes", n: int, longest: float) -> None:
    """Give each line its place, and texts at the ends room."""
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xlim(0, longest * 1.05 or 1.0)
    if ax.texts:
        ax.set_xlim(0, end_for_texts(ax, longest))
