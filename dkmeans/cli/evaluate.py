"""`dkmeans evaluate`: how good a model is on some rows."""

import json
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    input_options,
    json_option,
    parse_storage_options,
    split,
    stage_option,
    weight_option,
)
from dkmeans.cli.rows_for import exit_if_left_out, rows_for, tell_of_weights
from dkmeans.evaluation.evaluate import chosen_metrics
from dkmeans.evaluation.evaluate import evaluate as evaluated
from dkmeans.evaluation.metrics import METRICS
from dkmeans.evaluation.statistics import Sampling
from dkmeans.registry.reference import load
from dkmeans.rows.for_model import left_out
from dkmeans.rows.progress import reporting


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.argument("input_url", metavar="INPUT")
@click.option("--truth", metavar="COLUMN", help="Column of true labels, to compare clusters with.")
@click.option(
    "--metrics",
    metavar="A,B",
    help=f"Which to compute [default: all]: {', '.join(metric.name for metric in METRICS)}.",
)
@click.option(
    "--sample-size",
    type=int,
    default=10_000,
    show_default=True,
    help="Rows that the silhouette by distances between rows is estimated from.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of that sample.")
@weight_option
@stage_option
@input_options
@cluster_options
@json_option
def evaluate(
    model_url: str,
    input_url: str,
    truth: str | None,
    metrics: str | None,
    sample_size: int,
    seed: int,
    weight: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Compute metrics of MODEL on the rows at INPUT, all in two passes.

    On the rows of the fit its statistics are used again, in one pass.
    """
    names = chosen_metrics(split(metrics))
    Sampling.checked(sample_size, seed)
    options = parse_storage_options(asked["storage_options"])
    model = load(model_url, options)
    tell_of_weights(model, weight)
    labels = () if truth is None else (truth,)
    with (
        cluster(asked),
        reporting(),
        rows_for(
            model,
            model_url,
            input_url,
            asked,
            options,
            weight=weight,
            labels=labels,
            stage=asked["stage"],
        ) as rows,
    ):
        found = evaluated(
            model,
            rows,
            truth,
            metrics=names,
            sample_size=sample_size,
            random_state=seed,
        )
        lost = left_out(rows)
    click.echo(json.dumps({**found.to_dict(), **lost}) if as_json else str(found))
    exit_if_left_out(lost, as_json)
