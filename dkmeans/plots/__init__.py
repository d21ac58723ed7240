"""Plots of models and results, one matplotlib Axes each.

Each function draws on the Axes that it is given, or on those of a new figure, which belongs to no
window, and gives them back. matplotlib is imported when the first plot is drawn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkmeans.plots.bars import sizes
    from dkmeans.plots.drifts import drift
    from dkmeans.plots.elbows import elbow
    from dkmeans.plots.flows import flow
    from dkmeans.plots.heatmaps import centers_heatmap
    from dkmeans.plots.maps import map2d
    from dkmeans.plots.passes import convergence
    from dkmeans.plots.silhouettes import silhouette
    from dkmeans.plots.spreads import distributions

_HOMES = {
    "centers_heatmap": "dkmeans.plots.heatmaps",
    "convergence": "dkmeans.plots.passes",
    "distributions": "dkmeans.plots.spreads",
    "drift": "dkmeans.plots.drifts",
    "elbow": "dkmeans.plots.elbows",
    "flow": "dkmeans.plots.flows",
    "map2d": "dkmeans.plots.maps",
    "silhouette": "dkmeans.plots.silhouettes",
    "sizes": "dkmeans.plots.bars",
}

__all__ = [
    "centers_heatmap",
    "convergence",
    "distributions",
    "drift",
    "elbow",
    "flow",
    "map2d",
    "silhouette",
    "sizes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dkmeans.plots' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
