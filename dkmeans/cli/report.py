"""`dkmeans report`: one page that shows and explains a model."""

import json
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    input_options,
    json_option,
    overwrite_option,
    parse_storage_options,
    stage_option,
    weight_option,
)
from dkmeans.cli.rows_for import exit_if_left_out, rows_for, tell_of_weights
from dkmeans.evaluation.lineage.flow import check_features
from dkmeans.evaluation.statistics import check_integer
from dkmeans.reports.about import Named
from dkmeans.reports.findings import EXAMPLES, findings
from dkmeans.reports.page import Asked
from dkmeans.reports.report import made_of, named_model, refuse_existing_report
from dkmeans.reports.sweeps import chosen_sweep
from dkmeans.rows.for_model import left_out
from dkmeans.rows.progress import reporting


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.argument("input_url", metavar="INPUT")
@click.option("--out", "out_url", required=True, metavar="URL", help="Where the page goes.")
@click.option(
    "--rows/--no-rows",
    "rows_shown",
    default=True,
    help="Show rows that are typical of each cluster, with their keys, and which row a dot is; "
    "they may be personal data.",
)
@click.option(
    "--against",
    "against_url",
    metavar="OTHER_MODEL",
    help="The model before: which clusters continue which, and where rows went.",
)
@click.option(
    "--sweep",
    "sweep_url",
    metavar="URL",
    help="A saved sweep, for its curves by k [default: that which MODEL is one of].",
)
@click.option("--title", help="Of the page [default: the name of the rows].")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples.")
@weight_option
@stage_option
@input_options
@cluster_options
@overwrite_option
@json_option
def report(
    model_url: str,
    input_url: str,
    out_url: str,
    rows_shown: bool,
    against_url: str | None,
    sweep_url: str | None,
    title: str | None,
    seed: int,
    weight: str | None,
    overwrite: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Show and explain MODEL by the rows at INPUT on one HTML page: two passes.

    The page loads nothing from elsewhere, and can be mailed, printed and kept.
    """
    check_integer("--seed", seed, 0)
    options = parse_storage_options(asked["storage_options"])
    refuse_existing_report(out_url, overwrite, options)
    model, named = named_model(model_url, options)
    other, other_named = None, Named()
    if against_url is not None:
        other, other_named = named_model(against_url, options)
        check_features(other, model)
    sweep = chosen_sweep(sweep_url, model_url, options)
    tell_of_weights(model, weight)
    with (
        cluster(asked),
        reporting(),
        rows_for(
            model, model_url, input_url, asked, options, weight=weight, stage=asked["stage"]
        ) as rows,
    ):
        found = findings(
            model, rows, against=other, n_examples=EXAMPLES if rows_shown else 0, seed=seed
        )
        lost = left_out(rows)
    made = made_of(found, Asked(rows_shown, named, other_named, sweep, title))
    made.save(out_url, overwrite=overwrite, storage_options=options)
    if as_json:
        told = {
            "report": out_url,
            "bytes": made.n_bytes,
            "rows": made.n_rows,
            "passes": made.n_passes,
            "rows_shown": rows_shown,
        }
        click.echo(json.dumps({**told, **lost}))
    else:
        click.echo(
            f"report: {out_url} ({made.n_bytes / 1e3:,.0f} kB, {made.n_rows:,} rows, "
            f"{made.n_passes} passes)"
        )
    exit_if_left_out(lost, as_json)
