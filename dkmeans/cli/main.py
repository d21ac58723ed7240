"""The `dkmeans` command: its sub-commands, and what errors look like."""

import signal
import sys
import warnings
from importlib import import_module
from typing import Any, NoReturn

import click

import dkmeans
from dkmeans.errors import DkmeansError, DkmeansWarning

_INTERRUPTED, _TERMINATED = 130, 143
_COMMANDS = (
    *("fit", "sweep", "predict", "evaluate", "profile", "drift", "report"),
    *("plan", "inspect", "models", "run", "runs", "serve", "demo"),
)


class Commands(click.Group):
    """Sub-commands that are imported when they are asked for.

    Workers that we start import this module anew, as multiprocessing has it, and would hold on to
    all that it imports.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command; None if there is none of that name."""
        if cmd_name not in _COMMANDS:
            return None
        try:
            command: click.Command = getattr(import_module(f"dkmeans.cli.{cmd_name}"), cmd_name)
        except ModuleNotFoundError as error:
            # an image of the service has less than all packages
            package = (error.name or "dkmeans").partition(".")[0]
            if package == "dkmeans":
                raise
            return _uninstalled(cmd_name, package)
        return command


def _uninstalled(name: str, package: str) -> click.Command:
    """Return a command that stands in the help, and refuses to run."""

    def refuse() -> NoReturn:
        _fail(f"dkmeans {name} needs {package}, which is not installed: install all of dkmeans.", 2)

    return click.Command(
        name,
        callback=refuse,
        help=f"Needs {package}, which is not installed here.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(dkmeans.__version__, prog_name="dkmeans")
def commands() -> None:
    """Cluster data that do not fit in memory: k-means on Parquet, on Dask.

    Exit codes: 0 done, 1 unexpected, 2 wrong usage, 3 input refused, 4 done but files or rows were
    left out by policy, 5 refused by a gate (the champion stays), 6 drift above its threshold, 7
    stopped and can go on (cluster or store lost, budget spent), 130 Ctrl-C, 143 SIGTERM.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", DkmeansWarning)
    warnings.showwarning = _show_warning
    try:
        commands.main(arguments, prog_name="dkmeans", standalone_mode=False)
    except DkmeansError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; nothing half-written is left.", _INTERRUPTED)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"dkmeans: error: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _terminate(*_: Any) -> NoReturn:
    click.echo("dkmeans: error: terminated; nothing half-written is left.", err=True)
    sys.exit(_TERMINATED)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"dkmeans: warning: {message}", err=True)


if __name__ == "__main__":
    main()
