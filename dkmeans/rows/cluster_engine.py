"""Run passes on a Dask cluster."""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from dask.base import is_dask_collection
from distributed import CancelledError, Client, Future, KilledWorker, WorkerPlugin
from distributed.comm.core import CommClosedError
from distributed.worker import Worker

from dkmeans.cluster.preflight import no_workers_seconds, preflight
from dkmeans.errors import ClusterLost, WorkersUnfit
from dkmeans.rows.engine import OnLeaf, tree
from dkmeans.rows.leaf import Leaf, LeafResult, Pass, merge_results, run_leaf
from dkmeans.rows.store import release
from dkmeans.storage.filesystem import NO_OPTIONS, recall, remember_as

_POLL_SECONDS = 1.0
_engines: "WeakKeyDictionary[Client, ClusterEngine]" = WeakKeyDictionary()
_T = TypeVar("_T")


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
        self._homes: dict[tuple[str, int], str] = {}

    def run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> LeafResult:
        """Run one pass."""
        # one key of its own: sent once to each worker, and computed again if that worker is lost
        name = f"dkmeans-shared-{uuid.uuid4().hex}"
        shared_future = self._client.submit(_same, shared, key=name)
        alive = set(self._workers())
        part_of = {leaf.number: part for leaf, part in zip(leaves, parts, strict=True)}
        leaf_of = {leaf.number: leaf for leaf in leaves}
        futures: dict[int, Future[Any]] = {}
        to_submit = {leaf.number: leaf.staged and self._home(leaf) in alive for leaf in leaves}
        try:
            while to_submit:
                for number, withhold in to_submit.items():
                    part = None if withhold else part_of[number]
                    futures[number] = self._submit(leaf_of[number], part, shared_future, alive)
                    futures[number].add_done_callback(lambda _: on_leaf())
                result = self._wait(
                    tree(
                        list(futures.values()),
                        lambda some: self._client.submit(merge_results, list(some), pure=False),
                    )
                )
                to_submit = dict.fromkeys(result.missing, False)
        except BaseException:
            # tasks that have not begun are dropped once nobody waits for them
            for future in (*futures.values(), shared_future):
                future.release()
            raise
        for number, home in result.homes:
            self._homes[leaf_of[number].owner, number] = home
        return result

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        """Call `function(item, shared)` for every item and return the results in order."""
        name = f"dkmeans-shared-{uuid.uuid4().hex}"
        shared_future = self._client.submit(_same, shared, key=name)
        futures = [
            self._client.submit(
                function, item, shared_future, key=f"dkmeans-{function.__name__}-{uuid.uuid4().hex}"
            )
            for item in items
        ]
        for future in futures:
            future.add_done_callback(lambda _: on_item())
        results: list[Any] = self._wait(self._client.submit(list, futures, pure=False))
        return results

    def memory_bytes(self) -> int:
        """Memory limits of all workers together."""
        return sum(int(worker["memory_limit"]) for worker in self._workers().values())

    def share_options(self, reference: str) -> None:
        """Hand storage options to all workers, present and future, outside of any graph."""
        if reference != NO_OPTIONS:
            self._client.register_plugin(_Options(reference, dict(recall(reference))))

    def release(self, owner: str) -> None:
        """Forget all that `owner` has in the block stores of the workers."""
        self._homes = {key: home for key, home in self._homes.items() if key[0] != owner}
        if self._client.status == "running":
            with suppress(Exception):
                self._client.run(release, owner, on_error="ignore")

    def _home(self, leaf: Leaf) -> str | None:
        return self._homes.get((leaf.owner, leaf.number))

    def _submit(self, leaf: Leaf, part: Any, shared: Future[Any], alive: set[str]) -> Future[Any]:
        if is_dask_collection(part):
            part = self._client.compute(part)
        home = self._home(leaf)
        # where the part lies already, it decides; else whoever holds the leaf's blocks and states
        pinned = home in alive and (leaf.staged or part is None)
        return self._client.submit(
            run_leaf,
            leaf,
            shared,
            part,
            key=f"dkmeans-leaf-{uuid.uuid4().hex}",
            workers=[home] if pinned else None,
            allow_other_workers=pinned,
        )

    def _workers(self) -> dict[str, Any]:
        workers: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    def _wait(self, root: Future[Any]) -> Any:
        """Wait for a result as long as there is somebody who works on it."""
        idle_since: float | None = None
        while True:
            try:
                return root.result(timeout=_POLL_SECONDS)
            except TimeoutError:
                if root.status == "error":
                    raise
            except (CancelledError, CommClosedError):
                raise ClusterLost("the scheduler was lost during a pass; run again.") from None
            except KilledWorker as error:
                raise ClusterLost(
                    f"a task of this pass killed every worker that ran it ({error.task}); give the "
                    "workers more memory, or make block_bytes smaller."
                ) from None
            except ImportError as error:
                raise WorkersUnfit(
                    f"a worker cannot run dkmeans: {error}; install it there."
                ) from None
            if self._client.status != "running":
                raise ClusterLost("the connection to the scheduler was lost; run again.")
            if self._workers():
                idle_since = None
            elif idle_since is None:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > no_workers_seconds():
                raise ClusterLost(
                    f"the cluster has had no workers for {no_workers_seconds():g} s; run again."
                )


def _same(value: _T) -> _T:
    return value


class _Options(WorkerPlugin):
    """Gives storage options to a worker. They appear in no task and no log."""

    def __init__(self, reference: str, options: dict[str, Any]) -> None:
        self.name = f"dkmeans-options-{reference}"
        self._reference, self._options = reference, options

    def setup(self, worker: Worker) -> None:
        remember_as(self._reference, self._options)
