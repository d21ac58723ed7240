"""Run a job and tell of it: a record of the attempt, logs, metrics, and who wants to know."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.jobs.attempt import Attempt, noted, recorded
from dkmeans.jobs.definition import Notify
from dkmeans.jobs.load import Resolved, load_job
from dkmeans.jobs.logs import json_logs
from dkmeans.jobs.notify import Command, Target, Webhook, tell
from dkmeans.jobs.opening import storage_options_of
from dkmeans.jobs.outcome import Outcome
from dkmeans.jobs.prometheus import write_textfile
from dkmeans.jobs.records import new_run_id
from dkmeans.jobs.run import do_task
from dkmeans.jobs.secrets import Env
from dkmeans.registry.reference import parse
from dkmeans.rows.progress import reporter
from dkmeans.storage.filesystem import absolute

STANDARD_OUTPUT = "-"


def run_job(
    job: str | Path | Resolved,
    *,
    as_of: str | None = None,
    sets: Mapping[str, Any] | Sequence[str] = (),
    shadow: bool = False,
    log_json: str | None = None,
    metrics_file: str | Path | None = None,
) -> Outcome:
    """Run a job from its file, as `dkmeans run` does: with a record, metrics and notifications.

    Parameters
    ----------
    job
        Where the job file lies, on a local disk or any fsspec URL; or what `load_job` has read.
    as_of
        The date that `{{ as_of }}` stands for, as "2026-11-20" [default: now, in UTC].
    sets
        Values that take the place of those of the file, as `{"model.n_clusters": 12}` or
        `["model.n_clusters=12"]`.
    shadow
        Of a retrain: publish and judge, promote nothing.
    log_json
        A file that events are appended to as lines of JSON; "-" for standard error.
    metrics_file
        A folder or `.prom` file for the textfile collector of Prometheus.

    Returns
    -------
    Outcome
        Shown as text or in a notebook. A gate that refuses is told there, by `refusal` and
        `exit_code`, and is no error.

    Raises
    ------
    JobRefused
        If it cannot be run as it is written; every reason is named.
    ArgumentError
        If `as_of` or `sets` is given for a job that was read already, or is impossible.
    DkmeansError
        As the task does, after all have been told.
    """
    if isinstance(job, Resolved):
        if as_of is not None or sets:
            raise ArgumentError(
                "as_of and sets go with a job file, and this job was read already; pass them to "
                "load_job."
            )
        run = job
    else:
        if isinstance(sets, Mapping):
            # JSON is YAML
            sets = [f"{key}={json.dumps(value)}" for key, value in sets.items()]
        run = load_job(str(job), as_of=as_of, sets=sets)
    return run_monitored(run, shadow=shadow, log_json=log_json, metrics_file=metrics_file)


def run_monitored(
    run: Resolved,
    *,
    shadow: bool = False,
    log_json: str | None = None,
    metrics_file: str | Path | None = None,
) -> Outcome:
    """Do what a job says; keep a record of the attempt where its models are, and tell of its end.

    Parameters
    ----------
    run
        The job.
    shadow
        Of a retrain: promote nothing.
    log_json
        A file that events are appended to as lines of JSON; "-" for standard error.
    metrics_file
        A folder or `.prom` file for the textfile collector of Prometheus.

    Raises
    ------
    DkmeansError
        As the task does, after all have been told. Metrics and notifications that fail are noted.
    """
    attempt: Attempt | None = None
    try:
        with ExitStack() as stack:
            run_id = new_run_id(run.job.name)
            attempt = stack.enter_context(
                recorded(
                    records_url(run),
                    job=run.job.name,
                    task=run.job.task,
                    run_id=run_id,
                    storage_options=storage_options_of(run.job.data),
                )
            )
            attempt.add(extra={"as_of": run.as_of, "sha256": run.sha256})
            if log_json is not None:
                out = sys.stderr if log_json == STANDARD_OUTPUT else log_json
                stack.enter_context(json_logs(run_id, out))
            outcome = do_task(run, shadow=shadow)
            _add(attempt, outcome)
        return outcome
    finally:
        if attempt is not None:
            _told(attempt, run, metrics_file)


def records_url(run: Resolved) -> str:
    """Return where records of the runs of a job are: where its models are, below `runs`.

    In the registry, if it has one; else in the folder that holds the model.
    """
    job = run.job
    if job.registry is not None:
        return job.registry.place
    if isinstance(job.model, str):
        reference = parse(job.model)
        if reference.name is not None:
            return reference.url
        return _folder_of(job.model)
    assert job.output.model is not None
    return _folder_of(job.output.model)


def targets_of(notify: Notify) -> list[Target]:
    """Return who is to be told of the end of a job."""
    found: list[Target] = []
    # words that the definition has checked
    when = tuple(notify.when)
    if notify.webhook is not None:
        secret = isinstance(notify.webhook, Env)
        token = notify.token
        found.append(
            Webhook(
                url=None if secret else str(notify.webhook),
                url_env=notify.webhook.name if isinstance(notify.webhook, Env) else None,
                token_env=None if token is None else token.name,
                when=when,  # type: ignore[arg-type]
            )
        )
    if notify.command is not None:
        found.append(Command(tuple(notify.command), when=when))  # type: ignore[arg-type]
    return found


def _add(attempt: Attempt, outcome: Outcome) -> None:
    entries = dict(outcome.record)
    extra = {**attempt.record.extra, **entries.pop("extra", {})}
    version = outcome.result.get("version")
    if isinstance(version, int):
        entries.setdefault("model_version", version)
    attempt.add(extra=extra, **{"exit_code": outcome.exit_code, **entries})
    if outcome.refusal is not None:
        attempt.add(extra={**extra, "refusal": outcome.refusal})


def _told(attempt: Attempt, run: Resolved, metrics_file: str | Path | None) -> None:
    if metrics_file is not None:
        with noted("metrics were not written"):
            write_textfile(attempt.record, metrics_file)
    with noted("nobody was told of the end"):
        for one in tell(targets_of(run.job.notify), attempt):
            if not one.ok:
                reporter().note(f"{one.target} was not told: {one.reason}")


def _folder_of(url: str) -> str:
    return absolute(url).rstrip("/").rpartition("/")[0] or "/"
