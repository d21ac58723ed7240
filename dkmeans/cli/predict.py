"""`dkmeans predict`: write the clusters of new rows."""

import json
import sys
import time
from typing import Any

import click

from dkmeans.cli.options import (
    LEFT_OUT,
    cluster,
    cluster_options,
    input_options,
    json_option,
    overwrite_option,
    parse_storage_options,
)
from dkmeans.cli.rows_for import rows_for
from dkmeans.models.model import Model
from dkmeans.registry.reference import locate
from dkmeans.rows.clusters_out import refuse_existing_output, write_clusters
from dkmeans.rows.progress import reporting
from dkmeans.storage.filesystem import remember


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.argument("input_url", metavar="INPUT")
@click.argument("output_url", metavar="OUTPUT")
@input_options
@cluster_options
@overwrite_option
@json_option
def predict(
    model_url: str,
    input_url: str,
    output_url: str,
    overwrite: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Write the clusters of the rows at INPUT, by MODEL, as Parquet at OUTPUT, beside the keys."""
    options = parse_storage_options(asked["storage_options"])
    found = locate(model_url, options)
    model = Model.load(found.url, storage_options=options)
    refuse_existing_output(output_url, overwrite, remember(options))
    with cluster(asked), reporting():
        start = time.perf_counter()
        rows = rows_for(model, model_url, input_url, asked, options)
        with rows:
            manifest = write_clusters(
                model, rows, output_url, overwrite=overwrite, storage_options=options
            )
    result = {
        "output": output_url,
        "model": model_url,
        "model_version": found.version,
        "rows": manifest["rows"],
        "rows_assigned": manifest["rows_assigned"],
        "files": len(manifest["files"]),
        "rows_missing": manifest["rows"] - manifest["rows_assigned"]
        if asked["missing"] == "drop" and not asked["filters"]
        else 0,
        "skipped_files": manifest["skipped_files"],
        "bytes_read": rows.bytes_read,
        "seconds": time.perf_counter() - start,
    }
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            f"{manifest['rows_assigned']:,} of {manifest['rows']:,} rows assigned, in "
            f"{len(manifest['files'])} files\nclusters: {output_url}"
        )
        if found.version is not None:
            click.echo(f"model: version {found.version} of {found.registry}")
        for one in manifest["skipped_files"]:
            click.echo(f"left out: {one['url']} ({one['reason']})")
    if result["rows_missing"] or result["skipped_files"]:
        sys.exit(LEFT_OUT)
