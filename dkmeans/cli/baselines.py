"""Whether commands that fit give their models a baseline, and what that adds to their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import click

from dkmeans.errors import BudgetSpent, TooLarge
from dkmeans.evaluation.demand import baseline_demand
from dkmeans.evaluation.drift.baselines import with_baselines
from dkmeans.models.model import Model
from dkmeans.rows.demand import Demand, HasDemand
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows

baseline_option = click.option(
    "--baseline",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Store aggregates of the rows, which dkmeans drift compares others with: one more pass; "
    "auto: if rows are staged and not sampled, so that it does not read the source again.",
)


def with_asked_baselines(
    models: Mapping[int, Model], rows: Rows, asked: Mapping[str, Any]
) -> Mapping[int, Model]:
    """Return models, of one fit or sweep, with the baselines that the options ask for."""
    if asked["baseline"] == "yes":
        return with_baselines(models, rows)
    if not _is_wanted(rows, asked):
        return models
    planned = 0 if rows.parquet is None else rows.parquet.n_bytes
    if rows.known.n_unkept or rows.known.next_bytes > planned // 10:
        reporter().note("baseline: none, as rows are not kept; --baseline yes reads them again")
        return models
    try:
        return with_baselines(models, rows)
    except (BudgetSpent, TooLarge) as error:
        # the model is worth more than what it is compared by
        reporter().note(f"baseline: none ({error})")
        return models


class WithBaselines:
    """A fit or a sweep, and the pass that finds the baselines of its models, if it is made."""

    def __init__(
        self, fit: HasDemand, counts: Sequence[int], rows: Rows, asked: Mapping[str, Any]
    ) -> None:
        self._fit, self._counts = fit, counts
        self._makes = asked["baseline"] == "yes" or _is_wanted(rows, asked)

    def demand(self, n_features: int, dtype: str) -> Demand:
        """Return what all of it asks of rows."""
        demand = self._fit.demand(n_features, dtype)
        if not self._makes:
            return demand
        return _then(demand, baseline_demand(self._counts, n_features, dtype, scaled=True))


def _is_wanted(rows: Rows, asked: Mapping[str, Any]) -> bool:
    is_staged = rows.staging.stage != "none" and asked["sample"] is None
    return asked["baseline"] == "auto" and is_staged


def _then(demand: Demand, last: Demand) -> Demand:
    return replace(demand, then=last if demand.then is None else _then(demand.then, last))
