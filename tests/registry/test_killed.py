"""Publishers that are killed at random moments: readers see whole models only."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from dkmeans.registry.names import key_of
from dkmeans.registry.registry import Registry
from dkmeans.storage.atomic import is_unfinished
from dkmeans.storage.entries import entries_below
from dkmeans.storage.filesystem import join, remember
from dkmeans.storage.objects import exists, names_at
from tests.conftest import wait_until
from tests.models.test_model import make_model
from tests.registry.conftest import Store
from tests.registry.helpers import is_of_seed

# forks publishers from one process that has imported everything, which is quick
PUBLISHERS = """
import json, os, sys
from dkmeans.registry.registry import Registry
from tests.conftest import wait_until
from tests.models.test_model import make_model

os.fsync = lambda _: None  # as in the tests themselves
print("ready", flush=True)
for line in sys.stdin:
    url, run, options = json.loads(line)
    pid = os.fork()
    if pid == 0:
        registry, seed = Registry(url, options), 0
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
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdin.close()
        # whom a test that failed has left publishing
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        process.stdout.close()


class Reader:
    """Loads the champion all the time, and checks that it is a whole model of a known version."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._over = registry, threading.Event()
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


def kill_publishers(publishers: subprocess.Popen, store: Store, n_kills: int, seed: int) -> None:
    registry, chance = store.registry(), random.Random(seed)
    options = remember(store.options)

    def begun(run_id: str) -> bool:
        return exists(join(store.url, "runs", f"{key_of(run_id)}.json"), options)

    assert registry.check().passed
    assert registry.publish(make_model(seed=0), run_id="first 0") == 1
    registry.promote(1, reason="first 0")
    # how long a publishing takes here, so that kills fall into all parts of it
    began = time.perf_counter()
    assert registry.publish(make_model(seed=1), run_id="second 1") == 2
    registry.promote(2, reason="second 1")
    seconds = time.perf_counter() - began
    n_checked, n_midway = 0, 0
    with Reader(store.registry()) as reader:
        for turn in range(n_kills):
            run = f"run{turn}"
            publishers.stdin.write(json.dumps([store.url, run, store.options]) + "\n")
            publishers.stdin.flush()
            pid = int(publishers.stdout.readline())
            wait_until(partial(begun, f"{run} 0"), publishers)
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
            last = sum(one.run_id.startswith(f"{run} ") for one in versions)
            is_promoted = not last or versions[-1].number in {move.version for move in moves}
            n_midway += begun(f"{run} {last}") or not is_promoted
            began = time.perf_counter()
            again = registry.publish(make_model(seed=last), run_id=f"{run} {last}")
            assert again == len(versions) + 1
            # it takes longer or shorter as others use the machine
            seconds = time.perf_counter() - began
            assert registry.publish(make_model(seed=last), run_id=f"{run} {last}") == again
    assert reader.errors == []
    assert reader.loaded > 0
    # of a few, all may have been between a publishing and the next
    assert n_midway >= (n_kills // 5 if n_kills >= 50 else 0)
    # what the killed have left can go, and nothing else
    folders = set(names_at(join(store.url, "models"), options))
    named = {one.folder for one in registry.versions()}
    registry.tag(1, "kept")
    # times of object stores are whole seconds
    time.sleep(1.1 if store.options else 0.05)
    removed = registry.gc(older_than_days=0, keep=1000)
    assert {f"models/{name}" for name in folders - named} <= set(removed.unfinished)
    assert not [
        one
        for one in entries_below(store.url, options)
        if is_unfinished(one.name.rpartition("/")[2])
    ]
    assert set(names_at(join(store.url, "models"), options)) <= named
    assert is_of_seed(registry.load(1), 0)
    assert registry.load("champion").n_clusters == 6


def test_readers_load_whole_models_while_publishers_are_killed(
    publishers: subprocess.Popen, store: Store
) -> None:
    kill_publishers(publishers, store, 2 if store.options else 5, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_readers_load_whole_models_while_fifty_publishers_are_killed(
    publishers: subprocess.Popen, store: Store
) -> None:
    kill_publishers(publishers, store, 50, seed=1)
