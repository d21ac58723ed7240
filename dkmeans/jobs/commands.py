"""Run a program with something on its standard input: no shell, limited time, short output."""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from dkmeans.storage.secrets import scrub

_KEPT_BYTES = 8000
"""Far more than is shown, so that what is shown is never the rest of a secret that was cut."""

_SHOWN = 200
_BLOCK_BYTES = 65536
_GRACE_SECONDS = 1.0
"""How long the output of a program that has ended is waited for: others may hold its pipe."""


class _Output:
    """Reads what a program prints, all of it, and keeps the end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._kept = pipe, b""
        self.thread = threading.Thread(target=self._read, name="dkmeans-command", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with suppress(OSError), self._pipe:
            while block := os.read(self._pipe.fileno(), _BLOCK_BYTES):
                self._kept = (self._kept + block)[-_KEPT_BYTES:]

    @property
    def last_line(self) -> str:
        """The last line that says anything."""
        lines = self._kept.decode("utf-8", "replace").split("\n")
        said = [" ".join(line.split()) for line in lines if line.strip()]
        return said[-1] if said else ""


def run_command(arguments: Sequence[str], data: bytes, *, seconds: float) -> str | None:
    """Run a program and hand it `data`.

    It runs in a session of its own, which is killed as a whole when its time is over. What a
    program has left behind that has ended, as mailers do, is let live.

    Parameters
    ----------
    arguments
        The program and its arguments.
    data
        What it gets on its standard input; it need not read it.
    seconds
        Most time that it may take.

    Returns
    -------
    str
        In one sentence why it failed, with the end of what it printed, known secrets taken out;
        None if it did not.
    """
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"it cannot be started: {why}."
    if process.stdin is None or process.stdout is None:
        return "it cannot be started: it has no pipes."
    output = _Output(process.stdout)
    writer = threading.Thread(
        target=_write, args=(process.stdin, data), name="dkmeans-command", daemon=True
    )
    writer.start()
    try:
        code = process.wait(seconds)
        reason = None if code == 0 else _of_code(code)
    except subprocess.TimeoutExpired:
        reason = f"it did not end within {seconds:g} s, and was killed."
    finally:
        # an interrupt of ours must not leave it behind either
        if process.poll() is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    output.thread.join(_GRACE_SECONDS)
    writer.join(_GRACE_SECONDS)
    if reason is None:
        return None
    said = scrub(output.last_line)
    return f"{reason} It said: {said[-_SHOWN:]}" if said else reason


def _write(pipe: IO[bytes], data: bytes) -> None:
    with suppress(OSError, ValueError), pipe:
        pipe.write(data)


def _of_code(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}."
    try:
        return f"it was killed by {signal.Signals(-code).name}."
    except ValueError:
        return f"it was killed by signal {-code}."
