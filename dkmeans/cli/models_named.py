"""`dkmeans models name`: names and colors of clusters."""

import click

from dkmeans.cli.models_moved import alias_option, tell
from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.registry.naming import name_clusters
from dkmeans.registry.registry import Registry


@click.command("name")
@click.argument("url", metavar="URL")
@click.argument("names", metavar="ID=NAME...", nargs=-1)
@click.option(
    "--color", "colors", multiple=True, metavar="ID=#RRGGBB", help="Color of a cluster; repeat."
)
@alias_option
@click.option("--reason", default="names of clusters", show_default=True, help="Why; kept.")
@storage_option
@json_option
def name_command(
    url: str,
    names: tuple[str, ...],
    colors: tuple[str, ...],
    alias: str,
    reason: str,
    storage_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Name clusters of the model that an alias points to, as 3="night owls"; 3= takes a name away.

    The model with names is a version of its own, which the alias moves to. Retrains carry names and
    colors on with the clusters that they keep.
    """
    registry = Registry(url, parse_storage_options(storage_options))
    tell(
        name_clusters(registry, _by_id(names), _by_id(colors), alias=alias, reason=reason), as_json
    )


def _by_id(texts: tuple[str, ...]) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip().isdecimal():
            raise click.UsageError(f"{text!r} should be ID=TEXT, as 3=owls.")
        found[int(key)] = value or None
    return found
