"""The figures that gates judge, from what was measured of champion and challenger."""

from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation import metrics
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.evaluation.statistics import Statistics
from dkmeans.jobs import figures
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.measure import Measured, beyond_share
from dkmeans.models.model import Model
from dkmeans.rows.rows import Rows


def figures_of(
    measured: Measured,
    champion: Model | None,
    lineage: Lineage | None,
    rows: Rows,
) -> tuple[Figures, Figures | None]:
    """Return the figures of the challenger, and those of the champion on the same rows.

    Parameters
    ----------
    measured
        What the passes have found.
    champion
        None for a first model.
    lineage
        Which clusters went on.
    rows
        The rows that were measured: what was left out of them.
    """
    window = measured.challenger.provenance.get("window")
    n_rows, expected = measured.found.clusters.n_rows, _rows_of(champion)
    if window is not None and champion is not None and "window" in champion.provenance:
        # not the rows that were measured, which are those of new partitions alone; the champion's
        # window may have had more partitions, or fewer
        theirs = champion.provenance["window"]["partitions"]
        n_rows = int(measured.challenger.provenance["rows"])
        per_partition = int(champion.provenance["rows"]) / max(1, len(theirs))
        expected = round(per_partition * len(window["partitions"]))
    skipped = () if rows.parquet is None else rows.parquet.skipped
    read = figures.reading(
        n_rows,
        expected=expected,
        n_missing=rows.known.n_missing_rows if rows.missing == "drop" else 0,
        n_bad_files=len(skipped),
    )
    if measured.missing_share is not None:
        read["missing_share"] = measured.missing_share
    found = Figures.of(_quality(measured.found), read)
    if champion is None or measured.of_champion is None:
        return found, None
    of_champion = _quality(measured.of_champion)
    found = _with(found, {"churn": None if lineage is None else lineage.churn})
    per_row = of_champion["inertia_per_row"]
    if per_row is not None:
        found = _with(found, figures.misfit(per_row, *_fit_of(champion)))
    return _with(found, _drift(measured, champion)), Figures.of(of_champion)


def _drift(measured: Measured, champion: Model) -> dict[str, float | None]:
    baseline, survey = champion.baseline, measured.survey
    if baseline is None or survey is None or measured.drift is None:
        return {}
    moments = survey["moments"]
    return {
        "drift": figures.stability(baseline.cluster_weights, survey["sums 0"].weight),
        "new_region": beyond_share(champion, survey),
        "outside_range": measured.drift.shares.outside,
        **figures.shifts(
            baseline.mean,
            np.sqrt(baseline.variance),
            moments.mean,
            np.sqrt(moments.variance),
        ),
    }


def _quality(found: Statistics) -> dict[str, float | None]:
    values = {"inertia": metrics.inertia(found).value}
    try:
        values["silhouette_simplified"] = metrics.silhouette_simplified(found).value
    except ArgumentError:
        # of rows that are all in one of many clusters there is none, and rules refuse them; a model
        # of one cluster has 0, as any cluster of one row
        if len(found.clusters.weight) == 1:
            values["silhouette_simplified"] = 0.0
    return figures.quality(values, found.clusters.weight)


def _fit_of(champion: Model) -> tuple[float, float]:
    """The inertia of the rows of the champion's own run, and their weight.

    Not those of its ledger, which has older rows, too.
    """
    baseline = champion.baseline
    if baseline is None:
        return champion.inertia, float(champion.weights.sum())
    return float(baseline.cluster_sq_distances.sum()), baseline.weight


def _rows_of(champion: Model | None) -> int | None:
    if champion is None:
        return None
    if champion.baseline is not None:
        return champion.baseline.n_rows
    n_rows = champion.provenance.get("rows")
    return None if n_rows is None else int(n_rows)


def _with(found: Figures, more: Any) -> Figures:
    """Add figures, checked as `Figures.of` does."""
    Figures.of(more)
    return replace(found, **more)
