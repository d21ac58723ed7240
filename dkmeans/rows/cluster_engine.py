"""Run passes on a Dask cluster."""

import socket
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from dask.base import annotate, get_annotations
from distributed import Client, Future, WorkerPlugin, span
from distributed.worker import Worker

from dkmeans.cluster.preflight import preflight
from dkmeans.cluster.waiting import wait_for, workers_of
from dkmeans.rows.block_stores import BlockStores, lease_seconds
from dkmeans.rows.cluster_pass import ClusterPass
from dkmeans.rows.disk import free_bytes
from dkmeans.rows.engine import IDLE_WORKER_BYTES, OnLeaf, Slot
from dkmeans.rows.homes import Homes
from dkmeans.rows.leaf import Leaf, LeafResult, Pass
from dkmeans.rows.staging import Room
from dkmeans.rows.store import release
from dkmeans.storage.filesystem import NO_OPTIONS, recall, remember_as

_engines: "WeakKeyDictionary[Client, ClusterEngine]" = WeakKeyDictionary()


def engine_of(client: Client) -> "ClusterEngine":
    """Return the engine of a client, made and its workers checked at the first call."""
    if client not in _engines:
        _engines[client] = ClusterEngine(client)
    return _engines[client]


class ClusterEngine:
    """Leaves as tasks of a cluster, each preferring the worker that holds its blocks."""

    def __init__(self, client: Client) -> None:
        preflight(client)
        self._client = client
        self._homes = Homes()
        with span("dkmeans"):
            self._span = get_annotations()["span"]
        # as long as this client lives, the scheduler knows this key, and workers keep our blocks
        self._lease = client.submit(_same, client.id, key=f"dkmeans-lease-{uuid.uuid4().hex}")
        client.register_plugin(BlockStores(lease_seconds()))

    def run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> LeafResult:
        """Run one pass."""
        shared = replace(shared, lease=str(self._lease.key))
        with self._one_span():
            return ClusterPass(self._client, self._homes, leaves, parts, shared, on_leaf).result()

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        """Call `function(item, shared)` for every item and return the results in order."""
        with self._one_span():
            return self._map(function, items, shared, on_item)

    def _map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        name = f"dkmeans-shared-{uuid.uuid4().hex}"
        with warnings.catch_warnings():
            # a coreset is larger than Dask thinks good to send, but goes once
            warnings.filterwarnings("ignore", "Sending large graph")
            shared_future = self._client.submit(_same, shared, key=name)
        futures = [
            self._client.submit(
                function, item, shared_future, key=f"dkmeans-{function.__name__}-{uuid.uuid4().hex}"
            )
            for item in items
        ]
        for future in futures:
            future.add_done_callback(lambda _: on_item())
        gathered: Future[Any] = self._client.submit(list, futures, pure=False)
        try:
            results: list[Any] = wait_for(self._client, gathered, killed_as_lost=True)
        finally:
            for future in (*futures, gathered, shared_future):
                future.release()
        return results

    @contextmanager
    def _one_span(self) -> Iterator[None]:
        """Let tasks belong to the span of the caller, or else to one for all of this client.

        Dask would open another whenever it was idle, between two passes or steps, and workers
        keep statistics of each for as long as they live: about 27 KB.
        """
        if "span" in get_annotations():
            yield
        else:
            with annotate(span=self._span):
                yield

    def room(self) -> Room:
        """Return what all workers together have free."""
        disks: dict[tuple[str, int], int] = {}
        for host, device, free in self._client.run(_disk_of, on_error="ignore").values():
            disks[host, device] = free
        memory = sum(slot.free_bytes for slot in self.slots())
        return Room(memory, sum(disks.values()))

    def slots(self) -> tuple[Slot, ...]:
        """Return the workers."""
        return tuple(
            Slot(address, int(worker["nthreads"]), _free_memory(worker))
            for address, worker in workers_of(self._client).items()
        )

    def share_options(self, reference: str) -> None:
        """Hand storage options to all workers, present and future, outside of any graph."""
        if reference != NO_OPTIONS:
            self._client.register_plugin(_Options(reference, dict(recall(reference))))

    def release(self, owner: str) -> None:
        """Forget all that `owner` has in the block stores of the workers."""
        self._homes.forget(owner)
        if self._client.status == "running":
            with suppress(Exception):
                self._client.run(release, owner, on_error="ignore", wait=True)


def _same(value: Any) -> Any:
    return value


def _free_memory(worker: dict[str, Any]) -> int:
    limit = int(worker["memory_limit"] or 0)
    if limit == 0:
        return int(worker["metrics"].get("host_memory", 0)) or 2**62
    # a worker that has just started has yet to import what tasks need
    taken = max(IDLE_WORKER_BYTES, int(worker["metrics"].get("memory", 0)))
    return max(0, limit - taken)


def _disk_of(dask_worker: Worker) -> tuple[str, int, int]:
    folder = dask_worker.local_directory
    return socket.gethostname(), Path(folder).stat().st_dev, free_bytes(folder)


class _Options(WorkerPlugin):
    """Gives storage options to a worker. They appear in no task and no log."""

    def __init__(self, reference: str, options: dict[str, Any]) -> None:
        self.name = f"dkmeans-options-{reference}"
        self._reference, self._options = reference, options

    def setup(self, worker: Worker) -> None:
        remember_as(self._reference, self._options)
