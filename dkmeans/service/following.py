"""Which model is served: it follows an alias, or a folder, and is swapped between two requests."""

import logging
import math
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from dkmeans.errors import ArgumentError, DkmeansError
from dkmeans.models.model import Model
from dkmeans.service.sources import Source, Target, source_of
from dkmeans.service.trial import try_out, warm
from dkmeans.service.window import Yardstick
from dkmeans.storage.errands import Errand
from dkmeans.storage.filesystem import one_line, redact

log = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 60.0
"""Between two attempts when something is wrong, unless looks are farther apart anyway."""

_STALLED_SECONDS = 60.0
"""A look or a loading that takes longer is a problem, though it has not failed yet."""

_STOP_SECONDS = 5.0


@dataclass(frozen=True, eq=False)
class Served:
    """A model while it is served. A request reads it once, and ends on it."""

    model: Model

    name: str
    """What the user asked for, without credentials: `s3://models/customers@champion`."""

    version: int | None
    """Its version; None if it is not of a registry."""

    registry: str | None
    """The URL of the registry, without credentials; None if it is not of one."""

    loaded_at: float
    """When it began to be served, in seconds since 1970."""

    number: int = 1
    """1 for the first model that this process serves, 2 for the next one, and so on."""

    @cached_property
    def yardstick(self) -> Yardstick:
        """What its rows are compared with. Takes a while when it is first asked for."""
        return Yardstick.of(self.model)


class FollowedModel:
    """The model that a reference names, now and later.

    One background thread looks whether the alias moved, to a later version or back, or whether the
    folder of a model holds another one. What it then loads is checked against its hashes, tried on
    its own centers, its loops are compiled, and only then it takes the place of the old one, in one
    step. Whatever goes wrong on the way leaves the old one serving: it is said once in the log, and
    in `problem` for as long as it lasts, and is tried again at growing intervals.

    Parameters
    ----------
    reference
        A path, `URL@champion` or `URL@17`. A version by its number never changes: no thread looks.
    storage_options
        For the store. Each request is given up within a minute, whatever they say.
    every
        Seconds between two looks, on average. A look is one small request.

    Raises
    ------
    ArgumentError
        If `every` is no such number.
    """

    def __init__(
        self,
        reference: str,
        storage_options: Mapping[str, Any] | None = None,
        every: float = 5.0,
    ) -> None:
        if not 0 < every < math.inf:
            raise ArgumentError(f"every={every} should be a number of seconds above 0.")
        self._reference, self._options, self.every = reference, storage_options, every
        self.n_looks = 0
        self.n_failures = 0
        self._source: Source | None = None
        self._served: Served | None = None
        self._target: Target | None = None
        self._refused: tuple[Target, int, float] | None = None
        self._problem: str | None = None
        self._said: tuple[type[Exception], Target | None] | None = None
        self._busy_since: float | None = None
        self._looked_at: float | None = None
        self._stopping = threading.Event()
        self._errand = Errand()
        self._thread: threading.Thread | None = None

    @property
    def served(self) -> Served | None:
        """The model that answers; None until the first one is loaded. Read it once a request."""
        return self._served

    @property
    def problem(self) -> str | None:
        """What keeps the model from being followed, in one sentence; None if nothing does."""
        since = self._busy_since
        if self._problem is None and since is not None:
            seconds = time.monotonic() - since
            if seconds > _STALLED_SECONDS:
                return f"the store has not answered for {seconds:.0f} s."
        return self._problem

    @property
    def n_swaps(self) -> int:
        """How often another model took the place of the one before."""
        return 0 if self._served is None else self._served.number - 1

    @property
    def looked_at(self) -> float | None:
        """When a look last succeeded, in seconds since 1970."""
        return self._looked_at

    def start(self) -> Served:
        """Load the first model, in this thread, and begin to follow.

        Raises
        ------
        DkmeansError
            If there is no such model, it is damaged, or the store does not answer: nothing can be
            served then.
        """
        if self._served is None:
            self._errand.call(self._first)
        assert self._source is not None
        assert self._served is not None
        if self._source.can_move and self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="dkmeans-follow", daemon=True)
            self._thread.start()
        return self._served

    def stop(self) -> None:
        """Follow no longer; what is served stays. Waits for a look, but not for long."""
        self._stopping.set()
        self._errand.end()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _first(self) -> None:
        self._source = source_of(self._reference, self._options)
        target = self._source.look(closely=True)
        self._swap(target, self._tried(target))
        self._looked_at = time.time()

    def _follow(self) -> None:
        n_failed = 0
        while not self._stopping.wait(self._pause(n_failed)):
            self._busy_since = time.monotonic()
            try:
                self._errand.call(self._look, n_failed > 0)
                n_failed = 0
            except Exception as error:
                # nothing may end this thread
                n_failed += 1
                self._failed(error)
            finally:
                self._busy_since = None

    def _look(self, closely: bool) -> None:
        """Look once, and load what is to be served if that is another model."""
        assert self._source is not None
        self.n_looks += 1
        target = self._source.look(closely=closely)
        self._looked_at = time.time()
        if target == self._target:
            self._refused = None
            self._solved()
            return
        n_refused = 0
        if self._refused is not None and self._refused[0] == target:
            _, n_refused, again_at = self._refused
            if time.monotonic() < again_at:
                return
        try:
            model = self._tried(target)
        except Exception as error:
            again_at = time.monotonic() + self._pause(n_refused + 1)
            self._refused = target, n_refused + 1, again_at
            self._failed(error, target)
            return
        self._refused = None
        self._swap(target, model)
        self._solved()

    def _tried(self, target: Target) -> Model:
        assert self._source is not None
        model = self._source.load(target)
        try_out(model)
        warm(model)
        return model

    def _swap(self, target: Target, model: Model) -> None:
        assert self._source is not None
        before = self._served
        number = 1 if before is None else before.number + 1
        source, since = self._source, time.time()
        now = Served(model, source.name, target.version, source.registry, since, number)
        # not by the first request
        _ = now.yardstick
        self._target, self._served = target, now
        log.info("serving %s, %s", now.name, _version(target))
        if before is not None and before.model.columns != model.columns:
            log.warning(
                "%s, %s has other columns than the model before: requests that name those are "
                "refused from now on.",
                now.name,
                _version(target),
            )

    def _failed(self, error: Exception, target: Target | None = None) -> None:
        if self._stopping.is_set():
            return
        self.n_failures += 1
        name = redact(self._reference) if self._source is None else self._source.name
        # what others raise may hold anything
        why = one_line(error) if isinstance(error, DkmeansError) else f"{type(error).__name__}."
        what = "cannot be followed" if target is None else f"{_version(target)} cannot be served"
        self._problem = f"{name}: {what}: {why}"
        # texts of one problem differ, in how often it was tried
        if (kind := (type(error), target)) != self._said:
            log.warning("%s The model before goes on serving.", self._problem)
        self._said = kind

    def _solved(self) -> None:
        if self._problem is not None:
            log.info("%s is followed again", self._source.name if self._source else "")
        self._problem = self._said = None

    def _pause(self, n_failed: int) -> float:
        """Seconds to wait: many processes that follow one alias must not look in step."""
        most = max(self.every, _LONGEST_WAIT_SECONDS)
        seconds = min(most, self.every * 2.0 ** min(n_failed, 30))
        return seconds * random.uniform(0.75, 1.25)


def _version(target: Target) -> str:
    if target.version is not None:
        return f"version {target.version}"
    return f"content {target.content[:12]}"
