"""One pass on a Dask cluster: spans of leaves as tasks, run again until each has a result."""

import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from threading import RLock
from typing import Any

from dask._task_spec import Task, TaskRef, parse_input
from dask.base import annotate, is_dask_collection
from distributed import Client, Future, KilledWorker

from dkmeans.cluster.waiting import wait_for, wait_until_over, workers_of
from dkmeans.errors import ClusterLost
from dkmeans.rows.cluster_tasks import gather_alone, walk_leaf, walk_span
from dkmeans.rows.engine import OnLeaf, tree
from dkmeans.rows.homes import Homes, balanced
from dkmeans.rows.leaf import Home, Leaf, LeafResult, Pass
from dkmeans.rows.pass_tree import Node, Place
from dkmeans.rows.shared import Shared
from dkmeans.rows.spans import (
    FREE_TASKS,
    HOME_TASKS,
    cut_spans,
    most_leaves,
)
from dkmeans.rows.stretch import Lacking, Stretch, join

_MOST_MERGES = 5
"""How often merging may kill workers before that is what is wrong."""


class ClusterPass:
    """The tasks of one pass, as a tree: leaves walked by spans, and joined in order.

    Whatever is joined is let go of, so that workers hold little however many leaves there are.
    Should it be lost, what it was made of is made again, down to the leaves.

    Dask gives up on a task after it was on several workers that died, whether it was running there
    or waiting. Here such a task is only a suspect: when all others are done its leaves run again,
    alone and block by block, and a block that then kills its workers is named.
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
        self._leaves, self._parts = leaves, parts
        self._shared = Shared(client, shared)
        self._homes_wanted: dict[int, Home] = {}
        """Where leaves should run, but for those whose worker is gone, or lost their blocks."""

        self._n_slots = 1
        self._n_reported = 0
        self._root = Node()
        self._lock = RLock()
        """Held by who changes a future: children are let go of by another thread."""

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
            with self._lock:
                for node in self._root.walk():
                    node.release()
                self._shared.release()
        self._report(len(self._leaves))
        known = self._homes.of_leaf.setdefault(self._leaves[0].owner, {})
        for home, numbers in result.homes.items():
            known |= dict.fromkeys(numbers, home)
        return result

    def _result(self) -> LeafResult:
        workers = workers_of(self._client)
        self._n_slots = sum(int(worker["nthreads"]) for worker in workers.values())
        self._homes_wanted = balanced(self._leaves, self._homes, workers)
        tasks = self._cut(0, len(self._leaves))
        self._root = tasks[0] if len(tasks) == 1 else tree(tasks, Node.joining)
        n_merges = 0
        while True:
            with self._lock:
                self._submit()
                root = self._root.future
                assert root is not None
            try:
                found: Stretch | Lacking = wait_for(self._client, root, on_look=self._look)
            except _HomesLost as lost:
                self._run_anywhere(lost.leaves)
            except KilledWorker as error:
                n_merges += 1
                suspects = self._suspects()
                if not suspects and n_merges >= _MOST_MERGES:
                    raise ClusterLost(
                        f"merging what leaves contribute killed its workers ({error.task}); give "
                        "them more memory, or ask for fewer clusters."
                    ) from None
                for node in suspects:
                    self._run_alone(node)
                for node in self._root.walk():
                    if node.status == "error":
                        node.outdate()
            else:
                if isinstance(found, Stretch):
                    return found.whole
                self._run_anywhere(found.leaves)

    # what is where

    def _cut(self, first: int, stop: int) -> list[Node]:
        """Cut leaves into tasks by where they are to run."""
        places = [self._place(i) for i in range(first, stop)]
        spans = cut_spans(self._leaves, places, self._most, first)
        return [Node(span, places[span.first - first]) for span in spans]

    def _place(self, position: int) -> Place:
        """Where the blocks of a leaf are, and only there; or wherever Dask likes."""
        home = self._homes_wanted.get(self._leaves[position].number)
        kept = home is not None and home.complete
        if not kept and self._parts[position] is not None:
            return Place(sent=position)
        # Dask would let idle workers steal what is kept, which costs them a read of the source
        return Place() if home is None else Place(home.worker, only=kept)

    def _most(self, place: Place) -> int:
        if place.sent >= 0:
            return 1
        tasks = HOME_TASKS if place.only else FREE_TASKS
        return most_leaves(len(self._leaves), self._n_slots, tasks)

    def _run_anywhere(self, numbers: Iterable[int]) -> None:
        """Have leaves run again wherever Dask likes, and what is above them."""
        lost = set(numbers)
        for number in lost:
            self._homes_wanted.pop(number, None)
        with self._lock:
            for node in list(self._root.walk()):
                span = node.span
                if span is None or not any(leaf.number in lost for leaf in span.leaves):
                    continue
                self._root = node.replaced(self._cut(span.first, span.first + len(span.leaves)))

    # what runs

    def _submit(self) -> None:
        """Submit what has no future yet, and is needed: all in one graph, which is read once."""
        nodes = list(self._root.needed())
        graph: dict[str, Task] = {}
        keys: dict[Node, str] = {}
        workers: dict[str, list[str]] = {}
        others: dict[str, bool] = {}
        priority: dict[str, int] = {}
        for node in nodes:
            span, place = node.span, node.place
            if span is not None and place.sent >= 0:
                node.future = self._task(
                    walk_span, self._homes.pack(span), [self._sent(place.sent)]
                )
                continue
            key = f"dkmeans-{'join' if span is None else 'leaves'}-{uuid.uuid4().hex}"
            if span is None:
                found = [child.future or TaskRef(keys[child]) for child in node.children]
                graph[key] = Task(key, join, parse_input(found), len(self._leaves))
            else:
                graph[key] = Task(
                    key,
                    walk_span,
                    self._homes.pack(span),
                    self._shared.argument(place.may_move),
                    [],
                )
            keys[node] = key
            workers[key] = [place.worker] if place.worker else []
            others[key] = place.may_move
            # before spans that wait: what was found need not be held so long
            priority[key] = int(span is None)
        with (
            warnings.catch_warnings(),
            annotate(
                workers=workers.__getitem__,
                allow_other_workers=others.__getitem__,
                priority=priority.__getitem__,
            ),
        ):
            warnings.filterwarnings("ignore", "Sending large graph")
            futures = self._client.get(graph, list(graph), sync=False) if graph else []
        for node, future in zip(keys, futures, strict=True):
            node.future = future
        for node in nodes:
            assert node.future is not None
            if node.span is None:
                node.future.add_done_callback(partial(self._let_go, node))

    def _task(self, function: Any, what: Any, sent: Any) -> Future[Any]:
        key = f"dkmeans-leaves-{uuid.uuid4().hex}"
        return self._client.submit(function, what, self._shared.argument(), sent, key=key)

    def _sent(self, position: int) -> Any:
        part = self._parts[position]
        return self._client.compute(part) if is_dask_collection(part) else part

    def _let_go(self, node: Node, joined: Future[Any]) -> None:
        """Let workers forget what was joined; called by a thread of the client."""
        with self._lock:
            # where blocks are lacking the others need not run again
            if node.future is joined and joined.status == "finished" and joined.type is Stretch:
                for child in node.children:
                    child.release()

    # what goes wrong

    def _look(self, workers: Mapping[str, Any]) -> None:
        """Report progress; raise `_HomesLost` if a leaf waits for a worker that is gone."""
        with self._lock:
            waiting = [
                (node.place, node.span.leaves)
                for node in self._root.unfinished()
                if node.span is not None
            ]
        self._report(len(self._leaves) - sum(len(leaves) for _, leaves in waiting))
        lost = [
            leaf.number
            for place, leaves in waiting
            if place.only and place.worker not in workers
            for leaf in leaves
        ]
        if lost:
            raise _HomesLost(lost)

    def _report(self, n_done: int) -> None:
        """Say that so many leaves are done, now and then: each word of a future takes its time."""
        while self._n_reported < n_done:
            self._n_reported += 1
            self._on_leaf()

    def _suspects(self) -> list[Node]:
        """Wait for all that can be done; return the tasks that were on workers that died."""
        while True:
            with self._lock:
                self._submit()
                futures = [node.future for node in self._root.walk() if node.future is not None]
            try:
                wait_until_over(self._client, futures, self._look)
                break
            except _HomesLost as lost:
                self._run_anywhere(lost.leaves)
        return [node for node in self._root.walk() if node.span is not None and node.failed]

    def _run_alone(self, node: Node) -> None:
        """Run leaves again while nothing else runs, a block at a time; blame the one that kills."""
        span = node.span
        assert span is not None
        of_leaves: list[list[Future[Any]]] = []
        for position, leaf in enumerate(span.leaves, span.first):
            of_leaves.append([])
            for number in leaf.blocks:
                one = replace(leaf, blocks=(number,))
                of_leaves[-1].append(self._task(walk_leaf, one, self._sent(position)))
                try:
                    wait_for(self._client, of_leaves[-1][-1])
                except KilledWorker:
                    raise ClusterLost(
                        f"{leaf.source.describe(number)} kills every worker that reads it, also "
                        "when nothing else runs there; give the workers more memory, make "
                        "block_bytes smaller, or write the file with smaller row groups."
                    ) from None
        with self._lock:
            node.outdate()
            node.place = Place()
            node.future = self._client.submit(gather_alone, span, of_leaves, pure=False)


class _HomesLost(Exception):
    """Workers that leaves are to run on alone are gone."""

    def __init__(self, leaves: list[int]) -> None:
        super().__init__(leaves)
        self.leaves = leaves
