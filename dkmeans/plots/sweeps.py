"""The picture of a sweep: the inertia above the silhouettes, as a figure and as a PNG."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.elbow import Elbow
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.plots.drawing import check_matplotlib, font_size, inks_of
from dkmeans.plots.elbows import draw_inertia, draw_marks, draw_silhouettes, number_axis
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import absolute, remember

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = ("recommended", "elbow")
_DPI = 150


def check_path(path: str) -> None:
    """Raise `ArgumentError` if a plot at `path` would not be taken for what it is."""
    if not path.lower().endswith(".png"):
        raise ArgumentError(f"a plot is a PNG; call it {path}.png.")


def drawn(sweep: Sweep) -> "Figure":
    """Return the figure: the inertia above, the silhouettes below, the same k under each other."""
    check_matplotlib()
    from matplotlib.figure import Figure

    chart = Elbow.of(sweep)
    scale = font_size(0.1)
    figure = Figure(figsize=(6.4 * scale, 6.4 * scale), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_inertia(upper, inks_of(upper), chart)
    draw_silhouettes(lower, inks_of(lower), chart)
    for axes in (upper, lower):
        draw_marks(axes, inks_of(axes), chart)
    number_axis(lower, chart)
    upper.set_xlabel("")
    upper.tick_params(axis="x", labelbottom=False)
    _add_legends(figure, upper, lower)
    return figure


def _add_legends(figure: "Figure", upper: "Axes", lower: "Axes") -> None:
    """Name marks above and silhouettes below: within the axes, curves may be anywhere."""
    marks: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for handle, label in zip(*lower.get_legend_handles_labels(), strict=True):
        (marks if label.startswith(_MARKS) else curves)[label] = handle
    text = inks_of(upper).text
    above: Any = {"loc": "outside upper center"}
    below: Any = {"loc": "outside lower center"}
    for place, one in ((above, marks), (below, curves)):
        if one:
            figure.legend(
                list(one.values()), list(one), ncols=2, frameon=False, labelcolor=text, **place
            )


def write_png(figure: "Figure", path: str, storage_options: Mapping[str, Any] | None) -> None:
    """Write a figure as PNG, in one step."""
    check_path(path)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    write_bytes(absolute(path), out.getvalue(), remember(storage_options))
