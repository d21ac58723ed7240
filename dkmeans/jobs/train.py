"""The task train: fit, or sweep, and store the model with the job that made it."""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from dkmeans.algorithms.checkpoint import remove_checkpoint, run_id_at
from dkmeans.errors import InputRefused, StaleCheckpoint
from dkmeans.estimators.sweep import SWEEP_N_INIT, sweep
from dkmeans.evaluation.drift.baselines import with_baseline
from dkmeans.evaluation.sweeps.files import refuse_existing_sweep
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.jobs.fitting import Settings
from dkmeans.jobs.load import Resolved, plain
from dkmeans.jobs.opening import (
    FOLLOWING,
    job_cluster,
    job_estimator,
    rows_of,
    settings_of,
    storage_options_of,
)
from dkmeans.jobs.outcome import Outcome, fit_figures, left_out_lines
from dkmeans.jobs.own import are_own_clusters, is_own_model, is_own_sweep
from dkmeans.jobs.publishing import publish
from dkmeans.models.files import refuse_existing
from dkmeans.models.model import Model
from dkmeans.rows.clusters_out import refuse_existing_output, write_clusters
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import join, remember

_OF_SWEEPS = ("init", "tol", "max_iter", "coreset_size")


@dataclass(frozen=True)
class Fitted:
    """What a fit has ended in."""

    model: Model
    sweep: Sweep | None = None
    """What it was chosen from."""


def train(run: Resolved) -> Outcome:
    """Fit the model of a job, and store it where the job says.

    A run that finds the checkpoint of an earlier one, of the same job on the same data, goes on
    from it; what was stored already is stored again, the same. The passes are those of the fit, and
    one more if clusters are written.

    Raises
    ------
    OutputExists
        If what lies where results go is not of this job.
    InputRefused
        If the data cannot be clustered as they are.
    BudgetSpent
        If a limit ends it.
    """
    job, start = run.job, time.perf_counter()
    options = storage_options_of(job.data)
    reference, place = remember(options), checkpoint_of(run)
    run_id = None
    if place is not None:
        with suppress(StaleCheckpoint):
            run_id = run_id_at(place, reference)
    _refuse_foreign(run, run_id, reference)
    with job_cluster(job.cluster), rows_of(job, options) as rows:
        reporter().note(f"{rows.parquet.choice if rows.parquet else ''}\nscale: {job.scale}")
        fitted = _based(run, _fresh_fit(run, rows, place, reference), rows)
        stored = _store(run, fitted, rows, options)
    if place is not None:
        remove_checkpoint(place, reference)
    result = {
        "job": job.name,
        "task": job.task,
        "as_of": run.as_of,
        "sha256": run.sha256,
        "run_id": fitted.model.provenance["run_id"],
        **stored,
        **fit_figures(fitted.model),
        "seconds": time.perf_counter() - start,
    }
    return Outcome(result, tuple(_lines(result, fitted)))


def _fresh_fit(run: Resolved, rows: Rows, place: str | None, reference: str) -> Fitted:
    """Fit, and where other data or versions have left a checkpoint, afresh: nobody goes on."""
    try:
        return fit(run, rows, place)
    except StaleCheckpoint as error:
        # found before the first pass
        assert place is not None
        reporter().note(f"beginning afresh: {error}")
        remove_checkpoint(place, reference)
    return fit(run, rows, place)


def checkpoint_of(run: Resolved) -> str | None:
    """Return where runs of this job keep the state of this fit; None if they keep none.

    A run as of another day, or of other settings, has another place; one with other limits, or
    elsewhere, goes on.
    """
    job = run.job
    if job.checkpoint is None:
        return None
    whole = plain(job)
    # the options of the store say who reads, not what
    data = {**whole["data"], "storage_options": None}
    fitted = json.dumps([data, whole["model"], whole["scale"]], sort_keys=True)
    digest = hashlib.sha256(fitted.encode()).hexdigest()
    return join(job.checkpoint, f"{job.name}-{digest[:16]}")


def fit(run: Resolved, rows: Rows, checkpoint: str | None) -> Fitted:
    """Fit the model of a job to its rows; the model knows the job.

    Raises
    ------
    InputRefused
        If the data cannot be clustered, or no number of a sweep stands out.
    """
    settings, sample = settings_of(run.job), run.job.data.sample
    if settings.sweep is None:
        estimator = job_estimator(run.job, checkpoint)
        estimator.fit(rows, sample=sample)
        return Fitted(_with_job(estimator.model_, run))
    given = {name: getattr(settings, name) for name in _OF_SWEEPS}
    if settings.init in FOLLOWING:
        given["init"] = None
    found = sweep(
        rows,
        settings.sweep,
        SWEEP_N_INIT if settings.n_init is None else settings.n_init,
        scale=None if run.job.scale == "none" else run.job.scale,
        random_state=settings.random_state,
        checkpoint=checkpoint,
        sample=sample,
        **{name: value for name, value in given.items() if value is not None},
    )
    found = replace(found, models={k: _with_job(one, run) for k, one in found.models.items()})
    return Fitted(found.models[_chosen(found, settings)], found)


def _chosen(found: Sweep, settings: Settings) -> int:
    """The number of clusters that a job asks for."""
    k = found.elbow if settings.choose == "elbow" else found.recommended or found.elbow
    if k is None:
        raise InputRefused(
            f"model.sweep: no number of clusters stands out ({found.reason}), and the inertia has "
            "no elbow; write model.n_clusters, or sweep over others."
        )
    return k


def _with_job(model: Model, run: Resolved) -> Model:
    return replace(model, provenance={**model.provenance, "job": run.record()})


def _based(run: Resolved, fitted: Fitted, rows: Rows) -> Fitted:
    """What a registry gets has a baseline, which retraining and drift compare rows with."""
    if run.job.registry is None:
        return fitted
    return replace(fitted, model=with_baseline(fitted.model, rows))


def _store(run: Resolved, fitted: Fitted, rows: Rows, options: Mapping[str, Any]) -> dict[str, Any]:
    """Store model, sweep and clusters; return where they are, and the version."""
    job, model = run.job, fitted.model
    stored: dict[str, Any] = {"model": job.output.model, "registry": None, "version": None}
    if job.output.model is not None:
        model.save(job.output.model, overwrite=True, storage_options=options)
    if job.output.sweep is not None and fitted.sweep is not None:
        fitted.sweep.save(job.output.sweep, overwrite=True, storage_options=options)
        stored["sweep"] = job.output.sweep
    if job.registry is not None:
        attached = {}
        if fitted.sweep is not None:
            attached["sweep.json"] = json.dumps(fitted.sweep.to_dict(), indent=1).encode()
        found = publish(run, model, options, attached)
        stored |= {"registry": job.registry.place, "version": found.version}
        stored |= {"alias": found.alias, "alias_version": found.points_to}
    if job.output.clusters is not None:
        manifest = write_clusters(
            model,
            rows,
            job.output.clusters,
            overwrite=True,
            storage_options=options,
            job={
                **run.record(),
                "run_id": model.provenance["run_id"],
                "model": job.output.model or stored["registry"],
                "model_version": stored["version"],
            },
        )
        stored["clusters"] = job.output.clusters
        stored["rows_assigned"] = manifest["rows_assigned"]
    return stored


def _refuse_foreign(run: Resolved, run_id: str | None, reference: str) -> None:
    """Raise if something lies where results go that this job has not written."""
    output, name = run.job.output, run.job.name
    if output.model is not None:
        ours = is_own_model(output.model, reference, run_id=run_id, job=name)
        refuse_existing(output.model, output.overwrite or ours, reference)
    if output.sweep is not None:
        ours = is_own_sweep(output.sweep, reference, job=name)
        refuse_existing_sweep(output.sweep, output.overwrite or ours, reference, run_id)
    if output.clusters is not None:
        ours = are_own_clusters(output.clusters, reference, run_id=run_id, job=name)
        refuse_existing_output(output.clusters, output.overwrite or ours, reference)


def _lines(result: Mapping[str, Any], fitted: Fitted) -> list[str]:
    work = "converged" if result["converged"] else "stopped by its most iterations"
    lines = [
        f"{result['rows']:,} rows in {result['n_clusters']} clusters, inertia "
        f"{result['inertia']:.6g}, {work} ({result['n_passes']} passes, {result['seconds']:.1f} s)"
    ]
    if fitted.sweep is not None:
        lines.append(f"of a sweep: {fitted.sweep.reason}")
    lines += left_out_lines(result["rows_missing"], result["skipped_files"])
    if result["version"] is not None:
        alias, at = result["alias"], result["alias_version"]
        held = "is this one" if at == result["version"] else f"stays at version {at}"
        lines.append(f"version {result['version']} of {result['registry']}; {alias} {held}")
    lines += [
        f"{what}: {result[what]}" for what in ("model", "sweep", "clusters") if result.get(what)
    ]
    return lines
