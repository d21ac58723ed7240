"""The charts of a report, each with its sentence and its numbers as a table."""

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.clusters import ChartCluster
from dkmeans.evaluation.charts.convergence import Convergence
from dkmeans.evaluation.charts.drift import DriftFigures
from dkmeans.evaluation.charts.elbow import Elbow
from dkmeans.evaluation.charts.flow import Flow
from dkmeans.evaluation.charts.map2d import Map2D
from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.evaluation.charts.sizes import Sizes
from dkmeans.evaluation.shown import brief, decimals, percent, share
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.plots.drawing import count
from dkmeans.reports.drawing import bars, flows, knives, lines, maps
from dkmeans.reports.parts import Cell, Figure, Table, figure_cell, table_of

WIDE, HALF, NARROW = 900.0, 436.0, 330.0
"""Pixels of charts: over the page, of two side by side, on phones."""


def _drawn(draw: Callable[[float], Markup], wide: float = WIDE) -> tuple[Markup, Markup]:
    return draw(wide), draw(NARROW)


def chip(one: ChartCluster) -> Cell:
    """Return a cell that names a cluster."""
    return Cell(one.text, one.cluster_id, one.label)


def sizes(chart: Sizes) -> Figure:
    """Rows of each cluster."""
    rows = [
        (chip(one), figure_cell(weight, count(weight)), figure_cell(part, share(part, 1.0)))
        for one, weight, part in zip(chart.clusters, chart.weights.tolist(), chart.shares.tolist())
    ]
    table = table_of("Rows of each cluster", ("Cluster", "Rows", "Share"), rows)
    drawn = _drawn(lambda width: bars.sizes(chart, width))
    return Figure("sizes", "How large clusters are", "", *drawn, chart.notes, table)


def convergence(chart: Convergence) -> Figure | None:
    """The inertia by pass."""
    if not (~np.isnan(chart.inertia)).any():
        return None
    rows = [
        (str(n), kind, figure_cell(inertia), figure_cell(seconds, decimals(seconds, 2)))
        for n, kind, inertia, seconds in zip(
            chart.passes.tolist(), chart.kinds, chart.inertia.tolist(), chart.seconds.tolist()
        )
    ]
    columns = ("Pass", "What it was for", "Inertia", "Seconds")
    table = table_of("The passes of the fit", columns, rows, n_texts=2)
    notes = []
    known = ~np.isnan(chart.inertia)
    if int(chart.passes[known][0]) > 1:
        notes.append("shaded: passes that scale rows and find first centers")
    if (known & chart.is_estimate).any():
        notes.append("hollow: estimated by a sample that stands for all rows")
    said = (
        f"The fit {chart.outcome}; it made {chart.n_passes:,} "
        f"pass{'es' if chart.n_passes != 1 else ''} over its rows. "
        "The curve should be flat at its end."
    )
    drawn = _drawn(lambda width: lines.convergence(chart, width), HALF)
    return Figure("convergence", "How the fit converged", said, *drawn, tuple(notes), table)


def of_sweep(sweep: Sweep, n_clusters: int) -> list[Figure]:
    """Inertia and silhouettes by number of clusters."""
    chart = Elbow.of(sweep)
    curves = (chart.inertia, *chart.silhouettes)
    rows = [
        (
            str(one.n_clusters),
            *(figure_cell(getattr(one, curve.name)) for curve in curves),
        )
        for one in sweep.scores
    ]
    columns = ("k", *(curve.text for curve in curves))
    table = table_of("Figures by number of clusters", columns, rows)
    advice = (
        f"Recommended: {chart.reason}"
        if chart.recommended is not None
        else f"No number is recommended: {chart.reason}"
    )
    mine = "" if chart.recommended in (None, n_clusters) else f" This model has {n_clusters:,}."
    elbow = (
        "It falls with every cluster more; where it stops to fall steeply, more clusters bring "
        "little."
    )
    inertia = _drawn(lambda width: lines.inertia_by_k(chart, width), HALF)
    found = [Figure("elbow", "Inertia by number of clusters", elbow, *inertia, (), table)]
    if chart.silhouettes:
        drawn = _drawn(lambda width: lines.silhouettes_by_k(chart, width), HALF)
        title = "Silhouettes by number of clusters"
        found.append(Figure("silhouettes-by-k", title, f"{advice}{mine}", *drawn))
    return found


def silhouettes(chart: Silhouettes) -> Figure:
    """The silhouettes of sampled rows."""
    rows = [
        (chip(one), mean, figure_cell(negative, share(negative, 1.0)), figure_cell(weight))
        for one, mean, negative, weight in zip(
            chart.clusters, chart.means.tolist(), chart.negative.tolist(), chart.weights.tolist()
        )
    ]
    columns = ("Cluster", "Mean silhouette", "Negative", "Rows")
    table = table_of("Silhouettes of clusters", columns, rows)
    said = (
        "Each row of the sample is a line as long as its silhouette. Broad shapes that reach far "
        "to the right are clusters that hang together; rows left of 0 are nearer to another one."
    )
    notes = chart.notes
    if not chart.is_all:
        notes = (f"{chart.n_sampled:,} rows of {chart.n_rows:,}, more of small clusters", *notes)
    drawn = _drawn(lambda width: knives.silhouettes(chart, width))
    return Figure("silhouettes", "How well rows fit their clusters", said, *drawn, notes, table)


def map2d(chart: Map2D, *, rows_shown: bool) -> Figure:
    """The map."""
    frame = maps.framed(chart, WIDE)
    notes = [f"{chart.n_sampled:,} rows{'' if chart.is_all else f' of {chart.n_rows:,}'}"]
    if frame.n_beyond:
        notes.append(f"{frame.n_beyond:,} rows lie beyond the frame, and are drawn on its edge")
    if not rows_shown:
        notes.append("dots do not tell which rows they are")
    explained = percent(float(chart.explained.sum()))
    said = (
        f"The two directions in which rows vary the most hold {explained} of the variance: what "
        "lies apart here is apart; what lies together may be apart in others."
    )
    rows = [(chip(one), *place) for one, place in zip(chart.clusters, chart.centers.tolist())]
    table = table_of("Centers on the map", ("Cluster", "Across", "Up"), rows)
    wide, narrow = maps.map2d(chart, WIDE), maps.map2d(chart, NARROW, radius=1.4)
    return Figure("map", "Rows and centers on a map", said, wide, narrow,
                  (*notes, *chart.notes), table)  # fmt: skip


def drifted(chart: DriftFigures) -> list[Figure]:
    """What has drifted: features, and shares of clusters."""
    rows = [
        (one, figure_cell(psi), figure_cell(was), figure_cell(now), "yes" if drifts else "no")
        for one, psi, was, now, drifts in zip(
            chart.features,
            chart.psi.tolist(),
            chart.base_mean.tolist(),
            chart.mean.tolist(),
            chart.psi_drifts.tolist(),
        )
    ]
    columns = ("Feature", "Stability index", "Mean before", "Mean now", "Drifts")
    features = Figure(
        "psi",
        "Features that differ most from the baseline",
        f"The stability index is 0 for the same distribution; from {chart.psi_threshold:g} on, if "
        "more than chance, it is drift.",
        *_drawn(lambda width: bars.psi(chart, width)),
        chart.feature_notes,
        table_of("Features, then and now", columns, rows),
    )
    shares = [
        (chip(one), figure_cell(was, share(was, 1.0)), figure_cell(now, share(now, 1.0)))
        for one, was, now in zip(chart.clusters, chart.base_shares.tolist(), chart.shares.tolist())
    ]
    clusters = Figure(
        "shares",
        "Shares of clusters, before and now",
        "Gray: of the rows that the baseline was made of. Colored: of these rows.",
        *_drawn(lambda width: bars.shares(chart, width)),
        chart.cluster_notes,
        table_of("Shares of clusters", ("Cluster", "Before", "Now"), shares),
    )
    return [features, clusters]


def flow(chart: Flow, heirs: dict[int, int]) -> Figure:
    """Where the rows of clusters of the other model are now."""
    texts = [*(one.text for one in chart.old), f"{chart.n_other_old:,} others"]
    news = [*(one.text for one in chart.new), f"{chart.n_other_new:,} others"]
    rows = [
        (texts[i], news[j], figure_cell(float(chart.weight[i, j])),
         figure_cell(float(chart.weight[i, j] / chart.weight[i].sum()),
                     share(float(chart.weight[i, j]), float(chart.weight[i].sum()))))
        for i, j in np.argwhere(chart.weight > 0).tolist()
    ]  # fmt: skip
    columns = ("Before", "After", "Rows", "Of the one before")
    table = table_of("Rows that clusters have in common", columns, rows, n_texts=2)
    table = Table(table.caption, table.columns, table.rows[:400], table.numeric)
    drawn = _drawn(lambda width: flows.flow(chart, width, heirs))
    said = (
        "Left the clusters of the other model, right those of this one. A cluster before has the "
        "color of the one that continues it; gray ones are not continued."
    )
    churn = "" if chart.churn is None else f" {brief(100 * chart.churn)} % of the rows change "
    churn += "to a cluster that does not continue theirs." if churn else ""
    return Figure("flow", "From cluster to cluster", said + churn, *drawn, chart.notes, table)
