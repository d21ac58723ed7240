"""A service under load, by real processes: models are swapped, damaged and out of reach meanwhile,
and no request fails."""

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dkmeans.models.model import Model
from dkmeans.registry import moves, probe
from dkmeans.registry.registry import Registry
from tests.conftest import wait_until
from tests.fault_proxy import FaultProxy
from tests.service.load import Load, drive, post
from tests.service.processes import Running, serving
from tests.service.stands import a_model

K, D = 20, 8
FOLLOW = ("--follow-seconds", 0.05, "--log", "errors")


@pytest.fixture(autouse=True, scope="module")
def stores_are_quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(probe, "ROUNDS", 2)
        yield


def model_of(version: int) -> Model:
    """A model whose ids tell its version: 1000 and more for the first, and so on."""
    ids = np.arange(K) + 1000 * version
    return dataclasses.replace(a_model(K, D, seed=version), cluster_ids=ids, next_cluster_id=0)


def fill(registry: Registry, n: int) -> Registry:
    for version in range(1, n + 1):
        registry.publish(model_of(version), run_id=f"run {version}")
    registry.promote(1, reason="r")
    return registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return fill(Registry(str(tmp_path / "registry")), 3)


def requests() -> list[bytes]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, D)) * 10
    return [post("/predict", json.dumps({"rows": [row.tolist()]}).encode()) for row in rows]


class Busy:
    """Load in the background, and the version that answered last."""

    def __init__(self, running: Running, connections: int = 4, seconds: float = 600.0) -> None:
        self.version = 0
        self._over = threading.Event()
        self._found: list[Load] = []

        def work() -> None:
            self._found.append(
                drive(
                    running.port,
                    requests(),
                    connections=connections,
                    seconds=seconds,
                    pause=0.004,
                    tell=self._tell,
                    is_over=self._over.is_set,
                )
            )

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def _tell(self, body: bytes) -> str:
        answer = json.loads(body)
        self.version = version = answer["version"]
        # an answer is by one model, whichever it is
        is_sound = all(one // 1000 == version for one in answer["cluster_ids"])
        return f"version {version}" if is_sound else "mixed"

    def end(self) -> Load:
        self._over.set()
        self._thread.join(60)
        return self._found[0]


@contextlib.contextmanager
def load_on(running: Running, **more: object) -> Iterator[Busy]:
    busy = Busy(running, **more)
    try:
        wait_until(lambda: busy.version, running.process)
        yield busy
    finally:
        busy.end()


def get(running: Running, path: str) -> bytes:
    with urllib.request.urlopen(f"{running.url}{path}", timeout=20) as reply:
        return reply.read()


def metric(running: Running, name: str) -> float:
    for family in text_string_to_metric_families(get(running, "/metrics").decode()):
        for sample in family.samples:
            if sample.name == name:
                return sample.value
    raise KeyError(name)


def swap(running: Running, registry: Registry, n_swaps: int) -> None:
    with load_on(running) as busy:
        for n in range(n_swaps):
            version = (n + 1) % 3 + 1
            registry.promote(version, reason="r")
            wait_until(lambda at=version: busy.version == at, running.process)
        load = busy.end()
    assert load.n_failed == 0, load.failures
    assert load.said.keys() == {"version 1", "version 2", "version 3"}
    assert len(load.latencies) > 10 * n_swaps
    assert metric(running, "dkmeans_model_swaps_total") == n_swaps
    assert metric(running, "dkmeans_model_problem") == 0
    assert metric(running, "dkmeans_requests_in_flight") == 1


def test_swaps_under_load_fail_no_request(registry, tmp_path) -> None:
    with serving(f"{tmp_path}/registry@champion", tmp_path, *FOLLOW) as running:
        swap(running, registry, 20)
        # the last three lines of the log tell of swaps, and no row
        texts = [one["text"] for one in running.events() if one["event"] == "log"]
        assert sum("serving" in text for text in texts) == 21
        assert running.stop(signal.SIGTERM) == 0


@pytest.mark.slow
def test_200_swaps_under_load_fail_no_request(registry, tmp_path) -> None:
    with serving(f"{tmp_path}/registry@champion", tmp_path, *FOLLOW) as running:
        before = running.rss
        swap(running, registry, 200)
        assert running.rss - before < 60 * 2**20


def test_a_champion_that_is_damaged_under_load_leaves_the_old_one_answering(
    registry, tmp_path
) -> None:
    with (
        serving(f"{tmp_path}/registry@champion", tmp_path, *FOLLOW) as running,
        load_on(running) as busy,
    ):
        record = json.loads((tmp_path / "registry/versions/000003.json").read_text())
        part = next((tmp_path / "registry/models" / record["folder"]).glob("scaled_c*.npy"))
        whole = part.read_bytes()
        part.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        # as somebody who does not look at what he promotes
        moves.append(
            registry._place,
            "champion",
            lambda at: moves.forward(at, "champion", 3, reason="r", who="w", written="now"),
            is_alone=True,
        )
        wait_until(lambda: metric(running, "dkmeans_model_problem") == 1, running.process)
        page = json.loads(get(running, "/model"))
        assert page["version"] == 1
        assert "version 3 cannot be served" in page["problem"]
        assert json.loads(get(running, "/readyz"))["status"] == "ready"
        said = [one for one in running.events() if "cannot be served" in one.get("text", "")]
        assert len(said) == 1
        registry.rollback(reason="it is damaged")
        wait_until(lambda: metric(running, "dkmeans_model_problem") == 0, running.process)
        registry.promote(2, reason="r")
        wait_until(lambda: busy.version == 2, running.process)
        load = busy.end()
        assert load.n_failed == 0
        assert load.said.keys() == {"version 1", "version 2"}


def test_a_store_that_goes_away_under_load_fails_no_request(bucket, s3, tmp_path) -> None:
    registry = fill(Registry(f"{bucket}/registry", s3), 2)
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        env = {
            "AWS_ACCESS_KEY_ID": s3["key"],
            "AWS_SECRET_ACCESS_KEY": s3["secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": proxy.url,
        }
        with (
            serving(f"{bucket}/registry@champion", tmp_path, *FOLLOW, env=env) as running,
            load_on(running) as busy,
        ):
            proxy.fail("access_denied")
            wait_until(lambda: metric(running, "dkmeans_model_problem") == 1, running.process)
            registry.promote(2, reason="r")
            time.sleep(0.3)
            assert busy.version == 1
            proxy.clear()
            wait_until(lambda: busy.version == 2, running.process)
            wait_until(lambda: metric(running, "dkmeans_model_problem") == 0, running.process)
            load = busy.end()
        assert load.n_failed == 0
        assert load.said.keys() == {"version 1", "version 2"}
        assert s3["secret"] not in running.log.read_text()


def stays_flat(running: Running, seconds: float) -> Load:
    """Drive until all that is made once is there; then memory does not grow."""
    drive(running.port, requests(), seconds=max(1.5, seconds / 10))
    get(running, "/metrics")
    before = running.rss
    load = drive(running.port, requests(), seconds=seconds)
    get(running, "/metrics")
    grown = running.rss - before
    assert load.n_failed == 0
    # of a leak of 1 KB a request it would be as many MiB as thousands of requests
    assert grown < 8 * 2**20, f"{grown} bytes after {len(load.latencies)} requests"
    return load


def test_memory_stays_flat_under_load(registry, tmp_path) -> None:
    with serving(f"{tmp_path}/registry@champion", tmp_path, *FOLLOW) as running:
        load = stays_flat(running, 3.0)
        assert metric(running, "dkmeans_rows_total") > len(load.latencies)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_flat_for_ten_minutes(registry, tmp_path) -> None:
    with serving(f"{tmp_path}/registry@champion", tmp_path, *FOLLOW) as running:
        assert len(stays_flat(running, 600.0).latencies) > 100_000
