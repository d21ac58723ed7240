"""`dkmeans fit`: from Parquet to a saved model, and clusters beside the keys."""

import json
import time
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    fit_options,
    json_option,
    overwrite_option,
    parse_filters,
    parse_storage_options,
    say,
    split,
)
from dkmeans.estimators.kmeans import KMeans
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
    reference = remember(storage_options)
    refuse_existing(model_url, overwrite, reference)
    if output_url is not None:
        refuse_existing_output(output_url, overwrite, reference)
    estimator = estimator_of(asked)
    with cluster(asked), reporting():
        start = time.perf_counter()
        with rows_of(input_url, asked) as rows:
            say(f"{rows.parquet.choice if rows.parquet else ''}\nscale: {asked['scale']}")
            estimator.fit(rows)
            model = estimator.model_
            model.save(model_url, overwrite=overwrite, storage_options=storage_options)
            seconds = time.perf_counter() - start
            if output_url is not None:
                write_clusters(
                    model, rows, output_url, overwrite=overwrite, storage_options=storage_options
                )
            result = {
                "model": model_url,
                "output": output_url,
                "rows": model.provenance["rows"],
                "rows_dropped": model.provenance["rows_dropped"],
                "n_features": model.n_features,
                "n_clusters": model.n_clusters,
                "inertia": model.inertia,
                "n_iter": estimator.n_iter_,
                "n_passes": estimator.n_passes_,
                "rows_read": rows.rows_read,
                "bytes_read": rows.bytes_read,
                "converged": estimator.converged_,
                "gain": estimator.gain_,
                "seed": model.provenance["seed"],
                "seconds": seconds,
            }
    if as_json:
        click.echo(json.dumps(result))
        return
    ended = "converged" if estimator.converged_ else "stopped by --max-iter"
    click.echo(
        f"{result['rows']:,} rows in {model.n_clusters} clusters, inertia {model.inertia:.6g}, "
        f"{ended} after {estimator.n_iter_} iterations "
        f"({estimator.n_passes_} passes, {seconds:.1f} s)\n"
        f"model: {model_url}" + (f"\nclusters: {output_url}" if output_url else "")
    )


def estimator_of(asked: dict[str, Any]) -> KMeans:
    """Return the estimator that the options describe."""
    return KMeans(
        asked["n_clusters"],
        init=asked["init"],
        n_init=asked["n_init"],
        max_iter=asked["max_iter"],
        tol=asked["tol"],
        random_state=asked["seed"],
        scale=None if asked["scale"] == "none" else asked["scale"],
    )


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
    )
