"""The same seed gives the same bits, wherever and by however many workers it is computed."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import dkmeans
from tests.conftest import write_parquet
from tests.test_cluster import When

N = 6000


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Rows without structure, on which every rounding would show, many of them twice."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(N, 3)) * [1.0, 100.0, 1e-3] + [1e3, 0.0, -1.0]
    X[N // 2 :] = X[rng.integers(0, N // 2, N // 2)]
    return X


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, X: np.ndarray) -> Path:
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=5, row_group_rows=330, w=np.arange(N) % 4
    )


@pytest.fixture(scope="module")
def grown() -> Iterator[Callable[[int], Client]]:
    """A cluster that grows to at least as many workers as it is called with."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 100}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            memory_limit="1GiB",
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):

        def grow(n_workers: int) -> Client:
            if len(cluster.worker_spec) < n_workers:
                cluster.scale(n_workers)
            client.wait_for_workers(n_workers, timeout=120)
            return client

        yield grow


def fit(rows: object, **options: object) -> tuple[bytes, ...]:
    """Everything that a fit finds, as bits; the history too, which has a figure for each pass."""
    asked = {"n_clusters": 30, "init": "k-means||", "random_state": 11, "max_iter": 4}
    estimator = dkmeans.KMeans(**{**asked, "scale": "standard", **options}).fit(rows)
    figures = [
        [record.get(name) or 0.0 for name in ("inertia", "gain", "shift", "cost")]
        for record in estimator.history_
    ]
    labels = np.asarray(estimator.labels_)
    return (
        estimator.cluster_centers_.tobytes(),
        estimator.scaled_centers_.tobytes(),
        np.array(estimator.inertia_).tobytes(),
        np.array(figures, float).tobytes(),
        estimator.model_.weights.tobytes(),
        labels.tobytes(),
    )


def parquet(folder: Path, **options: object) -> dkmeans.Rows:
    rows = dkmeans.read_parquet(str(folder), weight="w", **{"block_rows": 180, **options})
    assert rows.n_blocks > 32
    return rows


@pytest.fixture(scope="module")
def expected(folder: Path) -> tuple[bytes, ...]:
    """The bits that Dask's threads find, reading again for each pass."""
    return fit(parquet(folder, stage="none"))


def test_another_seed_gives_other_bits(folder: Path, expected: tuple[bytes, ...]) -> None:
    assert fit(parquet(folder), random_state=12)[0] != expected[0]


@pytest.mark.parametrize("stage", ["memory", "none"])
@pytest.mark.parametrize(("scheduler", "n"), [("synchronous", 1), ("threads", 7)])
def test_local_schedulers_give_the_same_bits(
    folder: Path, expected: tuple[bytes, ...], scheduler: str, n: int, stage: str
) -> None:
    with dask.config.set(scheduler=scheduler, num_workers=n):
        assert fit(parquet(folder, stage=stage)) == expected


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_bits(
    folder: Path, expected: tuple[bytes, ...], grown: Callable[[int], Client], n_workers: int
) -> None:
    client = grown(n_workers)
    assert len(client.scheduler_info(n_workers=-1)["workers"]) == n_workers
    for stage in ("memory", "none"):
        assert fit(parquet(folder, stage=stage, client=client)) == expected


@pytest.mark.parametrize("stage", ["memory", "none"])
def test_a_worker_that_is_killed_in_the_middle_changes_no_bit(
    folder: Path, expected: tuple[bytes, ...], grown: Callable[[int], Client], stage: str
) -> None:
    client = grown(2)
    pids = client.run(os.getpid)
    victim = sorted(pids.values())[0]
    killed = When(5, lambda: os.kill(victim, signal.SIGKILL))
    with dkmeans.reporting(killed):
        found = fit(parquet(folder, stage=stage, client=client))
    assert killed.called
    client.wait_for_workers(len(pids), timeout=60)
    assert victim not in client.run(os.getpid).values()
    assert found == expected


@pytest.mark.parametrize("init", ["k-means++", "random", "array"])
def test_every_seeding_gives_the_same_bits(folder: Path, X: np.ndarray, init: str) -> None:
    start: object = init
    if init == "array":
        # centers far from all rows are moved to the farthest ones, which must be the same ones
        start = np.vstack([X[:20], np.full((10, 3), 1e5)])
    found = []
    for scheduler in ("synchronous", "threads"):
        for stage in ("memory", "none"):
            with dask.config.set(scheduler=scheduler):
                found.append(fit(parquet(folder, stage=stage), init=start, n_init=1))
    assert len(set(found)) == 1


def test_restarts_that_share_passes_give_the_same_bits(folder: Path) -> None:
    found = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(fit(parquet(folder), n_init=3))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("numpy", "float32"), ("dask array", "float64"), ("dask frame", "float32")],
)
def test_data_in_memory_and_of_dask_give_the_same_bits_everywhere(
    X: np.ndarray, grown: Callable[[int], Client], kind: str, dtype: str
) -> None:
    X = X.astype(dtype)

    def rows(client: Client | None) -> dkmeans.Rows:
        if kind == "numpy":
            made = dkmeans.Rows.from_array(X, block_rows=300, client=client)
        elif kind == "dask array":
            made = dkmeans.Rows.from_dask(da.from_array(X, chunks=(300, 3)), client=client)
        else:
            frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")), npartitions=20)
            made = dkmeans.Rows.from_dask(frame, client=client)
        assert made.n_blocks >= 20
        return made

    found = [fit(rows(grown(2)))]
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found.append(fit(rows(None)))
    assert len(set(found)) == 1


def test_without_a_seed_two_fits_differ_and_say_how_to_repeat_them(folder: Path) -> None:
    fits = [
        dkmeans.KMeans(30, init="k-means||", max_iter=3, scale="standard").fit(parquet(folder))
        for _ in range(2)
    ]
    seeds = [one.model_.provenance["seed"] for one in fits]
    assert seeds[0] != seeds[1]
    again = dkmeans.KMeans(
        30, init="k-means||", max_iter=3, scale="standard", random_state=seeds[0]
    ).fit(parquet(folder))
    assert again.cluster_centers_.tobytes() == fits[0].cluster_centers_.tobytes()
