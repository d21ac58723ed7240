"""The `dkmeans` command: its sub-commands, and what errors look like."""

import logging
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

import dkmeans
from dkmeans.cli.demo import demo
from dkmeans.cli.fit import fit
from dkmeans.cli.inspect import inspect
from dkmeans.cli.plan import plan
from dkmeans.cli.predict import predict
from dkmeans.errors import DkmeansError, DkmeansWarning

_INTERRUPTED, _TERMINATED = 130, 143


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(dkmeans.__version__, prog_name="dkmeans")
def commands() -> None:
    """Cluster data that do not fit in memory: k-means on Parquet, on Dask.

    Exit codes: 0 done, 1 unexpected, 2 wrong usage, 3 input refused, 4 done but files or rows were
    left out by policy, 7 stopped and can go on (cluster or store lost, budget spent), 130 Ctrl-C,
    143 SIGTERM.
    """


for command in (fit, predict, plan, inspect, demo):
    commands.add_command(command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", DkmeansWarning)
    warnings.showwarning = _show_warning
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
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
