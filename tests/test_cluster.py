"""Jobs on schedulers and workers that were started from the command line, fit and unfit ones."""

import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

import dkmeans
from dkmeans.cluster import connect, waiting
from dkmeans.cluster.waiting import Watch
from dkmeans.errors import ClusterLost, ClusterUnreachable, WorkersUnfit
from dkmeans.kernels.block import Block
from dkmeans.rows.clusters_out import read_manifest
from dkmeans.rows.layout import FAN_IN
from tests.cli.command import run
from tests.conftest import free_port, wait_for_port, wait_until, write_parquet
from tests.processes import scheduler_process, worker_process


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A `dask scheduler` and two `dask worker` processes."""
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    with ExitStack() as stack:
        scheduler = stack.enter_context(scheduler_process(folder, port))
        wait_for_port(port, scheduler)
        for _ in range(2):
            stack.enter_context(worker_process(folder, f"tcp://127.0.0.1:{port}"))
        yield f"tcp://127.0.0.1:{port}"


@pytest.fixture
def bare_scheduler() -> Iterator[str]:
    """The address of a scheduler without workers."""
    with LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def folder(tmp_path: Path, blobs) -> Path:
    return write_parquet(tmp_path / "in", blobs[0], id=np.arange(5000))


@dataclass(frozen=True)
class Pids:
    """A partial: the processes that blocks were read in."""

    seen: frozenset[int]
    n_rows: int

    @classmethod
    def from_block(cls, block: Block) -> "Pids":
        return cls(frozenset({os.getpid()}), block.n_rows)

    def merge(self, other: "Pids") -> "Pids":
        return Pids(self.seen | other.seen, self.n_rows + other.n_rows)


def test_the_command_line_runs_its_job_on_a_scheduler(
    address: str, folder: Path, tmp_path: Path
) -> None:
    job = ("fit", folder, "--k", 7, "--keys", "id", "--seed", 5, "--block-bytes", 4000, "--json")
    there = run(
        *job, "--model", tmp_path / "there", "--output", tmp_path / "out", "--scheduler", address
    )
    here = run(*job, "--model", tmp_path / "here", "--workers", 0)
    assert f"cluster: {address}, dashboard http://127.0.0.1:" in there.err
    keys = ("inertia", "n_iter", "n_passes", "rows", "converged")
    assert {key: there.json[key] for key in keys} == {key: here.json[key] for key in keys}
    models = [dkmeans.Model.load(str(tmp_path / name)) for name in ("there", "here")]
    assert models[0].scaled_centers.tobytes() == models[1].scaled_centers.tobytes()
    manifest = read_manifest(str(tmp_path / "out"))
    assert (manifest["rows"], manifest["rows_assigned"]) == (5000, 5000)

    predicted = run(
        "predict",
        tmp_path / "there",
        folder,
        tmp_path / "again",
        "--keys",
        "id",
        "--scheduler",
        address,
    )
    assert predicted.code == 0
    files = [sorted((tmp_path / name).glob("run-*/*")) for name in ("out", "again")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_a_client_runs_the_same_job_and_both_workers_take_part(address: str, folder: Path) -> None:
    here = dkmeans.read_parquet(str(folder), keys=["id"], block_rows=100)
    assert here.n_blocks > 8
    expected = dkmeans.KMeans(7, init="k-means||", random_state=5).fit(here)
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        rows = dkmeans.read_parquet(str(folder), keys=["id"], block_rows=100, client=client)
        estimator = dkmeans.KMeans(7, init="k-means||", random_state=5).fit(rows)
        pids = rows.reduce(Pids.from_block)
    assert len(pids.seen) == 2
    assert os.getpid() not in pids.seen
    assert estimator.cluster_centers_.tobytes() == expected.cluster_centers_.tobytes()
    assert estimator.inertia_ == expected.inertia_


def test_passes_leave_nothing_on_the_cluster(address: str, folder: Path, monkeypatch) -> None:
    """Also where waits for them time out, and Python does not look for cycles."""
    monkeypatch.setattr(waiting, "_POLL_SECONDS", 0.001)
    waits: list[Watch] = []
    monkeypatch.setattr(Watch, "look", lambda watch: waits.append(watch))
    gc.disable()
    try:
        with Client(address, set_as_default=False) as client:
            rows = dkmeans.read_parquet(str(folder), keys=["id"], client=client, block_rows=100)
            assert len(rows.layout.leaves) > FAN_IN
            dkmeans.KMeans(3, init="k-means||", random_state=0, max_iter=3).fit(rows)
            assert waits
            # all but what says that the client lives
            wait_until(lambda: all(key.startswith("dkmeans-lease-") for key in client.futures))
    finally:
        gc.enable()


def test_a_client_in_scope_is_used(address: str, folder: Path) -> None:
    with Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        rows = dkmeans.read_parquet(str(folder), keys=["id"])
        noted = rows.map(lambda block: np.full(block.n_rows, os.getpid()), dtype="int64").compute()
        fitted = dkmeans.KMeans(3, init="k-means||", random_state=0).fit(rows)
    assert os.getpid() not in set(noted.tolist())
    assert fitted.model_.weights.sum() == 5000


def test_a_scheduler_that_answers_nobody_is_an_error_within_a_limit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect.CONNECT_SECONDS <= 60
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1)
    nobody = f"tcp://127.0.0.1:{free_port()}"
    for command in (
        ("fit", folder, "--k", 3, "--model", tmp_path / "model"),
        ("plan", folder, "--k", 3),
    ):
        ran = run(*command, "--scheduler", nobody)
        assert ran.code == ClusterUnreachable.exit_code == 7
        assert nobody in ran.error
        assert "check the address" in ran.error
    assert not (tmp_path / "model").exists()


def test_tls_files_of_dask_that_cannot_be_used_are_named(folder: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    tls = {"ca-file": missing, "client.cert": missing, "client.key": missing}
    with dask.config.set({f"distributed.comm.tls.{key}": path for key, path in tls.items()}):
        ran = run("plan", folder, "--k", 3, "--scheduler", "tls://127.0.0.1:1")
    assert ran.code == 2
    assert missing in ran.error
    assert "distributed.comm.tls" in ran.error


def test_how_long_a_scheduler_is_waited_for_is_configured(folder: Path) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with dask.config.set({"dkmeans.connect-timeout": 0.5}):
        ran = run("plan", folder, "--k", 3, "--scheduler", nobody)
    assert ran.code == 7
    assert "within 0.5 s" in ran.error


def test_an_address_that_is_none_is_an_error(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1)
    for wrong in ("gopher://x", "tcp://127.0.0.1", "tcp://127.0.0.1:http"):
        ran = run("fit", folder, "--k", 3, "--model", tmp_path / "model", "--scheduler", wrong)
        assert ran.code in (2, 7)
        assert wrong in ran.error


@pytest.mark.timeout(60)
def test_a_port_where_something_else_listens_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        ran = run("fit", folder, "--k", 3, "--model", tmp_path / "model", "--scheduler", place)
    assert ran.code == 7
    assert place in ran.error


def test_a_scheduler_without_workers_is_an_error_within_a_limit(
    bare_scheduler: str, folder: Path, tmp_path: Path
) -> None:
    with dask.config.set({"dkmeans.no-workers-timeout": 1}):
        ran = run("fit", folder, "--k", 3, "--model", tmp_path / "m", "--scheduler", bare_scheduler)
        assert ran.code == 7
        assert "no workers for 1 s" in ran.error
        with Client(bare_scheduler, set_as_default=False) as client, pytest.raises(ClusterLost):
            dkmeans.read_parquet(str(folder), client=client)


HIDES_DKMEANS = """
import importlib.abc
import importlib.metadata
import sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "dkmeans":
            raise ModuleNotFoundError("No module named 'dkmeans'")

sys.meta_path.insert(0, Hidden())
distribution = importlib.metadata.distribution

def hidden(name):
    if name == "dkmeans":
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)

importlib.metadata.distribution = hidden
"""

OTHER_VERSION = """
import importlib.metadata
import sys
version = importlib.metadata.version
importlib.metadata.version = lambda name: "99.9" if name == "{package}" else version(name)
if "{package}" == "python":
    import platform
    sys.version_info = (3, 8, 0, "final", 0)
    platform.python_version = lambda: "3.8.0"
"""


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (HIDES_DKMEANS, ["does not have dkmeans", "install dkmeans"]),
        (OTHER_VERSION.format(package="dkmeans"), ["dkmeans 99.9", "same version"]),
        (OTHER_VERSION.format(package="numpy"), ["numpy 99.9", "same version"]),
    ],
    ids=["without dkmeans", "another dkmeans", "another numpy"],
)
def test_workers_that_are_not_fit_are_refused(
    bare_scheduler: str, folder: Path, tmp_path: Path, program: str, words: list[str]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(program)
    with worker_process(tmp_path, bare_scheduler, pythonpath=tmp_path / "site"):
        ran = run("fit", folder, "--k", 3, "--model", tmp_path / "m", "--scheduler", bare_scheduler)
        assert ran.code == WorkersUnfit.exit_code == 2
        for word in ("worker tcp://127.0.0.1:", *words):
            assert word in ran.error


class When:
    """Where passes are reported to; calls a function once, when a pass has ended."""

    def __init__(self, number: int, function: Callable[[], object]) -> None:
        self._text, self._function, self.called = f"pass {number:>3}", function, False

    def write(self, text: str) -> None:
        if text.startswith(self._text) and not self.called:
            self.called = True
            self._function()

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False


def long_fit(folder: Path, client: Client) -> None:
    rows = dkmeans.read_parquet(str(folder), columns=["f0", "f1"], client=client, block_rows=500)
    dkmeans.KMeans(40, init="k-means||", random_state=0, tol=0, max_iter=10_000).fit(rows)


@pytest.fixture
def shapeless(tmp_path: Path) -> Path:
    """Rows on which Lloyd takes long."""
    return write_parquet(tmp_path / "in", np.random.default_rng(0).uniform(size=(20_000, 2)))


def test_workers_that_all_go_away_are_an_error_within_a_limit(
    bare_scheduler: str, shapeless: Path, tmp_path: Path
) -> None:
    with (
        dask.config.set({"dkmeans.no-workers-timeout": 20}),
        worker_process(tmp_path, bare_scheduler) as worker,
        Client(bare_scheduler, set_as_default=False) as client,
    ):
        client.wait_for_workers(1, timeout=60)
        killed = When(
            4, lambda: (dask.config.set({"dkmeans.no-workers-timeout": 1}), worker.kill())
        )
        with dkmeans.reporting(killed), pytest.raises(ClusterLost, match="no workers for 1 s"):
            long_fit(shapeless, client)
        assert killed.called


def test_a_scheduler_that_goes_away_is_an_error(shapeless: Path, tmp_path: Path) -> None:
    port = free_port()
    with scheduler_process(tmp_path, port) as scheduler:
        wait_for_port(port, scheduler)
        with (
            worker_process(tmp_path, f"tcp://127.0.0.1:{port}"),
            Client(f"tcp://127.0.0.1:{port}", set_as_default=False) as client,
        ):
            client.wait_for_workers(1, timeout=60)
            killed = When(4, scheduler.kill)
            with dkmeans.reporting(killed), pytest.raises(ClusterLost, match="run again"):
                long_fit(shapeless, client)
            assert killed.called
            scheduler.wait(10)


def test_an_interrupt_leaves_a_shared_cluster_idle_and_usable(
    address: str, shapeless: Path, folder: Path
) -> None:
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        stopped = When(4, lambda: os.kill(os.getpid(), signal.SIGINT))
        # a test run that was started in the background has inherited "ignore SIGINT"
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with dkmeans.reporting(stopped), pytest.raises(KeyboardInterrupt):
                long_fit(shapeless, client)
        finally:
            signal.signal(signal.SIGINT, before)
        rows = dkmeans.read_parquet(str(folder), keys=["id"], client=client)
        assert (
            dkmeans.KMeans(3, init="k-means||", random_state=0).fit(rows).model_.weights.sum()
            == 5000
        )
