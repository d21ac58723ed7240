"""`dkmeans inspect`: what a saved model is."""

import json
import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.evaluation.shown import name as one_line
from dkmeans.models.described import describe
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.registry.reference import load

_FEATURES_SHOWN = 8


@click.command()
@click.argument("model_url", metavar="MODEL")
@storage_option
@json_option
def inspect(model_url: str, storage_options: tuple[str, ...], as_json: bool) -> None:
    """Show the clusters of a model: sizes, shares, and centers in the units of the data."""
    model = load(model_url, parse_storage_options(storage_options))
    if as_json:
        click.echo(json.dumps(describe(model)))
        return
    click.echo(
        f"{model.n_clusters} clusters of {model.n_features} "
        f"feature{'s' if model.n_features > 1 else ''}, id {model_id(model)}\n"
        f"scale {model.scaling.kind if model.scaling else 'none'}, inertia {model.inertia:.6g}"
    )
    provenance = model.provenance
    if "run_id" in provenance:
        click.echo(
            f"fitted on {provenance['rows']:,} rows ({provenance['rows_dropped']:,} dropped) of "
            f"{len(provenance['files'])} files, seed {provenance['seed']}, in "
            f"{provenance['n_iter']} iterations and {provenance['n_passes']} passes, "
            f"finished {provenance['finished']}"
        )
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False).print(_table(model))
    hidden = model.n_features - _FEATURES_SHOWN
    if hidden > 0:
        click.echo(f"{hidden} more features: --json shows all")


def _table(model: Model) -> Table:
    names = model.feature_names or tuple(f"x{i}" for i in range(model.n_features))
    table = Table()
    table.add_column("cluster", justify="right")
    # a column for those that have any
    told = {"name": model.cluster_names, "color": model.cluster_colors}
    told = {heading: by_id for heading, by_id in told.items() if by_id}
    for heading in told:
        table.add_column(heading, overflow="fold")
    for heading in ("size", "share", *names[:_FEATURES_SHOWN]):
        table.add_column(escape(heading), justify="right")
    total = max(float(model.weights.sum()), 1e-300)
    for j in range(model.n_clusters):
        cluster_id = int(model.cluster_ids[j])
        called = [by_id.get(cluster_id) for by_id in told.values()]
        table.add_row(
            str(cluster_id),
            *("" if one is None else escape(one_line(one)) for one in called),
            f"{model.weights[j]:,.6g}" if model.weights[j] % 1 else f"{int(model.weights[j]):,}",
            f"{model.weights[j] / total:.1%}",
            *(f"{value:.5g}" for value in model.centers[j, :_FEATURES_SHOWN]),
        )
    return table
