"""What is wrong with a job file: all of it, each with its place, told at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from dkmeans.errors import JobRefused
from dkmeans.storage.filesystem import redact

_MOST_SHOWN = 80

HIDDEN = "..."
"""What is shown in place of a secret."""


@dataclass(frozen=True, order=True)
class Where:
    """A place in a job file, or a `--set` beside it."""

    is_set: bool
    """Whether it was set beside the file; those come after all lines."""

    line: int
    """From 1; of what was set, its number."""

    column: int
    """From 1."""

    source: str
    """The name of the file; "--set" for what was set."""

    def __str__(self) -> str:
        return self.source if self.is_set else f"{self.source}:{self.line}"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong."""

    where: Where
    path: str
    """The key, with those around it, as `data.filters`; empty for the file as a whole."""

    text: str
    """What is wrong, and the remedy."""

    def __str__(self) -> str:
        path = self.path if len(self.path) <= _MOST_SHOWN else f"{self.path[:_MOST_SHOWN]}..."
        line = ": ".join(part for part in (str(self.where), path, self.text) if part)
        # what a user wrote may break lines, or hide
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)


def refuse(problems: Sequence[Problem]) -> None:
    """Raise if there are problems, naming all of them by line, each once.

    Raises
    ------
    JobRefused
        A line for each.
    """
    if problems:
        raise JobRefused("\n".join(map(str, sorted(set(problems)))))


def shown(value: object) -> str:
    """Return a plain value as messages show it: short, on one line, without passwords of URLs."""
    if isinstance(value, str):
        text = without_password(value)
        return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
    if isinstance(value, tuple | list):
        return f"a list of {len(value)}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int | float) else "a mapping"


def without_password(text: str) -> str:
    """Return a text, without user, password and query if it is a URL that has some."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return HIDDEN
    # `URL@alias` has its @ behind the host
    # and in other places than the web a ? is of a glob
    is_signed = bool(parts.query) and parts.scheme in ("http", "https")
    return redact(text) if "@" in parts.netloc or is_signed else text
