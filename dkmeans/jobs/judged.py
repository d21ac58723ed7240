"""A challenger that was judged: its ids, figures and verdict, and what is kept with it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.lineage.continued import continued
from dkmeans.evaluation.lineage.match import match
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.jobs.challenge import Champion
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import Verdict, judge
from dkmeans.jobs.judging import figures_of
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.measure import Measured, measure
from dkmeans.jobs.snapshot import most_next_id, parameters_of
from dkmeans.models.model import Model
from dkmeans.registry.versions import Version
from dkmeans.rows.rows import Rows


@dataclass(frozen=True)
class Challenge:
    """A challenger that was judged, to be published."""

    measured: Measured
    model: Model
    """With the ids that go on, and what the registry is told of it."""

    lineage: Lineage | None
    figures: Figures
    verdict: Verdict
    run_id: str
    """That it is published by."""


def judged(
    run: Resolved,
    rows: Rows,
    champion: Champion | None,
    model: Model,
    versions: Sequence[Version],
    told: Mapping[str, Any],
    run_id: str,
) -> Challenge:
    """Measure a challenger beside the champion, in one pass or two, and judge it.

    Parameters
    ----------
    run
        The job.
    rows
        The new rows.
    champion
        None for a first model.
    model
        The challenger, as it was fitted.
    versions
        All of the registry: their cluster ids are not used again.
    told
        What the registry is to know of it, beside what is found here: "snapshot", "shadow" and
        "new_partitions".
    run_id
        That it will be published by.
    """
    old = None if champion is None else champion.model
    thresholds = Thresholds.checked(run.job.drift.thresholds())
    measured = measure(rows, old, model, thresholds)
    model, lineage = measured.challenger, None
    if old is not None:
        lineage = match(old, model, measured.flow, least_new_id=most_next_id(versions))
        model = continued(model, old, lineage)
    figures, of_champion = figures_of(measured, old, lineage, rows)
    verdict = judge(run.job.gates, figures, of_champion)
    found = {
        **told,
        "job": run.job.name,
        "challenged": None if champion is None else champion.version,
        "gate": "passed" if verdict.passed else "refused",
        "parameters": parameters_of(run),
    }
    job = {**run.record(), "run_id": run_id}
    model = replace(model, provenance={**model.provenance, "job": job, "retrain": found})
    return Challenge(measured, model, lineage, figures, verdict, run_id)


def attachments_of(run: Resolved, challenge: Challenge) -> dict[str, bytes]:
    """Return the files that are kept with its version: the job, and all reports."""
    found: dict[str, Any] = {
        "verdict.json": challenge.verdict.to_dict(),
        "figures.json": challenge.figures.to_dict(),
    }
    if challenge.measured.drift is not None:
        found["drift.json"] = challenge.measured.drift.to_dict()
    if challenge.lineage is not None:
        found["lineage.json"] = challenge.lineage.to_dict()
    texts = {name: json.dumps(one, indent=1).encode() for name, one in found.items()}
    return {"job.yaml": run.text.encode(), **texts}


def brief_of(drift: Drift) -> dict[str, Any]:
    """Return what a record tells of drift; the version has all."""
    whole = drift.to_dict()
    return {name: whole[name] for name in ("verdict", "reasons", "figures")}
