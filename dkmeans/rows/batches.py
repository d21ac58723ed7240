"""Mini-batches: an epoch visits every row once, a few from several blocks at a step."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import DkmeansError
from dkmeans.kernels.draws import generator
from dkmeans.rows.draw import Draw
from dkmeans.rows.leaf import Leaf, LeafResult, Pass
from dkmeans.rows.passes import leave_out, skips_bad_files
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows

OPEN_LEAVES = 8
"""How many leaves are open for each block that a step draws from. Of data that are stored in some
order, the steps see that many places at a time."""


@dataclass(frozen=True)
class Batching:
    """How an epoch is cut into steps."""

    batch_rows: int
    """Stored rows of a step."""

    n_slots: int
    """Blocks that a step draws from; more where they are small."""

    seed: int


@dataclass(frozen=True)
class _Visit:
    """Some rows of one block that are drawn together."""

    leaf: int
    block: int
    start: int
    stop: int


class Epoch:
    """The steps of an epoch, from one of them on. Iterating begins a pass."""

    def __init__(
        self,
        rows: "Rows",
        batching: Batching,
        number: int,
        first_step: int,
        cost: Mapping[str, Any],
    ) -> None:
        self._rows, self._batching, self._number = rows, batching, number
        self._first_step = first_step
        nothing = {"kind": f"epoch {number}", "seconds": 0.0, "rows_read": 0, "bytes_read": 0}
        self.record: dict[str, Any] = {**nothing, **cost}
        """What the steps so far have cost, as of a pass."""

    def __iter__(self) -> Iterator["Batch"]:
        rows, known = self._rows, self._rows.known
        known.check_budget()
        if self._first_step == 0:
            known.n_passes += 1
        reporter().began(self.record["kind"], len(rows.layout.leaves))
        start = time.perf_counter() - self.record["seconds"]
        n_rows = 0
        for step, batch in enumerate(self._batches()):
            n_rows += batch.n_source_rows
            if step < self._first_step:
                continue
            if known.budget is not None:
                known.budget.check_deadline()
            yield batch
            self.record["seconds"] = known.pass_seconds = time.perf_counter() - start
            for leaf in batch.leaves:
                if leaf.draw is not None and leaf.draw.ends:
                    reporter().leaf_done()
        planned = sum(leaf.n_source_rows or 0 for leaf in rows.layout.leaves)
        if n_rows != planned:
            raise DkmeansError(
                f"an epoch drew {n_rows} rows where {planned} are planned; this is a fault of "
                "dkmeans, please report it."
            )

    def _batches(self) -> Iterator["Batch"]:
        layout, batching = self._rows.layout, self._batching
        for visits in _visits(layout.leaves, batching, self._number):
            spans: dict[int, dict[int, list[tuple[int, int]]]] = {}
            ends: dict[int, bool] = {}
            for visit, is_last in visits:
                of_block = spans.setdefault(visit.leaf, {})
                of_block.setdefault(visit.block, []).append((visit.start, visit.stop))
                ends[visit.leaf] = is_last
            leaves = tuple(
                _drawn(layout.leaves[i], batching.seed, self._number, of_leaf, ends[i])
                for i, of_leaf in spans.items()
            )
            yield Batch(self._rows, leaves, tuple(layout.parts[i] for i in spans), self.record)


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows of one step."""

    rows: "Rows"
    leaves: tuple[Leaf, ...]
    parts: tuple[Any, ...]
    record: dict[str, Any]
    """Gets what the step costs, added."""

    @property
    def n_source_rows(self) -> int:
        """Stored rows of the step, those that a filter drops included."""
        return sum(_n_drawn(leaf) for leaf in self.leaves)

    def reduce(self, from_block: Callable[..., Any], *broadcast: Any) -> Any:
        """Merge `from_block(block, *broadcast)` of the rows of every block.

        Raises
        ------
        RowsChanged
            If files had to be left out: what was computed before must be computed again.
        """
        rows = self.rows
        request = Reduce("step", from_block, broadcast)
        shared = Pass((request,), rows.steps, skips_bad_files(rows))
        result: LeafResult = rows.engine.run(self.leaves, self.parts, shared, _nothing)
        rows.known.count_reading(result)
        rows.known.tell_unkept(result)
        self.record["rows_read"] += result.n_source_rows
        self.record["bytes_read"] += result.n_bytes
        leave_out(rows, result)
        return result.partials[0]


def _nothing() -> None:
    """A leaf is over for this step."""


def _n_drawn(leaf: Leaf) -> int:
    return 0 if leaf.draw is None else sum(map(leaf.draw.n_source_rows, leaf.blocks))


def _drawn(
    leaf: Leaf, seed: int, epoch: int, spans: dict[int, list[tuple[int, int]]], ends: bool
) -> Leaf:
    ordered = tuple((block, tuple(spans[block])) for block in sorted(spans))
    draw = Draw(seed, epoch, ordered, leaf.blocks, ends)
    return replace(leaf, blocks=tuple(sorted(spans)), draw=draw)


def _visits(
    leaves: Sequence[Leaf], batching: Batching, epoch: int
) -> Iterator[list[tuple[_Visit, bool]]]:
    """Yield what each step visits, each visit with whether it is the last one of its leaf.

    Leaves are opened in random order, and a step draws its visits at random among those of all open
    leaves. Where blocks are smaller than a slot, a step visits more of them.
    """
    random = generator(batching.seed, "mini-batch order", epoch)
    slot_rows = -(-batching.batch_rows // batching.n_slots)
    unopened = random.permutation(len(leaves)).tolist()
    pool: list[_Visit] = []
    left: dict[int, int] = {}

    def open_next() -> None:
        i = unopened.pop()
        visits = [
            visit for block in leaves[i].blocks for visit in _cut(leaves[i], i, block, slot_rows)
        ]
        pool.extend(visits)
        left[i] = len(visits)

    while pool or unopened:
        step: list[tuple[_Visit, bool]] = []
        n_rows = 0
        # a step ends where it is nearest to the size of a batch
        while n_rows + slot_rows // 2 < batching.batch_rows or not step:
            while unopened and len(left) < OPEN_LEAVES * batching.n_slots:
                open_next()
            if not pool:
                break
            at = int(random.integers(len(pool)))
            pool[at], pool[-1] = pool[-1], pool[at]
            visit = pool.pop()
            left[visit.leaf] -= 1
            step.append((visit, left[visit.leaf] == 0))
            if left[visit.leaf] == 0:
                del left[visit.leaf]
            n_rows += visit.stop - visit.start
        if step:
            yield step


def _cut(leaf: Leaf, i: int, block: int, slot_rows: int) -> list[_Visit]:
    """Cut a block into visits of nearly equal size, at most `slot_rows`."""
    n_rows = leaf.source.block_rows(block)
    n_visits = max(1, -(-n_rows // slot_rows))
    cuts = np.linspace(0, n_rows, n_visits + 1).astype(int).tolist()
    return [_Visit(i, block, a, b) for a, b in itertools.pairwise(cuts)]
