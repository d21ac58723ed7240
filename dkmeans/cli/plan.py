"""`dkmeans plan`: what a fit or a sweep would read and need, from the footers alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from dkmeans.algorithms.checks import check_enough
from dkmeans.cli.algorithms import algorithm_options, estimator_of
from dkmeans.cli.baselines import WithBaselines, baseline_option
from dkmeans.cli.fit import rows_of
from dkmeans.cli.options import (
    budget_options,
    cluster_options,
    connected_to,
    json_option,
    local_workers,
    parse_sample,
    sweep_options,
)
from dkmeans.cli.sweep import SWEEP_N_INIT, parse_counts
from dkmeans.cluster.connect import worker_bytes
from dkmeans.estimators.kmeans import KMeans
from dkmeans.estimators.sweep import Sweeping
from dkmeans.rows.demand import HasDemand
from dkmeans.rows.engine import IDLE_WORKER_BYTES, Slot
from dkmeans.rows.plan import Plan, measured, plan_of
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import Room, decide
from dkmeans.rows.task_memory import check_fits


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
        slots = _slots(rows, asked)
        memory = sum(slot.free_bytes for slot in slots)
        room = _Planned(Room(memory, rows.engine.room().disk_bytes))
        staging = decide(asked["stage"], rows.decoded_bytes, rows.n_source_rows, room)
        rows = replace(rows, staging=staging)
        planned = WithBaselines(estimator, numbers, rows, asked)
        demand = planned.demand(rows.n_features, rows.dtype)
        check_fits(rows, demand, slots)
        cost = plan_of(rows, demand, slots)
        if measure:
            cost = measured(rows, cost, demand, sum(slot.n_tasks for slot in slots))
    assert rows.parquet is not None
    if as_json:
        names = list(rows.feature_names or ())
        left_out = dict(rows.parquet.choice.left_out)
        click.echo(json.dumps({**cost.to_dict(), "feature_names": names, "not_used": left_out}))
        return
    for name, value in _lines(cost, rows):
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
    size = parse_sample(asked["sample"])
    rows.limit(**{name: asked[name] for name in ("max_passes", "max_bytes", "max_seconds")})
    if rows.n_source_rows is not None:
        check_enough(rows.n_source_rows, 1.0, asked["n_clusters"])
    return rows if size is None else rows.sample(size)


class _Planned:
    """The room that workers will have once they are started."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def room(self) -> Room:
        """Return it."""
        return self._room


def _slots(rows: Rows, asked: Mapping[str, Any]) -> tuple[Slot, ...]:
    n_workers, size = local_workers(asked)
    if n_workers == 0:
        return rows.engine.slots()
    free = max(0, worker_bytes(size) - IDLE_WORKER_BYTES)
    return tuple(Slot(f"worker {i}", 1, free) for i in range(n_workers))


def _lines(cost: Plan, rows: Rows) -> list[tuple[str, str]]:
    assert rows.parquet is not None
    skipped = f", {cost.skipped_files:,} left out" if cost.skipped_files else ""
    requests = f" in {cost.source_requests:,} requests" if cost.source_requests else ""
    local = ""
    if cost.local_bytes_read:
        local = (
            f"; local disks: {cost.local_bytes_written / 1e6:,.1f} MB written, at most "
            f"{cost.local_bytes_read / 1e6:,.1f} MB read"
        )
    once = ""
    if cost.process_bytes:
        once = f", and {cost.process_bytes / 1e6:,.0f} MB once a worker for compiled code"
    lines = [
        ("files", f"{cost.files:,}{skipped}"),
        ("rows", f"{cost.rows:,}"),
        ("features", f"{cost.features} ({rows.parquet.choice})"),
        ("source", f"{cost.source_bytes / 1e6:,.1f} MB{requests} a pass"),
        ("decoded", f"{cost.decoded_bytes / 1e6:,.1f} MB"),
        ("stage", cost.stage_reason),
        ("blocks", f"{cost.blocks:,} in {cost.leaves:,} leaves, {cost.tasks:,} tasks a pass"),
        (
            "passes",
            f"at most {cost.most_passes:,}, reading at most {cost.most_bytes_read / 1e6:,.1f} MB "
            f"of the source{local}",
        ),
        ("memory", f"{cost.task_bytes / 1e6:,.1f} MB for one task, above an idle worker{once}"),
    ]
    if cost.most_seconds is not None:
        later = (
            "" if cost.staged_pass_seconds is None else f", {cost.staged_pass_seconds:,.1f} s later"
        )
        lines.append(
            (
                "seconds",
                f"{cost.pass_seconds:,.1f} s a pass{later}; at most {cost.most_seconds:,.0f} s",
            )
        )
    return lines
