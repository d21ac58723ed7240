"""`dkmeans sweep`: from Parquet to a model for each of several numbers of clusters, compared."""

import json
import time
from dataclasses import replace
from typing import Any

import click

from dkmeans.algorithms.checkpoint import remove_checkpoint
from dkmeans.cli.baselines import baseline_option, with_asked_baselines
from dkmeans.cli.fit import rows_of
from dkmeans.cli.options import (
    budget_options,
    cluster,
    cluster_options,
    coreset_size_option,
    json_option,
    overwrite_option,
    parse_sample,
    parse_storage_options,
    say,
    sweep_options,
)
from dkmeans.cli.resuming import run_id_to_resume
from dkmeans.cli.rows_for import exit_if_left_out
from dkmeans.errors import ArgumentError, OutputExists
from dkmeans.estimators.sweep import SWEEP_N_INIT
from dkmeans.estimators.sweep import sweep as swept
from dkmeans.evaluation.sweeps.files import refuse_existing_sweep
from dkmeans.jobs.counts import parse_counts as counts_of
from dkmeans.plots.drawing import check_matplotlib
from dkmeans.plots.sweeps import check_path
from dkmeans.rows.for_model import left_out
from dkmeans.rows.progress import reporting
from dkmeans.storage.filesystem import absolute, redact, remember
from dkmeans.storage.objects import exists


@click.command()
@click.argument("input_url", metavar="INPUT")
@click.option(
    "--model",
    "model_url",
    required=True,
    metavar="URL",
    help="Where table and models go: each k has its model at URL/k=12.",
)
@click.option("--plot", "plot_url", metavar="PNG", help="Draw elbow and silhouettes here.")
@sweep_options
@click.option(
    "--n-init",
    type=int,
    default=SWEEP_N_INIT,
    show_default=True,
    help="Restarts; they share passes.",
)
@click.option(
    "--tol",
    type=float,
    default=1e-4,
    show_default=True,
    help="Stop when a pass can lower the inertia by at most this share.",
)
@click.option("--max-iter", type=int, default=300, show_default=True, help="Most iterations.")
@coreset_size_option
@click.option(
    "--sample-size",
    type=int,
    default=3_000,
    show_default=True,
    help="Rows of the silhouette by distances between rows; 0 leaves it out.",
)
@baseline_option
@budget_options
@cluster_options
@overwrite_option
@json_option
def sweep(
    input_url: str,
    model_url: str,
    plot_url: str | None,
    counts: str,
    overwrite: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Cluster the Parquet files at INPUT for several numbers of clusters, and compare them.

    All fits share their passes; one more finds the figures of all: inertia, silhouettes and others,
    the elbow, and which k stands out.
    """
    numbers = parse_counts(counts)
    storage_options = parse_storage_options(asked["storage_options"])
    _refuse_existing(model_url, plot_url, overwrite, asked, storage_options)
    with cluster(asked), reporting():
        start = time.perf_counter()
        with rows_of(input_url, asked) as rows:
            say(f"{rows.parquet.choice if rows.parquet else ''}\nscale: {asked['scale']}")
            rows.limit(
                max_passes=asked["max_passes"],
                max_bytes=asked["max_bytes"],
                max_seconds=asked["max_seconds"],
            )
            found = swept(
                rows,
                numbers,
                asked["n_init"],
                init=asked["init"] or "coreset",
                scale=None if asked["scale"] == "none" else asked["scale"],
                max_iter=asked["max_iter"],
                tol=asked["tol"],
                random_state=asked["seed"],
                coreset_size=asked["coreset_size"],
                checkpoint=asked["checkpoint"],
                sample=parse_sample(asked["sample"]),
                sample_size=asked["sample_size"] or None,
            )
            before = rows.n_passes, rows.bytes_read
            models = with_asked_baselines(found.models, rows, asked)
            found = replace(
                found,
                models=models,
                n_passes=found.n_passes + rows.n_passes - before[0],
                bytes_read=found.bytes_read + rows.bytes_read - before[1],
            )
            found.save(model_url, overwrite=True, storage_options=storage_options)
            if plot_url is not None:
                found.plot(plot_url, storage_options=storage_options)
            if asked["checkpoint"] is not None:
                remove_checkpoint(asked["checkpoint"], remember(storage_options))
            seconds = time.perf_counter() - start
            lost = left_out(rows)
    if as_json:
        seed = found.models[numbers[0]].provenance["seed"]
        has_baseline = found.models[numbers[0]].baseline is not None
        more = {"model": model_url, "plot": plot_url, "seed": seed, "seconds": seconds, **lost}
        more["baseline"] = has_baseline
        click.echo(json.dumps({**found.to_dict(), **more}))
    else:
        click.echo(str(found))
        click.echo(f"models: {model_url}/k=... ({seconds:.1f} s)")
        if plot_url is not None:
            click.echo(f"plot: {plot_url}")
    exit_if_left_out(lost, as_json)


def parse_counts(text: str) -> list[int]:
    """Turn `2:5,10` into 2, 3, 4, 5, 10: ascending, each once."""
    try:
        return counts_of(text)
    except ArgumentError as error:
        raise click.UsageError(f"--k {error}") from None


def _refuse_existing(
    model_url: str,
    plot_url: str | None,
    overwrite: bool,
    asked: dict[str, Any],
    storage_options: dict[str, Any],
) -> None:
    """Raise if something lies where the results go that is not this job's own."""
    reference = remember(storage_options)
    run_id = run_id_to_resume(asked, reference)
    refuse_existing_sweep(model_url, overwrite, reference, run_id)
    if plot_url is None:
        return
    check_path(plot_url)
    check_matplotlib()
    # the plot of a job that goes on may be its own
    if not overwrite and run_id is None and exists(absolute(plot_url), reference):
        raise OutputExists(
            f"something lies at {redact(plot_url)} already; pass --overwrite to replace it, or "
            "another place."
        )
