"""`dkmeans run`: a job from its file."""

import json
import sys
from typing import Any

import click

from dkmeans.cli.options import json_option
from dkmeans.errors import JobRefused
from dkmeans.jobs.dry_run import dry_run
from dkmeans.jobs.load import Resolved, load_job
from dkmeans.jobs.monitored import run_monitored
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
@click.option("--shadow", is_flag=True, help="Of a retrain: publish and judge, promote nothing.")
@click.option(
    "--log-json",
    metavar="FILE",
    help="Append what happens to FILE as lines of JSON; - for standard error.",
)
@click.option(
    "--metrics-file",
    metavar="FILE",
    help="Write metrics of the run for Prometheus: a .prom file, or the collector's folder.",
)
@json_option
def run(
    job_url: str,
    as_of: str | None,
    sets: tuple[str, ...],
    is_dry: bool,
    shadow: bool,
    log_json: str | None,
    metrics_file: str | None,
    as_json: bool,
) -> None:
    """Run the job that the YAML file JOB describes: train, retrain or predict.

    All that is wrong with the file is told at once. The file may lie on any fsspec URL; relative
    paths in it are relative to its folder. Every attempt has a record beside the models: see
    dkmeans runs. Drift is reported; what ends a retrain with exit code 5 is its gates.
    """
    resolved = _loaded(job_url, as_of, sets)
    if is_dry:
        _show_plan(resolved, as_json)
        return
    with reporting():
        outcome = run_monitored(
            resolved, shadow=shadow, log_json=log_json, metrics_file=metrics_file
        )
    click.echo(json.dumps(dict(outcome.result)) if as_json else "\n".join(outcome.lines))
    if outcome.refusal is not None:
        click.echo(f"dkmeans: error: {outcome.refusal}", err=True)
    if outcome.exit_code:
        sys.exit(outcome.exit_code)


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
