"""The model that challenges the champion, and the rows that both are judged on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.estimators.retrain import retrain
from dkmeans.estimators.window_fit import window_fit
from dkmeans.jobs.fitting import Window
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import (
    filters_of,
    limited,
    rows_of,
    settings_of,
    urls_of,
)
from dkmeans.jobs.templates import parse_as_of
from dkmeans.jobs.train import checkpoint_of, fit
from dkmeans.models.model import Model
from dkmeans.rows.partitions import Partition, list_partitions
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows

WINDOW_TOL = 1e-4
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


def partitions_of(run: Resolved, window: Window, options: Mapping[str, Any]) -> list[Partition]:
    """List the partitions of the window of a job; no file is opened."""
    by: Any = None if window.partitions is None else list(window.partitions)
    if by == ["file"]:
        by = "file"
    data = run.job.data
    return list_partitions(urls_of(data), by=by, filters=filters_of(data), storage_options=options)


def window_challenger(
    run: Resolved,
    partitions: list[Partition],
    champion: Champion | None,
    options: Mapping[str, Any],
) -> Model:
    """Cluster the partitions of a window, of which only new ones are read."""
    settings, data = settings_of(run.job), run.job.data
    window = settings.window or Window()
    scale = None if champion is not None or run.job.scale == "none" else run.job.scale
    return window_fit(
        partitions,
        window.coresets,
        champion=None if champion is None else champion.model,
        n_clusters=settings.n_clusters,
        columns=data.columns,
        weight=data.weight,
        dtype=data.dtype if champion is None else None,
        missing=data.missing,
        on_bad_file=data.on_bad_file,
        scale=scale,
        n_init="auto" if settings.n_init is None else settings.n_init,
        random_state=settings.random_state,
        coreset_size=settings.coreset_size,
        tol=WINDOW_TOL if settings.tol is None else settings.tol,
        # rows of partitions that have left the window are not kept
        retain=(),
        storage_options=options,
    )


def new_rows(
    run: Resolved, partitions: list[Partition], challenger: Model, options: Mapping[str, Any]
) -> Rows:
    """Open the partitions that a window had not read before; its last one, if it had read all."""
    told = challenger.provenance["window"]["partitions"]
    fresh = {one["name"] for one in told if one["read"]}
    new = [one for one in partitions if one.name in fresh] or partitions[-1:]
    if len({one.filters for one in new}) > 1:
        raise ArgumentError(
            "data.filters ask other things of some partitions than of others; name in "
            "model.window.partitions all partition columns that they look at."
        )
    files = tuple(sorted((file for one in new for file in one.files), key=lambda file: file.url))
    data = run.job.data
    rows = read_parquet(
        Partition("new", files, new[0].filters),
        None if challenger.columns is None else [one.name for one in challenger.columns],
        weight=data.weight,
        dtype=challenger.dtype,
        block_bytes=data.block_bytes,
        storage_options=options,
        stage=run.job.stage,
        missing="mean" if challenger.filling is not None else data.missing,
        on_bad_file=data.on_bad_file,
        max_bad_files=data.max_bad_files,
    )
    return limited(rows, run.job)


def challenger_of(
    run: Resolved, rows: Rows, champion: Champion | None, options: Mapping[str, Any]
) -> Model:
    """Fit the model that challenges the champion; without one, as the task train does.

    Raises
    ------
    ArgumentError
        If a champion with another number of clusters cannot be followed.
    """
    settings, job = settings_of(run.job), run.job
    if champion is None or settings.init == "scratch":
        return fit(run, rows, checkpoint_of(run)).model
    if settings.init == "coreset":
        asked = replace(settings, window=Window())
        freely = replace(run, job=replace(job, model=asked))
        return window_challenger(freely, partitions_of(run, Window(), options), champion, options)
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
