"""Axes of charts: grid lines, numbers beside them, and what they measure."""

from collections.abc import Sequence

from markupsafe import Markup

from dkmeans.reports.drawing.elements import FONT, line, text, width_of
from dkmeans.reports.drawing.scales import Scale, label


def rows_axis(scale: Scale, values: Sequence[float], left: float, right: float) -> Markup:
    """Draw grid lines across, with their values to the left."""
    parts = []
    for value in values:
        y = scale(value)
        parts.append(line(left, y, right, y))
        parts.append(text(left - 8, y + 4, label(value), class_="tick", text_anchor="end"))
    return Markup("").join(parts)


def columns_axis(
    scale: Scale, values: Sequence[float], top: float, bottom: float, *, grid: bool = True
) -> Markup:
    """Draw values below, with grid lines upwards."""
    parts = []
    for value in values:
        x = scale(value)
        if grid:
            parts.append(line(x, top, x, bottom))
        parts.append(text(x, bottom + 17, label(value), class_="tick", text_anchor="middle"))
    return Markup("").join(parts)


def room_for(values: Sequence[float]) -> float:
    """Return the pixels that numbers to the left of a chart take."""
    return max((width_of(label(one), FONT) for one in values), default=0.0) + 10
