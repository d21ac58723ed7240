"""Titles, subtitles and labels of Axes, in lines that have room."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from dkmeans.plots.drawing import Inks, figure_of, font_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_HEAD_LINES = 5
"""Lines that title and subtitle may take."""

_NOTES = "dkmeans notes"
"""Names the subtitle among the texts of Axes."""


@dataclass(frozen=True)
class _Words:
    """What is written around Axes, before it is broken into lines."""

    inks: Inks
    title: str
    notes: str
    x: str
    y: str


_WRITTEN: "WeakKeyDictionary[Axes, _Words]" = WeakKeyDictionary()
"""Of Axes that are finished: others that come to lie beside them may take some of their room."""


def finish(ax: "Axes", inks: Inks, title: str, notes: Sequence[str] = ()) -> None:
    """Set title and subtitle, and break what would be too wide for the Axes.

    Other Axes of the figure that were finished before are given the lines for what room they have
    now.

    Parameters
    ----------
    ax
        All else is drawn already.
    inks
        Of the Axes.
    title
        What is seen.
    notes
        What is left out, by which rule, and units: the subtitle.
    """
    figure = figure_of(ax)
    said = ". ".join(note[:1].upper() + note[1:] for note in notes if note)
    _WRITTEN[ax] = _Words(inks, title, said, ax.get_xlabel(), ax.get_ylabel())
    figure.draw_without_rendering()
    written = [(one, _WRITTEN[one]) for one in figure.axes if one in _WRITTEN]
    are_moved = [_break_labels(one, words) for one, words in written]
    if any(are_moved):
        figure.draw_without_rendering()
    for one, words in written:
        _set_head(one, words)


def _break_labels(ax: "Axes", words: _Words) -> bool:
    """Break the labels of the axes; return whether they have other lines than before."""
    before = ax.get_xlabel(), ax.get_ylabel()
    box = ax.get_window_extent()
    # title and subtitle will take some of the height
    above = 0.0 if ax.get_title(loc="left") else _HEAD_LINES * font_size() * figure_of(ax).dpi / 72
    ax.xaxis.label.set_text(words.x)
    ax.yaxis.label.set_text(words.y)
    broken(ax.xaxis.label, box.width)
    broken(ax.yaxis.label, box.height - above, upright=True)
    return before != (ax.get_xlabel(), ax.get_ylabel())


def _set_head(ax: "Axes", words: _Words) -> None:
    """Write title and subtitle from the left end of what belongs to the Axes to the right one."""
    for text in [one for one in ax.texts if one.get_gid() == _NOTES]:
        text.remove()
    # nothing that is wide itself tells how wide it may be
    ax.set_title("", loc="left")
    box = ax.get_window_extent()
    whole = ax.get_tightbbox() or box
    left = (whole.x0 - box.x0) / box.width
    height = 0.0
    if words.notes:
        below = ax.annotate(
            words.notes,
            (left, 1),
            (0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="left",
            va="bottom",
            color=words.inks.muted,
            fontsize=font_size(0.85),
            gid=_NOTES,
        )
        broken(below, whole.width)
        # the title lies above it, and has room made for both; its width is nobody else's matter
        below.set_in_layout(False)
        height = below.get_window_extent().height * 72 / figure_of(ax).dpi + 5
    heading = ax.set_title(
        words.title,
        loc="left",
        x=left,
        pad=6 + height,
        color=words.inks.text,
        fontweight="bold",
    )
    broken(heading, whole.width)


def broken(text: "Text", room: float, *, upright: bool = False) -> bool:
    """Break a text into lines that fit into some pixels; return whether that was needed."""
    said = text.get_text()
    box = text.get_window_extent()
    width = box.height if upright else box.width
    if width <= room:
        return False
    n_characters = max(8, int(0.97 * len(said) * room / width))
    text.set_text("\n".join(textwrap.wrap(said, n_characters)))
    return True
