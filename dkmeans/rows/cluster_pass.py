"""One pass on a Dask cluster: its leaves as tasks, submitted again until each has a result."""

import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import Any

from dask.base import is_dask_collection
from distributed import Client, Future, KilledWorker

from dkmeans.cluster.waiting import wait_for, wait_until_over, workers_of
from dkmeans.errors import ClusterLost
from dkmeans.rows.engine import OnLeaf, tree
from dkmeans.rows.homes import Homes, balanced
from dkmeans.rows.layout import FAN_IN
from dkmeans.rows.leaf import Home, Leaf, LeafResult, Pass
from dkmeans.rows.walk import merge_results, run_leaf

_MOST_MERGES = 5
"""How often merging may kill workers before that is what is wrong."""


@dataclass(eq=False)
class _Group:
    """Consecutive leaves, whose results are merged as soon as all are there."""

    numbers: tuple[int, ...]
    """Of the leaves."""

    leaves: dict[int, Future[Any]] = field(default_factory=dict)
    """Their tasks by number; empty once they are merged, when workers need not keep them."""

    merged: Future[Any] | None = None
    """The task that merges them; None if it is to be submitted."""

    def let_go(self, merged: Future[Any]) -> None:
        """Let workers forget the leaves, if `merged` still is what merges them, and has."""
        if self.merged is merged and merged.status == "finished":
            self.release_leaves()

    def release_leaves(self) -> None:
        for future in self.leaves.values():
            future.release()
        self.leaves = {}

    def release(self) -> None:
        """Let workers forget everything."""
        self.release_leaves()
        if self.merged is not None:
            self.merged.release()


class ClusterPass:
    """The tasks of one pass.

    Leaves are merged in groups, as the tree has it; when a group is merged its leaves are let go
    of, so that workers hold one result a group however many leaves there are. Should it be lost,
    all of its leaves run again.

    Dask gives up on a task after it was on several workers that died, whether it was running there
    or waiting. Here such a leaf is only a suspect: when all others are done it runs again, alone
    and block by block, and a block that then kills its workers is named.
    """

    def __init__(
        self,
        client: Client,
        homes: Homes,
        leaves: Sequence[Leaf],
        parts: Sequence[Any],
        shared: Pass,
        on_leaf: OnLeaf,
    ) -> None:
        self._client, self._homes, self._on_leaf = client, homes, on_leaf
        self._leaves = {leaf.number: leaf for leaf in leaves}
        self._parts = {leaf.number: part for leaf, part in zip(leaves, parts, strict=True)}
        # one key of its own: sent once to each worker, and computed again if that worker is lost
        with warnings.catch_warnings():
            # of the candidates of k-means|| there may be more than Dask thinks good to send
            warnings.filterwarnings("ignore", "Sending large graph")
            self._shared = client.submit(_same, shared, key=f"dkmeans-shared-{uuid.uuid4().hex}")
        numbers = list(self._leaves)
        self._groups = [
            _Group(tuple(numbers[i : i + FAN_IN])) for i in range(0, len(numbers), FAN_IN)
        ]
        self._group_of = {number: group for group in self._groups for number in group.numbers}
        self._homes_wanted: dict[int, Home] = {}
        """Where leaves ran before, but for those whose worker is gone, or lost their blocks."""

        self._pinned: dict[int, str] = {}
        """Workers that leaves may run on alone."""

        self._lock = Lock()
        """Held by who changes what a group has: groups are let go of by another thread."""

    def result(self) -> LeafResult:
        """Run the pass.

        Raises
        ------
        ClusterLost
            If the scheduler or all workers are lost, or a block kills every worker that runs it.
        """
        try:
            result = self._result()
        finally:
            # Callbacks refer back to us: without this, workers would keep what the pass found until
            # Python looks for cycles, or do what is left of one that was given up.
            for group in self._groups:
                group.release()
            self._shared.release()
        for home in result.homes:
            self._homes.of_leaf[self._leaves[home.leaf].owner, home.leaf] = home
        return result

    def _result(self) -> LeafResult:
        workers = workers_of(self._client)
        self._homes_wanted = balanced(list(self._leaves.values()), self._homes, workers)
        for number in self._leaves:
            self._submit(number)
        n_merges = 0
        while True:
            merged = self._merged()
            root = merged[0] if len(merged) == 1 else tree(merged, self._merge)
            try:
                result: LeafResult = wait_for(self._client, root, on_look=self._look)
            except _HomesLost as lost:
                self._submit_anywhere(lost.leaves)
            except KilledWorker as error:
                n_merges += 1
                suspects = self._suspects()
                if not suspects and n_merges >= _MOST_MERGES:
                    raise ClusterLost(
                        f"merging what leaves contribute killed its workers ({error.task}); give "
                        "them more memory, or ask for fewer clusters."
                    ) from None
                for number in suspects:
                    self._run_alone(self._leaves[number])
            else:
                if not result.missing:
                    return result
                self._submit_anywhere(result.missing)
            finally:
                if root is not merged[0]:
                    root.release()

    def _merged(self) -> list[Future[Any]]:
        """Return the tasks that merge the groups, submitted again where leaves run again."""
        for group in self._groups:
            failed = group.merged is not None and group.merged.status == "error" and group.leaves
            if group.merged is None or failed:
                with self._lock:
                    group.merged = self._merge([group.leaves[number] for number in group.numbers])
                group.merged.add_done_callback(partial(self._let_go, group))
        return [group.merged for group in self._groups if group.merged is not None]

    def _let_go(self, group: _Group, merged: Future[Any]) -> None:
        """Called by a thread of the client as soon as a group is merged."""
        with self._lock:
            group.let_go(merged)

    def _merge(self, results: Iterable[Future[Any]]) -> Future[Any]:
        # before leaves that wait: what they have found need not be held so long
        merged: Future[Any] = self._client.submit(
            merge_results, list(results), pure=False, priority=1
        )
        return merged

    def _look(self, workers: Mapping[str, Any]) -> None:
        """Raise `_HomesLost` if a leaf waits for a worker that is gone."""
        lost = []
        for group in self._groups:
            if group.merged is not None and group.merged.done():
                continue
            for number in group.numbers:
                leaf = group.leaves.get(number)
                waits = leaf is None or not leaf.done()
                if waits and self._pinned.get(number, "") not in ("", *workers):
                    lost.append(number)
        if lost:
            raise _HomesLost(lost)

    def _submit_anywhere(self, numbers: Iterable[int]) -> None:
        """Run leaves again wherever Dask likes, and with them those that were let go of."""
        numbers = list(numbers)
        for number in numbers:
            self._homes_wanted.pop(number, None)
        for group in dict.fromkeys(self._group_of[number] for number in numbers):
            with self._lock:
                again = set(numbers) & set(group.numbers) if group.leaves else set(group.numbers)
                self._put_aside(group)
            for number in sorted(again):
                self._submit(number)

    def _submit(self, number: int) -> None:
        """Run a leaf where its blocks are, and only there; or wherever Dask likes."""
        leaf, home = self._leaves[number], self._homes_wanted.get(number)
        kept = home is not None and home.complete
        part = None if kept else self._parts[number]
        self._pinned.pop(number, None)
        workers = None
        if home is not None and part is None:
            # Dask would let idle workers steal the leaf, which costs them a read of the source
            workers = [home.worker]
            if kept:
                self._pinned[number] = home.worker
        future = self._task(leaf, part, workers, others=not kept)
        future.add_done_callback(lambda _: self._on_leaf())
        self._put(number, future)

    def _put(self, number: int, future: Future[Any]) -> None:
        """Take the task of a leaf into its group, which is to be merged again."""
        group = self._group_of[number]
        with self._lock:
            group.leaves[number] = future
            self._put_aside(group)

    def _put_aside(self, group: _Group) -> None:
        """Have a group merged again; from now on its leaves are not let go of."""
        if group.merged is not None:
            group.merged.release()
            group.merged = None

    def _task(
        self, leaf: Leaf, part: Any, workers: list[str] | None, others: bool = True
    ) -> Future[Any]:
        if is_dask_collection(part):
            part = self._client.compute(part)
        return self._client.submit(
            run_leaf,
            leaf,
            self._shared,
            part,
            key=f"dkmeans-leaf-{uuid.uuid4().hex}",
            workers=workers,
            allow_other_workers=workers is not None and others,
        )

    def _suspects(self) -> list[int]:
        """Wait for all groups; return the leaves that were on workers that died."""
        while True:
            try:
                wait_until_over(self._client, self._merged(), self._look)
                break
            except _HomesLost as lost:
                self._submit_anywhere(lost.leaves)
        suspects: list[int] = []
        for group in self._groups:
            if group.merged is not None and group.merged.status == "error":
                # of those that were let go of, any may be it
                suspects += [
                    number
                    for number in group.numbers
                    if number not in group.leaves or group.leaves[number].status == "error"
                ]
        return suspects

    def _run_alone(self, leaf: Leaf) -> None:
        """Run a leaf again while nothing else runs, a block at a time; blame the one that kills."""
        results = []
        for number in leaf.blocks:
            one = replace(leaf, blocks=(number,))
            results.append(self._task(one, self._parts[leaf.number], None))
            try:
                wait_for(self._client, results[-1])
            except KilledWorker:
                raise ClusterLost(
                    f"{leaf.source.describe(number)} kills every worker that reads it, also when "
                    "nothing else runs there; give the workers more memory, make block_bytes "
                    "smaller, or write the file with smaller row groups."
                ) from None
        self._pinned.pop(leaf.number, None)
        self._put(leaf.number, self._merge(results))


class _HomesLost(Exception):
    """Workers that leaves are pinned to are gone."""

    def __init__(self, leaves: list[int]) -> None:
        super().__init__(leaves)
        self.leaves = leaves


def _same(value: Any) -> Any:
    return value
