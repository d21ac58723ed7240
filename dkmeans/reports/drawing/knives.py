"""Silhouettes of sampled rows, cluster below cluster."""

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.silhouettes import Silhouettes
from dkmeans.evaluation.shown import decimals, share
from dkmeans.kernels.block import Array
from dkmeans.reports.drawing.elements import fitted, line, path, picture, tag, text, width_of
from dkmeans.reports.drawing.frames import columns_axis
from dkmeans.reports.drawing.scales import Scale, ticks

_LEAST, _GAP = 17.0, 5.0
_MOST_POINTS = 48


def silhouettes(chart: Silhouettes, width: float) -> Markup:
    """Draw the silhouettes of each cluster, descending; its height grows with its rows."""
    k = len(chart.clusters)
    total = float(chart.weights.sum()) or 1.0
    extra = max(160.0, 12.0 * k)
    heights = [_LEAST + extra * float(one) / total for one in chart.weights]
    room = min(max((width_of(one.text) for one in chart.clusters), default=0.0), 0.32 * width)
    left, right = room + 12, width - 46
    told = [values for values in chart.values if len(values)]
    low = min([0.0, *(float(values[-1]) for values in told)])
    across = Scale(max(-1.0, np.floor(low * 5) / 5), 1.0, left, right)
    top = 20.0
    bottom = top + sum(heights) + _GAP * k
    values = ticks(across.low, 1.0, 9 if width > 500 else 5)
    parts = [
        columns_axis(across, values, top, bottom),
        line(across(0), top, across(0), bottom, "zero"),
    ]
    y = top + _GAP / 2
    for i, one in enumerate(chart.clusters):
        mean = float(chart.means[i])
        said = (
            f"{one.text}: mean silhouette {decimals(mean, 2)}, "
            f"{share(float(chart.negative[i]), 1.0)} of its rows negative"
        )
        middle = y + heights[i] / 2
        mine = [text(left - 8, middle + 4, fitted(one.text, room), class_="tick",
                     text_anchor="end")]  # fmt: skip
        if len(chart.values[i]):
            d = _knife(chart.values[i], chart.shares[i], across, y, heights[i])
            mine.append(tag("path", d=d, class_=f"fill c{one.label}", data_tip=said))
        mine.append(text(right + 8, middle + 4, decimals(mean, 2), class_="tick"))
        parts.append(tag("g", *mine, data_c=one.label))
        y += heights[i] + _GAP
    at = across(chart.mean)
    parts.append(line(at, top, at, bottom, "mark"))
    said = f"mean {decimals(chart.mean, 2)}"
    parts.append(text(at, top - 7, said, class_="tick", text_anchor="middle"))
    parts.append(text(width, top - 7, "mean", class_="axis", text_anchor="end"))
    middle = (left + right) / 2
    parts.append(text(middle, bottom + 36, "Silhouette", class_="axis", text_anchor="middle"))
    title = f"Silhouettes of {chart.n_sampled:,} rows, by cluster"
    return picture(parts, width, bottom + 44, title, f"Their mean is {decimals(chart.mean, 3)}.")


def _knife(values: Array, shares: Array, across: Scale, top: float, height: float) -> str:
    """The outline of silhouettes, descending, each as high as its share of the rows."""
    ends = np.concatenate([[0.0], np.cumsum(shares)])
    middles = np.clip((ends[:-1] + ends[1:]) / 2, 0, 1)
    if len(values) > _MOST_POINTS:
        wanted = np.linspace(0, 1, _MOST_POINTS)
        values = np.interp(wanted, middles, values)
        middles = wanted
    zero = across(0)
    outline = [(zero, top), (across(values[0]), top)]
    outline += [(across(v), top + height * m) for v, m in zip(values.tolist(), middles.tolist())]
    outline += [(across(values[-1]), top + height), (zero, top + height)]
    return path(outline) + "Z"
