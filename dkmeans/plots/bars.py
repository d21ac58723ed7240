"""How many rows each cluster has, as bars."""

from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS
from dkmeans.evaluation.charts.palette import OTHERS
from dkmeans.evaluation.charts.sizes import Sizes
from dkmeans.evaluation.shown import share
from dkmeans.plots.drawing import axes_for, count, end_for_texts, plain_axes, rows_of_text, texts_of
from dkmeans.plots.heads import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sizes(
    of: Any, *, model: Any = None, most: int = MOST_CLUSTERS, ax: "Axes | None" = None
) -> "Axes":
    """Draw how many rows each cluster has, the largest on top. Makes no pass.

    Parameters
    ----------
    of
        A `Model` or a fitted estimator, for the rows of its fit; an `Evaluation` or a `Profile`,
        for the rows that it is of; or the chart data, `Sizes`.
    model
        Whose names and colors clusters have, where results know of none.
    most
        Clusters that have a bar each; all smaller ones share one.
    ax
        Where to draw; None for a new figure.

    Raises
    ------
    ArgumentError
        If matplotlib is not installed, or a parameter cannot be.

    Examples
    --------
    >>> from dkmeans import KMeans, plots
    >>> ax = plots.sizes(KMeans(2, random_state=0).fit([[0.0], [1.0], [9.0]]))
    >>> ax.get_title(loc="left")
    'Sizes of 2 clusters'
    """
    chart = of if isinstance(of, Sizes) else Sizes.of(of, model=model, most=most)
    weights, texts = chart.weights, texts_of(chart.clusters)
    colors = [one.color for one in chart.clusters]
    if chart.n_others:
        weights = np.append(weights, chart.others_weight)
        texts.append(f"{chart.n_others:,} more")
    n, n_shown = len(texts), len(chart.clusters)
    ax, inks = axes_for(ax, 6.4, 1.3 + 0.3 * n)
    places = np.arange(n)
    # all others together would dwarf what is compared here: their number is enough
    lengths = np.where(places < n_shown, weights, 0.0)
    bars = ax.barh(places, lengths, color=[*colors, OTHERS][:n], height=0.72)
    plain_axes(ax, inks)
    rows_of_text(ax, inks, places, texts)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_ylabel("Cluster", color=inks.text)
    # each bar says its number: an axis would say it again
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.bar_label(
        bars,
        [f"{count(one)} ({share(one, chart.total)})" for one in weights],
        padding=4,
        color=inks.text,
    )
    ax.set_xlim(0, end_for_texts(ax, float(lengths.max())))
    n_all = n_shown + chart.n_others
    finish(
        ax,
        inks,
        f"Sizes of {n_all:,} clusters" if n_all > 1 else "Size of the cluster",
        (f"{count(chart.total)} {'rows' if chart.unit == 'rows' else 'of weight'} in all",)
        + ((f"{chart.n_empty:,} empty",) if chart.n_empty else ())
        + chart.notes,
    )
    return ax
