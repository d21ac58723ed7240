"""Staging: where blocks are kept, that the bits never depend on it, and that nothing is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.worker import get_worker

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.rows import disk
from dkmeans.rows.staging import Room, decide
from dkmeans.rows.store import close_process_store, process_store
from tests.cli.command import PROGRAM
from tests.conftest import free_port, wait_for_port, wait_until, write_parquet
from tests.rows.seen import see

STAGES = ["memory", "disk", "none"]
MB = 10**6


# the decision


class Where:
    """An engine, as far as a decision goes."""

    def __init__(self, memory_bytes: int, disk_bytes: int) -> None:
        self._room = Room(memory_bytes, disk_bytes)

    def room(self) -> Room:
        return self._room


@pytest.mark.parametrize(
    ("memory", "disk_bytes", "stage"),
    [
        (200 * MB, 0, "memory"),
        (200 * MB - 2, 0, "none"),
        (200 * MB - 2, 108 * MB, "disk"),
        (200 * MB - 2, 108 * MB - 1, "none"),
        (0, 1000 * MB, "disk"),
        (1000 * MB, 1000 * MB, "memory"),
    ],
)
def test_auto_is_memory_if_half_of_it_is_enough_else_disk_if_there_is_room(
    memory, disk_bytes, stage
):
    # a million rows, whose states take 8 bytes each while k-means|| seeds
    staging = decide("auto", 100 * MB, MB, Where(memory, disk_bytes))
    assert staging.stage == stage


@pytest.mark.parametrize(
    ("memory", "disk_bytes", "stage"),
    [(200 * MB, 99 * MB, "memory"), (200 * MB, 101 * MB, "disk"), (0, 0, "memory")],
)
def test_rows_that_are_not_counted_go_where_there_is_more_room(memory, disk_bytes, stage):
    staging = decide("auto", None, None, Where(memory, disk_bytes))
    assert staging.stage == stage
    assert "decoded rows ?" in str(staging)


@pytest.mark.parametrize("asked", STAGES)
def test_what_is_asked_for_is_done_without_looking(asked, capsys):
    staging = decide(asked, 10**15, 10**9, Where(1, 1))
    assert staging.stage == asked
    assert str(staging) == f"{asked} (as asked)"
    with dkmeans.reporting():
        staging.tell()
    assert capsys.readouterr().err == ""


def test_a_decision_is_told_with_its_numbers(capsys):
    staging = decide("auto", 1234 * MB, MB, Where(2000 * MB, 5000 * MB))
    expected = (
        "disk (decoded rows 1,234 MB; half of the free memory 1,000 MB; free local disk 5,000 MB)"
    )
    assert str(staging) == expected
    with dkmeans.reporting():
        staging.tell()
    assert capsys.readouterr().err == f"stage: {expected}\n"


def test_the_room_of_a_cluster_is_that_of_its_workers_and_a_shared_disk_counts_once(client):
    rows = Rows.from_array(np.ones((10, 2)), client=client)
    room = rows.engine.room()
    limits = [worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()]
    assert len(limits) == 2
    assert 0 < room.memory_bytes <= sum(limits)
    free = on_workers(client, lambda: disk.free_bytes(get_worker().local_directory))
    assert room.disk_bytes == pytest.approx(max(free), rel=0.02)


# the same bits everywhere


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(4)
    centers = rng.normal(size=(12, 3)) * 4
    return centers[rng.integers(0, 12, 1200)] + rng.normal(size=(1200, 3))


@pytest.fixture(scope="module")
def folder(X: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 row groups, each a block and a leaf, with weights and a column of gaps."""
    rng = np.random.default_rng(5)
    gaps = np.where(rng.random(1200) < 0.1, np.nan, rng.normal(size=1200))
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=4, row_group_rows=100,
        w=rng.exponential(size=1200), gaps=gaps,
    )  # fmt: skip


@pytest.fixture
def own_folder(tmp_path: Path) -> Iterator[Path]:
    """Where the store of this process, which is made anew, keeps its files."""
    close_process_store()
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path
        close_process_store()
    assert list(tmp_path.glob("dkmeans-blocks-*")) == []


def stored_files(root: Path) -> list[Path]:
    return [path for path in root.rglob("dkmeans-blocks-*/*") if path.name != "lock"]


def on_workers(client: Client, function: Callable[[], Any]) -> list[Any]:
    """Call a function in a task on each worker, where a task's view of the worker is known."""
    addresses = sorted(client.scheduler_info()["workers"])
    return client.gather(
        [client.submit(function, workers=[address], pure=False) for address in addresses]
    )


def files_of_worker() -> int:
    return len(stored_files(Path(get_worker().local_directory)))


def held_bytes() -> int:
    return process_store().held_bytes


def read(folder: Path, stage: str, client: Client | None = None, **options: Any) -> Rows:
    asked = {"columns": ["f0", "f1", "f2"], "weight": "w", "block_rows": 100, **options}
    rows = dkmeans.read_parquet(str(folder), stage=stage, client=client, **asked)
    assert rows.n_blocks > 8
    return rows


def bits(model: KMeans) -> bytes:
    """Centers, inertia, and what each pass found."""
    found = [record[name] for record in model.history_ for name in ("cost", "inertia", "gain")]
    numbers = np.array([-1 if value is None else value for value in found])
    ledger = [model.model_.weights, model.model_.inertias, model.cluster_centers_]
    return b"".join(np.asarray(one).tobytes() for one in (*ledger, model.inertia_, numbers))


def estimator(**parameters: Any) -> KMeans:
    # of many passes, some with states beside the blocks
    asked = {"init": "k-means||", "init_rounds": 2, "max_iter": 3, "n_init": 2}
    asked |= {"random_state": 3, "scale": "standard"}
    return KMeans(12, **{**asked, **parameters})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("own_folder")
def test_the_bits_do_not_depend_on_the_stage(folder, dtype, request):
    expected = None
    engines = [None] if dtype == "float64" else [None, request.getfixturevalue("client")]
    for engine in engines:
        for stage in (*STAGES, "auto"):
            with read(folder, stage, engine, dtype=dtype) as rows:
                found = bits(estimator().fit(rows))
                expected = found if expected is None else expected
                assert found == expected, (stage, engine)


@pytest.mark.parametrize("missing", ["drop", "mean"])
@pytest.mark.usefixtures("own_folder")
def test_rows_that_are_dropped_or_filled_are_kept_as_such(folder, missing):
    columns = ["f0", "f1", "f2", "gaps"]
    found = {}
    for stage in STAGES:
        with read(folder, stage, columns=columns, missing=missing, filters=("f0", ">", -3)) as rows:
            found[stage] = bits(estimator().fit(rows))
            assert rows.n_passes > 5
    assert found["memory"] == found["disk"] == found["none"]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.usefixtures("own_folder")
def test_a_sample_and_a_subset_are_the_same_rows_wherever_they_are_kept(folder, stage):
    with read(folder, "none") as rows:
        expected = see(rows.sample(0.3)), see(rows.subset(0.3))
    with read(folder, stage) as rows:
        see(rows)
        for part, whole in zip((rows.sample(0.3), rows.subset(0.3)), expected, strict=True):
            for _ in range(2):
                seen = see(part)
                np.testing.assert_array_equal(seen.X, whole.X)
                np.testing.assert_array_equal(seen.row_numbers, whole.row_numbers)
                np.testing.assert_array_equal(seen.weights, whole.weights)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.usefixtures("own_folder")
def test_rows_of_arrays_and_of_dask_can_be_kept_too(X, stage, client):
    import dask.array as da

    lazy = da.from_array(X, chunks=(130, 3))
    expected = bits(estimator().fit(Rows.from_array(X, block_rows=130, stage="none")))
    for engine in (None, client):
        rows = Rows.from_dask(lazy.map_blocks(np.copy, dtype=X.dtype), stage=stage, client=engine)
        assert rows.n_blocks == 10
        assert rows.staging.stage == stage
        assert bits(estimator().fit(rows)) == expected
        rows.close()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.usefixtures("own_folder")
def test_parts_that_had_to_be_counted_have_their_own_row_numbers(X, stage, client):
    import dask.array as da

    expected = X[X[:, 0] > 0]
    lazy = da.from_array(X, chunks=(130, 3))
    for engine in (None, client):
        rows = Rows.from_dask(lazy[lazy[:, 0] > 0], stage=stage, client=engine)
        for _ in range(2):
            seen = see(rows)
            np.testing.assert_array_equal(seen.X, expected)
            np.testing.assert_array_equal(seen.row_numbers, np.arange(len(expected)))
        rows.close()


# one read


@pytest.mark.parametrize("stage", ["memory", "disk"])
@pytest.mark.parametrize("where", ["threads", "cluster"])
@pytest.mark.parametrize("row_group_rows", [100, 400])
@pytest.mark.usefixtures("own_folder")
def test_the_source_is_read_exactly_once(X, tmp_path, stage, where, row_group_rows, request):
    engine = request.getfixturevalue("client") if where == "cluster" else None
    folder = write_parquet(tmp_path / "in", X, n_files=2, row_group_rows=row_group_rows)
    rows = read(folder, stage, engine, weight=None)
    model = estimator().fit(rows)
    assert model.n_passes_ > 5
    assert not any(record["bytes_read"] for record in model.history_[1:])
    rows.close()
    # the pilot's rows, too, are read for good
    assert rows.bytes_read == rows.parquet.n_bytes


def test_with_stage_none_nothing_of_the_rows_is_kept(folder, own_folder):
    rows = read(folder, "none")
    before = held_bytes()
    see(rows)
    see(rows)
    assert rows.bytes_read == 2 * rows.parquet.n_bytes
    assert held_bytes() == before
    assert stored_files(own_folder) == []


def test_on_disk_a_block_is_one_file_and_memory_holds_none_of_it(folder, own_folder):
    with read(folder, "disk") as rows:
        model = estimator().fit(rows)
        assert model.n_passes_ > 5
        files = stored_files(own_folder)
        assert len(files) == rows.n_blocks
        assert sum(path.stat().st_size for path in files) == pytest.approx(
            rows.decoded_bytes, rel=0.05
        )
        assert held_bytes() == 0
    assert stored_files(own_folder) == []


def test_states_of_seeding_lie_beside_the_blocks_and_go_with_the_last_round(
    folder, own_folder, monkeypatch
):
    counted = []
    real = Rows.run

    def run(rows, requests, record=None):
        found = real(rows, requests, record)
        counted.append(len(stored_files(own_folder)))
        return found

    monkeypatch.setattr(Rows, "run", run)
    with read(folder, "disk") as rows:
        estimator(n_init=1, scale=None).fit(rows)
        n = rows.n_blocks
        assert held_bytes() == 0
    assert counted[:4] == [n, 2 * n, 2 * n, n]
    assert set(counted[4:]) == {n}


# what is missing


@pytest.mark.parametrize("every", [1, 2, 3])
def test_files_that_vanish_are_read_again_and_states_computed_again(
    folder, own_folder, monkeypatch, every
):
    expected = bits(estimator().fit(read(folder, "none")))
    real, n_runs, n_gone = Rows.run, 0, 0

    def run(rows, requests, record=None):
        nonlocal n_runs, n_gone
        found = real(rows, requests, record)
        n_runs += 1
        # all of them, then every other one: a leaf may find its state and not its block
        for path in sorted(stored_files(own_folder))[:: 1 + n_runs % 2]:
            if n_runs % every == 0:
                path.unlink()
                n_gone += 1
        return found

    monkeypatch.setattr(Rows, "run", run)
    with read(folder, "disk") as rows:
        assert bits(estimator().fit(rows)) == expected
        assert n_gone > rows.n_blocks
        assert rows.bytes_read > rows.parquet.n_bytes


def test_a_file_that_vanishes_in_the_middle_of_a_pass_is_read_again(X, tmp_path, own_folder):
    folder = write_parquet(tmp_path / "in", X, n_files=1, row_group_rows=400)
    rows = dkmeans.read_parquet(str(folder), block_rows=50, stage="disk", dtype="float64")
    assert rows.n_blocks > len(rows.layout.leaves)
    see(rows)

    class Vanish:
        """Deletes every file while the first block of a leaf is computed."""

        def __call__(self, block):
            from tests.rows.seen import Seen

            for path in stored_files(own_folder):
                path.unlink(missing_ok=True)
            return Seen.from_block(block)

    with dask.config.set(scheduler="synchronous"):
        seen = rows.reduce(Vanish())
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(seen.row_numbers, np.arange(1200))
    rows.close()


def room_of(limit: int) -> Callable[[Path], int]:
    """A disk that takes `limit` bytes of what is stored in a folder."""

    def free(path: Path) -> int:
        return max(0, limit - sum(file.stat().st_size for file in Path(path).glob("[0-9]*")))

    return free


def notes_of(err: str) -> list[str]:
    return [line for line in err.splitlines() if "no room" in line]


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_where_there_is_no_room_the_rest_is_read_again_which_is_said_once(
    folder, own_folder, monkeypatch, capsys, stage
):
    expected = bits(estimator(scale=None).fit(read(folder, "none")))
    # room for 5 of 12 blocks, of three features and a weight; files align arrays
    monkeypatch.setattr(disk, "free_bytes", room_of(5 * (1216 + 800) + 99))
    monkeypatch.setattr(process_store(), "limit_bytes", 5 * (1200 + 800) + 99)
    with dkmeans.reporting(), read(folder, stage) as rows:
        model = estimator(scale=None).fit(rows)
        assert bits(model) == expected
        one = rows.parquet.n_bytes / 12
        later = [record["bytes_read"] for record in model.history_[1:]]
        assert all(6.5 * one < n_bytes < 7.5 * one for n_bytes in later)
    err = capsys.readouterr().err
    assert len(notes_of(err)) == 1
    assert notes_of(err) == [
        "stage: no room for 7 of 12 blocks; they are read again whenever they are needed"
    ]


def fill_disk() -> None:
    disk.free_bytes_before = disk.free_bytes
    disk.free_bytes = room_of(2 * (1216 + 800) + 99)


def empty_disk() -> None:
    disk.free_bytes = disk.free_bytes_before


def test_workers_whose_disks_are_full_give_the_same_bits(folder, client, capsys):
    expected = bits(estimator().fit(read(folder, "none")))
    client.run(fill_disk)
    try:
        with dkmeans.reporting(), read(folder, "disk", client) as rows:
            assert bits(estimator().fit(rows)) == expected
            assert rows.n_passes * rows.parquet.n_bytes > rows.bytes_read > rows.parquet.n_bytes
            assert sum(on_workers(client, files_of_worker)) > 0
    finally:
        client.run(empty_disk)
    assert len(notes_of(capsys.readouterr().err)) == 1
    assert sum(on_workers(client, files_of_worker)) == 0


def test_a_folder_that_is_removed_under_us_is_survived(folder, own_folder):
    import shutil

    expected = bits(estimator().fit(read(folder, "none")))
    with read(folder, "disk") as rows:
        see(rows)
        for path in own_folder.glob("dkmeans-blocks-*"):
            shutil.rmtree(path)
        assert bits(estimator().fit(rows)) == expected


# several jobs at once


def test_a_second_client_of_a_cluster_leaves_the_blocks_of_the_first_alone(folder, client):
    for stage in ("memory", "disk"):
        with read(folder, stage, client) as rows:
            see(rows)
            with Client(client.scheduler.address, set_as_default=False) as second:
                with read(folder, stage, second) as others:
                    see(others)
                    assert others.bytes_read == others.parquet.n_bytes
                    see(rows)
                    assert rows.bytes_read == rows.parquet.n_bytes, stage
                see(rows)
                assert rows.bytes_read == rows.parquet.n_bytes, stage


# nothing is left


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_the_stores_of_workers_are_empty_after_close(folder, client, stage):
    before = on_workers(client, held_bytes)
    rows = read(folder, stage, client)
    estimator().fit(rows)
    held = sum(on_workers(client, held_bytes)) - sum(before)
    files = on_workers(client, files_of_worker)
    if stage == "memory":
        assert held >= rows.decoded_bytes
        assert sum(files) == 0
    else:
        assert held == 0
        assert sum(files) == rows.n_blocks
    rows.close()
    assert on_workers(client, held_bytes) == before
    assert sum(on_workers(client, files_of_worker)) == 0
    assert see(rows).n_rows == 1200
    rows.close()


def test_rows_that_are_garbage_leave_no_files(folder, own_folder):
    import gc

    see(read(folder, "disk"))
    gc.collect()
    assert stored_files(own_folder) == []


@contextmanager
def cluster_in(folder: Path, memory_limit: int | str = "1GiB", **options: Any) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit=memory_limit,
            dashboard_address="127.0.0.1:0", local_directory=str(folder), **options,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def test_nothing_is_left_when_a_cluster_of_threads_closes(folder, tmp_path):
    close_process_store()
    # the limit of a thread would be that of this process, with all that other tests left in it
    with cluster_in(tmp_path, memory_limit=0, processes=False) as client:
        rows = read(folder, "disk", client)
        see(rows)
        see(rows)
        assert rows.bytes_read == rows.parquet.n_bytes
        assert len(stored_files(tmp_path)) == rows.n_blocks
    assert list(tmp_path.rglob("dkmeans-blocks-*")) == []


def test_a_worker_that_its_nanny_starts_again_removes_what_the_dead_one_left(folder, tmp_path):
    with cluster_in(tmp_path, host="127.0.0.1") as client:
        rows = read(folder, "disk", client)
        expected = see(rows)
        (pid,) = client.run(os.getpid).values()
        os.kill(pid, signal.SIGKILL)
        seen = see(rows)
        np.testing.assert_array_equal(seen.X, expected.X)
        see(rows)
        assert rows.bytes_read == 2 * rows.parquet.n_bytes
        assert len(stored_files(tmp_path)) == rows.n_blocks
    assert list(tmp_path.rglob("dkmeans-blocks-*")) == []


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_a_store_that_is_made_outside_of_a_task_keeps_to_its_workers_limit(folder, tmp_path, stage):
    with cluster_in(tmp_path, host="127.0.0.1") as client:
        # nothing has run there yet, when the stores are told to forget these rows
        read(folder, stage, client).close()
        see(read(folder, stage, client))
        limits = on_workers(client, lambda: process_store().limit_bytes)
        assert max(limits) <= 2**29


@pytest.fixture(scope="module")
def long_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """A fit that goes on until somebody ends it: rows without clusters, tolerance 0."""
    X = np.random.default_rng(0).random((60_000, 4))
    folder = write_parquet(tmp_path_factory.mktemp("long") / "in", X, row_group_rows=2000)
    return (
        "fit", folder, "--k", 60, "--tol", 0, "--max-iter", 100_000, "--stage", "disk",
        "--block-bytes", 32_000, "--init", "random",
    )  # fmt: skip


@contextmanager
def job(arguments: Sequence[object], temporary: Path, **environment: str) -> Iterator[Any]:
    """A `dkmeans` command in a process of its own."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(temporary), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("workers", "number", "code"), [(0, signal.SIGTERM, 143), (1, signal.SIGINT, 130)]
)
def test_nothing_is_left_when_a_fit_is_interrupted(long_job, tmp_path, workers, number, code):
    command = (*long_job, "--model", tmp_path / "model", "--workers", workers)
    with job(command, tmp_path) as process:
        wait_until(lambda: len(stored_files(tmp_path)) >= 30, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.rglob("dkmeans-blocks-*")) == []
    assert not (tmp_path / "model").exists()


# a cluster that somebody else started


@contextmanager
def dask_process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen]:
    with (folder / f"{arguments[0]}-{len(list(folder.glob('*.log')))}.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=out,
            stderr=out,
            env={**os.environ, "DASK_DKMEANS__LEASE_SECONDS": "1"},
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def scheduler_in(folder: Path, port: int) -> Any:
    return dask_process(
        folder, "scheduler", "--host", "127.0.0.1", "--port", str(port),
        "--dashboard-address", "127.0.0.1:0",
    )  # fmt: skip


def worker_in(folder: Path, port: int) -> Any:
    return dask_process(
        folder, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny",
        "--memory-limit", "1GiB", "--host", "127.0.0.1", "--no-dashboard",
        "--local-directory", str(folder),
    )  # fmt: skip


def test_killed_drivers_workers_and_schedulers_leave_nothing_for_long(long_job, folder, tmp_path):
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    places = [tmp_path / "cluster", tmp_path / "other", tmp_path / "driver"]
    for place in places:
        place.mkdir()
    command = (*long_job, "--model", tmp_path / "model", "--scheduler", address)
    environment = {"DASK_DKMEANS__LEASE_SECONDS": "1"}
    with ExitStack() as stack:
        scheduler = stack.enter_context(scheduler_in(places[0], port))
        wait_for_port(port, scheduler)
        worker = stack.enter_context(worker_in(places[0], port))

        with job(command, places[2], **environment) as driver:
            wait_until(lambda: len(stored_files(tmp_path)) >= 30, driver)
            # longer than workers take to ask twice: they keep what belongs to the living
            time.sleep(3)
            assert len(stored_files(tmp_path)) >= 30
            assert driver.poll() is None
            driver.kill()
            driver.wait()
        wait_until(lambda: stored_files(tmp_path) == [], worker)
        assert stored_files(places[2]) == []

        with (
            dask.config.set({"dkmeans.lease-seconds": 1}),
            Client(address, set_as_default=False) as client,
        ):
            rows = read(folder, "disk", client)
            see(rows)
            see(rows)
            assert rows.bytes_read == rows.parquet.n_bytes
            assert len(stored_files(tmp_path)) == rows.n_blocks
            worker.kill()
            worker.wait()
            left = stored_files(tmp_path)
            assert len(left) == rows.n_blocks
            second = stack.enter_context(worker_in(places[0], port))
            seen = see(rows)
            assert seen.n_rows == 1200
            assert not any(path.exists() for path in left)
            scheduler.kill()
            scheduler.wait()
            second.wait(60)
        assert stored_files(tmp_path) == []
