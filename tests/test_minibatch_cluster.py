"""Mini-batches on a cluster: the same bits by any number of workers, killed ones included."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, span

import dkmeans
from dkmeans import MiniBatchKMeans, Rows
from dkmeans.algorithms import minibatch_start
from dkmeans.cluster.connect import local_cluster
from dkmeans.rows.batches import Batch
from tests.conftest import write_parquet
from tests.faults import bits, pids_of

N = 4000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows without structure, on which every rounding would show."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(N, 3)) * [1.0, 100.0, 1e-3] + [1e3, 0.0, -1.0]
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=4, row_group_rows=250, w=np.arange(N) % 4
    )


@pytest.fixture(autouse=True, scope="module")
def _few_held_out() -> Iterator[None]:
    """Looks within an epoch of a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minibatch_start, "HELD_OUT_ROWS", 200)
        yield


def read(folder: Path, **options: object) -> Rows:
    rows = dkmeans.read_parquet(str(folder), weight="w", **{"block_rows": 90, **options})
    assert rows.n_blocks > 32
    return rows


def fitted(rows: Rows) -> tuple[object, ...]:
    return bits(
        MiniBatchKMeans(
            15, random_state=3, scale="standard", batch_size=500, n_slots=1, max_epochs=3,
            max_no_improvement=None, n_init=1, init_size=400,
        ).fit(rows)
    )  # fmt: skip


@pytest.fixture(scope="module")
def quiet(folder: Path) -> tuple[object, ...]:
    """What Dask's threads find."""
    return fitted(read(folder, stage="none"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
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
        yield client


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_bits(folder, quiet, cluster, n_workers):
    if len(cluster.cluster.worker_spec) < n_workers:
        cluster.cluster.scale(n_workers)
    cluster.wait_for_workers(n_workers, timeout=120)
    for stage in ("memory", "disk", "none") if n_workers == 2 else ("none",):
        with read(folder, client=cluster, stage=stage) as rows:
            assert fitted(rows) == quiet
            one = rows.parquet.n_bytes
            # a pilot, and five passes; staged blocks are read again by workers that join
            most = 5 * one if stage == "none" else 2 * one
            assert rows.bytes_read <= most + one // 4


def test_the_cluster_keeps_statistics_of_one_span_however_many_steps_there_are(folder, cluster):
    def spans() -> dict[str, tuple[str, ...]]:
        return cluster.run_on_scheduler(
            lambda dask_scheduler: {
                key: one.name for key, one in dask_scheduler.extensions["spans"].spans.items()
            }
        )

    def followed() -> set[str]:
        """Spans that workers keep figures of."""
        names = cluster.run(lambda dask_worker: list(dask_worker.digests_total)).values()
        return {name[1] for some in names for name in some if name[0] == "execute"}

    with read(folder, client=cluster) as rows:
        fitted(rows)
        before = spans(), followed()
        assert ("dkmeans",) in before[0].values()
        fitted(rows)
        assert (spans(), followed()) == before
        with span("mine"):
            fitted(rows)
        (mine,) = followed() - before[1]
        assert spans()[mine] == ("mine",)


@pytest.mark.parametrize("stage", ["disk", "none"])
def test_workers_that_are_killed_in_the_middle_of_an_epoch_change_no_bit(
    folder, quiet, monkeypatch, stage
):
    original, killed, threads, steps = Batch.reduce, set(), [], []
    with local_cluster(2, "1GiB") as client:

        def kill() -> None:
            alive = sorted(set(pids_of(client)) - killed)
            if alive:
                killed.add(alive[0])
                os.kill(alive[0], signal.SIGKILL)

        def reduce(self, *arguments):
            steps.append(self.record["kind"])
            # while the step runs
            if steps.count(steps[-1]) == 4 and steps[-1] in ("epoch 1", "epoch 3"):
                threads.append(threading.Timer(0.02, kill))
                threads[-1].start()
            return original(self, *arguments)

        monkeypatch.setattr(Batch, "reduce", reduce)
        with read(folder, stage=stage) as rows:
            found = fitted(rows)
        for thread in threads:
            thread.join(30)
        assert len(killed) == 2
    assert found == quiet
