"""Options of all commands that print JSON or reach a store, without what the others import."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object to standard output."
)


def storage_option(function: F) -> F:
    """Add how to reach the store."""
    return click.option(
        "--storage-option",
        "storage_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="For the store of every URL, as in endpoint_url=http://host:9000; a.b=c sets b in a.",
    )(function)


def say(text: str) -> None:
    """Tell the user something that is not the result."""
    click.echo(text, err=True)


def parse_storage_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn every KEY=VALUE into an entry; dots in the key nest."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--storage-option {key!r} should be KEY=VALUE.")
        *outer, last = key.split(".")
        level = options
        for name in outer:
            level = level.setdefault(name, {})
            if not isinstance(level, dict):
                raise click.UsageError(f"--storage-option {name!r} has a value and also parts.")
        level[last] = {"true": True, "false": False}.get(value.lower(), value)
    return options
