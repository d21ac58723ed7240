"""One run of a job at a time, on any store that keeps writers apart.

`locks/<job>/000001.json`, 000002, ... are turns: a run that wants one puts the file after the last
turn, if nothing lies there, once that has ended or is dead. While it has it, it writes
`000002.alive` anew every now and then, and at its end `000002.done`. Both times that tell whether a
turn is dead are of the store's clock; on the machine of its process, that tells. A container that
was started again cannot see the processes of its earlier life: there the signs tell, too.

A run that is taken for dead and is not does double work, and no harm: it learns of it before it
publishes, versions are claimed by run, and aliases are moved from where the run has found them. So
the lease may be short: longer than a process is held up. A store that was away for longer makes no
run look dead: whoever finds one silent waits for one more sign.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psutil

from dkmeans.errors import DkmeansError, JobRunning, LockLost, MissingInput
from dkmeans.registry.names import number_name, number_of
from dkmeans.registry.records import Place, decode, encode
from dkmeans.rows.progress import reporter
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.conditional import put_if_absent
from dkmeans.storage.entries import entries_at, modified, store_time
from dkmeans.storage.objects import exists, read_bytes, remove

LEASE_SECONDS = 60.0
"""A run that has not said for so long that it is alive is dead."""

_OLD_LEASE_SECONDS = 600.0
"""That of turns that do not tell theirs."""

_SIGNS = 4
"""How many times it says so meanwhile."""

_LOOK_SECONDS = 5.0
"""Between two looks of a run that waits."""

_SAME_SECONDS = 2.0
"""Up to which two readings of when a process began may differ, as clocks are set."""

_KIND = "job turn"
_FIELDS = {
    "job": (str,),
    "run_id": (str,),
    "who": (str,),
    "written": (str,),
    "host": (str,),
    "pid": (int,),
    "started": (float,),
}


class JobLock:
    """A turn of a job, to be entered and left with `with`.

    Parameters
    ----------
    place
        Where locks lie, beside the registry or the output.
    job
        The job's name, safe for any store.
    run_id
        Names the run.
    who, written
        User and machine, and when by its clock: for those who wait.
    wait_seconds
        How long to wait for the turn.
    lease_seconds
        See `LEASE_SECONDS`.

    Raises
    ------
    JobRunning
        On entering, if another run has the turn until the wait is over.
    """

    def __init__(
        self,
        place: Place,
        job: str,
        run_id: str,
        *,
        who: str,
        written: str,
        wait_seconds: float = 0.0,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._place, self._job, self._run_id = place, job, run_id
        self._body = {
            "job": job,
            "run_id": run_id,
            "who": who,
            "written": written,
            "host": _here(),
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "lease": float(lease_seconds),
        }
        self._wait, self._lease = wait_seconds, lease_seconds
        self._turn = 0
        self._lost: str | None = None
        self._ended = threading.Event()
        self._signs: threading.Thread | None = None

    def __enter__(self) -> Self:
        until = time.monotonic() + self._wait
        told = False
        seen: datetime | None = None
        while (holder := self._tried()) is not None:
            left = until - time.monotonic()
            if left <= 0 and _may_be_earlier_life(holder):
                # if this was killed and started again, nobody signs, and the turn is soon free
                sign = self._last_sign(holder["turn"])
                seen = seen or sign
                left = _LOOK_SECONDS if sign == seen else 0.0
            if left <= 0:
                raise JobRunning(
                    f"job {self._job!r} is run by {holder['who']} since {holder['written']} (run "
                    f"{holder['run_id']}); wait for its end, or write lock: {{overlap: wait}}."
                )
            if not told:
                reporter().note(f"waiting for run {holder['run_id']} of {holder['who']} to end")
                told = True
            time.sleep(min(left, _LOOK_SECONDS))
        self._signs = threading.Thread(target=self._say_alive, daemon=True)
        self._signs.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._signs is not None:
            self._signs.join()
        # what is not said now is known when the lease is over
        with suppress(DkmeansError):
            write_bytes(self._at(f"{self._turn:06d}.done"), b"done\n", self._place.options)

    def check(self) -> None:
        """Raise `LockLost` if another run has the turn by now: for what cannot be undone."""
        if self._lost is None and self._is_followed():
            self._lost = "another run has begun"
        if self._lost is not None:
            raise LockLost(
                f"run {self._run_id} of job {self._job!r} has lost its turn: {self._lost}; nothing "
                "was published, run the job again."
            )

    def _tried(self) -> dict[str, Any] | None:
        """Take the next turn if it is free; else say who has the last one."""
        while True:
            names = {entry.name: entry for entry in entries_at(self._at(), self._place.options)}
            last = max((n for name in names if (n := number_of(name)) is not None), default=0)
            if last and f"{last:06d}.done" not in names:
                holder = self._read(last)
                if not (_has_died(holder) or self._is_silent(last, holder)):
                    return {**holder, "turn": last}
            data = encode(_KIND, self._body)
            url = self._at(number_name(last + 1))
            found = put_if_absent(url, data, self._place.options)
            if found != data:
                return {**self._decode(found, url), "turn": last + 1}
            self._turn = last + 1
            # a run that had looked long ago may have got a turn that is over
            if not self._is_followed():
                self._sign()
                self._tidy(names)
                return None

    def _is_silent(self, turn: int, holder: dict[str, Any]) -> bool:
        """Whether the run of a turn has not said for too long that it is alive, and does not now.

        Where it may not have been heard of for want of the store, it is waited for once more.
        """
        lease = max(self._lease, float(holder.get("lease", _OLD_LEASE_SECONDS)))
        seen = self._last_sign(turn)
        # a turn that is gone meanwhile is no longer the last one
        if seen is None:
            return False
        if store_time(self._at(), self._place.options) - seen <= timedelta(seconds=lease):
            return False
        time.sleep(lease / _SIGNS)
        return self._last_sign(turn) == seen

    def _last_sign(self, turn: int) -> datetime | None:
        """When a turn was last heard of, by the store's clock; None if it is gone."""
        for name in (f"{turn:06d}.alive", number_name(turn)):
            with suppress(MissingInput):
                return modified(self._at(name), self._place.options)
        return None

    def _read(self, turn: int) -> dict[str, Any]:
        url = self._at(number_name(turn))
        return self._decode(read_bytes(url, self._place.options), url)

    def _decode(self, data: bytes, url: str) -> dict[str, Any]:
        body: dict[str, Any] = decode(_KIND, data, url, _FIELDS)
        return body

    def _is_followed(self) -> bool:
        """Whether another run has the turn after this one."""
        return exists(self._at(number_name(self._turn + 1)), self._place.options)

    def _sign(self) -> None:
        write_bytes(self._at(f"{self._turn:06d}.alive"), b"alive\n", self._place.options)

    def _say_alive(self) -> None:
        """Sign every now and then, until the turn ends or is lost."""
        signed = time.monotonic()
        while not self._ended.wait(self._lease / _SIGNS):
            try:
                self._sign()
                if self._is_followed():
                    self._lost = "another run has begun, as this one was not heard of"
                    return
                signed = time.monotonic()
            except DkmeansError as error:
                if time.monotonic() - signed > self._lease:
                    self._lost = f"it could not say that it is alive: {error}"
                    return

    def _tidy(self, names: Iterable[str]) -> None:
        """Remove the files of turns that are over, but for the last of them."""
        for name in names:
            turn = name.partition(".")[0]
            if turn.isdigit() and int(turn) < self._turn - 1:
                remove(self._at(name), self._place.options)

    def _at(self, *names: str) -> str:
        return self._place.at("locks", self._job, *names)


def _here() -> str:
    """Where numbers of processes mean the same: containers of one machine may share its name."""
    found = [socket.gethostname()]
    with suppress(OSError):
        found += [Path("/proc/sys/kernel/random/boot_id").read_text().strip()]
        found += [os.readlink("/proc/self/ns/pid")]
    return " ".join(found)


def _may_be_earlier_life(holder: dict[str, Any]) -> bool:
    """Whether a turn is of a container of this name on this machine, but not of this one."""
    theirs, ours = holder["host"].split(" "), _here().split(" ")
    return len(ours) == 3 and theirs[:2] == ours[:2] and theirs != ours


def _started(pid: int) -> float:
    """When a process began, in seconds, which tells it from others of its number.

    -1 if there is none; NaN if there is one that we may not look at.
    """
    try:
        process = psutil.Process(pid)
        # one that was killed stays until its parent asks for it
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return -1.0 if is_dead else float(process.create_time())
    except psutil.AccessDenied:
        return math.nan
    except psutil.Error:
        return math.nan if _is_hidden(pid) else -1.0


def _is_hidden(pid: int) -> bool:
    """Whether there is a process that /proc does not show, as systemd's ProtectProc has it."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    # ours, and gone: it ended between two looks
    return False


def _has_died(holder: dict[str, Any]) -> bool:
    """Whether the process of a turn ran here, and is gone."""
    is_here = holder["host"] == _here()
    # of NaN this is false: what cannot be looked at is dead when its lease is over
    return is_here and abs(_started(holder["pid"]) - holder["started"]) > _SAME_SECONDS
