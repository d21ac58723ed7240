"""`dkmeans plan`: what a fit would read and need, from the footers alone."""

import json
from typing import Any

import click

from dkmeans.algorithms.cost import cost_of
from dkmeans.cli.fit import estimator_of, rows_of
from dkmeans.cli.options import (
    cluster_options,
    connected_to,
    fit_options,
    json_option,
    local_workers,
)
from dkmeans.cluster.connect import worker_bytes


@click.command()
@click.argument("input_url", metavar="INPUT")
@fit_options
@cluster_options
@click.option("--model", "model_url", hidden=True)
@click.option("--output", "output_url", hidden=True)
@click.option("--overwrite", is_flag=True, hidden=True)
@json_option
def plan(input_url: str, as_json: bool, **asked: Any) -> None:
    """Show what `fit` with the same options would do. Reads footers only, starts no workers."""
    settings = estimator_of(asked).settings()
    settings.check()
    memory_bytes = None
    if asked["scheduler"] is not None:
        with connected_to(asked):
            rows = rows_of(input_url, asked)
    else:
        rows = rows_of(input_url, asked)
        n_workers, size = local_workers(asked)
        if n_workers and asked["stage"] == "auto":
            memory_bytes = n_workers * worker_bytes(size)
    cost = cost_of(rows, settings, memory_bytes)
    assert rows.parquet is not None
    if as_json:
        names = list(rows.feature_names or ())
        left_out = dict(rows.parquet.choice.left_out)
        click.echo(json.dumps({**cost.to_dict(), "feature_names": names, "not_used": left_out}))
        return
    kept = "kept in memory" if cost.staged else "read again for each pass"
    for name, value in (
        ("files", f"{cost.files:,}"),
        ("rows", f"{cost.rows:,}"),
        ("features", f"{cost.features} ({rows.parquet.choice})"),
        ("source", f"{cost.source_bytes / 1e6:,.1f} MB a pass"),
        ("decoded", f"{cost.decoded_bytes / 1e6:,.1f} MB, {kept}"),
        ("blocks", f"{cost.blocks:,} in {cost.leaves:,} leaves"),
        (
            "passes",
            f"at most {cost.most_passes:,}, reading at most {cost.most_bytes_read / 1e6:,.1f} MB",
        ),
        ("memory", f"{cost.task_bytes / 1e6:,.1f} MB a worker, for one task"),
    ):
        click.echo(f"{name:<9} {value}")
