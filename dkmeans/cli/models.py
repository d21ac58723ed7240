"""`dkmeans models`: versions of models in a registry, and aliases that move between them."""

from importlib import import_module

import click

_HOMES = {
    "list": "models_shown",
    "show": "models_shown",
    "history": "models_shown",
    "compare": "models_shown",
    "export": "models_exported",
    "promote": "models_moved",
    "rollback": "models_moved",
    "tag": "models_moved",
    "name": "models_named",
    "check": "models_kept",
    "gc": "models_kept",
    "forget-rows": "models_forgotten",
}
"""The modules that sub-commands are in, as functions of the name `<sub-command>_command`."""


class _Commands(click.Group):
    """Sub-commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _HOMES:
            return None
        module = import_module(f"dkmeans.cli.{_HOMES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command


@click.group(cls=_Commands)
def models() -> None:
    """Keep versions of models at a URL, and say by aliases which of them counts.

    A version of a registry, or the one that an alias points to, may be named wherever a command
    reads a MODEL: s3://lake/models@17, s3://lake/models@champion.
    """
