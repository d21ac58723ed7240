"""The whole life of a served model: a store, a cluster, jobs and the service, all processes."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import dkmeans
from tests.cli.command import PROGRAM, run_apart
from tests.conftest import free_port, wait_for_port, wait_until, write_parquet
from tests.processes import scheduler_process, worker_process

TOKEN = "served-token-canary"
CENTERS = 6.0 * np.array(
    [[1, 1, 0, 0], [-1, 1, 0, 1], [1, -1, 1, 0], [-1, -1, 0, -1.0], [0, 0, 2, 2]]
)


def batch(seed: int, shift: float = 0.0, n_rows: int = 6000) -> np.ndarray:
    """Rows of five clusters that lie apart."""
    rng = np.random.default_rng(seed)
    X = CENTERS[rng.integers(0, len(CENTERS), n_rows)] + shift + rng.normal(size=(n_rows, 4))
    return X.astype(np.float32)


class Service:
    """A client of the service, which asks as users do."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: object = None) -> bytes:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: bytes = answer.read()
        return found

    def predict(self, X: np.ndarray) -> dict[str, Any]:
        rows = [{f"f{j}": float(value) for j, value in enumerate(row)} for row in X]
        found: dict[str, Any] = json.loads(self.ask("/predict", {"rows": rows}))
        return found

    def version(self) -> int:
        return int(self.predict(CENTERS[:1])["version"])

    def drift(self) -> dict[str, float]:
        """What the service measures of the rows that it was asked for, by metric."""
        families = text_string_to_metric_families(self.ask("/metrics").decode())
        (live,) = (one for one in families if one.name == "dkmeans_live_drift")
        return {one.labels["metric"]: one.value for one in live.samples}


@contextmanager
def serving(reference: str, folder: Path) -> Iterator[Service]:
    (folder / "token").write_text(TOKEN)
    port = free_port()
    with (folder / "service.log").open("wb") as out:
        process = subprocess.Popen(
            [
                *PROGRAM, "serve", reference, "--port", str(port),
                "--token-file", str(folder / "token"), "--follow-seconds", "0.5",
            ],
            stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        wait_for_port(port, process)
        yield Service(port)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def lake(bucket: str, s3: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that every process finds by its environment alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3["secret"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3["client_kwargs"]["endpoint_url"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return bucket


@pytest.fixture
def cluster(lake: str, tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler process with two workers, each a process."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        wait_for_port(port, stack.enter_context(scheduler_process(tmp_path, port)))
        for _ in range(2):
            stack.enter_context(worker_process(tmp_path, address))
        yield address


def deliver(lake: str, day: str, X: np.ndarray, folder: Path, s3: dict) -> None:
    import s3fs

    local = write_parquet(folder / day, X, n_files=3, id=np.arange(len(X)))
    s3fs.S3FileSystem(**s3).put(f"{local}/*", f"{lake}/in/dt={day}/")


def job(task: str, lake: str, address: str, folder: Path) -> Path:
    written = {
        "task": task,
        "name": "customers",
        "data": {"url": f"{lake}/in/dt={{{{ as_of }}}}", "keys": ["id"]},
        "model": {"n_clusters": 5, "random_state": 3},
        "cluster": {"address": address},
        "registry": f"{lake}/models",
        "checkpoint": f"{lake}/state",
    }
    path = folder / f"{task}.yaml"
    path.write_text(yaml.safe_dump(written))
    return path


def test_a_model_is_trained_served_followed_and_rolled_back(
    lake: str, s3: dict, cluster: str, tmp_path: Path
) -> None:
    first, second = batch(1), batch(2, shift=0.3)
    deliver(lake, "2026-11-13", first, tmp_path, s3)
    trained = run_apart("run", job("train", lake, cluster, tmp_path), "--as-of", "2026-11-13")
    assert trained.code == 0, trained.err
    registry, champion = dkmeans.Registry(f"{lake}/models", s3), f"{lake}/models@champion"
    with serving(champion, tmp_path) as service:
        models = {1: registry.load(1)}
        answer = service.predict(first[:500])
        assert answer["version"] == 1
        assigned = models[1].assign(first[:500])
        assert answer["cluster_ids"] == assigned.cluster_ids.tolist()
        np.testing.assert_allclose(answer["distances"], assigned.distances, rtol=1e-6)

        deliver(lake, "2026-11-20", second, tmp_path, s3)
        again = run_apart("run", job("retrain", lake, cluster, tmp_path), "--as-of", "2026-11-20")
        assert again.code == 0, again.err
        wait_until(lambda: service.version() == 2)
        models[2] = registry.load(2)
        answer = service.predict(second[:500])
        assert answer["cluster_ids"] == models[2].assign(second[:500]).cluster_ids.tolist()
        # the clusters are those of version 1, moved
        same = models[1].assign(first[:500]).cluster_ids
        assert np.mean(np.array(service.predict(first[:500])["cluster_ids"]) == same) > 0.99

        service.predict(batch(3, shift=0.3, n_rows=3000))
        before = service.drift()
        service.predict(np.repeat(CENTERS[:1], 3000, axis=0))
        after = service.drift()
        assert before["cluster_psi"] < 0.05 < 0.5 < after["cluster_psi"]

        back = run_apart("models", "rollback", f"{lake}/models", "--reason", "complaints")
        assert back.code == 0, back.err
        wait_until(lambda: service.version() == 1)
        assert service.predict(first[:500])["cluster_ids"] == same.tolist()
