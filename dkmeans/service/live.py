"""What a service tells of itself: counts of requests and rows, and how these compare."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.model import Assignment
from dkmeans.partials.together import Together
from dkmeans.service.exposition import LATENCY_SECONDS, exposition
from dkmeans.service.following import FollowedModel, Served
from dkmeans.service.window import Window, Yardstick

_BATCH_ROWS = 1024
"""Rows that are counted together: one by one they would cost more than their answers."""

_MOST_NAMES = 64
"""Paths, kinds of errors and reasons that are told apart; the rest are "other"."""

_OTHER = "other"
_CLASSES = {n: f"{n}xx" for n in range(1, 6)}


class Counts:
    """Numbers by one or two names, as many as there may be. Guarded by who holds it."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, ...], float] = {}

    def add(self, *names: str) -> None:
        """Count one more."""
        if names not in self.by_name and len(self.by_name) >= _MOST_NAMES:
            names = (_OTHER, *names[1:])
        self.by_name[names] = self.by_name.get(names, 0) + 1


class Traffic:
    """Counts of the rows that one model has answered. Not thread-safe."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.yardstick: Yardstick = served.yardstick
        self.total = self.yardstick.nothing()
        self.window = Window(self.yardstick)

    def add(self, counts: Together, now: float) -> None:
        """Add counts of some rows."""
        self.total = self.total.merge(counts)
        self.window.add(counts, now)


class LiveFigures:
    """Counts what a service answers, for `GET /metrics`. Thread-safe, in bounded memory.

    Rows are counted in batches of 1 024, so that a request of one row costs microseconds; no row is
    kept longer than that, or than until the next `exposition`. When another model is served, its
    window begins empty, and rows that the old one still answers are not compared any more.

    Parameters
    ----------
    followed
        Who knows which model is served.
    clock
        Seconds that never go back, which windows move by.
    """

    def __init__(
        self, followed: FollowedModel, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.followed, self._clock = followed, clock
        self.in_flight = 0
        self.n_rows = 0
        self.responses, self.errors, self.refused = Counts(), Counts(), Counts()
        self.latencies: dict[tuple[str, str], list[float]] = {}
        self._lock = threading.Lock()
        # whoever counts rows holds this one; it is never waited for with the other one in hand
        self._counting = threading.Lock()
        self._pending: list[tuple[Array, Assignment]] = []
        self._n_pending = 0
        self._pending_of: Served | None = None
        self._traffic: Traffic | None = None

    def begun(self) -> None:
        """Count a request that has come; `ended` is to follow."""
        with self._lock:
            self.in_flight += 1

    def ended(self) -> None:
        """Count a request off that `begun` has counted."""
        with self._lock:
            self.in_flight -= 1

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer.

        Parameters
        ----------
        path
            That of the route, never what a client wrote.
        status
            The status of the answer.
        seconds
            From the request's headers to the end of the answer.
        """
        place = bisect_left(LATENCY_SECONDS, seconds)
        key = path, _CLASSES.get(status // 100, _OTHER)
        with self._lock:
            found = self.latencies.get(key)
            if found is None:
                if len(self.latencies) >= _MOST_NAMES:
                    key = _OTHER, key[1]
                # the bins, one for what is longer, and the sum
                found = self.latencies.setdefault(key, [0.0] * (len(LATENCY_SECONDS) + 2))
            found[place] += 1
            found[-1] += seconds
            self.responses.add(path, str(status))

    def failed(self, kind: str) -> None:
        """Count an error by its kind: a word of the program's, never what a client wrote."""
        with self._lock:
            self.errors.add(kind)

    def refuse(self, reason: str) -> None:
        """Count a request that was sent away before it was looked at, by a word for why."""
        with self._lock:
            self.refused.add(reason)

    def predicted(self, served: Served, X: Array | None, assignment: Assignment) -> None:
        """Count rows that were answered.

        Parameters
        ----------
        served
            The model that answered.
        X
            `(n_rows, n_features)` of the model's dtype, in the units of the data, NaN where values
            were missing. It is kept for a while, and must not be written to. None where it is not
            at hand: such rows are counted, and not compared.
        assignment
            The answer.
        """
        n_rows = len(assignment.labels)
        with self._lock:
            self.n_rows += n_rows
            if X is None or not n_rows:
                return
            taken = None
            if served is not self._pending_of:
                if self._pending_of is not None and served.number < self._pending_of.number:
                    return
                self._pending, self._n_pending, self._pending_of = [], 0, served
            self._pending.append((X, assignment))
            self._n_pending += n_rows
            if self._n_pending >= _BATCH_ROWS:
                taken, self._pending, self._n_pending = self._pending, [], 0
        if taken is not None:
            self._count(served, taken)

    def traffic(self) -> tuple[Traffic, Together, Together] | None:
        """Return counts for the served model: since it is served, and in the window.

        None if there is none.
        """
        served = self.followed.served
        if served is None:
            return None
        with self._lock:
            taken: list[tuple[Array, Assignment]] = []
            if self._pending_of is served:
                taken, self._pending, self._n_pending = self._pending, [], 0
        self._count(served, taken)
        with self._counting:
            traffic = self._traffic
            assert traffic is not None
            return traffic, traffic.total, traffic.window.counts(self._clock())

    def exposition(self) -> bytes:
        """Return all figures in the text format of Prometheus."""
        return exposition(self)

    def _count(self, served: Served, taken: list[tuple[Array, Assignment]]) -> None:
        yardstick = served.yardstick
        # each that is large by itself; the others together
        parts = [one for one in taken if len(one[0]) >= _BATCH_ROWS]
        small = [one for one in taken if len(one[0]) < _BATCH_ROWS]
        counts = [yardstick.count(X, one.labels, one.sq_distances) for X, one in parts]
        if small:
            X = np.concatenate([one[0] for one in small])
            labels = np.concatenate([one[1].labels for one in small])
            sq_distances = np.concatenate([one[1].sq_distances for one in small])
            counts.append(yardstick.count(X, labels, sq_distances))
        with self._counting:
            if self._traffic is None or self._traffic.served.number < served.number:
                self._traffic = Traffic(served)
            if self._traffic.served is served:
                for one in counts:
                    self._traffic.add(one, self._clock())
