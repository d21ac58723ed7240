"""What is written in a figure, as it is drawn, and whether it can be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from dkmeans.plots.drawing import luminance

_TOLERANCE = 1.0
"""Pixels that boxes of texts may share: they have some air around the letters."""


@contextmanager
def drawn_texts() -> Iterator[list[Text]]:
    """Collect the texts that are drawn, not those that are merely there."""
    found: list[Text] = []
    draw = Text.draw

    def recording(self: Text, renderer: object, *args: object, **options: object) -> None:
        # of a subclass that draws nothing this is not called
        if self.get_visible() and self.get_text().strip():
            found.append(self)
        draw(self, renderer, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", recording)
        yield found


def texts_of(figure: Figure) -> list[Text]:
    """Draw a figure; return its texts."""
    canvas = FigureCanvasAgg(figure)
    with drawn_texts() as found:
        canvas.draw()
    return list(dict.fromkeys(found))


def problems(ax: Axes) -> list[str]:
    """Say what cannot be read: texts over each other, or beyond the figure; nothing if all can."""
    figure = ax.get_figure(root=True)
    texts = texts_of(figure)
    assert len(texts) > 3
    boxes = np.array([Text.get_window_extent(text).extents for text in texts])
    said = []
    width, height = figure.bbox.width, figure.bbox.height
    beyond = (boxes[:, :2] < -_TOLERANCE).any(axis=1)
    beyond |= (boxes[:, 2] > width + _TOLERANCE) | (boxes[:, 3] > height + _TOLERANCE)
    said += [f"{texts[i].get_text()!r} is not within the figure" for i in np.flatnonzero(beyond)]
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    over = np.triu((high - low > _TOLERANCE).all(axis=2), 1)
    for i, j in np.argwhere(over):
        said.append(f"{texts[i].get_text()!r} covers {texts[j].get_text()!r}")
    return said


def faintest(ax: Axes) -> float:
    """The least contrast of a text that lies on the ground of the figure, as of luminances."""
    from matplotlib.colors import to_hex

    figure = ax.get_figure(root=True)
    ground = luminance(to_hex(figure.get_facecolor()))
    outside = [text for text in texts_of(figure) if text.get_bbox_patch() is None]
    return min(abs(luminance(to_hex(text.get_color())) - ground) for text in outside)
