"""How many requests a process has under way: fewer when the store asks to slow down."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LEAST_SECONDS_BETWEEN_HALVINGS = 1.0


class Gate:
    """A limit that is halved by `slow_down` and recovers by one for each round of successes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self._under_way = 0
        self._halved = float("-inf")
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a place, and hold it."""
        with self._changed:
            while self._under_way >= max(1, int(self.limit)):
                self._changed.wait(1.0)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify()

    def slow_down(self) -> None:
        """Halve the limit. What was under way together is heard once."""
        with self._changed:
            now = time.monotonic()
            if now - self._halved >= _LEAST_SECONDS_BETWEEN_HALVINGS:
                self.limit = max(1.0, self.limit / 2)
                self._halved = now

    def succeeded(self) -> None:
        """Let the limit recover."""
        with self._changed:
            self.limit = min(float(self.most), self.limit + 1 / max(1.0, self.limit))
            self._changed.notify()
