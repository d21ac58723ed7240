"""The curves of a sweep, drawn by matplotlib: it is imported when they are."""

import io
from collections.abc import Mapping
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
    "silhouette_simplified": ("to centers", _INK, "o"),
    "silhouette_squared": ("squared", "#5b8fc7", "s"),
    "silhouette": ("between rows", "#a14d8b", "^"),
    "silhouette_reference": ("to centers, without clusters", _MUTED, ""),
}
_MOST_MARKERS = 40
"""Numbers of clusters up to which each has a marker."""

_RATIO = 20
"""The least ratio of the greatest to the smallest k that calls for a logarithmic axis."""

_DPI = 150


def check_matplotlib() -> None:
    """Raise `ArgumentError` if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ArgumentError('a plot needs matplotlib; pip install "dkmeans[plot]".') from None


def drawn(sweep: Sweep) -> "Figure":
    """Return the figure: the inertia above, the silhouettes below, the same k under each other."""
    check_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    counts = [one.n_clusters for one in sweep.scores]
    marker = "o" if len(counts) <= _MOST_MARKERS else ""
    upper.plot(
        counts, [one.inertia for one in sweep.scores], color=_INK, marker=marker, ms=4, lw=1.5
    )
    upper.set_ylabel("Inertia (squared distance)")
    upper.set_ylim(bottom=0)
    _draw_silhouettes(sweep, lower)
    lower.set_ylabel("Mean silhouette")
    lower.set_xlabel("Number of clusters k")
    for axes in (upper, lower):
        _mark(sweep, axes)
        axes.grid(color="#e4e4e4", lw=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            axes.legend(handles, labels, frameon=False, fontsize=8)
    if counts[-1] >= _RATIO * counts[0]:
        lower.set_xscale("log")
        lower.xaxis.set_major_formatter(ScalarFormatter())
    else:
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(f"{len(counts)} numbers of clusters on {sweep.n_rows:,} rows", fontsize=11)
    return figure


def _draw_silhouettes(sweep: Sweep, axes: "Axes") -> None:
    """A curve for each kind, over the k that it is defined for."""
    for name, (label, color, marker) in _SILHOUETTES.items():
        points = [
            (one.n_clusters, getattr(one, name))
            for one in sweep.scores
            if getattr(one, name) is not None
        ]
        if not points:
            continue
        axes.plot(
            *zip(*points, strict=True),
            color=color,
            label=label,
            marker=marker if len(points) <= _MOST_MARKERS else "",
            ms=4,
            lw=1.5,
            ls="-" if marker else "--",
        )


def _mark(sweep: Sweep, axes: "Axes") -> None:
    """Lines where the elbow and the recommended number are; one line where they are the same."""
    places: dict[int, list[str]] = {}
    for k, word in ((sweep.recommended, "recommended"), (sweep.elbow, "elbow")):
        if k is not None:
            places.setdefault(k, []).append(word)
    for k, words in places.items():
        is_recommended = "recommended" in words
        axes.axvline(
            k,
            color=_RECOMMENDED if is_recommended else _ELBOW,
            ls="-" if is_recommended else ":",
            lw=1.2,
            zorder=1,
            label=f"{' and '.join(words)}: k={k}",
        )


def write_png(figure: "Figure", path: str, storage_options: Mapping[str, Any] | None) -> None:
    """Write a figure as PNG, in one step."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI)
    write_bytes(absolute(path), out.getvalue(), remember(storage_options))
