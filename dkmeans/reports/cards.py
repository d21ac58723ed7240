"""A card for each cluster: what sets it apart, in words and in small charts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from dkmeans.evaluation.charts.clusters import ChartCluster
from dkmeans.evaluation.charts.distributions import Distributions
from dkmeans.evaluation.shown import brief, decimals, share
from dkmeans.plots.drawing import count
from dkmeans.reports.drawing.spreads import spread
from dkmeans.reports.findings import Findings

MOST_FEATURES = 6
"""Features of a card: those in which its cluster differs the most."""

LEAST_ROWS = 10
"""Clusters of fewer rows show nothing of how values are spread where rows may not be shown."""


@dataclass(frozen=True)
class CardFeature:
    """A feature in a cluster."""

    name: str
    mean: str
    overall: str
    z: str
    """Difference of the means, in standard deviations of all rows."""

    box: str
    """The five numbers, in words."""

    chart: Markup


@dataclass(frozen=True)
class Card:
    """A cluster."""

    cluster: ChartCluster
    name: str
    """In full."""

    words: str
    rows: str
    figures: tuple[tuple[str, str], ...]
    features: tuple[CardFeature, ...]
    note: str = ""


def cards(
    found: Findings, shown: tuple[ChartCluster, ...], means: dict[int, float], *, rows_shown: bool
) -> list[Card]:
    """Return the cards of some clusters; `means` has their mean silhouettes, by label."""
    profile = found.profile
    order = np.argsort(profile.rank, axis=1)[:, :MOST_FEATURES]
    labels = [one.label for one in shown]
    places = sorted({int(j) for label in labels for j in order[label]})
    ids = [one.cluster_id for one in shown]
    chart = Distributions.of(profile, model=found.model, features=places, clusters=ids)
    total = float(profile.count.sum()) or 1.0
    everyone = {}
    for j in places:
        assert profile.histogram is not None
        everyone[j] = profile.histogram.of(j)[1].sum(axis=0) / total
    by_place = {one.place: one for one in chart.features}
    out = []
    for i, one in enumerate(shown):
        weight = float(profile.count[one.label])
        hides = not rows_shown and weight < LEAST_ROWS
        features = []
        for j in order[one.label].tolist() if weight > 0 else ():
            spreads = by_place[j]
            # what one or two rows have is these rows
            drawn = Markup("") if hides else spread(spreads, i, everyone[j], one.label)
            five = [brief(value) for value in spreads.boxes[i].tolist()]
            box = (
                ""
                if hides
                else (
                    f"5 % below {five[0]}, half from {five[1]} to {five[3]}, median {five[2]}, "
                    f"5 % above {five[4]}"
                )
            )
            features.append(
                CardFeature(
                    profile.feature_names[j],
                    brief(float(profile.mean[one.label, j])),
                    brief(float(profile.overall_mean[j])),
                    decimals(float(profile.difference[one.label, j]), 1, sign=True),
                    box,
                    drawn,
                )
            )
        out.append(_card(found, one, weight, total, means, tuple(features), hides))
    return out


def _card(
    found: Findings,
    one: ChartCluster,
    weight: float,
    total: float,
    means: dict[int, float],
    features: tuple[CardFeature, ...],
    hides: bool,
) -> Card:
    spread_of = float(found.profile.assumptions.spread[one.label])
    figures = [("Width (RMS distance)", brief(spread_of))]
    if one.label in means:
        figures.append(("Mean silhouette", decimals(means[one.label], 2)))
    name = "" if one.name is None else one.name
    words = found.profile.phrases[one.label] if weight > 0 else "no rows"
    note = f"Fewer than {LEAST_ROWS} rows: how they are spread is not shown." if hides else ""
    rows = f"{count(weight)} {'rows' if found.profile.unit == 'rows' else 'of the weight'}"
    return Card(
        one, name, words, f"{rows} · {share(weight, total)}", tuple(figures), features, note
    )


def compared(found: Findings, shown: tuple[ChartCluster, ...]) -> dict[str, Any]:
    """Return what the comparison of two clusters needs, as plain values."""
    profile = found.profile
    return {
        "features": list(profile.feature_names),
        "clusters": [
            {
                "label": one.label,
                "text": one.text,
                "mean": [brief(value) for value in profile.mean[one.label].tolist()],
                "z": [
                    round(value, 2) if value == value else None
                    for value in profile.difference[one.label].tolist()
                ],
            }
            for one in shown
        ],
    }
