"""`dkmeans run`: a job from its file."""

import json
import sys
from typing import Any

import click

from dkmeans.cli.options import LEFT_OUT, json_option
from dkmeans.errors import JobRefused
from dkmeans.jobs.dry_run import dry_run
from dkmeans.jobs.load import Resolved, load_job
from dkmeans.jobs.run import run_job
from dkmeans.rows.progress import reporting


@click.command()
@click.argument("job_url", metavar="JOB")
@click.option(
    "--as-of",
    metavar="DATE",
    help="What {{ as_of }} stands for, as 2026-11-20 or 2026-11-20T06:00Z [default: now, UTC].",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the file, as model.n_clusters=12; the value is YAML. Repeat for more.",
)
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Show the job and what it would read; run nothing."
)
@json_option
def run(
    job_url: str, as_of: str | None, sets: tuple[str, ...], is_dry: bool, as_json: bool
) -> None:
    """Run the job that the YAML file JOB describes: train, retrain or predict.

    All that is wrong with the file is told at once. The file may lie on any fsspec URL; relative
    paths in it are relative to its folder.
    """
    resolved = _loaded(job_url, as_of, sets)
    if is_dry:
        _show_plan(resolved, as_json)
        return
    with reporting():
        outcome = run_job(resolved)
    click.echo(json.dumps(dict(outcome.result)) if as_json else "\n".join(outcome.lines))
    if outcome.has_left_out:
        sys.exit(LEFT_OUT)


def _loaded(job_url: str, as_of: str | None, sets: tuple[str, ...]) -> Resolved:
    try:
        return load_job(job_url, as_of=as_of, sets=sets)
    except JobRefused as error:
        # a line for each problem, which is more than other errors have
        for line in str(error).splitlines():
            click.echo(f"dkmeans: error: {line}", err=True)
        sys.exit(error.exit_code)


def _show_plan(resolved: Resolved, as_json: bool) -> None:
    found: Any = dry_run(resolved)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    click.echo(resolved.text, nl=False)
    click.echo(f"\nas of     {resolved.as_of}\nsha256    {resolved.sha256}")
    click.echo("\n".join(found.lines))
