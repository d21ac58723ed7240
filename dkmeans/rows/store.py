"""The block store: what a process keeps between passes, blocks and the state beside them.

One store a process, in memory, within a budget. It is a cache and no more: anything may be missing,
and is then read or computed again with the same result. Nothing in it passes through Dask, so
nothing of it is spilled, sent or counted by Dask.
"""

from collections import OrderedDict
from threading import Lock
from typing import Any

import psutil

Key = tuple[str | int, ...]
"""The owner first: `release` removes all that an owner has."""

MEMORY_SHARE = 0.5
"""Part of the memory of a process or worker that the store may fill."""


class BlockStore:
    """Values by key, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._values: OrderedDict[str, dict[Key, tuple[Any, int]]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Any | None:
        """Return the value of `key`, or None."""
        with self._lock:
            found = self._values.get(str(key[0]), {}).get(key)
            return None if found is None else found[0]

    def put(self, key: Key, value: Any, n_bytes: int) -> bool:
        """Keep `value` if there is room, taken from other owners if need be; say if it is kept."""
        owner = str(key[0])
        with self._lock:
            self._discard(key)
            for other in [name for name in self._values if name != owner]:
                if self.held_bytes + n_bytes <= self.limit_bytes:
                    break
                self._release(other)
            if self.held_bytes + n_bytes > self.limit_bytes:
                return False
            self._values.setdefault(owner, {})[key] = (value, n_bytes)
            self._values.move_to_end(owner)
            self.held_bytes += n_bytes
            return True

    def pop(self, key: Key) -> Any | None:
        """Return the value of `key` and forget it."""
        with self._lock:
            return self._discard(key)

    def release(self, owner: str) -> None:
        """Forget all that `owner` has."""
        with self._lock:
            self._release(owner)

    def _discard(self, key: Key) -> Any | None:
        value, n_bytes = self._values.get(str(key[0]), {}).pop(key, (None, 0))
        self.held_bytes -= n_bytes
        return value

    def _release(self, owner: str) -> None:
        values = self._values.pop(owner, {})
        self.held_bytes -= sum(n_bytes for _, n_bytes in values.values())


_store: BlockStore | None = None
_store_lock = Lock()


def process_store() -> BlockStore:
    """Return the store of this process, made when first asked for."""
    global _store
    with _store_lock:
        if _store is None:
            _store = BlockStore(int(MEMORY_SHARE * _memory_of_this_process()))
        return _store


def release(owner: str) -> None:
    """Forget, in this process, all that `owner` has stored."""
    process_store().release(owner)


def _memory_of_this_process() -> int:
    """The limit of this process's Dask worker, else what the machine has available."""
    from distributed.worker import get_worker

    available = int(psutil.virtual_memory().available)
    try:
        limit = get_worker().memory_manager.memory_limit
    except ValueError:
        return available
    return min(int(limit), available) if limit else available
