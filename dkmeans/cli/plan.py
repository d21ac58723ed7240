"""`dkmeans plan`: what a fit or a sweep would read and need, from the footers alone."""

import json
from collections.abc import Mapping
from typing import Any

import click

from dkmeans.cli.algorithms import algorithm_options, estimator_of
from dkmeans.cli.baselines import WithBaselines, baseline_option
from dkmeans.cli.fit import rows_of
from dkmeans.cli.options import (
    budget_options,
    cluster_options,
    connected_to,
    json_option,
    parse_sample,
    sweep_options,
)
from dkmeans.cli.sweep import parse_counts
from dkmeans.estimators.kmeans import KMeans
from dkmeans.estimators.sweep import SWEEP_N_INIT, Sweeping
from dkmeans.jobs.planning import plan_for_workers, plan_lines, sampled, slots_of
from dkmeans.rows.demand import HasDemand
from dkmeans.rows.rows import Rows


@click.command()
@click.argument("input_url", metavar="INPUT")
@sweep_options
@algorithm_options
@baseline_option
@budget_options
@cluster_options
@click.option("--model", "model_url", hidden=True)
@click.option("--output", "output_url", hidden=True)
@click.option("--plot", "plot_url", hidden=True)
@click.option("--sample-size", type=int, default=3_000, hidden=True)
@click.option("--overwrite", is_flag=True, hidden=True)
@click.option("--measure", is_flag=True, help="Also read and time one block, to tell seconds.")
@json_option
def plan(input_url: str, measure: bool, as_json: bool, counts: str, **asked: Any) -> None:
    """Show what `fit` with the same options would do; of several k, what `sweep` would.

    Reads footers only, starts no workers.
    """
    numbers = parse_counts(counts)
    asked["n_clusters"] = numbers[-1]
    estimator: HasDemand
    estimator = _sweep_of(asked, numbers) if len(numbers) > 1 else estimator_of(asked)
    if asked["scheduler"] is not None:
        with connected_to(asked):
            rows = _sampled(rows_of(input_url, asked), asked)
            cost = rows.plan(WithBaselines(estimator, numbers, rows, asked), measure=measure)
    else:
        rows = rows_of(input_url, {**asked, "stage": "none"})
        rows = _sampled(rows, asked)
        slots = slots_of(rows, asked["workers"], asked["memory"])
        rows, cost = plan_for_workers(
            rows,
            lambda kept: WithBaselines(estimator, numbers, kept, asked),
            asked["stage"],
            slots,
            measure=measure,
        )
    assert rows.parquet is not None
    if as_json:
        names = list(rows.feature_names or ())
        left_out = dict(rows.parquet.choice.left_out)
        click.echo(json.dumps({**cost.to_dict(), "feature_names": names, "not_used": left_out}))
        return
    for name, value in plan_lines(cost, rows):
        click.echo(f"{name:<9} {value}")


def _sweep_of(asked: Mapping[str, Any], numbers: list[int]) -> Sweeping:
    """Return the sweep that the options describe."""
    if asked["algorithm"] != "lloyd":
        raise click.UsageError("several --k are a sweep, which goes with --algorithm lloyd only.")
    n_init = SWEEP_N_INIT if asked["n_init"] is None else asked["n_init"]
    estimator = estimator_of({**asked, "n_init": n_init})
    assert isinstance(estimator, KMeans)
    return Sweeping(estimator, numbers, asked["sample_size"] or None)


def _sampled(rows: Rows, asked: Mapping[str, Any]) -> Rows:
    rows.limit(**{name: asked[name] for name in ("max_passes", "max_bytes", "max_seconds")})
    return sampled(rows, parse_sample(asked["sample"]), asked["n_clusters"])
