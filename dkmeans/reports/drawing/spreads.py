"""A small histogram above a box: one feature in one cluster, before all rows."""

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.distributions import FeatureSpread
from dkmeans.kernels.block import Array
from dkmeans.reports.drawing.elements import line, path, picture, tag
from dkmeans.reports.drawing.scales import Scale

WIDTH, _TALL, _BOX = 220.0, 30.0, 12.0


def spread(one: FeatureSpread, i: int, everyone: Array, label: int) -> Markup:
    """Draw the values of a feature in a cluster.

    Parameters
    ----------
    one
        The feature.
    i
        Which of its clusters.
    everyone
        `(n_bins,)`: share of all rows in each bin.
    label
        Of the cluster, for its color.
    """
    edges, mine = one.edges, one.heights[i]
    if not len(edges) or not np.isfinite(one.boxes[i]).all():
        return Markup("")
    lefts, rights = _bins(edges, one.is_discrete)
    box = one.boxes[i].tolist()
    low, high = min(float(lefts[0]), box[0]), max(float(rights[-1]), box[-1])
    if one.is_discrete:
        low, high = float(lefts[0]), float(rights[-1])
    # the outer bins hold what lies beyond, too: of the same area, over all of it
    shrunk = np.ones(len(lefts))
    if low < lefts[0]:
        shrunk[0] = (rights[0] - lefts[0]) / (rights[0] - low)
    if high > rights[-1]:
        shrunk[-1] *= (rights[-1] - lefts[-1]) / (high - lefts[-1])
    lefts, rights = lefts.copy(), rights.copy()
    lefts[0], rights[-1] = low, high
    mine, everyone = mine * shrunk, everyone * shrunk
    across = Scale(low, high, 1.0, WIDTH - 1)
    most = max(float(np.nanmax(mine)), float(everyone.max()), 1e-12)
    up = Scale(0.0, most, _TALL, 1.0)
    parts = [
        tag("path", d=_steps(lefts, rights, everyone, across, up), class_="everyone"),
        tag("path", d=_steps(lefts, rights, mine, across, up), class_=f"fill c{label} soft"),
        line(1, _TALL, WIDTH - 1, _TALL, "grid"),
    ]
    five = [across.clipped(value) for value in box]
    middle = _TALL + 3 + _BOX / 2
    parts += [
        line(five[0], middle, five[4], middle, "whisker"),
        tag("rect", x=five[1], y=middle - 4, width=max(five[3] - five[1], 1.0), height=8,
            class_=f"fill c{label}", rx=1),
        line(five[2], middle - 5, five[2], middle + 5, "median"),
    ]  # fmt: skip
    title = f"How {one.feature} is spread"
    return picture(parts, WIDTH, _TALL + _BOX + 6, title, class_="spread", stretches=True)


def _bins(edges: Array, is_discrete: bool) -> tuple[Array, Array]:
    """Where bars begin and end."""
    if not is_discrete:
        return edges[:-1], edges[1:]
    half = 0.4 * float(np.diff(edges).min()) if len(edges) > 1 else 0.5
    # of values that are far apart bars would be too thin to be seen
    half = max(half, 0.006 * float(edges[-1] - edges[0]))
    return edges - half, edges + half


def _steps(lefts: Array, rights: Array, heights: Array, across: Scale, up: Scale) -> str:
    out = []
    zero = up(0)
    for a, b, height in zip(lefts.tolist(), rights.tolist(), np.nan_to_num(heights).tolist()):
        if height > 0:
            # so that what is there is seen
            x, stop, y = across.clipped(a), across.clipped(b), min(up(height), zero - 0.8)
            out.append(path([(x, zero), (x, y), (stop, y), (stop, zero)]) + "Z")
    return "".join(out)
