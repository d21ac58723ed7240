"""Windows of a retrain: their partitions, which of them are new, and where coresets are kept."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dkmeans.algorithms.windows.reading import Reading
from dkmeans.algorithms.windows.store import CoresetStore
from dkmeans.errors import ArgumentError, InputRefused
from dkmeans.estimators.window_fit import window_fit
from dkmeans.jobs.definition import Job
from dkmeans.jobs.fitting import Window
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.opening import filters_of, settings_of, urls_of
from dkmeans.jobs.snapshot import parameters_of, refused_partitions
from dkmeans.models.model import Model
from dkmeans.registry.versions import Version
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.partitions import Partition, list_partitions
from dkmeans.rows.progress import reporter
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.storage.filesystem import join

WINDOW_TOL = 1e-4


def window_of(job: Job) -> Window | None:
    """Return the window that a job fits; without one, what all its rows together are."""
    settings = settings_of(job)
    if settings.window is None and settings.init == "coreset":
        return Window()
    return settings.window


def partitions_of(run: Resolved, window: Window, options: Mapping[str, Any]) -> list[Partition]:
    """List the partitions of the window of a job; no file is opened."""
    by: Any = None if window.partitions is None else list(window.partitions)
    if by == ["file"]:
        by = "file"
    data = run.job.data
    return list_partitions(urls_of(data), by=by, filters=filters_of(data), storage_options=options)


def accepted(
    run: Resolved,
    parts: list[Partition],
    versions: Sequence[Version],
    served: Collection[int],
) -> list[Partition]:
    """Leave out partitions that were refused when they were new.

    Parameters
    ----------
    run, parts
        The job, and the partitions of its window.
    versions
        All of the registry.
    served
        Numbers of those that the alias of the job has ever pointed to.

    Raises
    ------
    InputRefused
        If none is left.
    """
    refused = refused_partitions(versions, served, run.job.name, parameters_of(run))
    for one in parts:
        if one.fingerprint in refused:
            by = f"refused with version {refused[one.fingerprint]}"
            reporter().note(f"left out of the window: {one.name}, {by}")
    left = [one for one in parts if one.fingerprint not in refused]
    if not left:
        raise InputRefused(
            "every partition of the window was refused by the gate when it was new; promote the "
            "version that it was refused with, or change `gates`, if the rows are as they should "
            "be."
        )
    return left


def new_partitions(
    run: Resolved,
    parts: Sequence[Partition],
    champion: Model | None,
    versions: Sequence[Version],
    served: Collection[int],
) -> list[Partition]:
    """Return the partitions that no accepted model of a job has learned from.

    Not those that a fit reads: one that was killed has read some already, and one whose coresets
    were forgotten reads old ones again. Parameters are as for `accepted`.
    """
    known: set[str] = set()
    window = None if champion is None else champion.provenance.get("window")
    if window is not None:
        known |= {str(one["fingerprint"]) for one in window["partitions"]}
    for version in versions:
        told = version.summary.get("retrain")
        if not isinstance(told, dict) or told.get("job") != run.job.name:
            continue
        if told.get("gate") == "passed" or version.number in served:
            known |= {str(one) for one in told.get("new_partitions") or ()}
    return [one for one in parts if one.fingerprint not in known]


def coresets_of(run: Resolved, options: Mapping[str, Any]) -> CoresetStore | None:
    """Open where the coresets of a window are kept, for good or until the job has ended."""
    window = window_of(run.job)
    if window is not None and window.coresets is not None:
        return CoresetStore(window.coresets, options)
    return checkpoint_of_window(run, options)


def checkpoint_of_window(run: Resolved, options: Mapping[str, Any]) -> CoresetStore | None:
    """Open where coresets are kept until the job has ended; None where they are not.

    Runs of all days have the same place: what one that was killed has read, the next day's need not
    read, and leaves behind no row of it.
    """
    window = window_of(run.job)
    if run.job.checkpoint is None or window is None or window.coresets is not None:
        return None
    return CoresetStore(join(run.job.checkpoint, f"{run.job.name}-coresets"), options)


def reading_of(run: Resolved, champion: Model | None, options: Mapping[str, Any]) -> Reading:
    """Return how the partitions of a window are read, without keeping their rows.

    Raises
    ------
    ArgumentError, FeaturesMismatch
        If they cannot be read so.
    """
    data = run.job.data
    dtype = data.dtype if champion is None else None
    return Reading.of(
        champion, data.columns, data.weight, dtype, data.missing, data.on_bad_file, "none", options
    )


def window_challenger(
    run: Resolved,
    partitions: list[Partition],
    champion: Model | None,
    options: Mapping[str, Any],
    allowance: Allowance,
) -> Model:
    """Cluster the partitions of a window, of which only new ones are read.

    Raises
    ------
    BudgetSpent
        If it would cost more than is allowed.
    InputRefused
        If rows cannot be used.
    """
    settings, data = settings_of(run.job), run.job.data
    return window_fit(
        partitions,
        coresets_of(run, options),
        champion=champion,
        n_clusters=settings.n_clusters,
        columns=data.columns,
        weight=data.weight,
        dtype=data.dtype if champion is None else None,
        missing=data.missing,
        on_bad_file=data.on_bad_file,
        scale=None if champion is not None or run.job.scale == "none" else run.job.scale,
        n_init="auto" if settings.n_init is None else settings.n_init,
        random_state=settings.random_state,
        coreset_size=settings.coreset_size,
        tol=WINDOW_TOL if settings.tol is None else settings.tol,
        # rows of partitions that have left the window are not kept
        retain=(),
        stage=run.job.stage,
        allowance=allowance,
        storage_options=options,
    )


def rows_to_judge(
    run: Resolved,
    partitions: Sequence[Partition],
    new: Sequence[Partition],
    model: Model | None,
    options: Mapping[str, Any],
    stage: StageName,
) -> Rows:
    """Open the new partitions of a window; its last one, if none is new.

    Parameters
    ----------
    run, partitions, new
        The job, and the partitions of its window.
    model
        Whose features the rows have; None for those that the job names.
    options
        For the store.
    stage
        Where decoded rows stay.

    Raises
    ------
    ArgumentError
        If filters ask for other rows of one partition than of another.
    """
    new, data = list(new) or list(partitions[-1:]), run.job.data
    if len({one.filters for one in new}) > 1:
        raise ArgumentError(
            "data.filters ask other things of some partitions than of others; name in "
            "model.window.partitions all partition columns that they look at."
        )
    files = tuple(sorted((file for one in new for file in one.files), key=lambda file: file.url))
    columns = data.columns
    if model is not None:
        names = model.columns
        columns = None if names is None else tuple(one.name for one in names)
    return read_parquet(
        Partition("new", files, new[0].filters),
        columns,
        weight=data.weight,
        dtype=data.dtype if model is None else model.dtype,
        block_bytes=data.block_bytes,
        storage_options=options,
        stage=stage,
        missing="mean" if model is not None and model.filling is not None else data.missing,
        on_bad_file=data.on_bad_file,
        max_bad_files=data.max_bad_files,
    )
