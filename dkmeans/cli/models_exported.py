"""`dkmeans models export`: a model in a form that others read."""

import json

import click

from dkmeans.cli.options import (
    json_option,
    overwrite_option,
    parse_storage_options,
    storage_option,
)
from dkmeans.models.exports.export import FORMATS, Format, export
from dkmeans.models.model import Model
from dkmeans.registry.reference import locate


@click.command("export")
@click.argument("model_url", metavar="MODEL")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    required=True,
    help="A Pipeline in a file of skops, a graph of ONNX, or a folder of MLflow.",
)
@click.option(
    "--output", "output_url", required=True, metavar="URL", help="The file or folder to write."
)
@click.option(
    "--registered-model-name",
    metavar="NAME",
    help="Register it in MLflow's registry, too; MLFLOW_TRACKING_URI says where that is.",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME",
    help="Alias that is to stand for it in MLflow's registry; repeat for several.",
)
@storage_option
@overwrite_option
@json_option
def export_command(
    model_url: str,
    format_: Format,
    output_url: str,
    registered_model_name: str | None,
    aliases: tuple[str, ...],
    storage_options: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write MODEL for scikit-learn, ONNX or MLflow, once it assigns sample rows as MODEL does."""
    options = parse_storage_options(storage_options)
    located = locate(model_url, options)
    found = export(
        Model.load(located.url, storage_options=options),
        output_url,
        format_,
        storage_options=options,
        overwrite=overwrite,
        registered_model_name=registered_model_name,
        aliases=aliases,
        version=located.version if registered_model_name is not None else None,
    )
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return
    click.echo(f"{found.format}: {found.url}, {found.n_bytes:,} bytes")
    click.echo(f"checked by {found.checked_by}")
    if found.registered is not None:
        of = found.registered
        named = f" as {', '.join(of.aliases)}" if of.aliases else ""
        click.echo(f"registered: {of.name} version {of.version}{named}")
