"""One pass on a Dask cluster: its leaves as tasks, submitted again until each has a result."""

import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dask.base import is_dask_collection
from distributed import Client, Future, KilledWorker

from dkmeans.cluster.waiting import wait_for, wait_until_over, workers_of
from dkmeans.errors import ClusterLost
from dkmeans.rows.engine import OnLeaf, tree
from dkmeans.rows.leaf import Home, Leaf, LeafResult, Pass
from dkmeans.rows.walk import merge_results, run_leaf


@dataclass
class Homes:
    """Where leaves ran last."""

    of_leaf: dict[tuple[str, int], Home] = field(default_factory=dict)
    """By owner and number."""

    workers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Those that were there when an owner's last pass began."""

    def forget(self, owner: str) -> None:
        """Forget the leaves of an owner."""
        self.of_leaf = {key: home for key, home in self.of_leaf.items() if key[0] != owner}
        self.workers.pop(owner, None)


_MOST_MERGES = 5
"""How often merging may kill workers before that is what is wrong."""


class ClusterPass:
    """The tasks of one pass.

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
        self._futures: dict[int, Future[Any]] = {}
        self._pinned: dict[int, str] = {}
        """Workers that leaves may run on alone."""

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
            for future in (*self._futures.values(), self._shared):
                future.release()
        for home in result.homes:
            self._homes.of_leaf[self._leaves[home.leaf].owner, home.leaf] = home
        return result

    def _result(self) -> LeafResult:
        workers = workers_of(self._client)
        wanted = balanced(list(self._leaves.values()), self._homes, workers)
        for leaf in self._leaves.values():
            self._submit(leaf, wanted.get(leaf.number))
        n_merges = 0
        while True:
            merged = self._merged(self._futures.values())
            try:
                result: LeafResult = wait_for(self._client, merged, on_look=self._look)
            except _HomesLost as lost:
                for number in lost.leaves:
                    self._submit(self._leaves[number], None)
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
                for number in result.missing:
                    self._submit(self._leaves[number], None)
            finally:
                merged.release()

    def _look(self, workers: Mapping[str, Any]) -> None:
        """Raise `_HomesLost` if a leaf waits for a worker that is gone."""
        lost = [
            number
            for number, worker in self._pinned.items()
            if worker not in workers and not self._futures[number].done()
        ]
        if lost:
            raise _HomesLost(lost)

    def _submit(self, leaf: Leaf, home: Home | None) -> None:
        """Run a leaf where its blocks are, and only there; or wherever Dask likes."""
        kept = home is not None and home.complete
        part = None if kept else self._parts[leaf.number]
        self._pinned.pop(leaf.number, None)
        workers = None
        if home is not None and part is None:
            # Dask would let idle workers steal the leaf, which costs them a read of the source
            workers = [home.worker]
            if kept:
                self._pinned[leaf.number] = home.worker
        future = self._task(leaf, part, workers, others=not kept)
        future.add_done_callback(lambda _: self._on_leaf())
        self._futures[leaf.number] = future

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

    def _merged(self, futures: Iterable[Future[Any]]) -> Future[Any]:
        merged: Future[Any] = tree(
            list(futures), lambda some: self._client.submit(merge_results, list(some), pure=False)
        )
        return merged

    def _suspects(self) -> list[int]:
        """Wait for all leaves; return those that were on workers that died."""
        while True:
            try:
                wait_until_over(self._client, self._futures.values(), self._look)
                break
            except _HomesLost as lost:
                for number in lost.leaves:
                    self._submit(self._leaves[number], None)
        return [number for number, future in self._futures.items() if future.status == "error"]

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
        self._futures[leaf.number] = self._client.submit(merge_results, results, pure=False)


def balanced(leaves: Sequence[Leaf], homes: Homes, workers: Mapping[str, Any]) -> dict[int, Home]:
    """Return where leaves should run: where they were, but for those that a newcomer takes over.

    A worker that was not there in the pass before gets its share, by threads, from the fullest
    ones, and reads the blocks once.
    """
    owner = leaves[0].owner
    wanted = {
        leaf.number: home
        for leaf in leaves
        if (home := homes.of_leaf.get((owner, leaf.number))) is not None and home.worker in workers
    }
    of_worker: dict[str, list[int]] = {worker: [] for worker in workers}
    for number, home in wanted.items():
        of_worker[home.worker].append(number)
    threads = {worker: int(what["nthreads"]) for worker, what in workers.items()}
    newcomers = set(workers) - homes.workers.get(owner, frozenset(workers))
    for worker in sorted(newcomers):
        share = len(wanted) * threads[worker] // sum(threads.values())
        while len(of_worker[worker]) < share:
            fullest = max(sorted(workers), key=lambda one: len(of_worker[one]) / threads[one])
            number = of_worker[fullest].pop()
            of_worker[worker].append(number)
            wanted[number] = Home(number, worker, complete=False)
    homes.workers[owner] = frozenset(workers)
    return wanted


class _HomesLost(Exception):
    """Workers that leaves are pinned to are gone."""

    def __init__(self, leaves: list[int]) -> None:
        super().__init__(leaves)
        self.leaves = leaves


def _same(value: Any) -> Any:
    return value
