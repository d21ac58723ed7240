"""What schedules lie there, and how a run that they begin may end."""

from pathlib import Path

from dkmeans import errors
from dkmeans.cli import main
from dkmeans.jobs.outcome import LEFT_OUT

FOLDER = Path(__file__).parents[2] / "deploy" / "schedules"
KILLED = 137
OVERLAP = errors.JobRunning.exit_code
CODES = {
    *(kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")),
    *(0, LEFT_OUT, main._INTERRUPTED, main._TERMINATED),
}
"""All that `dkmeans run` may end with, from the code; 6 is of `dkmeans drift`."""


def fake_program(folder: Path) -> Path:
    """A `dkmeans` that notes its arguments and ends with the code that lies beside it."""
    path = folder / "dkmeans"
    path.write_text(
        f'#!/bin/sh\necho "$@" >>"{folder}/calls"\n'
        f'echo "dkmeans: error: of code $(cat "{folder}/code")" >&2\nexit $(cat "{folder}/code")\n'
    )
    path.chmod(0o755)
    return path
