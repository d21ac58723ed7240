"""Where the rows of the clusters of one model are in the other: ribbons from left to right."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.clusters import ChartCluster
from dkmeans.evaluation.charts.flow import Flow
from dkmeans.evaluation.shown import share
from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import count
from dkmeans.reports.drawing.elements import fitted, picture, tag, text, width_of

_LEAST, _GAP, _BAR = 14.0, 6.0, 12.0
_LEAST_SHARE = 0.002
"""Ribbons of a smaller share of all rows are not drawn."""


def flow(chart: Flow, width: float, heirs: Mapping[int, int]) -> Markup:
    """Draw the flow.

    `heirs` tells which new label continues an old one, whose color it gets; others are gray.
    """
    weight = chart.weight
    total = float(weight.sum()) or 1.0
    heir = [heirs.get(one.label) for one in chart.old]
    before = _sides(chart.old, heir, chart.n_other_old, weight.sum(axis=1))
    own = [one.label for one in chart.new]
    after = _sides(chart.new, own, chart.n_other_new, weight.sum(axis=0))
    names = [[one[0] for one in side] for side in (before, after)]
    room = [min(max(map(width_of, side), default=0.0), 0.26 * width) for side in names]
    tall = max(240.0, 17.0 * max(len(before), len(after)))
    tops, heights = zip(*(_stacked(side, total, tall) for side in (before, after)), strict=True)
    left, right = room[0] + 10, width - room[1] - 10
    parts = [
        text(left, 12, "before", class_="axis", text_anchor="start"),
        text(right, 12, "after", class_="axis", text_anchor="end"),
    ]
    scales = [
        np.divide(heights[s], [max(one[1], 1e-300) for one in side])
        for s, side in enumerate((before, after))
    ]
    at_old, at_new = tops[0].copy(), tops[1].copy()
    for i in range(len(before)):
        for j in range(len(after)):
            one = float(weight[i, j])
            y, z = float(at_old[i]), float(at_new[j])
            at_old[i] += one * scales[0][i]
            at_new[j] += one * scales[1][j]
            if one < _LEAST_SHARE * total:
                continue
            a, b = one * scales[0][i], one * scales[1][j]
            said = f"{names[0][i]} → {names[1][j]}: {count(one)} {chart.unit}, "
            said += f"{share(one, before[i][1])} of the one before"
            kind = after[j][2]
            parts.append(
                tag("path", d=_ribbon(left + _BAR, right - _BAR, y, z, a, b),
                    class_=f"ribbon {kind}", data_tip=said, data_c=after[j][3])
            )  # fmt: skip
    for s, side in enumerate((before, after)):
        for i, (said, _, kind, label) in enumerate(side):
            y, tall = float(tops[s][i]), float(heights[s][i])
            x = left if s == 0 else right - _BAR
            parts.append(
                tag("rect", x=x, y=y, width=_BAR, height=tall, rx=2,
                    class_=f"fill {kind}", data_c=label if s else None,
                    data_tip=f"{said}: {count(side[i][1])} {chart.unit}")
            )  # fmt: skip
            place = (left - 6) if s == 0 else (right + 6)
            parts.append(
                text(place, y + tall / 2 + 4, fitted(said, room[s]), class_="tick",
                     text_anchor="end" if s == 0 else None)
            )  # fmt: skip
    height = max(float((tops[s] + heights[s]).max()) for s in range(2)) + 6
    return picture(parts, width, height, "Rows from the clusters before to those after")


def _sides(
    clusters: Sequence[ChartCluster],
    labels: Sequence[int | None],
    n_others: int,
    weights: Array,
) -> list[tuple[str, float, str, int | None]]:
    """Text, weight, class and label of each cluster on a side, others together last."""
    out: list[tuple[str, float, str, int | None]] = [
        (one.text, weight, "rest" if label is None else f"c{label}", label)
        for one, label, weight in zip(clusters, labels, weights.tolist())
    ]
    if n_others:
        out.append((f"{n_others:,} others", float(weights[-1]), "rest", None))
    return out


def _stacked(
    side: list[tuple[str, float, str, int | None]], total: float, tall: float
) -> tuple[Array, Array]:
    """Tops and heights of blocks: by weight, but each with room for its text."""
    heights = np.array([max(_LEAST, tall * one[1] / total) for one in side])
    tops = 20 + np.concatenate([[0.0], np.cumsum(heights[:-1] + _GAP)])
    return tops, heights


def _ribbon(x: float, stop: float, y: float, z: float, a: float, b: float) -> str:
    half = (x + stop) / 2
    return (
        f"M{x:.1f} {y:.1f}C{half:.1f} {y:.1f} {half:.1f} {z:.1f} {stop:.1f} {z:.1f}"
        f"V{z + b:.1f}C{half:.1f} {z + b:.1f} {half:.1f} {y + a:.1f} {x:.1f} {y + a:.1f}Z"
    )
