"""Colors of clusters: told apart by everybody, the same for the same id, the user's own first."""

from itertools import combinations

import numpy as np
import pytest

from dkmeans.evaluation.charts.palette import COLORS, OTHERS, color_of, marker_of, mixed

# Machado, Oliveira and Fernandes 2009, severity 1, of linear RGB
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "none": np.eye(3).tolist(),
}


def lab(color: str, seen_by: str) -> np.ndarray:
    """A color in CIE L*a*b*, as somebody sees it."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(DEFICIENCIES[seen_by]) @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ linear / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest_pair(colors: list[str], seen_by: str) -> float:
    return min(
        float(np.linalg.norm(lab(one, seen_by) - lab(other, seen_by)))
        for one, other in combinations(colors, 2)
    )


@pytest.mark.parametrize("seen_by", DEFICIENCIES)
def test_the_color_blind_tell_the_colors_apart(seen_by):
    # a difference of 2 is just seen side by side
    assert nearest_pair([*COLORS, OTHERS], seen_by) > 12


def test_the_simulation_sees_colors_that_are_not_safe():
    red_and_green = ["#c08000", "#a09000"]
    assert nearest_pair(red_and_green, "none") > 10
    assert nearest_pair(red_and_green, "deuteranopia") < 10


def test_color_and_marker_belong_to_the_id():
    looks = {(color_of(i), marker_of(i)) for i in range(168)}
    assert len(looks) == 168
    assert len({color_of(i) for i in range(21)}) == 21
    assert color_of(168) == color_of(0)
    assert color_of(3, {3: "#123456"}) == "#123456"
    assert color_of(4, {3: "#123456"}) == COLORS[4]


def test_shades_are_mixed_with_black_or_white():
    assert mixed("#804020", -0.5) == "#402010"
    assert mixed("#804020", 1.0) == "#ffffff"
    assert mixed("#804020", 0) == "#804020"
