"""The curves of a sweep, drawn by matplotlib: it is imported when they are."""

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.filesystem import absolute, remember

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _ELBOW, _RECOMMENDED, _MUTED = "#24466b", "#b5651d", "#1b7f4d", "#7a7a7a"
_SILHOUETTES = {
    "silhouette_simplified": ("by distances to centers", _INK, "o"),
    "silhouette_squared": ("by squared distances", "#5b8fc7", "s"),
    "silhouette": ("by distances between rows", "#a14d8b", "^"),
    "silhouette_reference": ("to centers, if there were no clusters", _MUTED, ""),
}
_MARKS = ("recommended", "elbow")
_MOST_MARKERS = 40
"""Numbers of clusters up to which each has a marker."""

_RATIO = 20
"""The least ratio of the greatest to the smallest k that calls for a logarithmic axis."""

_DPI = 150


def check_matplotlib() -> None:
    """Raise `ArgumentError` if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise ArgumentError('a plot needs matplotlib; pip install "dkmeans[plot]".')


def check_path(path: str) -> None:
    """Raise `ArgumentError` if a plot at `path` would not be taken for what it is."""
    if not path.lower().endswith(".png"):
        raise ArgumentError(f"a plot is a PNG; call it {path}.png.")


def drawn(sweep: Sweep) -> "Figure":
    """Return the figure: the inertia above, the silhouettes below, the same k under each other."""
    check_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    counts = [one.n_clusters for one in sweep.scores]
    _draw(upper, counts, [one.inertia for one in sweep.scores], color=_INK, marker="o")
    upper.set_ylabel("Inertia (squared distance)")
    upper.set_ylim(bottom=0)
    _draw_silhouettes(sweep, lower)
    lower.set_ylabel("Mean silhouette (at most 1)")
    lower.set_xlabel("Number of clusters k")
    for axes in (upper, lower):
        _mark(sweep, axes)
        axes.grid(color="#e4e4e4", lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    _add_legends(figure, upper, lower)
    if counts[-1] >= _RATIO * counts[0]:
        lower.set_xscale("log")
        lower.xaxis.set_major_formatter(ScalarFormatter())
        lower.xaxis.set_minor_formatter(NullFormatter())
    else:
        lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _add_legends(figure: "Figure", upper: "Axes", lower: "Axes") -> None:
    """Name marks above and silhouettes below: within the axes, curves may be anywhere."""
    marks: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    for handle, label in zip(*lower.get_legend_handles_labels(), strict=True):
        (marks if label.startswith(_MARKS) else curves)[label] = handle
    if marks:
        figure.legend(
            marks.values(), marks, loc="outside upper center", ncols=len(marks), frameon=False
        )
    if curves:
        figure.legend(curves.values(), curves, loc="outside lower center", ncols=2, frameon=False)


def _draw(axes: "Axes", counts: Sequence[int], values: Sequence[float], **style: Any) -> None:
    if len(counts) > _MOST_MARKERS:
        style["marker"] = ""
    axes.plot(counts, values, ms=4, lw=1.5, **style)


def _draw_silhouettes(sweep: Sweep, axes: "Axes") -> None:
    """A curve for each kind, over the k that it is defined for."""
    for name, (label, color, marker) in _SILHOUETTES.items():
        points = [
            (one.n_clusters, value)
            for one in sweep.scores
            if (value := getattr(one, name)) is not None
        ]
        if points:
            counts, values = zip(*points, strict=True)
            style = "-" if marker else "--"
            _draw(axes, counts, values, color=color, label=label, marker=marker or ".", ls=style)


def _mark(sweep: Sweep, axes: "Axes") -> None:
    """Lines where the recommended number and the elbow are; one line where they are the same."""
    places: dict[int, list[str]] = {}
    for k, word in zip((sweep.recommended, sweep.elbow), _MARKS, strict=True):
        if k is not None:
            places.setdefault(k, []).append(word)
    for k, words in places.items():
        is_recommended = words[0] == _MARKS[0]
        axes.axvline(
            k,
            color=_RECOMMENDED if is_recommended else _ELBOW,
            ls="-" if is_recommended else ":",
            lw=1.5,
            zorder=1,
            label=f"{' and '.join(words)}: k={k}",
        )


def write_png(figure: "Figure", path: str, storage_options: Mapping[str, Any] | None) -> None:
    """Write a figure as PNG, in one step."""
    check_path(path)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    write_bytes(absolute(path), out.getvalue(), remember(storage_options))
