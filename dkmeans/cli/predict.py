"""`dkmeans predict`: write the clusters of new rows."""

import json
import time
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    input_options,
    json_option,
    overwrite_option,
    parse_filters,
    parse_storage_options,
    split,
)
from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.model import Model
from dkmeans.rows.clusters_out import refuse_existing_output, write_clusters
from dkmeans.rows.progress import reporting
from dkmeans.rows.reading import read_parquet
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
    filters: tuple[str, ...],
    keys: str | None,
    storage_options: tuple[str, ...],
    **asked: Any,
) -> None:
    """Write the clusters of the rows at INPUT, by MODEL, as Parquet at OUTPUT, beside the keys."""
    options = parse_storage_options(storage_options)
    model = Model.load(model_url, storage_options=options)
    refuse_existing_output(output_url, overwrite, remember(options))
    with cluster(asked), reporting():
        start = time.perf_counter()
        try:
            rows = read_parquet(
                input_url,
                columns=None if model.columns is None else [one.name for one in model.columns],
                filters=parse_filters(filters),
                keys=split(keys),
                dtype=model.dtype,
                storage_options=options,
                stage="none",
            )
        except SchemaMismatch as error:
            raise FeaturesMismatch(
                f"the model at {model_url} needs other columns: {error}"
            ) from None
        with rows:
            manifest = write_clusters(
                model, rows, output_url, overwrite=overwrite, storage_options=options
            )
    result = {
        "output": output_url,
        "model": model_url,
        "rows": manifest["rows"],
        "rows_assigned": manifest["rows_assigned"],
        "files": len(manifest["files"]),
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
