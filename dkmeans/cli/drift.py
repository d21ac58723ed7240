"""`dkmeans drift`: whether rows are still like those that a model was fitted to."""

import json
from collections.abc import Sequence
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    json_option,
    parse_storage_options,
    source_options,
    weight_option,
)
from dkmeans.cli.rows_for import exit_if_left_out, rows_for, tell_of_weights
from dkmeans.errors import DriftFound
from dkmeans.evaluation.drift.drift import baseline_of
from dkmeans.evaluation.drift.drift import drift as drifted
from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.statistics import check_integer
from dkmeans.registry.reference import load
from dkmeans.rows.for_model import left_out
from dkmeans.rows.progress import reporting

_NAMES = ", ".join(f"{name} {value:g}" for name, value in vars(Thresholds()).items())


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.argument("input_url", metavar="INPUT")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"From where on a figure is drift; repeat for others [default: {_NAMES}].",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the sample that a new region is found from.",
)
@weight_option
@source_options
@cluster_options
@json_option
def drift(
    model_url: str,
    input_url: str,
    thresholds: tuple[str, ...],
    seed: int,
    weight: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Compare the rows at INPUT with those that MODEL was fitted to: one pass.

    Exits with 6 if they have drifted. Missing values are counted; rows that lack one count for
    nothing else, unless the model fills them in.
    """
    chosen = parse_thresholds(thresholds)
    check_integer("--seed", seed, 0)
    options = parse_storage_options(asked["storage_options"])
    model = load(model_url, options)
    baseline_of(model)
    tell_of_weights(model, weight)
    # so that they come, and are counted
    asked["missing"] = "mean"
    with (
        cluster(asked),
        reporting(),
        rows_for(model, model_url, input_url, asked, options, weight=weight) as rows,
    ):
        found = drifted(model, rows, thresholds=chosen, random_state=seed)
        lost = left_out(rows)
    click.echo(json.dumps({**found.to_dict(), **lost}) if as_json else str(found))
    if found.is_drift:
        raise DriftFound(_sentence(found))
    exit_if_left_out(lost, as_json)


def parse_thresholds(texts: Sequence[str]) -> Thresholds:
    """Turn every NAME=VALUE into a threshold."""
    given: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise click.UsageError(f"--threshold {text!r} should be NAME=VALUE, a number.")
    return Thresholds.checked(given)


def _sentence(found: Drift) -> str:
    drifting = sum(one.drifts for one in found.checks)
    return (
        f"the rows have drifted: {drifting} of {len(found.checks)} figures are above their "
        f"thresholds. {found.reasons[0]}"
    )
