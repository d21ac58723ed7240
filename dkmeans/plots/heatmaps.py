"""Centers as a heatmap of z-scores."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.charts.centers import Centers
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS
from dkmeans.evaluation.charts.features import MOST_FEATURES
from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import (
    MINUS,
    axes_for,
    check_matplotlib,
    figure_of,
    font_size,
    ink_on,
    safe,
    texts_of,
    tick,
)
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST, _MOST = 1.0, 3.0
"""Standard deviations that the scale of colors spans, to either side."""


def centers_heatmap(
    of: Any,
    *,
    model: Any = None,
    features: Any = None,
    clusters: Any = None,
    most_features: int = MOST_FEATURES,
    most_clusters: int = MOST_CLUSTERS,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how far each center is from the mean of all rows, feature by feature. Makes no pass.

    Red is above the mean, blue below; the number in a cell is in standard deviations. Features
    that set clusters apart the most stand on top.

    Parameters
    ----------
    of
        A `Profile`; a `Model` or a fitted estimator; or the chart data, `Centers`.
    model, features, clusters, most_features, most_clusters
        See `Centers.of`.
    ax
        Where to draw; None for a new figure. The scale of colors takes some of its room.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or there is no such feature or cluster.

    Examples
    --------
    >>> from dkmeans import KMeans, plots
    >>> X = [[0.0, 5.0], [1.0, 5.5], [9.0, 5.0]]
    >>> ax = plots.centers_heatmap(KMeans(2, random_state=0, scale="standard").fit(X))
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['x0', 'x1']
    """
    chart = (
        of
        if isinstance(of, Centers)
        else Centers.of(
            of,
            model=model,
            features=features,
            clusters=clusters,
            most_features=most_features,
            most_clusters=most_clusters,
        )
    )
    check_matplotlib()
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    n_columns, n_rows = len(chart.clusters), len(chart.features)
    names = [safe(name) for name in chart.features]
    texts = texts_of(chart.clusters)
    has_names = any(one.name for one in chart.clusters)
    width = 2.4 + 0.09 * max(map(len, names)) + 0.42 * max(n_columns, 6)
    height = 1.5 + 0.27 * max(n_rows, 3) + (0.08 * max(map(len, texts)) if has_names else 0)
    ax, inks = axes_for(ax, max(5.6, width), max(3.0, height))
    known = np.abs(chart.z[~np.isnan(chart.z)])
    span = float(np.clip(known.max(initial=0.0), _LEAST, _MOST))
    colors = colormaps["RdBu_r"].with_extremes(bad=inks.faint)
    cells = ax.pcolormesh(
        np.ma.masked_invalid(chart.z.T),
        cmap=colors,
        vmin=-span,
        vmax=span,
        edgecolors=inks.ground,
        linewidth=1,
    )
    ax.invert_yaxis()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xticks(
        np.arange(n_columns) + 0.5,
        labels=texts,
        color=inks.text,
        rotation=90 if has_names else 0,
    )
    ax.set_yticks(np.arange(n_rows) + 0.5, labels=names, color=inks.text)
    ax.set_xlabel("Cluster", color=inks.text)
    _add_scale(ax, cells, inks, chart.unit, beyond=bool((known > span).any()))
    said = () if len(chart.features) < 2 else ("what sets them apart the most stands on top",)
    finish(ax, inks, f"What sets {chart.n_clusters:,} clusters apart", chart.notes or said)
    shades = [[to_hex(colors(0.5 + z / span / 2)) for z in row] for row in np.nan_to_num(chart.z)]
    _write_numbers(ax, chart.z, shades)
    return ax


def _add_scale(ax: "Axes", cells: Any, inks: Any, unit: str, *, beyond: bool) -> None:
    """Tell what colors mean."""
    figure = ax.get_figure(root=False) or figure_of(ax)
    scale = figure.colorbar(
        cells, ax=ax, shrink=0.7, aspect=24, pad=0.03, extend="both" if beyond else "neither"
    )
    scale.outline.set_visible(False)
    scale.ax.tick_params(length=0, colors=inks.text, labelsize=font_size(0.85))
    scale.ax.yaxis.set_major_formatter(lambda value, _: tick(value))
    scale.ax.set_yticks([one for one in scale.get_ticks() if abs(one) <= cells.norm.vmax])
    what, whose = unit.split(" of ")
    scale.set_label(f"{what.capitalize()}\nof {whose} from the mean", color=inks.text)


def _write_numbers(ax: "Axes", z: Array, shades: list[list[str]]) -> None:
    """Write the numbers into the cells; they are drawn as long as all of them fit."""
    from dkmeans.plots.axes import CellText

    texts = []
    for i, j in np.argwhere(~np.isnan(z)):
        digits = 1 if abs(z[i, j]) < 9.95 else 0
        said = f"{z[i, j]:+.{digits}f}".replace("-", MINUS)
        text = CellText(
            i + 0.5,
            j + 0.5,
            "0" if said in ("+0.0", f"{MINUS}0.0") else said,
            ha="center",
            va="center",
            fontsize=font_size(0.72),
            color=ink_on(shades[i][j]),
        )
        texts.append(text)
        ax.add_artist(text)
        # cells have the same room whatever is written in them
        text.set_in_layout(False)
    if texts:
        longest = max(texts, key=lambda text: len(text.get_text()))
        for text in texts:
            text.longest = longest
