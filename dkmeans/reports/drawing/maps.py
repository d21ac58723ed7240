"""The map: sampled rows and centers on the two directions in which rows vary the most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.map2d import Map2D
from dkmeans.evaluation.shown import percent
from dkmeans.kernels.block import Array
from dkmeans.reports.drawing.elements import fitted, picture, tag, text, value_of, width_of

_BEYOND = 0.0025
"""Share of points on each side that may lie beyond the frame, if that makes it much smaller."""

_MUCH = 1.3
_TURNS, _RINGS, _STEP = 16, 14, 7.0
_LINE = 16.0
_LONGEST_NAME = 130.0


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the map lies: one scale for both axes, so that distances are what they look like."""

    center: Array
    """`(2,)`: the point in the middle."""

    scale: float
    """Pixels of a unit."""

    width: float
    height: float
    n_beyond: int
    """Points that lie beyond, and are drawn on its edge."""

    def __call__(self, points: Array) -> Array:
        """Return pixels of points `(n, 2)`, those beyond on the edge."""
        middle = np.array([self.width, self.height]) / 2
        out = (points - self.center) * [self.scale, -self.scale] + middle
        return np.asarray(np.clip(out, 5.0, [self.width - 5.0, self.height - 5.0]))


def framed(chart: Map2D, width: float) -> Frame:
    """Choose what of the plane is shown, in so many pixels."""
    points, centers = chart.points, np.concatenate([chart.centers, chart.other_centers])
    low, high = points.min(axis=0), points.max(axis=0)
    inner = np.quantile(points, [_BEYOND, 1 - _BEYOND], axis=0)
    inner[0] = np.minimum(inner[0], centers.min(axis=0))
    inner[1] = np.maximum(inner[1], centers.max(axis=0))
    span = inner[1] - inner[0]
    is_smaller = (high - low) > _MUCH * span
    low, high = np.where(is_smaller, inner[0], low), np.where(is_smaller, inner[1], high)
    span = np.maximum((high - low) * 1.06, 1e-12)
    height = float(np.clip(width * span[1] / span[0], 0.5 * width, 0.72 * width))
    scale = float(min((width - 10) / span[0], (height - 10) / span[1]))
    beyond = int(((points < low) | (points > high)).any(axis=1).sum())
    return Frame((low + high) / 2, scale, width, height, beyond)


def map2d(chart: Map2D, width: float, radius: float = 2.2) -> Markup:
    """Draw the map. Dots are one path a cluster, in the order of `chart.points`."""
    frame = framed(chart, width)
    at, centers = frame(chart.points), frame(chart.centers)
    parts = [
        tag("rect", x=0.5, y=0.5, width=width - 1, height=frame.height - 1, class_="frame", rx=4)
    ]
    groups = [(-1, "rest")] + [(i, f"c{one.label}") for i, one in enumerate(chart.clusters)]
    for i, kind in groups:
        mine = at[chart.point_clusters == i]
        if len(mine):
            label = None if i < 0 else chart.clusters[i].label
            parts.append(
                tag("path", d=_dots(mine), class_=f"dots {kind}", stroke_width=2 * radius,
                    data_c=label, data_i=i)
            )  # fmt: skip
    for x, y in frame(chart.other_centers).tolist() if len(chart.other_centers) else ():
        parts.append(tag("circle", cx=x, cy=y, r=3.5, class_="center rest"))
    names = [
        str(one.cluster_id)
        if one.name is None or width < 500
        else fitted(f"{one.cluster_id} {one.name}", _LONGEST_NAME)
        for one in chart.clusters
    ]
    places = placed(centers, [1.1 * width_of(one) + 8 for one in names], width, frame.height)
    for i, one in enumerate(chart.clusters):
        x, y = centers[i].tolist()
        parts.append(
            tag("circle", cx=x, cy=y, r=5.5, class_=f"center fill c{one.label}",
                data_c=one.label, data_tip=f"Center of {one.text}")
        )  # fmt: skip
    for one, name, (x, y), place in zip(chart.clusters, names, centers.tolist(), places):
        if place is None:
            continue
        px, py = place
        mine = []
        if abs(px - x) > 14 or abs(py - y) > 14:
            mine.append(tag("path", d=f"M{x:.1f} {y:.1f}L{px:.1f} {py:.1f}", class_="leader"))
        mine.append(text(px, py + 4, name, class_="pin", text_anchor="middle"))
        parts.append(tag("g", *mine, data_c=one.label))
    height = frame.height + 22
    for i, along in enumerate(_axes(chart)):
        said = fitted(along, width / 2 - 10 if width >= 500 else width - 4)
        y = frame.height + 17 + (0 if width >= 500 else 16 * i)
        x = (0.0, width)[i] if width >= 500 else 0.0
        anchor = "end" if i and width >= 500 else None
        parts.append(text(x, y, said, class_="axis", text_anchor=anchor))
        height = max(height, y + 6)
    title = "Map of rows and centers by principal components"
    return picture(parts, width, height, title, class_="map")


def _axes(chart: Map2D) -> tuple[str, str]:
    ways = ("→", "↑")
    return tuple(  # type: ignore[return-value]
        f"{ways[i]} {percent(float(chart.explained[i]))} of the variance: "
        f"{' and '.join(chart.leading[i]) or 'nothing varies'}"
        for i in range(2)
    )


def _dots(points: Array) -> str:
    """A line of no length at each point, whose round ends are a dot."""
    return "".join(f"M{value_of(x)} {value_of(y)}h0" for x, y in points.tolist())


def placed(
    points: Array, widths: Sequence[float], width: float, height: float
) -> list[tuple[float, float] | None]:
    """Find a place for the text of each point, near it, that covers no other text and no center.

    None for those that find no room.
    """
    taken = [(x - 6.5, y - 6.5, x + 6.5, y + 6.5) for x, y in points.tolist()]
    out: list[tuple[float, float] | None] = []
    for (x, y), w in zip(points.tolist(), widths, strict=True):
        found = None
        for dx, dy in _offsets():
            px = min(max(x + dx + np.sign(dx) * w / 2, w / 2 + 2), width - w / 2 - 2)
            py = min(max(y + dy, _LINE / 2 + 2), height - _LINE / 2 - 2)
            box = (px - w / 2, py - _LINE / 2, px + w / 2, py + _LINE / 2)
            if not any(
                box[0] < b[2] and box[2] > b[0] and box[1] < b[3] and box[3] > b[1] for b in taken
            ):
                found = (float(px), float(py))
                taken.append(box)
                break
        out.append(found)
    return out


def _offsets() -> list[tuple[float, float]]:
    out = []
    for ring in range(_RINGS):
        reach = 8 + _STEP * ring
        for turn in range(_TURNS):
            angle = 2 * np.pi * turn / _TURNS
            out.append((reach * float(np.cos(angle)), (reach + 6) * -float(np.sin(angle))))
    return out
