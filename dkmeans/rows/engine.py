"""Run a pass: on Dask's local schedulers, or on a cluster.

Both walk spans of leaves by tasks and merge the results in a tree of fixed shape, so that the bits
are the same on either, with any number of threads or workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import dask.config
import dask.system
import psutil
from dask._task_spec import Task, TaskRef, parse_input
from dask.base import compute, get_scheduler, is_dask_collection
from dask.delayed import delayed

from dkmeans.rows.disk import free_bytes, temporary_root
from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Leaf, LeafResult, Pass
from dkmeans.rows.spans import FREE_TASKS, cut_spans, most_leaves, run_span
from dkmeans.rows.staging import Room
from dkmeans.rows.store import release
from dkmeans.rows.stretch import Lacking, Stretch, join
from dkmeans.storage.errands import Errand

if TYPE_CHECKING:
    from distributed import Client

OnLeaf = Callable[[], None]
"""Called in the client whenever a leaf is done, from any thread."""


IDLE_WORKER_BYTES = 140 * 2**20
"""What a Dask worker takes once it has imported what tasks need, and does nothing."""


@dataclass(frozen=True)
class Slot:
    """A process that tasks run in."""

    name: str
    n_tasks: int
    """Tasks at a time."""

    free_bytes: int
    """Memory that it has left."""


class Engine(Protocol):
    """Where passes run."""

    def run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> LeafResult:
        """Run one pass.

        Parameters
        ----------
        leaves
            What to walk, at least one.
        parts
            For each leaf the data to send along: a Delayed, a value, or None.
        shared
            What is the same for all leaves.
        on_leaf
            Called whenever a leaf is done.
        """
        ...

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        """Call `function(item, shared)` for every item and return the results in order."""
        ...

    def room(self) -> Room:
        """Return what is free for kept blocks."""
        ...

    def slots(self) -> tuple[Slot, ...]:
        """Return the processes that tasks run in."""
        ...

    def share_options(self, reference: str) -> None:
        """Let tasks use storage options."""
        ...

    def release(self, owner: str) -> None:
        """Forget all that `owner` has in block stores."""
        ...


def tree(level: Sequence[Any], merge: Callable[[Sequence[Any]], Any]) -> Any:
    """Merge in order, `FAN_IN` at a time, until one is left."""
    while len(level) > 1:
        level = [merge(level[i : i + FAN_IN]) for i in range(0, len(level), FAN_IN)]
    return level[0]


def _with_one(task: Callable[[Sequence[Any]], Any], part: Any) -> Any:
    return task([part])


class LocalEngine:
    """Dask's threaded scheduler, or the one that `dask.config` names."""

    def __init__(self) -> None:
        self._kept: set[tuple[str, int]] = set()
        """Leaves whose blocks are all in the store."""

    def run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> LeafResult:
        """Run one pass."""
        owner_of = {leaf.number: leaf.owner for leaf in leaves}
        withheld = {leaf.number for leaf in leaves if (leaf.owner, leaf.number) in self._kept}
        while True:
            sent = [
                None if leaf.number in withheld else part
                for leaf, part in zip(leaves, parts, strict=True)
            ]
            found = self._run(leaves, sent, shared, on_leaf)
            if isinstance(found, Stretch):
                break
            withheld -= set(found.leaves)
        result = found.whole
        for home, numbers in result.homes.items():
            for number in numbers:
                key = (owner_of[number], number)
                (self._kept.add if home.complete else self._kept.discard)(key)
        return result

    def _run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> Stretch | Lacking:
        # what has to be computed first is not computed for several leaves at a time
        alone = [i if is_dask_collection(part) else -1 for i, part in enumerate(parts)]
        most = most_leaves(len(leaves), sum(slot.n_tasks for slot in self.slots()), FREE_TASKS)
        errand, graph = Errand(), dict[str, Any]()

        def add(function: Callable[..., Any], *arguments: Any) -> str:
            key = f"dkmeans-{len(graph)}"
            graph[key] = Task(key, function, *arguments)
            return key

        keys = []
        for span in cut_spans(leaves, alone, lambda _: most):
            of_span = parts[span.first : span.first + len(span.leaves)]
            task = partial(errand.call, partial(run_span, span, shared, on_leaf=on_leaf))
            if alone[span.first] >= 0:
                part = delayed(of_span[0])
                graph |= part.__dask_graph__()
                keys.append(add(_with_one, task, TaskRef(part.key)))
            else:
                # as part of the function: Dask would search arguments for what to compute
                keys.append(add(partial(task, of_span)))
        root = tree(
            keys, lambda level: add(join, parse_input([TaskRef(key) for key in level]), len(leaves))
        )
        # however it ends: no thread is left behind that waits for a store
        with errand:
            result = get_scheduler(scheduler=_scheduler())(graph, root)
        assert isinstance(result, Stretch | Lacking)
        return result

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        """Call `function(item, shared)` for every item and return the results in order."""

        def task(item: Any) -> Any:
            result = function(item, shared)
            on_item()
            return result

        with Errand() as errand:
            nodes = [delayed(partial(errand.call, task, item), pure=False)() for item in items]
            return list(compute(*nodes, scheduler=_scheduler(), optimize_graph=False))

    def room(self) -> Room:
        """Return what this machine has free."""
        root = temporary_root()
        root.mkdir(parents=True, exist_ok=True)
        return Room(int(psutil.virtual_memory().available), free_bytes(root))

    def slots(self) -> tuple[Slot, ...]:
        """Return this process, with as many tasks at a time as Dask's scheduler runs."""
        threads = dask.config.get("num_workers", None) or dask.system.CPU_COUNT
        if _scheduler() in ("sync", "synchronous", "single-threaded"):
            threads = 1
        return (Slot("this process", int(threads), int(psutil.virtual_memory().available)),)

    def share_options(self, reference: str) -> None:
        """Nothing to do: tasks run in this process."""

    def release(self, owner: str) -> None:
        """Forget all that `owner` has in the block store of this process."""
        self._kept = {leaf for leaf in self._kept if leaf[0] != owner}
        release(owner)


def _scheduler() -> Any:
    return dask.config.get("scheduler", None) or "threads"


def engine_for(client: "Client | None") -> Engine:
    """Return the engine of a client, else of the client in scope, else of this process."""
    if client is None:
        from distributed import default_client

        try:
            client = default_client()
        except ValueError:
            return LocalEngine()
    from dkmeans.rows.cluster_engine import engine_of

    return engine_of(client)
