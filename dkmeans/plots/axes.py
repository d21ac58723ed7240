"""The Axes of figures that plots make themselves. Imports matplotlib: only for who draws."""

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

_DPI = 110
_PAD = 0.1
"""Inches around Axes and what belongs to them."""


class ChartAxes(Axes):
    """Axes of a figure that belongs to no window; notebooks show the figure."""

    def _repr_png_(self) -> bytes:
        figure = self.get_figure(root=True)
        assert figure is not None
        return _png(figure)


class Panels(list[Axes]):
    """Several Axes of one figure that belongs to no window; notebooks show it, once."""

    def _repr_png_(self) -> bytes | None:
        figures = {axes.get_figure(root=True) for axes in self}
        figure = figures.pop() if len(figures) == 1 else None
        return None if figure is None else _png(figure)


class CellText(Text):
    """A number in a cell of width and height 1, which is drawn while the longest of all fits."""

    longest: Text | None = None
    """That which must fit; None for any."""

    def draw(self, renderer: RendererBase, *args: Any, **options: Any) -> None:
        """Draw the number, unless the Axes are too small now."""
        if self.longest is None or self._fits(self.longest, renderer):
            super().draw(renderer, *args, **options)

    def _fits(self, text: Text, renderer: RendererBase) -> bool:
        assert self.axes is not None
        (left, top), (right, bottom) = self.axes.transData.transform([(0, 0), (1, 1)])
        box = text.get_window_extent(renderer)
        room = abs(right - left), abs(top - bottom)
        return bool(box.width <= 0.96 * room[0] and box.height <= 0.96 * room[1])


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    return out.getvalue()


def _figure(width: float, height: float) -> Figure:
    layout = ConstrainedLayoutEngine(w_pad=_PAD, h_pad=_PAD)
    return Figure(figsize=(width, height), layout=layout)


def new_axes(width: float, height: float) -> Axes:
    """Make the only Axes of a new figure of a size in inches."""
    figure = _figure(width, height)
    return figure.add_subplot(axes_class=ChartAxes)


def new_panels(n_rows: int, n_columns: int, width: float, height: float) -> Panels:
    """Make several Axes of a new figure of a size in inches, row by row."""
    figure = _figure(width, height)
    places = [(n_rows, n_columns, i + 1) for i in range(n_rows * n_columns)]
    return Panels(figure.add_subplot(*place, axes_class=ChartAxes) for place in places)
