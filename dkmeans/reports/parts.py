"""What a page is made of: tables, figures, and cells that sort by value."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dkmeans.evaluation.shown import brief, plain


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    sort: Any = None
    """A number to sort by; None for the text."""

    label: int | None = None
    """Of the cluster that it names; None if it names none."""

    kind: str = ""
    """Classes."""


@dataclass(frozen=True)
class Table:
    """A table, which can be sorted by its columns."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: tuple[bool, ...] = ()
    """Which columns hold numbers; none by default."""

    sorts: bool = True
    kind: str = ""

    def is_numeric(self, i: int) -> bool:
        """Whether column `i` holds numbers."""
        return i < len(self.numeric) and self.numeric[i]


@dataclass(frozen=True)
class Figure:
    """A chart, drawn for screens and for phones, and the same as a table."""

    name: str
    title: str
    said: str
    wide: Markup
    narrow: Markup
    notes: tuple[str, ...] = ()
    table: Table | None = None


def figure_cell(value: Any, shown: str | None = None, kind: str = "") -> Cell:
    """Return a cell that holds a number."""
    return Cell(brief(value) if shown is None else shown, plain(value), kind=kind)


def table_of(caption: str, columns: tuple[str, ...], rows: Any, n_texts: int = 1) -> Table:
    """Return a table of texts, then of numbers; `rows` has texts, numbers and cells."""
    cells = tuple(
        tuple(
            one
            if isinstance(one, Cell)
            else Cell(one)
            if isinstance(one, str)
            else figure_cell(one)
            for one in row
        )
        for row in rows
    )
    return Table(caption, columns, cells, tuple(i >= n_texts for i in range(len(columns))))
