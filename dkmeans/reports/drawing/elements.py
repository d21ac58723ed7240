"""Elements of SVG, with all text escaped, and how wide text is."""

import unicodedata
from typing import Any

from markupsafe import Markup, escape

FONT = 12.0
"""Pixels of the font in charts."""

_EM = 0.62
"""Width of a character of running text over the size of its font: rather too much."""

_WIDE_EM = 1.0


def tag(element: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element; `None` leaves an attribute out, `_` in its name stands for `-`.

    Children and values are escaped unless they are markup.

    Examples
    --------
    >>> str(tag("text", "<3", x=1.50, class_="a"))
    '<text x="1.5" class="a">&lt;3</text>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value_of(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(child) for child in children)
    return Markup(f"<{element}{written}>{inner}</{element}>" if inner else f"<{element}{written}/>")


def value_of(value: Any) -> Any:
    """Write a length to a tenth of a pixel."""
    if isinstance(value, float):
        return (
            f"{value:.1f}".removesuffix(".0").replace("-0", "0")
            if abs(value) < 0.05
            else (f"{value:.1f}".removesuffix(".0"))
        )
    return value


def text(x: float, y: float, said: str, **attributes: Any) -> Markup:
    """Write a line of text that begins at `x`, unless `text_anchor` has it otherwise."""
    return tag("text", said, x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Markup:
    """Draw a straight line."""
    return tag("path", d=path([(x1, y1), (x2, y2)]), class_=class_)


def path(points: Any) -> str:
    """Return the way from point to point."""
    return "M" + "L".join(f"{value_of(float(x))} {value_of(float(y))}" for x, y in points)


def picture(
    parts: Any,
    width: float,
    height: float,
    title: str,
    description: str = "",
    class_: str = "",
    *,
    stretches: bool = False,
) -> Markup:
    """Return a whole picture, which says what it shows; `stretches` if it may be distorted."""
    said = tag("title", title)
    if description:
        said += tag("desc", description)
    return tag(
        "svg",
        said + Markup("").join(parts),
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        preserveAspectRatio="none" if stretches else None,
        role="img",
        aria_label=title,
        class_=class_ or None,
    )


def width_of(said: str, font: float = FONT) -> float:
    """Return about how many pixels a text takes, rather too many."""
    ems = (
        _WIDE_EM
        if unicodedata.east_asian_width(c) in "WF" or ord(c) > 0x2E80
        else 0.85
        if c in "mwMW@%"
        else 0.7
        if c.isupper()
        else _EM
        for c in said
    )
    return font * sum(ems)


def fitted(said: str, room: float, font: float = FONT) -> str:
    """Cut a text to the room that it has, and say so by an ellipsis."""
    one_line = "".join(c if c.isprintable() else " " for c in said)
    if width_of(one_line, font) <= room:
        return one_line
    while one_line and width_of(f"{one_line}…", font) > room:
        one_line = one_line[:-1]
    return f"{one_line.rstrip()}…"
