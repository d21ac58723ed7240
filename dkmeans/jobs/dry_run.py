"""What a job would do: the job as it would run, and what that would read, from footers alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dkmeans.jobs.definition import Job
from dkmeans.jobs.load import Resolved, plain
from dkmeans.jobs.opening import (
    job_cluster,
    job_estimator,
    job_sweep,
    most_clusters,
    rows_of,
    settings_of,
    storage_options_of,
)
from dkmeans.jobs.planning import plan_for_workers, plan_lines, sampled, slots_of
from dkmeans.jobs.predict import rows_for
from dkmeans.jobs.publishing import referred
from dkmeans.rows.plan import Plan
from dkmeans.rows.rows import Rows


@dataclass(frozen=True)
class DryRun:
    """What a job would do."""

    run: Resolved
    plan: Mapping[str, Any]
    """Plain values."""

    lines: tuple[str, ...]
    """The plan for people."""

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain values; secrets are hidden."""
        return {
            "job": plain(self.run.job),
            "as_of": self.run.as_of,
            "sha256": self.run.sha256,
            "plan": dict(self.plan),
        }


def dry_run(run: Resolved) -> DryRun:
    """Plan a job: reads footers, and for a predict the model; starts no workers.

    A scheduler that is given by its address is asked for its workers; of a factory nothing is
    known, and the plan is that of this machine.

    Raises
    ------
    InputRefused
        If the data cannot be read as they are.
    """
    if run.job.task == "predict":
        return _of_predict(run)
    if run.job.task == "retrain":
        from dkmeans.jobs.retrain_plan import plan_of_retrain

        plan, lines = plan_of_retrain(run)
        return DryRun(run, plan, aligned(lines))
    with planned(run.job) as (rows, cost):
        assert rows.parquet is not None
        plan = {
            **cost.to_dict(),
            "feature_names": list(rows.feature_names or ()),
            "not_used": dict(rows.parquet.choice.left_out),
        }
        return DryRun(run, plan, aligned(plan_lines(cost, rows)))


@contextmanager
def planned(job: Job) -> Iterator[tuple[Rows, Plan]]:
    """Open the rows of a job that fits, and plan the fit, for a while."""
    options, settings = storage_options_of(job.data), settings_of(job)
    asked = job_sweep(job) if settings.sweep else job_estimator(job)
    k, size = most_clusters(settings), job.data.sample
    if job.cluster.address is not None:
        with job_cluster(job.cluster), rows_of(job, options) as rows:
            rows = sampled(rows, size, k)
            yield rows, rows.plan(asked)
        return
    with rows_of(job, options, stage="none") as rows:
        rows = sampled(rows, size, k)
        slots = slots_of(rows, job.cluster.local, job.cluster.memory)
        yield plan_for_workers(rows, lambda _: asked, job.stage, slots)


def _of_predict(run: Resolved) -> DryRun:
    options = storage_options_of(run.job.data)
    model = referred(run, options)
    with rows_for(run, model, options) as rows:
        found = rows.parquet
        assert found is not None
        plan = {
            "files": len(found.files),
            "skipped_files": len(found.skipped),
            "rows": sum(found.file_rows),
            "features": rows.n_features,
            "source_bytes": found.n_bytes,
            "most_passes": 1,
            "feature_names": list(rows.feature_names or ()),
            "version": model.version,
        }
        version = "" if model.version is None else f", version {model.version}"
        lines = [
            ("model", f"{model.name}{version}, {model.model.n_clusters} clusters"),
            ("files", f"{plan['files']:,}"),
            ("rows", f"{plan['rows']:,}"),
            ("features", f"{rows.n_features} ({found.choice})"),
            ("source", f"{found.n_bytes / 1e6:,.1f} MB, read once"),
        ]
        return DryRun(run, plan, aligned(lines))


def aligned(lines: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return names and what they are, one below the other."""
    return tuple(f"{name:<9} {value}" for name, value in lines)
