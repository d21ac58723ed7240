"""Silhouettes of sampled rows, cluster by cluster."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS
from dkmeans.evaluation.charts.palette import COLORS
from dkmeans.evaluation.charts.sampled import SILHOUETTE_ROWS, SampledRows, sampled_rows
from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import (
    MINUS,
    axes_for,
    check_matplotlib,
    count,
    font_size,
    plain_axes,
    rows_of_text,
    texts_of,
)
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_HEIGHT = 0.035
"""Share of the height that the smallest cluster has, so that it can be read."""

_GAP = 0.012


def silhouette(
    of: Any,
    X: Any = None,
    *,
    sample_weight: Any = None,
    sample_size: int = SILHOUETTE_ROWS,
    random_state: int = 0,
    most_clusters: int = MOST_CLUSTERS,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the silhouettes of rows, those of each cluster sorted, in one pass over X.

    A row near 1 is much nearer to its own cluster than to the next; below 0 it is nearer to
    another. The height of a cluster is its share of the rows; small ones are enlarged to be seen.
    One more pass counts rows of unknown number (Dask DataFrames).

    Parameters
    ----------
    of
        A `Model` or a fitted estimator; or the chart data, `Silhouettes`, or what it is made of,
        `SampledRows`: then without X, and no pass is made.
    X, sample_weight, random_state
        See `sampled_rows`.
    sample_size
        Rows to draw: with more rows, silhouettes are estimated from the sample.
    most_clusters
        Clusters to show.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, a parameter cannot be, or rows are of one cluster.
    FeaturesMismatch
        If X has other features than the model.
    """
    check_matplotlib()
    if isinstance(of, (Silhouettes, SampledRows)):
        found = of
    elif X is None:
        raise ArgumentError("X=None leaves nothing to measure; pass the rows.")
    else:
        found = sampled_rows(
            of,
            X,
            sample_weight=sample_weight,
            map_size=0,
            silhouette_size=sample_size,
            random_state=random_state,
        )
    if isinstance(found, Silhouettes):
        chart = found
    else:
        chart = Silhouettes.of(found, most_clusters=most_clusters)
    n = len(chart.clusters)
    ax, inks = axes_for(ax, 6.4, 2.0 + 0.3 * max(n, 4))
    plain_axes(ax, inks, x="Silhouette", y="Cluster", grid="x")
    tops, heights = _bands(chart.weights)
    for one, values, shares, top, height in zip(
        chart.clusters, chart.values, chart.shares, tops, heights
    ):
        edges = top + height * np.concatenate([[0.0], np.cumsum(shares)])
        ax.fill_betweenx(
            edges,
            np.append(values, values[-1:] if len(values) else 0.0),
            step="post",
            color=one.color,
            lw=0,
            zorder=2,
        )
    middles = tops + heights / 2
    rows_of_text(ax, inks, middles, texts_of(chart.clusters))
    ax.set_ylim(1 + _GAP, -_GAP)
    lowest = min([0.0, *(float(values.min()) for values in chart.values if len(values))])
    ax.set_xlim(min(-0.05, lowest * 1.05), 1.14)
    ax.set_xticks([one for one in (-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1) if one >= lowest])
    ax.axvline(0, color=inks.muted, lw=0.8, zorder=3)
    ax.axvline(chart.mean, color=COLORS[3], ls="--", lw=1.5, zorder=4)
    for middle, mean in zip(middles, chart.means):
        if not np.isnan(mean):
            ax.text(
                1.14,
                middle,
                f"{mean:.2f}".replace("-", MINUS),
                ha="right",
                va="center",
                color=inks.text,
                fontsize=font_size(0.9),
                zorder=5,
            )
    finish(ax, inks, f"Silhouettes: {chart.mean:.2f} on average", _said(chart))
    return ax


def _bands(weights: Array) -> tuple[Array, Array]:
    """Where each cluster begins and how high it is, from 0 to 1 in all, with gaps between."""
    n = len(weights)
    least = min(_LEAST_HEIGHT, 0.8 / n)
    heights = np.maximum(weights / (weights.sum() or 1.0), least)
    heights *= (1 - _GAP * (n - 1)) / heights.sum()
    tops = np.concatenate([[0.0], np.cumsum(heights + _GAP)[:-1]])
    return tops, heights


def _said(chart: Silhouettes) -> tuple[str, ...]:
    rows = f"{count(chart.n_rows)} rows"
    if not chart.is_all:
        digits = 2 if f"{chart.low:.2f}" != f"{chart.high:.2f}" else 4
        rows = (
            f"{chart.n_sampled:,} of {rows}: the mean of all is between {chart.low:.{digits}f} and "
            f"{chart.high:.{digits}f} with 95 % confidence"
        ).replace("-", MINUS)
    return (rows, "means: of all dashed, of each cluster at the right", *chart.notes)
