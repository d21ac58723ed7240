"""Colors of clusters that can be seen on light and on dark ground."""

from dkmeans.evaluation.charts.palette import HIGH, LOW, mixed

LIGHT, DARK = "#ffffff", "#1b1f24"
"""What charts lie on."""

_LEAST_ON_LIGHT, _LEAST_ON_DARK = 1.7, 3.0
_STEPS = 20


def on_light(color: str) -> str:
    """Return a color, darker if it would be lost on white."""
    return _apart(color, LIGHT, _LEAST_ON_LIGHT, -1)


def on_dark(color: str) -> str:
    """Return a color, lighter if it would be lost on a dark ground."""
    return _apart(color, DARK, _LEAST_ON_DARK, 1)


def contrast(one: str, other: str) -> float:
    """Return the ratio of the luminances of two colors, 1 to 21, as WCAG 2 defines it."""
    a, b = sorted((_luminance(one), _luminance(other)))
    return (b + 0.05) / (a + 0.05)


def _apart(color: str, ground: str, least: float, towards: int) -> str:
    for step in range(_STEPS):
        found = mixed(color, towards * step / _STEPS)
        if contrast(found, ground) >= least:
            return found
    return color


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


LEVELS = 8
"""Shades on each side of the scale of z-scores; `Z_MOST` and beyond has the last."""

Z_MOST = 2.0


def level_of(z: float) -> int:
    """Return the shade of a z-score, -`LEVELS` to `LEVELS`."""
    return max(-LEVELS, min(LEVELS, round(z / Z_MOST * LEVELS)))


def shades(ground: str) -> dict[int, tuple[str, str]]:
    """Return background and ink of each shade, on light or dark ground."""
    out = {}
    ends = (LOW, HIGH) if ground == LIGHT else (mixed(LOW, 0.15), mixed(HIGH, 0.1))
    for level in range(-LEVELS, LEVELS + 1):
        share = abs(level) / LEVELS
        end = ends[level > 0]
        color = _between(ground, end, share)
        is_dark = contrast("#ffffff", color) > contrast("#000000", color)
        out[level] = color, "#ffffff" if is_dark else "#000000"
    return out


def _between(one: str, other: str, share: float) -> str:
    parts = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)
