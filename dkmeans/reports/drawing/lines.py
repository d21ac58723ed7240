"""Curves: how a fit converged, and figures by number of clusters."""

from typing import Any

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.convergence import Convergence
from dkmeans.evaluation.charts.elbow import Curve, Elbow
from dkmeans.evaluation.shown import brief, decimals
from dkmeans.plots.drawing import number
from dkmeans.reports.drawing.elements import line, path, picture, tag, text, width_of
from dkmeans.reports.drawing.frames import columns_axis, room_for, rows_axis
from dkmeans.reports.drawing.scales import Scale, rounded_out, thinned, ticks

_TOP, _BELOW = 24.0, 44.0
_MOST_POINTS = 60
_KINDS = ("s1", "s2", "s3", "s4")


def convergence(chart: Convergence, width: float) -> Markup:
    """Draw the inertia of the centers that entered each pass."""
    known = ~np.isnan(chart.inertia)
    x, y = chart.passes[known], chart.inertia[known]
    if not len(x):
        return Markup("")
    low, high = float(y.min()), float(y.max())
    # what differs by rounding alone is flat
    room = max(0.05 * (high - low), 0.002 * abs(high)) or 1.0
    values = ticks(low - room, high + room, 5)
    left, right = room_for(values), width - 12
    top, bottom = _TOP, 240 - _BELOW
    up = Scale(low - room, high + room, bottom, top)
    across = Scale(0.5, float(chart.passes[-1]) + 0.5, left, right)
    first = int(x[0]) - 1
    parts = []
    if first > 0:
        parts.append(
            tag(
                "rect",
                x=left,
                y=top,
                width=across(first + 0.5) - left,
                height=bottom - top,
                class_="band",
            )
        )
    parts.append(rows_axis(up, values, left, right))
    numbers = [one for one in ticks(1, float(chart.passes[-1]), 8) if float(one).is_integer()]
    parts.append(columns_axis(across, thinned(numbers, across, 34), top, bottom, grid=False))
    parts.append(_below("Passes over the rows", left, right, bottom))
    parts.append(text(left, 12, "Inertia", class_="axis"))
    points = [(across(a), up(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    parts.append(tag("path", d=path(points), class_="curve s1"))
    if len(points) <= _MOST_POINTS:
        kinds = [kind for kind, is_known in zip(chart.kinds, known.tolist()) if is_known]
        for (px, py), value, kind, is_estimate in zip(
            points, y.tolist(), kinds, chart.is_estimate[known].tolist()
        ):
            said = f"{kind}: inertia {number(value)}{', of the coreset' if is_estimate else ''}"
            parts.append(_point(px, py, "s1 hollow" if is_estimate else "s1", said))
    title = f"Inertia by pass: {chart.outcome}"
    return picture(parts, width, 240, title, f"From {number(y[0])} to {number(chart.final)}.")


def inertia_by_k(chart: Elbow, width: float) -> Markup:
    """Draw the inertia by number of clusters."""
    title = "Inertia by number of clusters"
    return _by_k(chart, (chart.inertia,), width, title, "Inertia", from_zero=True)


def silhouettes_by_k(chart: Elbow, width: float) -> Markup:
    """Draw silhouettes of all kinds by number of clusters."""
    return _by_k(
        chart, chart.silhouettes, width, "Silhouettes by number of clusters", "Mean silhouette"
    )


def _by_k(
    chart: Elbow,
    curves: tuple[Curve, ...],
    width: float,
    title: str,
    unit: str,
    *,
    from_zero: bool = False,
) -> Markup:
    told = [curve for curve in curves if len(curve.counts)]
    if not told:
        return Markup("")
    everything = np.concatenate([curve.values for curve in told])
    low = 0.0 if from_zero else float(everything.min())
    ends = rounded_out(low, float(everything.max()), 5)
    values = ticks(*ends, 5)
    left, right = room_for(values), width - 14
    legend = [(curve.text, _KINDS[i % 4]) for i, curve in enumerate(told)] if len(told) > 1 else []
    height = 240.0 + 18 * len(legend)
    top, bottom = _TOP + 16 * bool(chart.marks), height - _BELOW - 18 * len(legend)
    up = Scale(*ends, bottom, top)
    counts = chart.inertia.counts
    across = Scale(float(counts[0]), float(counts[-1]), left + 8, right - 4, chart.is_wide)
    parts: list[Any] = [rows_axis(up, values, left, right)]
    parts.append(
        columns_axis(across, thinned(counts.tolist(), across, 26), top, bottom, grid=False)
    )
    parts.append(_below("Number of clusters", left, right, bottom))
    parts.append(text(left, 12, unit, class_="axis"))
    for k, word in chart.marks:
        at = across(k)
        parts.append(line(at, top, at, bottom, "mark"))
        half = width_of(word) / 2
        parts.append(
            text(
                min(max(at, left + half), right - half),
                top - 6,
                word,
                class_="tick",
                text_anchor="middle",
            )
        )
    for i, curve in enumerate(told):
        kind = _KINDS[i % 4]
        points = [
            (across(k), up(value))
            for k, value in zip(curve.counts.tolist(), curve.values.tolist(), strict=True)
        ]
        parts.append(tag("path", d=path(points), class_=f"curve {kind}"))
        if len(points) <= _MOST_POINTS:
            for (x, y), k, value in zip(points, curve.counts.tolist(), curve.values.tolist()):
                shown = brief(value) if from_zero else decimals(value, 3)
                parts.append(_point(x, y, kind, f"k={k}: {curve.text} {shown}"))
    for i, (said, kind) in enumerate(legend):
        y = bottom + _BELOW + 18 * i + 6
        parts.append(tag("path", d=path([(left, y), (left + 18, y)]), class_=f"curve {kind}"))
        parts.append(text(left + 26, y + 4, said, class_="tick"))
    return picture(parts, width, height, title, chart.reason)


def _below(said: str, left: float, right: float, bottom: float) -> Markup:
    return text((left + right) / 2, bottom + 36, said, class_="axis", text_anchor="middle")


def _point(x: float, y: float, kind: str, said: str) -> Markup:
    return tag("circle", cx=x, cy=y, r=4, class_=f"dot {kind}", data_tip=said)
