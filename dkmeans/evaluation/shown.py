"""Results as people read them: titled tables and sentences, as plain text and as HTML."""

import html
import io
import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 120
"""Most columns of the plain text, where lines of sentences are broken."""

_LEAST_WIDTH = 60

_LEAST_PROBABILITY = 1e-3
_LEAST_SHARE = 1e-4
_CELL = "padding:2px 8px;vertical-align:top"
_WRAPS = {"left": "", "right": ";white-space:nowrap"}
"""Numbers are not broken: 1e-23 has a hyphen."""

_LONGEST_NAME = 40
_LONGEST_HEADING = 18
_LONGEST_OF_MANY = 10
_MANY_COLUMNS = 11
_NUMERIC = re.compile(r"[-+<>]?(\d|inf)|-$")


@dataclass(frozen=True)
class Section:
    """A part of a result: a title, sentences, and a table."""

    title: str
    sentences: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Headings of the table; none if there is no table."""

    rows: tuple[tuple[str, ...], ...] = ()
    """Cells of the table, as text."""


class Shown(ABC):
    """A result that is shown: as text, in notebooks, as a DataFrame, as plain values."""

    @abstractmethod
    def to_frame(self) -> "pd.DataFrame":
        """Return the main table of the result."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return all of the result as plain values, which JSON takes."""

    @abstractmethod
    def sections(self) -> Sequence[Section]:
        """Return what is shown, in order."""

    def to_text(self) -> str:
        """Return the result as plain text, as wide as the terminal, or 120 columns."""
        return as_text(self.sections())

    def __str__(self) -> str:
        return self.to_text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython in a terminal would show the fields
        printer.text(self.to_text())

    def _repr_html_(self) -> str:
        return as_html(self.sections())


def as_text(sections: Iterable[Section]) -> str:
    """Lay sections out as plain text."""
    out = io.StringIO()
    console = Console(file=out, width=_width(), color_system=None, highlight=False, emoji=False)
    for section in sections:
        if out.tell():
            console.print()
        console.print(Text(section.title))
        if section.columns:
            is_wide = len(section.columns) > _MANY_COLUMNS
            table = Table(
                box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=is_wide
            )
            longest = _LONGEST_OF_MANY if is_wide else _LONGEST_HEADING
            for heading, cells in zip(section.columns, _by_column(section), strict=True):
                table.add_column(
                    Text("\n".join(broken(heading, longest))), justify=_side(cells), overflow="fold"
                )
            for row in section.rows:
                table.add_row(*map(Text, row))
            console.print(table)
        for sentence in section.sentences:
            console.print(Text(sentence))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _width() -> int:
    """Columns of the terminal, within limits; the most where there is none."""
    if not sys.stdout.isatty():
        return WIDTH
    return min(WIDTH, max(_LEAST_WIDTH, shutil.get_terminal_size().columns))


def as_html(sections: Iterable[Section]) -> str:
    """Lay sections out as HTML, as notebooks show it."""
    parts = []
    for section in sections:
        parts.append(f"<h4>{html.escape(section.title)}</h4>")
        if section.columns:
            sides = [_side(cells) for cells in _by_column(section)]
            head = "".join(
                f'<th style="text-align:{side};{_CELL}">{html.escape(heading)}</th>'
                for heading, side in zip(section.columns, sides, strict=True)
            )
            body = "".join(
                "<tr>"
                + "".join(
                    f'<td style="text-align:{side};{_CELL}{_WRAPS[side]}">{html.escape(cell)}</td>'
                    for cell, side in zip(row, sides, strict=True)
                )
                + "</tr>"
                for row in section.rows
            )
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        parts += [f"<p>{html.escape(sentence)}</p>" for sentence in section.sentences]
    return f"<div>{''.join(parts)}</div>"


def broken(heading: str, longest: int = _LONGEST_HEADING) -> list[str]:
    """Break a long heading into lines, after underscores, hyphens, dots, slashes and spaces."""
    lines = [""]
    for part in re.findall(r"[^_\-./ ]*[_\-./ ]?", heading):
        if part and lines[-1] and len(lines[-1] + part.rstrip()) > longest:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def number(value: float | None) -> str:
    """Write a number for people: up to six significant digits, thousands apart; None as a dash."""
    if value is None or value != value:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 1e3 <= abs(value) < 1e9 else f"{value:.5g}"


def percent(share: float | None) -> str:
    """Write a share as a percentage; None as a dash."""
    return "-" if share is None or share != share else f"{share:.1%}"


def brief(value: float | None, *, sign: bool = False) -> str:
    """Write a number to three significant digits, and whole from a thousand on; None as a dash."""
    if value is None or value != value:
        return "-"
    if value in (float("inf"), float("-inf")):
        return "-inf" if value < 0 else "inf"
    # three digits are rounded first: 999.9 is a thousand
    rounded = float(f"{value:.3g}")
    if 1e3 <= abs(rounded) < 1e9:
        return f"{value:+,.0f}" if sign else f"{value:,.0f}"
    return f"{rounded:+.3g}" if sign and rounded else f"{rounded:.3g}"


def decimals(value: float | None, digits: int, *, sign: bool = False) -> str:
    """Write a number to so many decimals, as columns of one scale need it; None as a dash."""
    if value is None or value != value:
        return "-"
    # what rounds to zero has no sign
    rounded = round(float(value), digits) or 0.0
    return f"{rounded:+,.{digits}f}" if sign and rounded else f"{rounded:,.{digits}f}"


def probability(value: float | None) -> str:
    """Write a p value to three decimals; smaller ones are `<0.001`."""
    if value is not None and value < _LEAST_PROBABILITY:
        return f"<{_LEAST_PROBABILITY:g}"
    return decimals(value, 3)


def share(part: float, whole: float) -> str:
    """Write a share as a percentage with the digits that it deserves: 33%, 4.2%, 0.31%."""
    if not whole > 0:
        return "-"
    value = part / whole
    if value <= 0:
        return "0%"
    if value < _LEAST_SHARE:
        return f"<{_LEAST_SHARE:.2%}"
    if value < 0.00995:
        return f"{value:.2%}"
    # what is not all must not read as if it were
    if 0.995 <= value < 1:
        return ">99%"
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def name(text: str) -> str:
    """Write a name on one line: control characters escaped, quoted if it could be misread, cut."""
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(escaped) > _LONGEST_NAME:
        escaped = f"{escaped[: _LONGEST_NAME - 3]}..."
    misread = escaped != escaped.strip() or any(c in escaped for c in ",:;'\"")
    return f'"{escaped}"' if misread or not escaped else escaped


def cluster(cluster_id: int, names: Mapping[int, str]) -> str:
    """Write the id of a cluster, and what it is called, if it has a name: 3 (night owls)."""
    called = names.get(int(cluster_id))
    return f"{cluster_id}" if called is None else f"{cluster_id} ({name(called)})"


def plain(value: Any) -> Any:
    """Return values as JSON takes them: NaN and infinities as None, times and the like as text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    # keys may be anything: times, decimals, bytes
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _by_column(section: Section) -> list[list[str]]:
    return [[row[i] for row in section.rows] for i in range(len(section.columns))]


def _side(cells: Iterable[str]) -> Any:
    """Numbers stand to the right."""
    return "right" if all(_NUMERIC.match(cell) for cell in cells if cell) else "left"
