"""Which process a record is of, and whether it lives: for those on the machine that asks."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_CLOCK_SECONDS = 5.0
"""By how much the time at which a process was created may be told differently later."""


@dataclass(frozen=True)
class Process:
    """A process, so that nobody takes another one for it."""

    host: str

    machine: str
    """Boot and process namespace, where the system tells: in two containers of one name, or after
    a restart, the same pid is somebody else."""

    pid: int

    created: float
    """Seconds since the epoch."""

    @classmethod
    def this(cls) -> "Process":
        """Return the process that asks."""
        return cls(socket.gethostname(), _machine(), os.getpid(), psutil.Process().create_time())

    @classmethod
    def from_dict(cls, value: Any) -> "Process | None":
        """Read what `vars` gave; None if it is something else."""
        try:
            return cls(
                str(value["host"]),
                str(value["machine"]),
                int(value["pid"]),
                float(value["created"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def lives(self) -> bool | None:
        """Whether it still runs; None if that cannot be told from here."""
        if (self.host, self.machine) != (socket.gethostname(), _machine()):
            return None
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return abs(process.create_time() - self.created) < _CLOCK_SECONDS
        except psutil.NoSuchProcess:
            return False
        except (psutil.Error, OverflowError, ValueError):
            return None


def _machine() -> str:
    """What tells apart machines, boots and containers of one name; empty where unknown."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {os.readlink(_NAMESPACE)}"
    except OSError:
        return ""
