"""Colors and markers of clusters, by cluster id: they can be told apart by the color-blind."""

from collections.abc import Mapping
from typing import Literal

Marker = Literal["circle", "square", "triangle", "diamond", "plus", "star", "cross", "pentagon"]

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
"""The palette of Okabe and Ito [1]_ but for black, which is lost on a dark ground.

References
----------
.. [1] M. Okabe, K. Ito, "Color universal design: how to make figures and presentations that are
   friendly to colorblind people", 2008, https://jfly.uni-koeln.de/color/.
"""

MARKERS: tuple[Marker, ...] = (
    "circle",
    "square",
    "triangle",
    "diamond",
    "plus",
    "star",
    "cross",
    "pentagon",
)
"""Their number has no factor in common with that of colors and shades: all together differ for the
ids 0 to 167."""

SHADES = (0.0, -0.35, 0.4)
"""How much of black, if negative, or of white is mixed with a color, for the first seven ids, the
next seven, and so on in turns."""

OTHERS = "#6E6E6E"
"""The color of all clusters that are not shown by themselves: between black and white."""

HIGH, LOW = "#B2182B", "#2166AC"
"""Ends of the scale for what is above and below the mean: red and blue, which differ to all [1]_.

References
----------
.. [1] C. Brewer, M. Harrower, ColorBrewer 2.0, scheme RdBu, https://colorbrewer2.org.
"""


def color_of(cluster_id: int, given: Mapping[int, str] | None = None) -> str:
    """Return the color of a cluster as #rrggbb.

    The one that it was given, else the color of its id: the same in all charts and models. Ids from
    7 on have the colors of 0 to 6 again, but darker or lighter.

    Examples
    --------
    >>> color_of(0), color_of(7), color_of(0, {0: "#ff0000"})
    ('#0072B2', '#004a74', '#ff0000')
    """
    if given and cluster_id in given:
        return given[cluster_id]
    turn, place = divmod(cluster_id, len(COLORS))
    return mixed(COLORS[place], SHADES[turn % len(SHADES)])


def marker_of(cluster_id: int) -> Marker:
    """Return the marker of a cluster, by id."""
    return MARKERS[cluster_id % len(MARKERS)]


def mixed(color: str, shade: float) -> str:
    """Return a color with a share of white mixed in, or of black if the share is negative."""
    if shade == 0:
        return color
    towards = 255 if shade > 0 else 0
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(p + (towards - p) * abs(shade)):02x}" for p in parts)
