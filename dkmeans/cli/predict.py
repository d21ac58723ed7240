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
    parse_filters,
    parse_storage_options,
    split,
)
from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.model import Model
from dkmeans.rows.clusters_out import refuse_existing_output, write_clusters
from dkmeans.rows.parquet_plan import OnBadFile
from dkmeans.rows.progress import reporting
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.values import MissingName
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
    missing: MissingName,
    on_bad_file: OnBadFile,
    max_bad_files: int | None,
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
                missing="mean" if model.filling is not None else missing,
                on_bad_file=on_bad_file,
                max_bad_files=max_bad_files,
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
        "rows_missing": manifest["rows"] - manifest["rows_assigned"]
        if missing == "drop" and not filters
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
        for one in manifest["skipped_files"]:
            click.echo(f"left out: {one['url']} ({one['reason']})")
    if result["rows_missing"] or result["skipped_files"]:
        sys.exit(LEFT_OUT)
