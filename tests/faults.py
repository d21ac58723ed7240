"""Helpers of the fault suite: what is killed, when, and what must be the same afterwards."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from distributed import Client

import dkmeans
from tests.cli.command import PROGRAM


def bits(estimator: dkmeans.KMeans) -> tuple[object, ...]:
    """Everything that a fit finds, its history included, but for seconds and bytes."""
    names = ("inertia", "gain", "shift", "cost", "empty_clusters")
    history = [
        (record["kind"], *(np.float64(record.get(name) or 0).tobytes() for name in names))
        for record in estimator.history_
    ]
    model = estimator.model_
    arrays = (model.scaled_centers, estimator.cluster_centers_, model.weights, model.inertias)
    return (
        *(np.asarray(array).tobytes() for array in arrays),
        np.float64(estimator.inertia_).tobytes(),
        np.float64(estimator.gain_).tobytes(),
        estimator.n_iter_,
        estimator.n_passes_,
        tuple(history),
    )


def model_bits(url: Path) -> tuple[object, ...]:
    """What the command line found."""
    model = dkmeans.Model.load(str(url))
    assert model.scaling is not None
    arrays = (model.scaled_centers, model.weights, model.inertias, model.scaling.shift)
    return (*(array.tobytes() for array in arrays), model.cluster_ids.tobytes(), model.inertia)


class Passes:
    """Where passes are reported to; calls a function with the number of each that has ended."""

    def __init__(self, function: Callable[[int], object]) -> None:
        self._function, self.ended = function, 0

    def write(self, text: str) -> None:
        if text.startswith("pass "):
            self.ended += 1
            self._function(self.ended)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False


def pids_of(client: Client) -> list[int]:
    """The worker processes of a local cluster that live now, none of which is asked."""
    pids = [nanny.pid for nanny in client.cluster.workers.values()]
    return [pid for pid in pids if pid is not None]


class Killings:
    """Kills a random worker, at a random moment after each of some passes."""

    def __init__(self, client: Client, passes: Iterable[int], rng: random.Random) -> None:
        self._client, self._passes, self._rng = client, set(passes), rng
        self._threads: list[threading.Thread] = []
        self.killed: set[int] = set()

    def after_pass(self, number: int) -> None:
        if number in self._passes:
            thread = threading.Thread(target=self._kill, args=(self._rng.uniform(0, 0.2),))
            self._threads.append(thread)
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _kill(self, delay: float) -> None:
        time.sleep(delay)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            alive = [pid for pid in pids_of(self._client) if pid not in self.killed]
            if alive:
                victim = self._rng.choice(alive)
                self.killed.add(victim)
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                return
            time.sleep(0.05)


class Job:
    """The command line as a process of its own, whose passes can be watched."""

    def __init__(self, *arguments: object, **environment: object) -> None:
        # what is started in the background inherits "ignore SIGINT", which Python then leaves so
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._process = subprocess.Popen(
                [*PROGRAM, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **{key: str(value) for key, value in environment.items()}},
            )
        finally:
            signal.signal(signal.SIGINT, before)
        self._text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._text += line

    @property
    def err(self) -> str:
        return self._text

    @property
    def passes(self) -> int:
        """Passes that have ended."""
        return self._text.count("\npass ")

    def wait_until(self, what: Callable[[], bool], seconds: float = 60) -> bool:
        """Wait until something is so; False if the job ends before."""
        end = time.monotonic() + seconds
        while not what():
            if self._process.poll() is not None:
                return False
            assert time.monotonic() < end, self._text
            time.sleep(0.002)
        return True

    def wait_for_pass(self, number: int) -> bool:
        return self.wait_until(lambda: self.passes >= number)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, seconds: float = 60) -> int:
        """Wait for the end; return the exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._reader.join(10)
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
