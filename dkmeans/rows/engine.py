"""Run a pass: on Dask's local schedulers, or on a cluster.

Both submit one task a leaf and merge the results in a tree of fixed shape, so that the bits are the
same on either, with any number of threads or workers.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import dask.config
import psutil
from dask.base import compute, is_dask_collection
from dask.delayed import delayed

from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Leaf, LeafResult, Pass, merge_results, run_leaf
from dkmeans.rows.store import release

if TYPE_CHECKING:
    from distributed import Client

OnLeaf = Callable[[], None]
"""Called in the client whenever a leaf is done, from any thread."""


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

    def memory_bytes(self) -> int:
        """Memory that blocks and computation share."""
        ...

    def share_options(self, reference: str) -> None:
        """Let tasks use storage options."""
        ...

    def release(self, owner: str) -> None:
        """Forget all that `owner` has in block stores."""
        ...


def tree(level: Sequence[Any], merge: Callable[[Sequence[Any]], Any]) -> Any:
    """Merge in order, `FAN_IN` at a time, until one is left; one alone is merged with nothing."""
    while True:
        level = [merge(level[i : i + FAN_IN]) for i in range(0, len(level), FAN_IN)]
        if len(level) == 1:
            return level[0]


class LocalEngine:
    """Dask's threaded scheduler, or the one that `dask.config` names."""

    def __init__(self) -> None:
        self._kept: set[tuple[str, int]] = set()
        """Leaves that have run, whose blocks are in the store if they are staged."""

    def run(
        self, leaves: Sequence[Leaf], parts: Sequence[Any], shared: Pass, on_leaf: OnLeaf
    ) -> LeafResult:
        """Run one pass."""

        def task(leaf: Leaf, part: Any) -> LeafResult:
            result = run_leaf(leaf, shared, part)
            if not result.missing:
                on_leaf()
            return result

        withheld = {
            leaf.number
            for leaf in leaves
            if leaf.staged and (leaf.owner, leaf.number) in self._kept
        }
        while True:
            result = self._run(task, leaves, parts, withheld)
            if not result.missing:
                break
            withheld -= set(result.missing)
        self._kept.update((leaf.owner, leaf.number) for leaf in leaves)
        return result

    def _run(
        self,
        task: Callable[[Leaf, Any], LeafResult],
        leaves: Sequence[Leaf],
        parts: Sequence[Any],
        withheld: set[int],
    ) -> LeafResult:
        parts = [
            None if leaf.number in withheld else part
            for leaf, part in zip(leaves, parts, strict=True)
        ]
        # leaves go in as part of the function: Dask would search arguments for collections
        nodes = [
            delayed(partial(task, leaf), pure=False)(part)
            if is_dask_collection(part)
            else delayed(partial(task, leaf, part), pure=False)()
            for leaf, part in zip(leaves, parts, strict=True)
        ]
        root = tree(nodes, lambda results: delayed(merge_results, pure=False)(list(results)))
        (result,) = compute(root, scheduler=_scheduler(), optimize_graph=False)
        assert isinstance(result, LeafResult)
        return result

    def map(
        self, function: Callable[..., Any], items: Sequence[Any], shared: Any, on_item: OnLeaf
    ) -> list[Any]:
        """Call `function(item, shared)` for every item and return the results in order."""

        def task(item: Any) -> Any:
            result = function(item, shared)
            on_item()
            return result

        nodes = [delayed(partial(task, item), pure=False)() for item in items]
        return list(compute(*nodes, scheduler=_scheduler(), optimize_graph=False))

    def memory_bytes(self) -> int:
        """Memory that this machine has available."""
        return int(psutil.virtual_memory().available)

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
