"""One request to a store, tried again as long as it may yet succeed.

The libraries below have retries of their own, which are too few for an outage, multiply when they
are nested, and come in step from all workers at once. They are switched off; this is the only one:
full jitter, a budget of time for each object, fewer requests at a time when the store is short of
breath.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar

import fsspec

from dkmeans.errors import DkmeansError, InputChanged, StoreUnreachable
from dkmeans.storage.access import Access, access_of
from dkmeans.storage.errands import current
from dkmeans.storage.filesystem import is_local, open_filesystem, recall, redact, store_errors
from dkmeans.storage.gate import Gate
from dkmeans.storage.verdicts import Verdict, is_bare, judge

log = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 20.0
_CREDENTIALS_SECONDS = 120.0
"""How long expired credentials may stay expired: what renews them runs beside us."""

_FIRST_CONTACT_SECONDS = 5.0
"""How long a store that never answered may stay silent: its address is probably wrong."""


_gates: dict[str, Gate] = {}
_answered: set[str] = set()
_retries = 0
_lock = Lock()


def n_retries() -> int:
    """Return how many attempts of requests this process has made again, since it began."""
    return _retries


def request(
    url: str,
    options: str,
    operation: Callable[[fsspec.AbstractFileSystem, str], _T],
    has_answered: bool = False,
) -> _T:
    """Return `operation(filesystem, path)` for the place of `url`.

    Parameters
    ----------
    url
        A local path or fsspec URL.
    options
        Reference of the storage options.
    operation
        What to do there; it may be called several times.
    has_answered
        Whether the store is known to be there, since something in it was planned: then silence is
        an outage, and not a wrong address.

    Raises
    ------
    StoreUnreachable
        If the store fails for longer than `retry_seconds`, or refuses for good, or what the
        request is made for is over.
    MissingInput
        If nothing lies there.
    InputChanged
        If something else lies there than was asked for.
    """
    fs, path = open_filesystem(url, options)
    if is_local(fs):
        with store_errors(url):
            return operation(fs, path)
    known = recall(options)
    if has_answered:
        _answered.add(_name(fs))
    attempts = _Attempts(url, access_of(known), known, fs)
    gate = _gate(fs, attempts.access)
    while True:
        try:
            with gate.one():
                attempts.check_wanted()
                result = operation(fs, path)
        except DkmeansError:
            raise
        except Exception as error:
            attempts.failed(_explained(error, fs, path), gate)
        else:
            gate.succeeded()
            _answered.add(_name(fs))
            return result


def _explained(error: Exception, fs: fsspec.AbstractFileSystem, path: str) -> Exception:
    """The reason behind a HEAD that S3 answered by 400, without a body and so without a code."""
    if not (hasattr(fs, "_call_s3") and is_bare(error)):
        return error
    try:
        fs.call_s3("list_objects_v2", Bucket=fs.split_path(path)[0], MaxKeys=1)
    except Exception as told:
        return error if judge(told) is Verdict.FAIL else told
    return error


class _Attempts:
    """Decides after each failure whether there is another attempt, and when."""

    def __init__(
        self,
        url: str,
        access: Access,
        options: Mapping[str, Any],
        fs: fsspec.AbstractFileSystem,
    ) -> None:
        self.access = access
        self._url, self._options, self._fs = url, options, fs
        self._number = 0
        self._began = time.monotonic()
        self._errand = current()

    @property
    def _are_wanted(self) -> bool:
        return self._errand is None or not self._errand.is_over

    def check_wanted(self) -> None:
        """Raise if whoever wanted to know has gone."""
        if not self._are_wanted:
            raise StoreUnreachable(
                f"requests for {redact(self._url)} were given up: what they were for is over."
            )

    def failed(self, error: Exception, gate: Gate) -> None:
        """Wait for the next attempt, or raise what ends the job."""
        verdict = judge(error)
        budget = self.access.retry_seconds
        if verdict is Verdict.CHANGED:
            raise InputChanged(
                f"{redact(self._url)} has changed since it was planned; run again on data that do "
                "not change."
            ) from None
        if verdict is Verdict.NO_CONTACT and _name(self._fs) not in _answered:
            budget = min(budget, _FIRST_CONTACT_SECONDS)
        if verdict is Verdict.NEW_CREDENTIALS:
            budget = min(budget, _CREDENTIALS_SECONDS)
            if not self._renewable():
                raise StoreUnreachable(
                    f"the credentials for {redact(self._url)} have expired, and were passed as "
                    "options, which cannot be renewed; pass new ones and resume, or leave them to "
                    "the environment."
                ) from None
        if verdict is not Verdict.FAIL and time.monotonic() - self._began < budget:
            self._wait(verdict, error, gate)
            return
        if verdict is Verdict.NEW_CREDENTIALS:
            raise StoreUnreachable(
                f"the credentials for {redact(self._url)} have expired and were not renewed within "
                f"{budget:g} s; renew them and resume."
            ) from None
        with store_errors(self._url, self._number):
            raise error

    def _wait(self, verdict: Verdict, error: Exception, gate: Gate) -> None:
        if verdict is Verdict.SLOW_DOWN:
            gate.slow_down()
        if verdict is Verdict.NEW_CREDENTIALS:
            try:
                self._fs.connect(refresh=True)
            except Exception as failed:
                # perhaps they are just being written
                log.info("%s: no new credentials: %s", redact(self._url), type(failed).__name__)
        most = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(self._number, 30))
        self._number += 1
        _count_retry()
        log.info("%s: %s (%s), attempt %d", redact(self._url), type(error).__name__,
                 verdict.value, self._number + 1)  # fmt: skip
        self._pause(random.uniform(0, most))

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._are_wanted and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.5, left))

    def _renewable(self) -> bool:
        passed = {"key", "secret", "token", "username", "password"} & self._options.keys()
        client = self._options.get("client_kwargs", {})
        passed |= {"aws_access_key_id", "aws_session_token"} & client.keys()
        return not passed and hasattr(self._fs, "connect")


def _count_retry() -> None:
    global _retries
    with _lock:
        _retries += 1


def _gate(fs: fsspec.AbstractFileSystem, access: Access) -> Gate:
    with _lock:
        key = f"{_name(fs)} {access.requests}"
        if key not in _gates:
            _gates[key] = Gate(access.requests)
        return _gates[key]


def _name(fs: fsspec.AbstractFileSystem) -> str:
    protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return f"{protocol} {getattr(fs, 'endpoint_url', None)} {getattr(fs, 'client_kwargs', None)}"
