"""Publishers that are killed, lose replies, or have a wrong clock: readers see whole models."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dkmeans.errors import StoreUnfit, StoreUnreachable
from dkmeans.registry.names import key_of
from dkmeans.registry.registry import Registry
from tests.fault_proxy import FaultProxy
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import fill, is_of_seed

# forks publishers from one process that has imported everything, which is quick
PUBLISHERS = """
import os, sys
from dkmeans.registry.registry import Registry
from tests.models.test_model import make_model

os.fsync = lambda _: None  # as in the tests themselves
print("ready", flush=True)
for line in sys.stdin:
    url, run = line.split()
    pid = os.fork()
    if pid == 0:
        registry, seed = Registry(url), 0
        while True:
            version = registry.publish(
                make_model(seed=seed), run_id=f"{run} {seed}", attachments={"job": run.encode()}
            )
            registry.promote(version, reason=f"{run} {seed}")
            seed += 1
    print(pid, flush=True)
    os.waitpid(pid, 0)
"""


@pytest.fixture
def publishers() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PUBLISHERS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


class Reader:
    """Loads the champion all the time, and checks that it is a whole model of a known version."""

    def __init__(self, url: str) -> None:
        self._registry, self._over = Registry(url), threading.Event()
        self.loaded, self.errors = 0, []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                version = self._registry.version("champion")
                model = self._registry.load(version.number)
                if not is_of_seed(model, int(version.run_id.split()[1])):
                    self.errors.append(f"version {version.number} holds another model")
                self.loaded += 1
            except Exception as error:
                self.errors.append(repr(error))


def kill_publishers(publishers: subprocess.Popen, url: str, n_kills: int, seed: int) -> None:
    registry, chance = Registry(url), random.Random(seed)
    assert registry.check().passed
    assert registry.publish(make_model(seed=0), run_id="first 0") == 1
    registry.promote(1, reason="first 0")
    # how long a publishing takes here, so that kills fall into all parts of it
    began = time.perf_counter()
    assert registry.publish(make_model(seed=1), run_id="second 1") == 2
    registry.promote(2, reason="second 1")
    seconds = time.perf_counter() - began
    n_checked, n_midway = 0, 0
    with Reader(url) as reader:
        for turn in range(n_kills):
            publishers.stdin.write(f"{url} run{turn}\n")
            publishers.stdin.flush()
            pid = int(publishers.stdout.readline())
            time.sleep(chance.uniform(0, 3) * seconds)
            os.kill(pid, signal.SIGKILL)

            versions = registry.versions()
            assert [one.number for one in versions] == list(range(1, len(versions) + 1))
            assert len({one.run_id for one in versions}) == len(versions)
            for one in versions[n_checked:]:
                assert is_of_seed(registry.load(one.number), int(one.run_id.split()[1]))
            n_checked = len(versions)
            moves = registry.moves("champion")
            assert [move.number for move in moves] == list(range(1, len(moves) + 1))

            # what was cut off is done again, under the same name
            run, done = f"run{turn}", [one.run_id for one in versions]
            last = sum(one.startswith(f"{run} ") for one in done)
            n_midway += Path(url, "runs", f"{key_of(f'{run} {last}')}.json").exists()
            again = registry.publish(make_model(seed=last), run_id=f"{run} {last}")
            assert again == len(versions) + 1
            assert registry.publish(make_model(seed=last), run_id=f"{run} {last}") == again
    assert reader.errors == []
    assert reader.loaded > 0
    # most were in the middle of a publishing
    assert n_midway >= n_kills // 5
    # what the killed have left can go, and nothing else
    folders = {path.name for path in Path(url, "models").iterdir()}
    named = {one.folder for one in registry.versions()}
    registry.tag(1, "kept")
    time.sleep(0.05)
    removed = registry.gc(older_than_days=0, keep=100)
    assert {f"models/{name}" for name in folders - named} <= set(removed.unfinished)
    assert not list(Path(url).rglob("*.part"))
    assert is_of_seed(registry.load(1), 0)
    assert registry.load("champion").n_clusters == 6


def test_readers_load_whole_models_while_publishers_are_killed(publishers, tmp_path) -> None:
    kill_publishers(publishers, str(tmp_path / "registry"), 5, seed=0)


@pytest.mark.slow
def test_readers_load_whole_models_while_fifty_publishers_are_killed(publishers, tmp_path) -> None:
    kill_publishers(publishers, str(tmp_path / "registry"), 50, seed=1)


@pytest.fixture
def proxied(bucket: str, s3: dict) -> Iterator[tuple[FaultProxy, Store]]:
    """A registry that is reached through a proxy; its store has been tried."""
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        store = Store(f"{bucket}/registry", proxy.options(s3))
        assert store.registry().check().passed
        yield proxy, store


@pytest.mark.parametrize("path", ["versions/", "aliases/", "runs/", "models/", ""])
def test_a_write_whose_reply_was_lost_is_made_once(proxied, path: str) -> None:
    proxy, store = proxied
    registry = store.registry()
    rule = proxy.fail("drop_reply", method="PUT", path=f"registry/{path}", times=2)
    fill(registry, 2)
    registry.promote(1, reason="r")
    registry.promote(2, reason="r", expected=1)
    assert rule.hits == 2
    assert [one.run_id for one in registry.versions()] == ["run 1", "run 2"]
    assert [move.version for move in registry.moves("champion")] == [1, 2]
    assert is_of_seed(registry.load("champion"), 2)


@pytest.mark.parametrize("fault", ["conflict", "slow_down", "internal_error", "reset"])
def test_a_claim_that_fails_for_now_is_made_again(proxied, fault: str) -> None:
    proxy, store = proxied
    rule = proxy.fail(fault, method="PUT", path="versions/|aliases/", times=2)
    registry = store.registry()
    fill(registry, 1)
    registry.promote(1, reason="r")
    assert rule.hits == 2
    assert len(registry.versions()) == len(registry.moves("champion")) == 1


def test_a_run_that_never_learned_of_its_success_finds_its_version(proxied) -> None:
    proxy, store = proxied
    impatient = Store(store.url, {**store.options, "dkmeans": {"retry_seconds": 0}})
    for number in (1, 2):
        proxy.fail("drop_reply", method="PUT", path="versions/")
        with pytest.raises(StoreUnreachable):
            impatient.registry().publish(make_model(seed=number), run_id=f"run {number}")
        proxy.clear()
    assert store.registry().publish(make_model(seed=1), run_id="run 1") == 1
    assert store.registry().publish(make_model(seed=2), run_id="run 2") == 2
    assert len(store.registry().versions()) == 2


def test_a_store_that_knows_no_conditions_is_refused_with_the_remedy(proxied, bucket: str) -> None:
    proxy, store = proxied
    # plain writes carry no condition, and go through
    proxy.wanted = lambda method, path, headers: (
        "not_implemented" if "if-none-match" in headers else None
    )
    other = Store(f"{bucket}/other", store.options).registry()
    check = other.check()
    assert (check.passed, check.second_refused) == (False, False)
    with pytest.raises(StoreUnfit, match="--single-writer"):
        other.publish(make_model(), run_id="a")
    other.check(single_writer=True)
    fill(other, 2)
    assert is_of_seed(other.load(2), 2)


def test_an_outage_is_not_taken_for_an_unfit_store(bucket: str, s3: dict) -> None:
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        options = {**proxy.options(s3), "dkmeans": {"retry_seconds": 0}}
        registry = Registry(f"{bucket}/registry", options)
        proxy.fail("internal_error", method="PUT")
        with pytest.raises(StoreUnreachable):
            registry.check()
        proxy.clear()
        fill(registry, 1)
        assert registry.check().passed


@pytest.mark.parametrize("first", [+1, -1])
def test_the_clock_of_a_publisher_orders_nothing(store: Store, monkeypatch, first: int) -> None:
    real, registry = time.time, store.registry()
    for number, days in ((1, 0), (2, first), (3, -first)):
        monkeypatch.setattr(time, "time", lambda days=days: real() + 86400 * days)
        assert registry.publish(make_model(seed=number), run_id=f"run {number}") == number
        registry.promote(number, reason=f"day {days}")
    monkeypatch.undo()

    written = [one.written for one in registry.versions()]
    assert sorted(written) != written
    assert [one.run_id for one in registry.versions()] == ["run 1", "run 2", "run 3"]
    assert registry.resolve("champion") == 3
    assert [move.version for move in registry.moves("champion")] == [1, 2, 3]
    assert registry.rollback(reason="r").version == 2
    for one in (*registry.versions(), registry.version(2)):
        assert abs((datetime.now(UTC) - one.published).total_seconds()) < 120

    # nor is anything a day older because the clock of who cleans up says so
    registry.promote(3, reason="r")
    monkeypatch.setattr(time, "time", lambda: real() + 86400)
    assert registry.gc(older_than_days=0.5, keep=0).versions == ()
    assert is_of_seed(registry.load(1), 1)
