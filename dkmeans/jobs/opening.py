"""What a job describes, as the library has it: rows, estimator, cluster."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dkmeans.cluster.chosen import chosen_cluster, silence_dask
from dkmeans.errors import ArgumentError
from dkmeans.estimators.chosen import estimator_of
from dkmeans.estimators.clusterer import Clusterer
from dkmeans.estimators.kmeans import KMeans
from dkmeans.estimators.sweep import SWEEP_N_INIT, Sweeping
from dkmeans.jobs.definition import Job
from dkmeans.jobs.fitting import Cluster, Data, Settings
from dkmeans.jobs.secrets import revealed
from dkmeans.rows.progress import reporter
from dkmeans.rows.reading import read_parquet
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName

_SETTINGS = (
    *("init", "n_init", "tol", "max_iter", "coreset_size"),
    *("batch_size", "max_epochs", "max_no_improvement", "learning_rate"),
)

FOLLOWING = ("champion", "scratch")
"""What `init` of a retrain may be called beside the names of estimators."""


def storage_options_of(data: Data) -> dict[str, Any]:
    """Return the storage options with what they refer to in the environment.

    Raises
    ------
    ArgumentError
        If a variable is not set.
    """
    found: dict[str, Any] = revealed(data.storage_options, "data.storage_options")
    return found


def rows_of(job: Job, storage_options: Mapping[str, Any], stage: StageName | None = None) -> Rows:
    """Open the rows that a fit is about, within the limits of the job; `stage` replaces its own."""
    data = job.data
    rows = read_parquet(
        urls_of(data),
        columns=data.columns,
        filters=filters_of(data),
        weight=data.weight,
        keys=data.keys,
        dtype=data.dtype,
        block_bytes=data.block_bytes,
        storage_options=storage_options,
        stage=job.stage if stage is None else stage,
        missing=data.missing,
        on_bad_file=data.on_bad_file,
        max_bad_files=data.max_bad_files,
    )
    return limited(rows, job)


def limited(rows: Rows, job: Job) -> Rows:
    """Return rows that cost no more than the job may."""
    return rows.limit(**vars(job.limits))


def urls_of(data: Data) -> str | list[str]:
    """Return where the rows lie: one URL, or several."""
    return data.url[0] if len(data.url) == 1 else list(data.url)


def filters_of(data: Data) -> list[list[tuple[str, str, Any]]] | None:
    """Return the filters as `read_parquet` takes them."""
    return [list(group) for group in data.filters] or None


def settings_of(job: Job) -> Settings:
    """Return what is fitted, of a job that fits."""
    assert isinstance(job.model, Settings)
    return job.model


def job_estimator(job: Job, checkpoint: str | None = None) -> Clusterer:
    """Return the estimator that a job describes; of a sweep, with its largest number."""
    settings = settings_of(job)
    given = {name: getattr(settings, name) for name in _SETTINGS}
    if settings.sweep is not None and settings.n_init is None:
        given["n_init"] = SWEEP_N_INIT
    if settings.init in FOLLOWING:
        # how a retrain begins is not the estimator's to know
        given["init"] = None
    if settings.half_life is not None and settings.algorithm == "minibatch":
        unit = settings.half_life.unit
        given |= {"half_life": settings.half_life.amount, "half_life_unit": unit}
    return estimator_of(
        settings.algorithm,
        most_clusters(settings),
        random_state=settings.random_state,
        scale=job.scale,
        checkpoint=checkpoint,
        **given,
    )


def job_sweep(job: Job) -> Sweeping:
    """Return the sweep that a job describes."""
    counts, estimator = settings_of(job).sweep, job_estimator(job)
    assert counts is not None
    assert isinstance(estimator, KMeans)
    return Sweeping(estimator, list(counts))


def most_clusters(settings: Settings) -> int:
    """Return the number of clusters, the largest of a sweep."""
    return max(settings.sweep or (settings.n_clusters or 0,))


@contextmanager
def job_cluster(cluster: Cluster) -> Iterator[None]:
    """Connect to the cluster that a job describes, or start one; its client is in scope.

    Raises
    ------
    ArgumentError
        If the factory cannot be called, or gives no client.
    ClusterUnreachable
        If nobody answers at the address.
    """
    say = reporter().note
    if cluster.factory is None:
        tls = {name: getattr(cluster, name) for name in ("tls_ca", "tls_cert", "tls_key")}
        with chosen_cluster(cluster.address, cluster.local, cluster.memory, **tls, say=say):
            yield
        return
    from distributed import Client

    silence_dask()
    client = _factory(cluster.factory)()
    if not isinstance(client, Client):
        raise ArgumentError(
            f"cluster.factory={cluster.factory!r} returned a {type(client).__name__}; it should "
            "return a Dask Client."
        )
    started = client.cluster
    say(f"cluster: of {cluster.factory}, dashboard {client.dashboard_link}")
    try:
        with client, client.as_current():
            yield
    finally:
        if started is not None:
            started.close()


def _factory(name: str) -> Callable[[], Any]:
    """Import `module:function`."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(
            f"cluster.factory={name!r} cannot be imported: {error}; check the name, and that the "
            "module is installed here."
        ) from None
    if not callable(found):
        raise ArgumentError(f"cluster.factory={name!r} is no function; name one.")
    called: Callable[[], Any] = found
    return called
