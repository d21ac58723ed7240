"""`dkmeans models list`, `show`, `history` and `compare`: what a registry holds."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.evaluation.shown import Section, as_text, brief, name, number, percent, plain
from dkmeans.registry.compare import Comparison, compare
from dkmeans.registry.moves import Move
from dkmeans.registry.reference import load, parse
from dkmeans.registry.registry import CHAMPION, Registry
from dkmeans.registry.versions import Version


@click.command("list")
@click.argument("url", metavar="URL")
@storage_option
@json_option
def list_command(url: str, storage_options: tuple[str, ...], as_json: bool) -> None:
    """List all versions of the registry at URL, and the aliases that point to them."""
    registry = Registry(url, parse_storage_options(storage_options))
    versions, aliases = registry.versions(), registry.aliases()
    if as_json:
        shown = [{**one.to_dict(), "aliases": _pointing(aliases, one)} for one in versions]
        _print_json({"registry": url, "versions": shown, "aliases": aliases})
        return
    headings = ("version", "aliases", "published", "k", "inertia/row", "who", "run", "tags")
    rows = [
        (
            str(one.number),
            ", ".join(_pointing(aliases, one)) or "-",
            _when(one.published) + (" (removed)" if one.is_removed else ""),
            number(one.summary.get("n_clusters")),
            brief(one.summary.get("inertia_per_row")),
            name(one.who),
            name(one.run_id),
            ", ".join(_tag(*pair) for pair in one.tags.items()) or "-",
        )
        for one in versions
    ]
    if not rows:
        click.echo(f"no versions at {url}")
        return
    title = "1 version" if len(rows) == 1 else f"{len(rows)} versions"
    click.echo(as_text([Section(title, (), headings, tuple(rows))]))


@click.command("show")
@click.argument("url", metavar="URL")
@click.argument("version", required=False)
@click.option("--attachment", metavar="NAME", help="Print this file that was kept with it instead.")
@storage_option
@json_option
def show_command(
    url: str,
    version: str | None,
    attachment: str | None,
    storage_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show a version, by number or alias: `show URL champion`, or `show URL@champion`."""
    reference = parse(url)
    if version is None:
        if reference.name is None:
            raise click.UsageError("name a version or an alias: dkmeans models show URL VERSION.")
        url, version = reference.url, str(reference.name)
    registry = Registry(url, parse_storage_options(storage_options))
    if attachment is not None:
        click.echo(registry.attachment(version, attachment), nl=False)
        return
    found, aliases = registry.version(version), registry.aliases()
    attachments = [] if found.is_removed else registry.attachments(found.number)
    moves = [
        move
        for alias in aliases
        for move in registry.moves(alias)
        if found.number in (move.version, move.previous)
    ]
    if as_json:
        _print_json(
            {
                **found.to_dict(),
                "aliases": _pointing(aliases, found),
                "attachments": attachments,
                "moves": [move.to_dict() for move in moves],
            }
        )
        return
    facts = {
        "aliases": ", ".join(_pointing(aliases, found)) or "-",
        "published": f"{_when(found.published)} by {name(found.who)}",
        "run": name(found.run_id),
        "parents": ", ".join(map(str, found.parents)) or "-",
        "tags": ", ".join(_tag(*pair) for pair in found.tags.items()) or "-",
        "attachments": ", ".join(attachments) or "-",
        "files": "removed" if found.is_removed else f"models/{found.folder}",
        **{key: _value(value) for key, value in found.summary.items()},
    }
    sections = [Section(f"version {found.number}", (), ("", "value"), tuple(facts.items()))]
    if moves:
        sections.append(_history("moves of aliases to and from it", moves))
    click.echo(as_text(sections))


@click.command("history")
@click.argument("url", metavar="URL")
@click.option("--alias", default=CHAMPION, show_default=True, help="Which alias.")
@storage_option
@json_option
def history_command(url: str, alias: str, storage_options: tuple[str, ...], as_json: bool) -> None:
    """Show all moves of an alias: who moved it, when, from where, and why."""
    registry = Registry(url, parse_storage_options(storage_options))
    registry.resolve(alias)
    moves = registry.moves(alias)
    if as_json:
        _print_json({"alias": alias, "moves": [move.to_dict() for move in moves]})
        return
    click.echo(as_text([_history(f"{len(moves)} moves of {alias}", moves)]))


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@storage_option
@json_option
def compare_command(
    first: str, second: str, storage_options: tuple[str, ...], as_json: bool
) -> None:
    """Show how model B differs from model A: `compare URL@champion URL@challenger`."""
    options = parse_storage_options(storage_options)
    found = compare(load(first, options), load(second, options))
    if as_json:
        _print_json(found.to_dict())
        return
    click.echo(as_text(_compared(found, first, second)))


def _compared(found: Comparison, first: str, second: str) -> list[Section]:
    differing = tuple((key, _value(a), _value(b)) for key, (a, b) in found.differing.items())
    per_row = ("inertia per row", *(brief(value) for value in found.inertia_per_row))
    note = "They scale features alike." if found.is_one_space else "They measure in other spaces."
    clusters = tuple(
        (
            str(one.cluster_id),
            number(one.size_before),
            number(one.size_after),
            percent(one.share_before),
            percent(one.share_after),
            brief(one.shift),
        )
        for one in found.clusters
    )
    headings = ("cluster", "size in A", "size in B", "share in A", "share in B", "center shift")
    return [
        Section(f"A {first}, B {second}", (note,), ("", "A", "B"), (*differing, per_row)),
        Section(
            "clusters by id",
            ("Shifts of centers are in the scaled units of A.",),
            headings,
            clusters,
        ),
    ]


def _history(title: str, moves: Iterable[Move]) -> Section:
    rows = [
        (
            move.alias,
            str(move.number),
            _when(move.moved),
            "-" if move.previous is None else str(move.previous),
            f"{move.version}{' (rollback)' if move.is_rollback else ''}",
            name(move.who),
            _printable(move.reason),
        )
        for move in moves
    ]
    headings = ("alias", "move", "when", "from", "to", "who", "why")
    return Section(title, (), headings, tuple(rows))


def _pointing(aliases: dict[str, int], version: Version) -> list[str]:
    return sorted(alias for alias, number in aliases.items() if number == version.number)


def _tag(tag: str, value: str) -> str:
    return f"{tag}={name(value)}" if value else tag


def _when(time: Any) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}Z"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return brief(value)
    return "-" if value is None else _printable(value if isinstance(value, str) else repr(value))


def _printable(text: str) -> str:
    """Write a text so that it cannot command the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _print_json(value: dict[str, Any] | Sequence[Any]) -> None:
    click.echo(json.dumps(plain(value)))
