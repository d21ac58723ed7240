"""The model that challenges the champion, of the rows of the job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.estimators.retrain import retrain
from dkmeans.jobs.fitting import Window
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import rows_of, settings_of
from dkmeans.jobs.templates import parse_as_of
from dkmeans.jobs.train import checkpoint_of, fit
from dkmeans.jobs.windows import partitions_of, window_challenger
from dkmeans.models.model import Model
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.rows import Rows

_LEAST_DECAY = 1e-12


@dataclass(frozen=True)
class Champion:
    """The model that serves."""

    model: Model
    version: int


def job_rows(run: Resolved, champion: Champion | None, options: Mapping[str, Any]) -> Rows:
    """Open the rows of a job with the features of its champion, if there is one.

    Raises
    ------
    FeaturesMismatch
        If the job names other columns than the champion has.
    """
    job = run.job
    if champion is None:
        return rows_of(job, options)
    model, asked = champion.model, job.data.columns
    names = None if model.columns is None else tuple(one.name for one in model.columns)
    if asked is not None and names is not None and asked != names:
        raise FeaturesMismatch(
            f"data.columns are {', '.join(asked)}, those of the champion, version "
            f"{champion.version}, are {', '.join(names)}: clusters of other features are other "
            "clusters; begin another registry."
        )
    fills = model.filling is not None
    data = replace(
        job.data,
        columns=names or asked,
        dtype="float64" if model.dtype == "float64" else "float32",
        missing="mean" if fills else job.data.missing,
    )
    return rows_of(replace(job, data=data), options)


def challenger_of(
    run: Resolved,
    rows: Rows,
    champion: Champion | None,
    options: Mapping[str, Any],
    allowance: Allowance,
) -> Model:
    """Fit the model that challenges the champion; without one, as the task train does.

    `rows` keep to the limits of the job, partitions that are read beside them to the allowance.

    Raises
    ------
    ArgumentError
        If a champion with another number of clusters cannot be followed.
    """
    settings, job = settings_of(run.job), run.job
    if champion is None or settings.init == "scratch":
        return fit(run, rows, checkpoint_of(run)).model
    if settings.init == "coreset":
        parts = partitions_of(run, Window(), options)
        model = window_challenger(run, parts, champion.model, options, allowance)
        # what is left of the allowance is for judging
        allowance.limit(rows, goes_on=True)
        return model
    k = champion.model.n_clusters
    if settings.n_clusters != k:
        raise ArgumentError(
            f"model.n_clusters: {settings.n_clusters} is not the number of clusters of the "
            f"champion, {k}, whose centers a retrain begins with; write n_clusters: {k}, or init: "
            "coreset."
        )
    given = {name: getattr(settings, name) for name in ("max_iter", "tol")}
    with_sample = rows if job.data.sample is None else rows.sample(job.data.sample)
    return retrain(
        champion.model,
        with_sample,
        decay=decay_of(run, champion.model, rows.n_source_rows),
        checkpoint=checkpoint_of(run),
        **{name: value for name, value in given.items() if value is not None},
    )


def decay_of(run: Resolved, champion: Model, n_rows: int | None) -> float:
    """Return what the weights of the champion's rows are multiplied by.

    `0.5 ** (age / half_life)`. Of a half-life in time, the age is that from the date that the
    champion's run was as of to the date of this one, not from one clock to another: a run that is
    made up for later forgets as much as it would have then. It is not negative. Of a half-life in
    rows, it is the number of the new rows, before filters that look at rows.
    """
    half_life = settings_of(run.job).half_life
    if half_life is None:
        return 1.0
    if half_life.unit == "rows":
        age = float(n_rows or 0)
    else:
        then, now = _as_of(champion), parse_as_of(run.as_of)
        age = 0.0 if then is None else max(0.0, (now - then).total_seconds())
    return float(max(_LEAST_DECAY, 0.5 ** (age / half_life.amount)))


def _as_of(champion: Model) -> datetime | None:
    """The date that the rows of a champion are of; when its fit was done, if no job tells."""
    job = champion.provenance.get("job")
    text = job.get("as_of") if isinstance(job, Mapping) else None
    if isinstance(text, str):
        return parse_as_of(text)
    finished = champion.provenance.get("finished")
    return None if finished is None else datetime.fromisoformat(str(finished)).astimezone(UTC)
