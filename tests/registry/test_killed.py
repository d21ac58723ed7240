"""Publishers that are killed at random moments: readers see whole models only."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkmeans.registry.names import key_of
from dkmeans.registry.registry import Registry
from tests.conftest import wait_until
from tests.models.test_model import make_model
from tests.registry.helpers import is_of_seed

# forks publishers from one process that has imported everything, which is quick
PUBLISHERS = """
import os, sys
from dkmeans.registry.registry import Registry
from tests.conftest import wait_until
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
            begun = Path(url, "runs", f"{key_of(f'run{turn} 0')}.json")
            wait_until(begun.exists, publishers)
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
    # of a few, all may have been between a publishing and the next
    assert n_midway >= (n_kills // 5 if n_kills >= 50 else 0)
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
