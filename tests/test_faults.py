"""Kill anything, get the same answer: workers, schedulers, drivers, at any moment."""

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Timer

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from distributed.chaos import KillWorker

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.cluster.connect import local_cluster
from dkmeans.errors import ClusterLost, InputChanged, InputRefused
from dkmeans.kernels.block import Block
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import run
from tests.conftest import free_port, wait_for_port, wait_until, write_parquet
from tests.faults import Job, Killings, Passes, bits, model_bits, pids_of
from tests.processes import scheduler_process, worker_process
from tests.test_cluster import Pids

N = 12_000


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Rows without structure, on which every rounding would show."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(N, 3)) * [1.0, 100.0, 1e-3] + [1e3, 0.0, -1.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, X: np.ndarray) -> Path:
    place = tmp_path_factory.mktemp("data") / "in"
    return write_parquet(
        place, X, n_files=24, row_group_rows=250, w=np.arange(N) % 4, id=np.arange(N)
    )


def read(folder: Path, **options: object) -> Rows:
    rows = dkmeans.read_parquet(
        str(folder), weight="w", keys=["id"], **{"block_rows": 150, **options}
    )
    assert rows.n_blocks >= 80
    return rows


def estimator(**options: object) -> KMeans:
    # of many passes: of a coreset there are hardly enough to kill so many workers in
    asked = {"n_clusters": 20, "init": "k-means||", "tol": 0, "max_iter": 20}
    asked |= {"random_state": 3, "scale": "standard"}
    return KMeans(**{**asked, **options})


@pytest.fixture(scope="module")
def quiet(folder: Path) -> tuple[object, ...]:
    """What an undisturbed fit finds on Dask's threads."""
    return bits(estimator().fit(read(folder)))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Another one each time; a failed test shows its seed."""
    seed = int(os.environ.get("DKMEANS_FAULT_SEED") or random.SystemRandom().randrange(10**6))
    logging.getLogger(__name__).warning("DKMEANS_FAULT_SEED=%d", seed)
    return random.Random(seed)


# workers


def fit_through_killings(
    folder: Path, kills: int, rng: random.Random, stage: str, max_iter: int
) -> tuple[tuple[object, ...], set[int]]:
    with local_cluster(2, "1GiB") as client:
        passes = rng.sample(range(1, max_iter + 5), kills)
        killings = Killings(client, passes, rng)
        with dkmeans.reporting(Passes(killings.after_pass)), read(folder, stage=stage) as rows:
            found = bits(estimator(max_iter=max_iter).fit(rows))
        killings.wait()
    return found, killings.killed


@pytest.mark.parametrize("stage", ["disk", pytest.param("memory", marks=pytest.mark.slow)])
def test_workers_killed_at_random_moments_change_no_bit(folder, quiet, rng, stage):
    found, killed = fit_through_killings(folder, 2, rng, stage, 20)
    assert len(killed) == 2
    assert found == quiet


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_workers_killed_at_random_moments_change_no_bit(folder, rng):
    found, killed = fit_through_killings(folder, 20, rng, "auto", 60)
    assert len(killed) == 20
    assert found == bits(estimator(max_iter=60).fit(read(folder)))


def test_the_chaos_plugin_changes_no_bit(folder, quiet):
    with local_cluster(2, "1GiB") as client:
        seen = set(pids_of(client))
        # the other modes end workers so gently that their nannies think they are not wanted
        client.register_plugin(KillWorker("4 s", mode="segfault"))
        end = time.monotonic() + 120
        while len(seen) < 2 + 2 and time.monotonic() < end:
            reporter = Passes(lambda _: seen.update(pids_of(client)))
            with dkmeans.reporting(reporter), read(folder) as rows:
                assert bits(estimator().fit(rows)) == quiet
        assert len(seen) >= 4, "chaos killed nobody"


@pytest.mark.slow
def test_a_worker_that_is_frozen_for_a_moment_is_waited_for(folder, quiet):
    with local_cluster(2, "1GiB") as client:
        before = set(pids_of(client))
        victim = min(before)
        timers = []

        def freeze(number: int) -> None:
            if number in (2, 9):
                os.kill(victim, signal.SIGSTOP)
                timers.append(Timer(1.5, os.kill, (victim, signal.SIGCONT)))
                timers[-1].start()

        with dkmeans.reporting(Passes(freeze)), read(folder) as rows:
            found = bits(estimator().fit(rows))
        for timer in timers:
            timer.join()
        assert len(timers) == 2
        assert set(pids_of(client)) == before
    assert found == quiet


@pytest.mark.slow
def test_a_frozen_worker_is_given_up_and_replaced(folder, quiet):
    with dask.config.set({"dkmeans.worker-ttl": "2s"}), local_cluster(2, "1GiB") as client:
        victim = min(pids_of(client))

        def freeze(number: int) -> None:
            if number == 3:
                os.kill(victim, signal.SIGSTOP)

        try:
            with dkmeans.reporting(Passes(freeze)), read(folder, stage="memory") as rows:
                found = bits(estimator().fit(rows))
            assert victim not in pids_of(client)
        finally:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGCONT)
    assert found == quiet


@contextmanager
def scheduler(ttl: str = "60s", **options: object) -> Iterator[str]:
    """The address of a scheduler without workers, which gives silent ones up after `ttl`."""
    asked = {"n_workers": 0, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", **options}
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": ttl}),
        LocalCluster(**asked) as cluster,
    ):
        yield cluster.scheduler_address


def test_a_frozen_worker_that_was_given_up_may_come_back(folder, quiet, tmp_path):
    with scheduler("2s") as address, ExitStack() as stack:
        workers = [stack.enter_context(worker_process(tmp_path, address)) for _ in range(2)]
        client = stack.enter_context(Client(address, set_as_default=False))
        client.wait_for_workers(2, timeout=60)
        n_workers = []

        def freeze(number: int) -> None:
            n_workers.append(len(client.scheduler_info(n_workers=-1)["workers"]))
            if number == 3:
                workers[0].send_signal(signal.SIGSTOP)
            # by now it has been given up, and what it held was read again elsewhere
            elif number == 12:
                workers[0].send_signal(signal.SIGCONT)

        try:
            with dkmeans.reporting(Passes(freeze)), read(folder, client=client) as rows:
                found = bits(estimator().fit(rows))
        finally:
            workers[0].send_signal(signal.SIGCONT)
        assert 1 in n_workers
    assert found == quiet


def test_workers_that_join_late_take_over_leaves(folder, quiet, tmp_path):
    with scheduler() as address, ExitStack() as stack:
        first = stack.enter_context(worker_process(tmp_path, address))
        client = stack.enter_context(Client(address, set_as_default=False))
        client.wait_for_workers(1, timeout=60)
        late = []

        def join(number: int) -> None:
            if number == 3:
                late.append(stack.enter_context(worker_process(tmp_path, address)))
                client.wait_for_workers(2, timeout=60)

        with (
            dkmeans.reporting(Passes(join)),
            read(folder, client=client, stage="memory") as rows,
        ):
            fitted = estimator().fit(rows)
            found = bits(fitted)
            # the newcomer has read what it took over once, and nobody reads again from then on
            one = rows.parquet.n_bytes
            assert one < rows.bytes_read < 2 * one
            before = rows.bytes_read
            pids = rows.scaled(fitted.model_.scaling).reduce(Pids.from_block)
            assert rows.bytes_read == before
        assert pids.seen == {first.pid, late[0].pid}
    assert found == quiet


def job_options(place: Path, checkpoint: bool = True) -> tuple[object, ...]:
    options: tuple[object, ...] = (
        *("--k", 20, "--seed", 3, "--weight", "w", "--keys", "id", "--tol", 0, "--max-iter", 40),
        # of many passes: of a coreset hardly any are left
        *("--init", "k-means||", "--block-bytes", 1800, "--model", place / "model"),
    )
    return (*options, "--checkpoint", place / "checkpoint") if checkpoint else options


@pytest.fixture(scope="module")
def quiet_model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What an undisturbed run of the command line finds."""
    place = tmp_path_factory.mktemp("quiet")
    found = run("fit", folder, *job_options(place, checkpoint=False), "--workers", 0, "--json")
    assert found.json["n_passes"] > 40
    return model_bits(place / "model")


def resume(folder: Path, place: Path, *options: object) -> None:
    ran = run("fit", folder, *job_options(place), "--resume", "--workers", 0, *options)
    assert ran.code == 0, ran.err
    assert not list((place / "checkpoint").glob("*")), "a checkpoint is left of a job that is done"


def test_no_workers_in_the_middle_end_the_job_and_it_resumes(
    folder, quiet_model, tmp_path, monkeypatch
):
    with scheduler() as address, worker_process(tmp_path, address) as worker:
        job = Job(
            "fit", folder, *job_options(tmp_path), "--scheduler", address,
            DASK_DKMEANS__NO_WORKERS_TIMEOUT=2,
        )  # fmt: skip
        assert job.wait_for_pass(9), job.err
        worker.kill()
        assert job.end() == 7
    assert "no workers for 2 s" in job.err
    assert "Traceback" not in job.err
    resume(folder, tmp_path)
    assert model_bits(tmp_path / "model") == quiet_model


@dataclass(frozen=True)
class Deadly:
    """A partial that one row kills the process of, or fills its memory for; notes each death."""

    n_rows: int

    @classmethod
    def from_block(cls, block: Block, row: int, how: str, notes: str) -> "Deadly":
        if row in block.row_numbers:
            with Path(notes).open("a") as out:
                out.write(f"{os.getpid()}\n")
            if how == "memory":
                held = np.ones(2**27)
                time.sleep(60)
                del held
            os.kill(os.getpid(), signal.SIGKILL)
        return cls(block.n_rows)

    def merge(self, other: "Deadly") -> "Deadly":
        return Deadly(self.n_rows + other.n_rows)


@pytest.mark.parametrize("how", ["SIGKILL", pytest.param("memory", marks=pytest.mark.slow)])
@pytest.mark.parametrize("row", [7001])
def test_a_block_that_kills_its_workers_is_named_and_kills_few(folder, tmp_path, how, row):
    notes = tmp_path / "deaths"
    with local_cluster(2, "700MiB") as client, read(folder, stage="memory") as rows:
        with pytest.raises(ClusterLost) as found:
            rows.reduce(Deadly.from_block, row, how, str(notes))
        deaths = len(notes.read_text().split())
        # the cluster serves others as before
        client.wait_for_workers(1, timeout=60)
        assert rows.reduce(Deadly.from_block, -1, how, str(notes)).n_rows == N
    message = str(found.value)
    # 500 rows a file in row groups of 250, files in the order of their names
    assert sorted(path.name for path in folder.iterdir())[row // 500] in message
    assert f"row group {row % 500 // 250}" in message
    assert "rows" in message
    assert "block_bytes" in message
    assert found.value.exit_code == 7
    assert 1 < deaths <= 8


@pytest.mark.slow
def test_a_block_that_killed_once_is_forgiven(folder, quiet, tmp_path):
    """One death beside many queued tasks, which Dask holds against all of them."""
    with local_cluster(1, "1GiB") as client:
        for _ in range(3):
            pid = pids_of(client)[0]
            timer = Timer(0.3, os.kill, (pid, signal.SIGKILL))
            timer.start()
            with read(folder, stage="none") as rows:
                assert rows.reduce(Deadly.from_block, -1, "", "").n_rows == N
            timer.join()
            wait_until(lambda dead=[pid]: pids_of(client) not in (dead, []))
        with read(folder) as rows:
            assert bits(estimator().fit(rows)) == quiet


@contextmanager
def worker_at(address: str, host: str, *before: str) -> Iterator[subprocess.Popen]:
    """A worker that others reach at `host`, started by the command `before`."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--nthreads", "1", "--no-nanny", "--memory-limit", "1GiB", "--no-dashboard")
        process = subprocess.Popen(
            [
                *(*before, sys.executable, "-m", "dask", "worker", address, "--host", host),
                *(*options, "--local-directory", folder),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def apart() -> Iterator[tuple[str, str]]:
    """A network namespace tied to ours by a pair of interfaces: its name, our address."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("cutting a worker off needs root and iproute2")
    name, ours = f"dkm{os.getpid() % 10**6}", "10.213.77.1"
    try:
        _ip("netns", "add", name)
    except OSError as error:
        pytest.skip(f"this machine allows no network namespaces ({error})")
    try:
        try:
            _ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "inside", "netns", name)
            _ip("addr", "add", f"{ours}/24", "dev", f"{name}v")
            _ip("link", "set", f"{name}v", "up")
            _ip("-n", name, "addr", "add", "10.213.77.2/24", "dev", "inside")
            _ip("-n", name, "link", "set", "inside", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        except OSError as error:
            pytest.skip(f"this machine allows no pairs of interfaces ({error})")
        yield name, ours
    finally:
        subprocess.run(["ip", "link", "del", f"{name}v"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(1.5, id="a moment", marks=pytest.mark.slow), pytest.param(8.0, id="given up")],
)
def test_a_worker_cut_off_from_the_network_changes_no_bit(folder, quiet, tmp_path, apart, seconds):
    name, ours = apart
    with scheduler("3s", host=ours, dashboard_address=f"{ours}:0") as address, ExitStack() as stack:
        client = stack.enter_context(Client(address, set_as_default=False))
        stack.enter_context(worker_at(address, "10.213.77.2", "ip", "netns", "exec", name))
        stack.enter_context(worker_at(address, ours))
        client.wait_for_workers(2, timeout=60)
        timers, n_workers = [], []

        def cut(number: int) -> None:
            n_workers.append(len(client.scheduler_info(n_workers=-1)["workers"]))
            if number == 3:
                _ip("-n", name, "link", "set", "inside", "down")
                timers.append(Timer(seconds, _ip, ("-n", name, "link", "set", "inside", "up")))
                timers[-1].start()

        with (
            dkmeans.reporting(Passes(cut)),
            read(folder, client=client, stage="memory") as rows,
        ):
            found = bits(estimator().fit(rows))
        timers[0].join()
        if seconds > 3:
            assert 1 in n_workers
        else:
            assert n_workers == [2] * len(n_workers)
    assert found == quiet


# the driver


SETTINGS = (
    ("--workers", 0, "--stage", "memory"),
    ("--workers", 2, "--memory", "800MiB", "--stage", "disk"),
    ("--workers", 0, "--stage", "none"),
    ("--workers", 1, "--memory", "1GiB", "--stage", "auto"),
    ("--workers", 0, "--stage", "disk"),
)


def fit_through_driver_kills(folder: Path, place: Path, kills: int, rng: random.Random) -> int:
    """Kill the job `kills` times, go on from the checkpoint each time; return the passes made."""
    killed = passes = 0
    while True:
        settings = SETTINGS[killed % len(SETTINGS)]
        job = Job("fit", folder, *job_options(place), "--resume", *settings)
        if killed == kills:
            assert job.end(120) == 0, job.err
            return passes + job.passes
        # a third of the kills come before anything is computed
        if rng.random() < 2 / 3:
            job.wait_for_pass(rng.randint(1, 1 + 30 // kills))
            time.sleep(rng.uniform(0, 0.1))
        else:
            time.sleep(rng.uniform(0, 3))
        job.send(signal.SIGKILL)
        assert job.end() == -signal.SIGKILL, "the job was done too early"
        killed += 1
        passes += job.passes


def test_a_driver_killed_at_random_moments_resumes_to_the_same_bits(
    folder, quiet_model, tmp_path, rng
):
    passes = fit_through_driver_kills(folder, tmp_path, 4, rng)
    assert model_bits(tmp_path / "model") == quiet_model
    # what was done is not done again, but for the first pass and one that a kill cut short
    assert passes <= 48 + 2 * 4
    assert not list((tmp_path / "checkpoint").glob("*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_driver_killed_twenty_times_resumes_to_the_same_bits(folder, quiet_model, tmp_path, rng):
    fit_through_driver_kills(folder, tmp_path, 20, rng)
    assert model_bits(tmp_path / "model") == quiet_model


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [(signal.SIGTERM, 143, 0), (signal.SIGINT, 130, 1)],
)
def test_a_job_that_is_asked_to_stop_can_go_on(
    folder, quiet_model, tmp_path, number, code, workers
):
    job = Job("fit", folder, *job_options(tmp_path), "--workers", workers)
    assert job.wait_for_pass(9), job.err
    job.send(number)
    assert job.end() == code
    assert "Traceback" not in job.err
    with zipfile.ZipFile(tmp_path / "checkpoint" / "checkpoint.zip") as archive:
        assert archive.testzip() is None
    assert not (tmp_path / "model").exists()
    resume(folder, tmp_path)
    assert model_bits(tmp_path / "model") == quiet_model


def written(place: Path) -> dict[str, tuple[int, int]]:
    """The finished output files, each with what tells that it was not written again."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in place.glob("out/run-*/part-*.parquet")
    }


def test_a_driver_killed_while_it_writes_clusters_writes_only_the_rest(
    X, quiet_model, folder, tmp_path
):
    output = ("--output", tmp_path / "out")
    job = Job("fit", folder, *job_options(tmp_path), "--workers", 0, *output)
    assert job.wait_until(lambda: len(written(tmp_path)) >= 2), job.err
    job.send(signal.SIGKILL)
    assert job.end() == -signal.SIGKILL
    before = written(tmp_path)
    assert 2 <= len(before) < 24
    assert not (tmp_path / "out" / "_dkmeans.json").exists()
    resume(folder, tmp_path, *output)
    after = written(tmp_path)
    assert len(after) == 24
    assert {name: after[name] for name in before} == before
    manifest = read_manifest(str(tmp_path / "out"))
    assert (manifest["rows"], manifest["rows_assigned"], len(manifest["files"])) == (N, N, 24)
    assert model_bits(tmp_path / "model") == quiet_model
    table = pq.read_table(tmp_path / "out" / manifest["run"]).sort_by("id")
    assert table["id"].to_pylist() == list(range(N))
    model = dkmeans.Model.load(str(tmp_path / "model"))
    assert np.array_equal(table["cluster_id"], model.predict(X.astype(np.float32)))
    left = [path.name for path in tmp_path.glob("out/**/*") if path.is_file()]
    extra = [name for name in left if name != "_dkmeans.json" and name not in after]
    assert extra == []


def test_what_a_killed_writer_leaves_stops_nobody(folder, quiet_model, place):
    left = [
        place / "checkpoint" / f".checkpoint.zip.{'0' * 32}.part",
        place / "model" / f".scaled_centers-{'0' * 12}.npy.{'0' * 32}.part",
        place / "out" / f"._dkmeans.json.{'0' * 32}.part",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    resume(folder, place, "--output", place / "out")
    assert model_bits(place / "model") == quiet_model
    assert [path for path in left if path.exists()] == []


# the scheduler


def test_a_scheduler_killed_in_the_middle_ends_the_job_and_it_resumes(
    folder, quiet_model, tmp_path
):
    codes = []
    for killed_after in (5, 20, None):
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        with scheduler_process(tmp_path, port) as process:
            wait_for_port(port, process)
            with worker_process(tmp_path, address):
                job = Job("fit", folder, *job_options(tmp_path), "--resume", "--scheduler", address)
                if killed_after is not None:
                    assert job.wait_for_pass(min(killed_after, 15)), job.err
                    process.kill()
                codes.append(job.end())
        if killed_after is not None:
            assert "resume" in job.err
        assert "Traceback" not in job.err, job.err
    assert codes == [7, 7, 0]
    assert model_bits(tmp_path / "model") == quiet_model


# checkpoints


class Copies:
    """Copies the checkpoint whenever a pass has ended."""

    def __init__(self, place: Path, into: Path) -> None:
        self._file, self._into = place / "checkpoint.zip", into
        into.mkdir()
        self.made: list[Path] = []

    def take(self, _: object = None) -> None:
        if self._file.exists():
            data = self._file.read_bytes()
            if not self.made or (self.made[-1] / "checkpoint.zip").read_bytes() != data:
                copy = self._into / str(len(self.made))
                copy.mkdir()
                (copy / "checkpoint.zip").write_bytes(data)
                self.made.append(copy)


@pytest.fixture(scope="module")
def few(X: np.ndarray) -> np.ndarray:
    return X[:3000]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, few: np.ndarray) -> Path:
    place = tmp_path_factory.mktemp("small") / "in"
    return write_parquet(place, few, n_files=3, row_group_rows=250, w=np.arange(3000) % 4)


@pytest.fixture
def in_one_thread() -> Iterator[None]:
    """Many small fits are quickest so."""
    with dask.config.set(scheduler="synchronous"):
        yield


def read_small(folder: Path) -> Rows:
    rows = dkmeans.read_parquet(str(folder), weight="w", block_rows=100)
    assert rows.n_blocks == 36
    return rows


def far_away(X: np.ndarray) -> np.ndarray:
    """Centers of which some are far from all rows, so that they are moved."""
    return np.vstack([X[:14], np.full((3, X.shape[1]), 1e5), np.full((3, X.shape[1]), -1e5)])


def input_of(kind: str, X: np.ndarray, folder: Path) -> Rows:
    if kind == "parquet":
        return read_small(folder)
    if kind == "numpy":
        return Rows.from_array(X, np.arange(len(X)) % 4, block_rows=100)
    if kind == "dask array":
        weight = da.from_array(np.arange(len(X)) % 4, chunks=100)
        return Rows.from_dask(da.from_array(X, chunks=(100, 3)), weight)
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abc")), npartitions=20)
    return Rows.from_dask(frame)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("parquet", {}),
        ("parquet", {"n_init": 3}),
        ("parquet", {"init": "far away", "tol": 1e-3}),
        ("parquet", {"init": "random", "n_init": 2}),
        ("numpy", {}),
        ("numpy", {"init": "k-means++", "n_init": 2}),
        ("numpy", {"init": "far away", "scale": None}),
        ("dask array", {"init": "far away", "scale": "minmax"}),
        ("dask array", {"n_init": 3, "tol": 1e-2}),
        ("dask frame", {}),
        ("dask frame", {"init": "random"}),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else value,
)
@pytest.mark.usefixtures("in_one_thread")
def test_a_fit_resumes_from_after_every_pass(few, small, tmp_path, kind, options):
    X, folder = few, small
    asked = {"max_iter": 4, "init_rounds": 3, **options}
    if asked.get("init") == "far away":
        asked["init"] = far_away(X)
    quiet = estimator(**asked).fit(input_of(kind, X, folder))
    copies = Copies(tmp_path / "checkpoint", tmp_path / "copies")
    reporter = Passes(copies.take)
    with dkmeans.reporting(reporter):
        whole = estimator(**asked, checkpoint=str(tmp_path / "checkpoint"))
        whole.fit(input_of(kind, X, folder))
    copies.take()
    assert bits(whole) == bits(quiet)
    if "n_init" not in options:
        shown = [record["kind"] for record in whole.history_]
        assert ("relocation" in " ".join(shown)) == (options.get("init") == "far away")
    assert len(copies.made) >= 5
    run_ids = {whole.model_.provenance["run_id"]}
    for number, copy in enumerate(copies.made):
        again = Passes(lambda _: None)
        with dkmeans.reporting(again):
            resumed = estimator(**asked, checkpoint=str(copy)).fit(input_of(kind, X, folder))
        assert bits(resumed) == bits(quiet), f"resumed after {number} of the driven passes"
        # no pass is made that was made before
        assert again.ended == len(copies.made) - 1 - number
        run_ids.add(resumed.model_.provenance["run_id"])
    assert len(run_ids) == 1


@pytest.mark.usefixtures("in_one_thread")
def test_a_fresh_seed_is_kept_by_the_checkpoint(small, tmp_path):
    copies = Copies(tmp_path / "checkpoint", tmp_path / "copies")
    options = {"random_state": None, "max_iter": 2, "init_rounds": 2}
    with dkmeans.reporting(Passes(copies.take)):
        whole = estimator(**options, checkpoint=str(tmp_path / "checkpoint")).fit(read_small(small))
    assert len(copies.made) >= 4
    for copy in copies.made:
        resumed = estimator(**options, checkpoint=str(copy)).fit(read_small(small))
        assert bits(resumed) == bits(whole)
        assert resumed.model_.provenance["seed"] == whole.model_.provenance["seed"]


def test_a_checkpoint_is_small_and_holds_no_rows(folder, tmp_path):
    estimator(checkpoint=str(tmp_path / "c")).fit(read(folder))
    assert (tmp_path / "c" / "checkpoint.zip").stat().st_size < 200_000


@pytest.mark.usefixtures("in_one_thread")
def test_rows_filled_with_means_and_files_left_out_resume(few, tmp_path):
    holes = few.copy()
    holes[::9, 1] = np.nan
    folder = write_parquet(tmp_path / "in", holes, n_files=6, row_group_rows=250)
    bad = folder / "part-3.parquet"
    data = bytearray(bad.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = os.urandom(2000)
    bad.write_bytes(data)

    def rows() -> Rows:
        return dkmeans.read_parquet(str(folder), missing="mean", on_bad_file="skip", block_rows=100)

    copies = Copies(tmp_path / "checkpoint", tmp_path / "copies")
    with dkmeans.reporting(Passes(copies.take)):
        whole = estimator(checkpoint=str(tmp_path / "checkpoint"), max_iter=4).fit(rows())
    copies.take()
    quiet = estimator(max_iter=4).fit(rows())
    assert bits(whole) == bits(quiet)
    skipped = whole.model_.provenance["skipped_files"]
    assert ["part-3" in file["url"] for file in skipped] == [True]
    assert len(copies.made) >= 8
    for copy in copies.made:
        resumed = estimator(checkpoint=str(copy), max_iter=4).fit(rows())
        assert bits(resumed) == bits(quiet)
        assert resumed.model_.provenance["skipped_files"] == skipped


@pytest.fixture(scope="module")
def stopped(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The place of a job that has stopped in the middle."""
    place = tmp_path_factory.mktemp("stopped")
    ran = run("fit", folder, *job_options(place), "--workers", 0, "--max-passes", 9)
    assert ran.code == 7, ran.err
    assert (place / "checkpoint" / "checkpoint.zip").exists()
    return place


@pytest.fixture
def place(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(stopped / "checkpoint", tmp_path / "checkpoint")
    return tmp_path


def test_a_job_that_has_spent_its_budget_resumes(folder, quiet_model, place):
    resume(folder, place)
    assert model_bits(place / "model") == quiet_model


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--k", 21), ("n_clusters was 20, is 21",)),
        (("--seed", 4), ("seed was 3, is 4",)),
        (("--dtype", "float64"), ("dtype was float32, is float64",)),
        (("--tol", 0.5), ("tol was 0.0, is 0.5",)),
        (("--max-iter", 41), ("max_iter was 40, is 41",)),
        (("--n-init", 2), ("n_init was 1, is 2",)),
        (("--init", "random"), ("init was k-means||, is random",)),
        (("--scale", "minmax"), ("scale was standard, is minmax",)),
        (("--missing", "drop"), ("missing was raise, is drop",)),
        (("--block-bytes", 3600), ("block_bytes was 1800, is 3600",)),
        (("--columns", "f0,f1"), ("columns was f0,f1,f2, is f0,f1",)),
        (("--filter", "f0 > 1000.5"), ("filter", "1000.5")),
        (("--sample", 0.5), ("sample",)),
    ],
    ids=lambda value: str(value[0]),
)
def test_another_job_is_refused_with_the_difference(folder, place, options, words):
    ran = run("fit", folder, *job_options(place), "--resume", "--workers", 0, *options)
    assert ran.code == InputChanged.exit_code == 3
    for word in (*words, str(place / "checkpoint"), "remove the checkpoint"):
        assert word in ran.error
    assert not (place / "model").exists()
    assert (place / "checkpoint" / "checkpoint.zip").exists()


def rewrite(folder: Path) -> None:
    table = pq.read_table(folder / "part-1.parquet")
    pq.write_table(table.slice(0, 499), folder / "part-1.parquet", row_group_size=250)


def touch(folder: Path) -> None:
    path = folder / "part-1.parquet"
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))


def add(folder: Path) -> None:
    shutil.copy(folder / "part-1.parquet", folder / "part-1b.parquet")


def take_away(folder: Path) -> None:
    (folder / "part-1.parquet").unlink()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (rewrite, "part-1.parquet"),
        (touch, "part-1.parquet"),
        (add, "part-1b.parquet"),
        (take_away, "part-1.parquet"),
    ],
)
def test_other_files_are_refused_with_their_names(folder, tmp_path, change, name):
    copy = Path(shutil.copytree(folder, tmp_path / "in"))
    assert run(
        "fit", copy, *job_options(tmp_path), "--workers", 0, "--max-passes", 3
    ).code == 7  # fmt: skip
    change(copy)
    ran = run("fit", copy, *job_options(tmp_path), "--resume", "--workers", 0)
    assert ran.code == 3
    assert name in ran.error
    assert "remove the checkpoint" in ran.error


def edited(place: Path, old: str, new: str) -> None:
    """Change the text of the checkpoint."""
    file = place / "checkpoint" / "checkpoint.zip"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in parts if name.endswith(".json"))
    body = parts[name].decode()
    assert old in body
    parts[name] = body.replace(old, new).encode()
    json.loads(parts[name])
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("package", ["dkmeans", "numpy"])
def test_another_version_is_refused(folder, place, package):
    edited(place, f'"{package}": "{version(package)}"', f'"{package}": "0.0.1"')
    ran = run("fit", folder, *job_options(place), "--resume", "--workers", 0)
    assert ran.code == 3
    assert f"{package} was 0.0.1, is {version(package)}" in ran.error


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"no checkpoint",
        lambda data: bytes(len(data)),
    ],
    ids=["empty", "half", "a byte short", "something else", "zeros"],
)
def test_a_damaged_checkpoint_is_refused(folder, place, damage):
    file = place / "checkpoint" / "checkpoint.zip"
    file.write_bytes(damage(file.read_bytes()))
    ran = run("fit", folder, *job_options(place), "--resume", "--workers", 0)
    assert ran.code == InputRefused.exit_code == 3
    assert str(file) in ran.error
    assert "damaged" in ran.error


def test_a_flipped_bit_in_a_checkpoint_never_changes_the_answer(X, tmp_path, rng):
    X = X[:600]
    options = {"n_clusters": 5, "max_iter": 5, "init": X[:5]}
    place = tmp_path / "c"
    copies = Copies(place, tmp_path / "copies")
    with dkmeans.reporting(Passes(copies.take)):
        whole = estimator(**options, checkpoint=str(place)).fit(X)
    data = (copies.made[2] / "checkpoint.zip").read_bytes()
    refused = 0
    for _ in range(60):
        flipped = bytearray(data)
        at = rng.randrange(len(data))
        flipped[at] ^= 1 << rng.randrange(8)
        (place / "checkpoint.zip").write_bytes(flipped)
        try:
            found = estimator(**options, checkpoint=str(place)).fit(X)
        except InputRefused:
            refused += 1
        else:
            assert bits(found) == bits(whole), f"byte {at} of {len(data)}"
    assert refused > 30


def test_other_arrays_are_refused(X, tmp_path):
    place = str(tmp_path / "c")
    estimator(max_iter=2, checkpoint=place).fit(X)
    changed = X.copy()
    changed[N - 1, 2] += 1e-12
    assert (changed != X).sum() == 1
    for other in (changed, X[:-1], X.astype(np.float32)):
        with pytest.raises(InputChanged, match="belongs to another job"):
            estimator(max_iter=2, checkpoint=place).fit(other)
    with pytest.raises(InputChanged, match="belongs to another job"):
        estimator(max_iter=2, checkpoint=place).fit(X, sample_weight=np.arange(N) % 3)
    with pytest.raises(InputChanged, match="init"):
        estimator(max_iter=2, checkpoint=place, init=X[:20]).fit(X)
    estimator(max_iter=2, checkpoint=place).fit(X)


def test_without_a_checkpoint_resume_starts_afresh(folder, quiet_model, tmp_path):
    resume(folder, tmp_path)
    assert model_bits(tmp_path / "model") == quiet_model


def test_a_checkpoint_is_not_overwritten_unasked(folder, place):
    before = (place / "checkpoint" / "checkpoint.zip").read_bytes()
    ran = run("fit", folder, *job_options(place), "--workers", 0)
    assert ran.code == 2
    assert "--resume" in ran.error
    assert (place / "checkpoint" / "checkpoint.zip").read_bytes() == before
    ran = run("fit", folder, *job_options(place, checkpoint=False), "--resume", "--workers", 0)
    assert ran.code == 2
    assert "--checkpoint" in ran.err


def test_a_job_on_s3_keeps_its_checkpoint_there(folder, bucket, s3, quiet_model, tmp_path):
    import s3fs

    files = s3fs.S3FileSystem(**s3)
    files.put(f"{folder}/", f"{bucket}/in/", recursive=True)
    options = [f"{key}={s3[key]}" for key in ("key", "secret")] + [
        f"client_kwargs.{key}={value}" for key, value in s3["client_kwargs"].items()
    ]
    job = (
        "fit", f"{bucket}/in", *job_options(tmp_path, checkpoint=False), "--workers", 0,
        "--model", f"{bucket}/model", "--checkpoint", f"{bucket}/state/checkpoint",
        *(word for option in options for word in ("--storage-option", option)),
    )  # fmt: skip
    for passes in (5, 12):
        ran = run(*job, "--resume", "--max-passes", passes)
        assert ran.code == 7, ran.err
        files.invalidate_cache()
        assert files.find(f"{bucket}/state") == [
            f"{bucket.removeprefix('s3://')}/state/checkpoint/checkpoint.zip"
        ]
        assert run(*job).code == 2
    ran = run(*job, "--resume")
    assert ran.code == 0, ran.err
    files.invalidate_cache()
    assert files.find(f"{bucket}/state") == []
    files.get(f"{bucket}/model/", f"{tmp_path}/fetched/", recursive=True)
    assert model_bits(tmp_path / "fetched") == quiet_model
