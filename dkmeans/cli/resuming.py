"""Jobs that go on from a checkpoint."""

from collections.abc import Mapping
from typing import Any

import click

from dkmeans.algorithms.checkpoint import run_id_at
from dkmeans.errors import OutputExists
from dkmeans.storage.filesystem import redact


def run_id_to_resume(asked: Mapping[str, Any], options: str) -> str | None:
    """Return the id of the run whose checkpoint lies where the options say; None for a new run.

    Raises
    ------
    OutputExists
        If one lies there and was not asked for.
    """
    url = asked["checkpoint"]
    if url is None:
        if asked["resume"]:
            raise click.UsageError("--resume needs --checkpoint.")
        return None
    run_id = run_id_at(url, options)
    if run_id is not None and not asked["resume"]:
        raise OutputExists(
            f"a checkpoint lies at {redact(url)}; pass --resume to go on from it, or another "
            "place, or remove it."
        )
    return run_id
