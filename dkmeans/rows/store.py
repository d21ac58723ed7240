"""The block store: what a process keeps between passes, blocks and the state beside them.

One store a process, in memory within a budget, or on the local disk. It is a cache and no more:
anything may be missing, and is then read or computed again with the same result. Nothing in it
passes through Dask, so nothing of it is spilled, sent or counted by Dask.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal

import numpy as np
import psutil

from dkmeans.kernels.block import Array, Block, Labels
from dkmeans.rows.disk import DiskFolder, StoredArrays, folder_in_worker, folder_of_process

Key = tuple[str | int, ...]
"""The owner first: `release` removes all that an owner has."""

Place = Literal["memory", "disk"]

MEMORY_SHARE = 0.5
"""Part of the free memory of a process or worker that the store may fill."""


@dataclass(frozen=True)
class _InMemory:
    value: Any
    n_bytes: int


@dataclass(frozen=True)
class _OnDisk:
    arrays: StoredArrays
    rebuilt: Callable[[Sequence[Array | None]], Any]


class BlockStore:
    """Blocks, arrays and tuples of arrays by key."""

    def __init__(self, limit_bytes: int, make_folder: Callable[[], DiskFolder]) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        """In memory."""

        self._make_folder = make_folder
        self._folder: DiskFolder | None = None
        self._entries: OrderedDict[str, dict[Key, _InMemory | _OnDisk]] = OrderedDict()
        self._lock = Lock()

    @property
    def owners(self) -> tuple[str, ...]:
        """Those that have something here."""
        with self._lock:
            return tuple(self._entries)

    def has(self, key: Key) -> bool:
        """Whether `get` would find something."""
        with self._lock:
            return key in self._entries.get(str(key[0]), {})

    def get(self, key: Key) -> Any | None:
        """Return the value of `key`, or None; arrays on disk are mapped read-only."""
        with self._lock:
            entry = self._entries.get(str(key[0]), {}).get(key)
        return _value(entry)

    def soon(self, key: Key) -> None:
        """Have the system read ahead what `get` will be asked for next."""
        with self._lock:
            entry = self._entries.get(str(key[0]), {}).get(key)
        if isinstance(entry, _OnDisk):
            entry.arrays.soon()

    def put(self, key: Key, value: Any, place: Place = "memory") -> bool:
        """Keep `value` if there is room, taken from other owners if need be; say if it is kept."""
        return self._keep_on_disk(key, value) if place == "disk" else self._keep(key, value)

    def pop(self, key: Key) -> Any | None:
        """Return the value of `key` and forget it."""
        with self._lock:
            entry = self._take(key)
        value = _value(entry)
        _remove([entry])
        return value

    def forget(self, key: Key) -> None:
        """Forget the value of `key`, unread."""
        with self._lock:
            entry = self._take(key)
        _remove([entry])

    def release(self, owner: str) -> None:
        """Forget all that `owner` has."""
        with self._lock:
            gone = self._take_all(owner)
        _remove(gone)

    def close(self) -> None:
        """Forget everything, and remove the folder."""
        for owner in self.owners:
            self.release(owner)
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()

    def _keep(self, key: Key, value: Any) -> bool:
        n_bytes = bytes_of(value)
        with self._lock:
            gone = [self._take(key)]
            for other in self._others(key):
                if self.held_bytes + n_bytes <= self.limit_bytes:
                    break
                gone += self._take_all(other, _InMemory)
            fits = self.held_bytes + n_bytes <= self.limit_bytes
            if fits:
                self._add(key, _InMemory(value, n_bytes))
        _remove(gone)
        return fits

    def _keep_on_disk(self, key: Key, value: Any) -> bool:
        arrays, rebuilt = _taken_apart(value)
        folder = self._disk()
        n_bytes = bytes_of(value)
        with self._lock:
            others = self._others(key)
        for other in others:
            if folder.has_room(n_bytes):
                break
            self.release(other)
        stored = folder.write(arrays) if folder.has_room(n_bytes) else None
        with self._lock:
            gone = [self._take(key)]
            if stored is not None:
                self._add(key, _OnDisk(stored, rebuilt))
        _remove(gone)
        return stored is not None

    def _disk(self) -> DiskFolder:
        with self._lock:
            if self._folder is None:
                self._folder = self._make_folder()
            return self._folder

    def _others(self, key: Key) -> list[str]:
        return [owner for owner in self._entries if owner != str(key[0])]

    def _add(self, key: Key, entry: _InMemory | _OnDisk) -> None:
        owner = str(key[0])
        self._entries.setdefault(owner, {})[key] = entry
        self._entries.move_to_end(owner)
        if isinstance(entry, _InMemory):
            self.held_bytes += entry.n_bytes

    def _take(self, key: Key) -> _InMemory | _OnDisk | None:
        entry = self._entries.get(str(key[0]), {}).pop(key, None)
        if isinstance(entry, _InMemory):
            self.held_bytes -= entry.n_bytes
        return entry

    def _take_all(
        self, owner: str, kind: type | tuple[type, ...] = (_InMemory, _OnDisk)
    ) -> list[_InMemory | _OnDisk | None]:
        of_owner = self._entries.get(owner, {})
        gone = [self._take(key) for key, one in list(of_owner.items()) if isinstance(one, kind)]
        if not of_owner:
            self._entries.pop(owner, None)
        return gone


def bytes_of(value: Any) -> int:
    """Bytes of memory that a block, an array or a tuple of arrays holds."""
    return sum(int(array.nbytes) for array in _taken_apart(value)[0] if array is not None)


def _taken_apart(
    value: Any,
) -> tuple[tuple[Array | None, ...], Callable[[Sequence[Array | None]], Any]]:
    """The arrays of a value, and what puts them together again."""
    if isinstance(value, Block):
        # nothing of the value's own arrays: a view would keep them alive
        bare = replace(value, X=np.empty((0, 0)), weight=None, kept=None, labels=())
        values = [labels.values for labels in value.labels]

        def rebuilt(arrays: Sequence[Any]) -> Block:
            X, weight, kept, *codes = arrays
            labels = tuple(Labels(*one) for one in zip(codes, values, strict=True))
            return replace(bare, X=X, weight=weight, kept=kept, labels=labels)

        codes = (labels.codes for labels in value.labels)
        return (value.X, value.weight, value.kept, *codes), rebuilt
    if isinstance(value, tuple):
        return value, tuple
    return (value,), lambda arrays: arrays[0]


def _value(entry: _InMemory | _OnDisk | None) -> Any | None:
    if isinstance(entry, _OnDisk):
        try:
            return entry.rebuilt(entry.arrays.open())
        except OSError:
            return None
    return None if entry is None else entry.value


def _remove(entries: Sequence[_InMemory | _OnDisk | None]) -> None:
    for entry in entries:
        if isinstance(entry, _OnDisk):
            entry.arrays.remove()


_store: BlockStore | None = None
_store_lock = Lock()


def process_store() -> BlockStore:
    """Return the store of this process, made when first asked for."""
    global _store
    with _store_lock:
        if _store is None:
            _store = BlockStore(int(MEMORY_SHARE * _free_memory()), _folder)
        return _store


def release(owner: str) -> None:
    """Forget, in this process, all that `owner` has stored."""
    with _store_lock:
        store = _store
    if store is not None:
        store.release(owner)


def _folder() -> DiskFolder:
    from distributed.worker import get_worker

    try:
        return folder_in_worker(get_worker().local_directory)
    except ValueError:
        return folder_of_process()


def _free_memory() -> int:
    """What this process's Dask worker has left of its limit, else what the machine has."""
    from distributed.worker import get_worker

    available = int(psutil.virtual_memory().available)
    try:
        limit = get_worker().memory_manager.memory_limit
    except ValueError:
        return available
    return min(int(limit) - psutil.Process().memory_info().rss, available) if limit else available


_leases: dict[str, set[str]] = {}
"""Owners by the lease of the client that they belong to."""


def hold_by(lease: str, owner: str) -> None:
    """Note that what `owner` stores in this process belongs to the client of `lease`."""
    if lease:
        _leases.setdefault(lease, set()).add(owner)


def leases() -> frozenset[str]:
    """Return the leases of clients that may have something stored here."""
    return frozenset(_leases)


def release_lease(lease: str) -> None:
    """Forget all that belongs to the client of `lease`."""
    for owner in _leases.pop(lease, set()):
        release(owner)


def close_process_store() -> None:
    """Forget everything that is stored in this process, and remove its folder."""
    global _store
    with _store_lock:
        store, _store = _store, None
    if store is not None:
        store.close()
