"""What this process knows of a sample while it is drawn: keys that are surely too large.

A sample keeps the rows with the `size + 1` least keys. Those that come after as many keys of rows
which this process has seen are not among them: so most blocks contribute little. What is sampled
does not depend on it.
"""

from collections import OrderedDict
from threading import Lock

import numpy as np

from dkmeans.kernels.block import Array

_MOST_LIMITS = 16
"""Of samples that are drawn at a time; those that are drawn no longer go."""


class Limit:
    """The least keys of the rows that were seen so far."""

    def __init__(self, size: int) -> None:
        self._size, self._keys, self._lock = size, np.empty(0), Lock()

    @property
    def key(self) -> float:
        """No row with this key or a larger one is sampled; infinite if that is not known."""
        keys = self._keys
        return float(keys[-1]) if len(keys) > self._size + 1 else float("inf")

    def add(self, keys: Array) -> None:
        """Take in the keys of some rows, `(n,)` ascending."""
        with self._lock:
            # a block that is walked again has the same keys: each counts once
            both = np.sort(np.concatenate([self._keys, keys]), kind="stable")
            is_new = np.concatenate([[True], both[1:] != both[:-1]]) if len(both) else both > 0
            # a row with the last key itself is kept, for it is the sample's threshold
            self._keys = both[is_new][: self._size + 2]


_limits: OrderedDict[str, Limit] = OrderedDict()
_lock = Lock()


def limit_of(name: str, size: int) -> Limit:
    """Return the limit of the sample of that name, unique to it."""
    with _lock:
        if name not in _limits:
            _limits[name] = Limit(size)
            while len(_limits) > _MOST_LIMITS:
                _limits.popitem(last=False)
        _limits.move_to_end(name)
        return _limits[name]
