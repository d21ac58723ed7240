"""`dkmeans models check`, `gc`: whether a store will do, and what can go from it."""

import json
import sys

import click

from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.errors import StoreUnfit
from dkmeans.registry.cleanup import KEEP, OLDER_THAN_DAYS
from dkmeans.registry.probe import WRITERS
from dkmeans.registry.registry import Registry


@click.command("check")
@click.argument("url", metavar="URL")
@click.option(
    "--single-writer/--many-writers",
    default=None,
    help="Declare that one process at a time writes to this registry, so that any store will do; "
    "or take that back.",
)
@storage_option
@json_option
def check_command(
    url: str, single_writer: bool | None, storage_options: tuple[str, ...], as_json: bool
) -> None:
    """Try whether the store of a registry keeps concurrent writers apart, and keep the result."""
    registry = Registry(url, parse_storage_options(storage_options))
    check = registry.check(single_writer=single_writer)
    if as_json:
        click.echo(json.dumps(check.to_dict()))
    elif check.passed:
        click.echo(
            f"passed: {len(check.winners)} races of {WRITERS} writers, each won by one; any number "
            "of processes may publish"
        )
    else:
        click.echo(f"failed: {check.reason}")
        if check.is_single_writer:
            click.echo("declared: one process at a time writes to this registry")
        else:
            click.echo("publishing is refused; --single-writer declares that one process writes")
    if not (check.passed or check.is_single_writer):
        sys.exit(StoreUnfit.exit_code)


@click.command("gc")
@click.argument("url", metavar="URL")
@click.option(
    "--older-than-days",
    type=float,
    default=OLDER_THAN_DAYS,
    show_default=True,
    help="Remove only what was written so long ago, by the store's clock.",
)
@click.option(
    "--keep",
    type=int,
    default=KEEP,
    show_default=True,
    help="How many rollbacks of every alias must stay possible.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@storage_option
@json_option
def gc_command(
    url: str,
    older_than_days: float,
    keep: int,
    dry_run: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Remove versions that no alias, rollback or tag needs, and unfinished publishings."""
    registry = Registry(url, parse_storage_options(storage_options))
    removed = registry.gc(older_than_days=older_than_days, keep=keep, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(removed.to_dict()))
        return
    verb = "would remove" if dry_run else "removed"
    numbers = ", ".join(map(str, removed.versions)) or "none"
    click.echo(
        f"{verb} {len(removed.versions)} versions ({numbers}) and {len(removed.unfinished)} "
        f"leftovers, {removed.n_bytes:,} bytes"
    )
    for name in removed.unfinished:
        click.echo(f"leftover: {name}")
