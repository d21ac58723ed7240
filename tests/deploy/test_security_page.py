"""What the security page says of sockets, files and secrets, held against what is there."""

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import pytest

import dkmeans
from dkmeans.cluster.connect import local_cluster
from tests.cli.command import run
from tests.conftest import wait_until, write_parquet
from tests.processes import dask_process

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = (DEPLOY / "security.md").read_text()
EVERYWHERE = {"0.0.0.0", "::"}
HERE = {"127.0.0.1", "::1"}


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports that a process and its children listen on."""
    found = set()
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                found.add((one.laddr.ip, one.laddr.port))
    return found


def sockets(process: subprocess.Popen, least: int) -> set[tuple[str, int]]:
    """Those of a process, once it has at least so many ports."""
    found: set[tuple[str, int]] = set()

    def are_there() -> bool:
        nonlocal found
        found = listening(process.pid)
        return len({port for _, port in found}) >= least

    wait_until(are_there, process)
    return found


def row_of(name: str) -> str:
    """The line of the table of what listens that begins with a name."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} ")]
    return row


def test_workers_that_dkmeans_starts_are_reached_from_this_machine_alone() -> None:
    before = listening(os.getpid())
    with local_cluster(1, "500MiB"):
        found = listening(os.getpid()) - before
        assert len(found) >= 4
        assert {address for address, _ in found} <= HERE
    assert "127.0.0.1" in row_of("workers that `dkmeans`")


def test_threads_listen_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listened = []
    listen = socket.socket.listen

    def noted(one: socket.socket, *given: int) -> None:
        listened.append(one.getsockname())
        listen(one, *given)

    monkeypatch.setattr(socket.socket, "listen", noted)
    with socket.create_server(("127.0.0.1", 0)):
        assert len(listened) == 1
    write_parquet(tmp_path / "in", np.random.default_rng(0).normal(size=(300, 2)))
    ran = run("fit", tmp_path / "in", "--k", 2, "--model", tmp_path / "model", "--workers", 0)
    assert ran.code == 0, ran.err
    assert len(listened) == 1
    assert "nothing" in row_of("`cluster: {local: 0}`")


def address_of(log: Path) -> str:
    """Where a worker can register, from what the scheduler says."""
    port = re.findall(r"tcp://\S+:(\d+)", log.read_text())[0]
    return f"tcp://127.0.0.1:{port}"


@pytest.mark.slow
def test_a_dask_scheduler_and_worker_are_reached_from_everywhere_unless_told(
    tmp_path: Path,
) -> None:
    scheduler = ("scheduler", "--port", "0", "--dashboard-address", ":0")
    with dask_process(tmp_path, *scheduler) as process:
        found = sockets(process, least=2)
        assert {address for address, _ in found} <= EVERYWHERE
        address = address_of(tmp_path / "scheduler-0.log")
        worker = ("worker", address, "--nthreads", "1", "--local-directory", str(tmp_path))
        with dask_process(tmp_path, *worker, "--no-nanny", "--host", "127.0.0.1") as process:
            found = sockets(process, least=2)
            # itself, and its pages
            assert {address for address, _ in found} & HERE
            assert {address for address, _ in found} & EVERYWHERE
    for name in ("`dask scheduler`", "its dashboard", "`dask worker`"):
        assert "all addresses" in row_of(name)


@pytest.mark.slow
def test_a_dask_scheduler_and_worker_can_be_confined(tmp_path: Path) -> None:
    confined = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
    with dask_process(tmp_path, "scheduler", "--port", "0", *confined) as process:
        assert {address for address, _ in sockets(process, least=2)} <= HERE
        address = address_of(tmp_path / "scheduler-0.log")
        worker = ("worker", address, "--nthreads", "1", "--local-directory", str(tmp_path))
        with dask_process(tmp_path, *worker, *confined) as process:
            assert {address for address, _ in sockets(process, least=3)} <= HERE
        # health and metrics stay
        with dask_process(tmp_path, *worker, "--host", "127.0.0.1", "--no-dashboard") as process:
            assert {address for address, _ in sockets(process, least=3)} & EVERYWHERE
    quiet = ("--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", ":0")
    with dask_process(tmp_path, "scheduler", *quiet) as process:
        assert {address for address, _ in sockets(process, least=2)} & EVERYWHERE
    assert "`--no-dashboard` alone leaves" in row_of("its dashboard")


def default_of(command: click.Command, name: str) -> Any:
    (option,) = [one for one in command.params if one.name == name]
    return option.default


def test_the_service_listens_on_this_machine_unless_told() -> None:
    serve = pytest.importorskip("dkmeans.cli.serve").serve
    row = row_of("`dkmeans serve`")
    assert f"{default_of(serve, 'host')}:{default_of(serve, 'port')}" in row


@pytest.fixture
def model(tmp_path: Path) -> Path:
    X = np.random.default_rng(0).normal(size=(500, 2))
    write_parquet(tmp_path / "in", X)
    dkmeans.KMeans(3, random_state=0).fit(dkmeans.read_parquet(str(tmp_path / "in"))).model_.save(
        str(tmp_path / "model")
    )
    return tmp_path / "model"


def test_a_model_is_json_and_arrays_without_objects(model: Path) -> None:
    kinds = {path.suffix for path in model.iterdir()}
    assert kinds == {".json", ".npy"}
    for path in model.glob("*.npy"):
        array = np.load(path, allow_pickle=False)
        assert not array.dtype.hasobject
        # none of the size of the data
        assert array.shape[0] < 500 or path.name.startswith("baseline-")


def test_the_files_that_the_page_names_are_there() -> None:
    for name in re.findall(r"`((?:s3-policies|schedules|kubernetes)/[\w./*-]+)`", PAGE):
        assert list(DEPLOY.glob(name)) or name.startswith("kubernetes"), name
