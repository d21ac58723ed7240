"""Texts beside points: each as near to its point as the others leave room."""

from typing import TYPE_CHECKING

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.plots.drawing import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

PAD = 0.25
"""Between a text and its frame, in sizes of its font."""

_TURNS = 16
_RINGS = 16
_STEP = 9.0
"""Points between rings of places around a point."""


def placed(ax: "Axes", pins: "list[Annotation]") -> None:
    """Move annotations so that none covers another or leaves the Axes; drop what has no room.

    Those that come first have the first choice. The Axes have been laid out.

    Parameters
    ----------
    ax
        What they lie in.
    pins
        Annotations of points, at offsets in points from them, centered.
    """
    from matplotlib.text import Text

    figure = figure_of(ax)
    scale = figure.dpi / 72
    frame = ax.get_window_extent()
    taken = np.empty((0, 4))
    for pin in pins:
        # of the text alone: what points from it to the point counts for nothing
        box = Text.get_window_extent(pin)
        half = np.array([box.width, box.height]) / 2 + (PAD * float(pin.get_fontsize()) + 2) * scale
        point = ax.transData.transform(pin.xy)
        low = np.array([frame.x0, frame.y0]) + half
        high = np.maximum(np.array([frame.x1, frame.y1]) - half, low)
        for offset in _offsets() * scale:
            center = np.clip(point + offset, low, high)
            here = np.concatenate([center - half, center + half])
            if not _overlaps(here, taken).any():
                taken = np.vstack([taken, here])
                pin.set_position(tuple((center - point) / scale))
                break
        else:
            pin.remove()


def _offsets() -> Array:
    """Places around a point in points, the nearest first, `(n_places, 2)`."""
    places = [np.zeros((1, 2))]
    for ring in range(1, _RINGS + 1):
        turns = np.arange(_TURNS) / _TURNS * 2 * np.pi
        places.append(_STEP * ring * np.column_stack([np.cos(turns), np.sin(turns)]))
    return np.concatenate(places)


def _overlaps(box: Array, boxes: Array) -> Array:
    """Which of the boxes, `(n, 4)` as left, bottom, right and top, one overlaps, `(n,)` bool."""
    return np.asarray((boxes[:, :2] < box[2:]).all(axis=1) & (boxes[:, 2:] > box[:2]).all(axis=1))
