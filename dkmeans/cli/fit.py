"""`dkmeans fit`: from Parquet to a saved model, and clusters beside the keys."""

import json
import sys
import time
from typing import Any

import click

from dkmeans.algorithms.checkpoint import remove_checkpoint
from dkmeans.cli.algorithms import algorithm_options, estimator_of
from dkmeans.cli.baselines import baseline_option, with_asked_baselines
from dkmeans.cli.options import (
    LEFT_OUT,
    budget_options,
    cluster,
    cluster_options,
    fit_options,
    json_option,
    overwrite_option,
    parse_filters,
    parse_sample,
    parse_storage_options,
    say,
    split,
)
from dkmeans.cli.resuming import run_id_to_resume
from dkmeans.jobs.outcome import fit_figures, left_out_lines
from dkmeans.jobs.own import are_own_clusters, is_own_model
from dkmeans.models.files import refuse_existing
from dkmeans.rows.clusters_out import refuse_existing_output, write_clusters
from dkmeans.rows.progress import reporting
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import remember


@click.command()
@click.argument("input_url", metavar="INPUT")
@click.option("--model", "model_url", required=True, metavar="URL", help="Where the model goes.")
@click.option(
    "--output",
    "output_url",
    metavar="URL",
    help="Where clusters of all rows go [default: not written].",
)
@fit_options
@algorithm_options
@baseline_option
@budget_options
@cluster_options
@overwrite_option
@json_option
def fit(
    input_url: str,
    model_url: str,
    output_url: str | None,
    overwrite: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Cluster the Parquet files at INPUT.

    INPUT is a file, a folder or a glob, local, s3:// or any fsspec URL.
    """
    storage_options = parse_storage_options(asked["storage_options"])
    _refuse_existing(model_url, output_url, overwrite, asked, storage_options)
    estimator = estimator_of(asked)
    with cluster(asked), reporting():
        start = time.perf_counter()
        with rows_of(input_url, asked) as rows:
            say(f"{rows.parquet.choice if rows.parquet else ''}\nscale: {asked['scale']}")
            rows.limit(
                max_passes=asked["max_passes"],
                max_bytes=asked["max_bytes"],
                max_seconds=asked["max_seconds"],
            )
            estimator.fit(rows, sample=parse_sample(asked["sample"]))
            fitted = {asked["n_clusters"]: estimator.model_}
            (model,) = with_asked_baselines(fitted, rows, asked).values()
            model.save(model_url, overwrite=True, storage_options=storage_options)
            seconds = time.perf_counter() - start
            skipped = model.provenance["skipped_files"]
            if output_url is not None:
                manifest = write_clusters(
                    model, rows, output_url, overwrite=True, storage_options=storage_options
                )
                skipped = manifest["skipped_files"]
            if asked["checkpoint"] is not None:
                remove_checkpoint(asked["checkpoint"], remember(storage_options))
    result = {
        "model": model_url,
        "output": output_url,
        **fit_figures(model),
        "skipped_files": skipped,
        "algorithm": asked["algorithm"],
        "n_steps": getattr(estimator, "n_steps_", None),
        "baseline": model.baseline is not None,
        "seconds": seconds,
    }
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(_summary(result))
    if result["rows_missing"] or result["skipped_files"]:
        sys.exit(LEFT_OUT)


def _summary(result: dict[str, Any]) -> str:
    work, limit = f"{result['n_iter']} iterations", "--max-iter"
    if result["algorithm"] == "minibatch":
        work, limit = f"{result['n_iter']} epochs, {result['n_steps']:,} steps", "--max-epochs"
    ended = "converged" if result["converged"] else f"stopped by {limit}"
    lines = [
        f"{result['rows']:,} rows in {result['n_clusters']} clusters, inertia "
        f"{result['inertia']:.6g}, {ended} after {work} "
        f"({result['n_passes']} passes, {result['seconds']:.1f} s)"
    ]
    lines += left_out_lines(result["rows_missing"], result["skipped_files"])
    lines.append(f"model: {result['model']}")
    if result["output"]:
        lines.append(f"clusters: {result['output']}")
    return "\n".join(lines)


def _refuse_existing(
    model_url: str,
    output_url: str | None,
    overwrite: bool,
    asked: dict[str, Any],
    storage_options: dict[str, Any],
) -> None:
    """Raise if something lies where the results go that is not this job's own."""
    reference = remember(storage_options)
    run_id = run_id_to_resume(asked, reference)
    # a job that was stopped after it had saved its model comes by here again
    ours = run_id is not None and is_own_model(model_url, reference, run_id=run_id)
    if not (overwrite or ours):
        refuse_existing(model_url, False, reference)
    if output_url is not None:
        ours = run_id is not None and are_own_clusters(output_url, reference, run_id=run_id)
        refuse_existing_output(output_url, overwrite or ours, reference)


def rows_of(input_url: str, asked: dict[str, Any]) -> Rows:
    """Open the rows that the options describe."""
    return read_parquet(
        input_url,
        columns=split(asked["columns"]),
        filters=parse_filters(asked["filters"]),
        weight=asked["weight"],
        keys=split(asked["keys"]),
        dtype=asked["dtype"],
        block_bytes=asked["block_bytes"],
        storage_options=parse_storage_options(asked["storage_options"]),
        stage=asked["stage"],
        missing=asked["missing"],
        on_bad_file=asked["on_bad_file"],
        max_bad_files=asked["max_bad_files"],
    )
