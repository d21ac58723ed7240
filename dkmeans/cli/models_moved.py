"""`dkmeans models promote`, `rollback` and `tag`: which version counts for what."""

import json

import click

from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.registry.moves import Move
from dkmeans.registry.registry import CHAMPION, Registry

alias_option = click.option(
    "--alias", default=CHAMPION, show_default=True, help="Which alias moves."
)
reason_option = click.option(
    "--reason", default="by hand", show_default=True, help="Why; kept with who and when."
)


@click.command("promote")
@click.argument("url", metavar="URL")
@click.argument("version")
@alias_option
@reason_option
@click.option(
    "--expected",
    type=int,
    help="Move it only if it points to this version; 0: only if there is no such alias.",
)
@storage_option
@json_option
def promote_command(
    url: str,
    version: str,
    alias: str,
    reason: str,
    expected: int | None,
    storage_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Have an alias of the registry at URL point to VERSION, a number or another alias."""
    registry = Registry(url, parse_storage_options(storage_options))
    if expected is None:
        move = registry.promote(version, alias=alias, reason=reason)
    else:
        move = registry.promote(version, alias=alias, reason=reason, expected=expected or None)
    tell(move, as_json)


@click.command("rollback")
@click.argument("url", metavar="URL")
@alias_option
@reason_option
@storage_option
@json_option
def rollback_command(
    url: str, alias: str, reason: str, storage_options: tuple[str, ...], as_json: bool
) -> None:
    """Have an alias point to the version before; another rollback goes further back."""
    registry = Registry(url, parse_storage_options(storage_options))
    tell(registry.rollback(alias=alias, reason=reason), as_json)


@click.command("tag")
@click.argument("url", metavar="URL")
@click.argument("version")
@click.argument("tags", metavar="NAME[=TEXT]...", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the tags away instead.")
@storage_option
def tag_command(
    url: str, version: str, tags: tuple[str, ...], remove: bool, storage_options: tuple[str, ...]
) -> None:
    """Give VERSION tags, each a name with a text if one is given; tagged versions are kept."""
    registry = Registry(url, parse_storage_options(storage_options))
    number = registry.resolve(version)
    for tag in tags:
        name, equals, text = tag.partition("=")
        if remove and equals:
            raise click.UsageError(f"--remove takes names alone, not {tag!r}.")
        if remove:
            registry.untag(number, name)
        else:
            registry.tag(number, name, text)
    click.echo(f"version {number}: {'no longer ' if remove else ''}{', '.join(tags)}")


def tell(move: Move, as_json: bool) -> None:
    """Say where an alias points now, and where it did before."""
    if as_json:
        click.echo(json.dumps(move.to_dict()))
        return
    before = "" if move.previous is None else f", before {move.previous}"
    click.echo(f"{move.alias}: version {move.version}{before}")
