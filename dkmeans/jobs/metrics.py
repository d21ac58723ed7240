"""What a gate may look at: each metric, its unit, and what it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Unit = Literal["share", "ratio", "score", "sq_distance", "count"]
"""share: of rows, from 0 to 1; ratio: of what the champion had, 1 where nothing has changed; score:
a number without a unit; sq_distance: a squared distance in the space of the model; count."""


@dataclass(frozen=True)
class Metric:
    """A figure that rules are about."""

    name: str

    title: str
    """What it is, in one phrase."""

    unit: Unit

    lower_is_better: bool | None
    """None where neither end is good."""

    needs_champion: bool
    """Whether it is itself a comparison with the champion, and not defined for a first model."""

    @property
    def has_champion_value(self) -> bool:
        """Whether the champion has a value of it, which increases and decreases are shares of."""
        return not self.needs_champion and self.name in _OF_MODELS


_OF_MODELS = ("inertia_per_row", "silhouette", "smallest_share")
"""Those that are measured of the champion, too, on the same rows."""

_ALL = (
    Metric(
        "inertia_per_row",
        "mean squared distance of the new rows to their centers",
        "sq_distance",
        lower_is_better=True,
        needs_champion=False,
    ),
    Metric(
        "silhouette",
        "mean simplified silhouette of the new rows",
        "score",
        lower_is_better=False,
        needs_champion=False,
    ),
    Metric(
        "smallest_share",
        "share of the new rows that is in the smallest cluster",
        "share",
        lower_is_better=False,
        needs_champion=False,
    ),
    Metric(
        "churn",
        "share of the new rows whose cluster_id changes from champion to challenger",
        "share",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "drift",
        "population stability index (PSI) of the champion's cluster shares",
        "score",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "misfit",
        "the champion's inertia per row on the new rows, by that on the rows of its own fit",
        "ratio",
        lower_is_better=None,
        needs_champion=True,
    ),
    Metric(
        "new_region",
        "share of the new rows farther from the champion's centers than 99 % of its rows were",
        "share",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "outside_range",
        "share of the new rows with a feature outside the range of the champion's rows",
        "share",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "mean_shift",
        "largest shift of a feature's mean, in the champion's standard deviations",
        "score",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "spread_change",
        "largest factor by which a feature's standard deviation grew or shrank",
        "ratio",
        lower_is_better=True,
        needs_champion=True,
    ),
    Metric(
        "rows",
        "rows used, by those of the champion's run or by the number that is expected",
        "ratio",
        lower_is_better=None,
        needs_champion=True,
    ),
    Metric("n_rows", "rows used", "count", lower_is_better=False, needs_champion=False),
    Metric(
        "bad_files",
        "files left out because they could not be read",
        "count",
        lower_is_better=True,
        needs_champion=False,
    ),
    Metric(
        "missing_share",
        "share of the rows read that lack a value, filled or dropped",
        "share",
        lower_is_better=True,
        needs_champion=False,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric that a gate may have a rule on, by name."""
