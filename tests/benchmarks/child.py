"""Processes of one library each, of which only the one that is told to works.

Libraries bring several OpenMP and BLAS runtimes along, which would wait for work on the same cores
and set each other's limits: each gets a process of its own, which waits while another is timed.
Five of them in one process had medians up to a tenth higher, and spreads several times as wide.
"""

import multiprocessing
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import NOT_INSTALLED, PEERS, make
from tests.benchmarks.report import Report


class PeerFailed(Exception):
    """A library, or its process, did not do what it was told."""


class PeerAbsent(PeerFailed):
    """A library that is not installed, or cannot start here."""


class Child:
    """A library in a process of its own.

    Parameters
    ----------
    name
        Of the peer.
    threads
        That it may take.
    environment
        Variables that are set before anything is imported.
    """

    def __init__(
        self, name: str, threads: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="dkmeans-bench-")
        self._log = Path(self._folder.name, "said")
        arguments = (name, threads, theirs, str(self._log))
        self._process = context.Process(target=_serve, args=arguments, daemon=False)
        with _environment(environment or {}):
            self._process.start()
        theirs.close()
        try:
            self._answer()
        except PeerFailed:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self._process.pid or 0)

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Have the library do something, and wait for what it returns.

        Raises
        ------
        PeerFailed
            With what it raised, or what its process said last.
        """
        self.tell(method, *args, **options)
        return self._answer()

    def tell(self, method: str, *args: Any, **options: Any) -> None:
        """Have the library do something, whose end `answer` waits for."""
        try:
            self._pipe.send((method, args, options))
        except OSError:
            raise PeerFailed(self._last_words()) from None

    def answered(self, seconds: float) -> bool:
        """Wait at most some seconds for the end of what was told."""
        return self._pipe.poll(seconds)

    def answer(self) -> Any:
        """Wait for the end of what was told."""
        return self._answer()

    def _answer(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError):
            raise PeerFailed(self._last_words()) from None
        if kind == "absent":
            raise PeerAbsent(value)
        if kind == "failed":
            raise PeerFailed(value)
        return value

    def _last_words(self) -> str:
        self._process.join(10)
        said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        return f"its process ended ({self._process.exitcode}): {' | '.join(said)}"

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._pipe.send(None)
        self._process.join(20)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(10)
        self._pipe.close()
        self._folder.cleanup()


def _serve(name: str, threads: int, pipe: Connection, log: str) -> None:
    """Do what comes through the pipe until None does."""
    # libraries print; tables are ours
    sys.stdout.flush()
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    warnings.simplefilter("ignore")
    try:
        peer = make(name, threads)
    except ImportError as error:
        pipe.send(("absent", f"{NOT_INSTALLED} ({error})"))
        return
    except Exception as error:
        pipe.send(("absent", f"cannot start: {_one_line(error)}"))
        return
    pipe.send(("ready", None))
    while (asked := _next(pipe)) is not None:
        method, args, options = asked
        try:
            pipe.send(("done", getattr(peer, method)(*args, **options)))
        except Exception as error:
            traceback.print_exc()
            pipe.send(("failed", _one_line(error)))
    peer.close()


def _next(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def started(
    names: Sequence[str],
    threads: int,
    report: Report,
    environment: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Child]]:
    """Start a process for each peer, and end them afterwards; those that are absent are told."""
    children: dict[str, Child] = {}
    try:
        for name in names:
            try:
                children[name] = Child(name, threads, environment)
            except PeerFailed as error:
                report.note(f"{PEERS[name].label}: {error}")
        yield children
    finally:
        for child in children.values():
            child.close()
