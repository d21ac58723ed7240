"""`dkmeans profile`: what the clusters of a model are, on some rows."""

import json
from typing import Any

import click

from dkmeans.cli.options import (
    cluster,
    cluster_options,
    input_options,
    json_option,
    parse_storage_options,
    stage_option,
    weight_option,
)
from dkmeans.cli.rows_for import exit_if_left_out, rows_for, tell_of_weights
from dkmeans.evaluation.profiles.profile import QUANTILES, checked_levels
from dkmeans.evaluation.profiles.profile import profile as profiled
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.evaluation.shown import Shown
from dkmeans.evaluation.statistics import check_integer
from dkmeans.registry.reference import load
from dkmeans.rows.for_model import left_out
from dkmeans.rows.progress import reporting


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.argument("input_url", metavar="INPUT")
@click.option("--cluster", "cluster_id", type=int, help="Show all features of this cluster alone.")
@click.option(
    "--compare",
    metavar="A,B",
    help="Show instead how two clusters differ, or all pairs for 'all': Welch's t-tests, Holm.",
)
@click.option(
    "--examples",
    "n_examples",
    type=int,
    default=0,
    show_default=True,
    help="Rows nearest to each center, and on its boundary, to show with their keys. They may be "
    "personal data.",
)
@click.option(
    "--quantiles",
    metavar="P,Q",
    default=",".join(f"{level:g}" for level in QUANTILES),
    show_default=True,
    help="Quantiles to tell, from 0 to 1.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of where values are counted apart."
)
@weight_option
@stage_option
@input_options
@cluster_options
@json_option
def profile(
    model_url: str,
    input_url: str,
    cluster_id: int | None,
    compare: str | None,
    n_examples: int,
    quantiles: str,
    seed: int,
    weight: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Describe the clusters of MODEL by the rows at INPUT, in the units of the data: two passes."""
    if cluster_id is not None and compare is not None:
        raise click.UsageError("--cluster goes without --compare.")
    pair, levels = _pair(compare), _levels(quantiles)
    check_integer("--examples", n_examples, 0)
    check_integer("--seed", seed, 0)
    options = parse_storage_options(asked["storage_options"])
    model = load(model_url, options)
    tell_of_weights(model, weight)
    for one in (cluster_id, *pair):
        if one is not None and one not in model.cluster_ids:
            raise click.UsageError(f"the model has no cluster {one}; see dkmeans inspect.")
    with (
        cluster(asked),
        reporting(),
        rows_for(
            model, model_url, input_url, asked, options, weight=weight, stage=asked["stage"]
        ) as rows,
    ):
        found = profiled(model, rows, quantiles=levels, n_examples=n_examples, random_state=seed)
        lost = left_out(rows)
    shown = _shown(found, cluster_id, compare, pair)
    click.echo(json.dumps({**shown.to_dict(), **lost}) if as_json else str(shown))
    exit_if_left_out(lost, as_json)


def _shown(
    found: Profile, cluster_id: int | None, compare: str | None, pair: tuple[int, ...]
) -> Shown:
    if cluster_id is not None:
        return found.describe(cluster_id)
    return found if compare is None else found.compare(*pair)


def _pair(text: str | None) -> tuple[int, ...]:
    """Turn `3,7` into two cluster ids; `all`, or nothing, into none."""
    if text is None or text == "all":
        return ()
    try:
        a, b = (int(one) for one in text.split(","))
    except ValueError:
        raise click.UsageError(
            f"--compare {text} should be two cluster ids, as 3,7, or all."
        ) from None
    if a == b:
        raise click.UsageError(f"--compare {text} should be two different clusters.")
    return a, b


def _levels(text: str) -> list[float]:
    try:
        return checked_levels([float(one) for one in text.split(",")]).tolist()
    except ValueError:
        raise click.UsageError(
            f"--quantiles {text} should be numbers from 0 to 1, as 0.1,0.5."
        ) from None
