"""Fixtures that many tests share: data, a cluster, an S3 server. Servers are real processes,
started once."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dkmeans.kernels import choice, compiled, plain
from dkmeans.storage.requests import _Attempts
from tests.contract_summary import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

# before SciPy is imported: scikit-learn checks estimators under its array API dispatch, too
os.environ.setdefault("SCIPY_ARRAY_API", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def oracle_data() -> Path:
    """The folder of real data sets that other people's figures hold on."""
    if not SHARED.is_dir():
        pytest.skip(f"the reference data sets are not at {SHARED}")
    return SHARED


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Ten well separated clusters in 4 dimensions: 5 000 rows, and the true centers."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-100, 100, size=(10, 4))
    return centers[rng.integers(0, 10, 5000)] + rng.normal(size=(5000, 4)), centers


def write_parquet(
    folder: Path, X: np.ndarray, *, n_files: int = 3, row_group_rows: int = 500, **columns: object
) -> Path:
    """Write the rows of X as columns f0, f1, ... of several files, with other columns beside
    them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"f{i}": X[:, i] for i in range(X.shape[1])}
    table = pa.table({**names, **columns})
    for number, rows in enumerate(np.array_split(np.arange(len(X)), n_files)):
        part = table.slice(int(rows[0]), len(rows)) if len(rows) else table.slice(0, 0)
        pq.write_table(part, folder / f"part-{number}.parquet", row_group_size=row_group_rows)
    return folder


@pytest.fixture(scope="session")
def client() -> Iterator[object]:
    """A client of two single-threaded worker processes. It is not made the default client."""
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 100}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit="2GiB",
            dashboard_address=":0",
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def free_port() -> int:
    """A port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    condition: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = 60
) -> None:
    """Wait for something to become true, while a process lives if one is given."""
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < end, f"it did not come true within {seconds} s"
        time.sleep(0.02)


def threads_that_wait() -> list[int]:
    """The threads that wait for the next attempt of a request to a store."""
    found = []
    for thread, frame in sys._current_frames().items():
        at: FrameType | None = frame
        while at is not None and at.f_code is not _Attempts.failed.__code__:
            at = at.f_back
        if at is not None:
            found.append(thread)
    return found


@pytest.fixture(autouse=True)
def no_thread_is_left_waiting() -> Iterator[None]:
    """Have a test fail that leaves requests behind: later ones would meet them for minutes."""
    yield
    wait_until(lambda: not threads_that_wait(), seconds=10)


def wait_for_port(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    """Wait until somebody listens on a port of this machine."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, process, seconds)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Storage options of an S3 server that runs as a process of its own."""
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.s3_server", "-H", "127.0.0.1", "-p", str(port)],
            cwd=Path(__file__).parents[1],
            stdout=out,
            stderr=out,
        )
    try:
        wait_for_port(port, server)
        yield {
            "key": "test-key",
            "secret": "test-secret-canary",
            "client_kwargs": {
                "endpoint_url": f"http://127.0.0.1:{port}",
                "region_name": "us-east-1",
            },
        }
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def bucket(s3: dict) -> str:
    """The URL of a new, empty bucket on the S3 server."""
    import s3fs

    name = f"bucket-{os.urandom(6).hex()}"
    # not mkdir: it sends the default region as a constraint, which S3 refuses
    s3fs.S3FileSystem(**s3).call_s3("create_bucket", Bucket=name)
    return f"s3://{name}"


def loops_without_vectors(dtype):
    return compiled._compile(plain, dtype)


@pytest.fixture(scope="module", params=["numpy", "vectors", "plain"])
def each_kernel(request):
    """Have rows of any shape computed by one kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "_ENOUGH", float("inf") if request.param == "numpy" else 0)
        if request.param == "plain":
            patch.setattr(compiled, "_loops", loops_without_vectors)
        yield request.param
