"""The task of a pass: walk the blocks of one leaf in order and merge what they contribute."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from dkmeans.cluster.preflight import versions_here
from dkmeans.errors import DkmeansError, UnreadableFile, WorkersUnfit
from dkmeans.kernels.block import Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.base import Partial, merge_all
from dkmeans.rows.leaf import BlockReader, Home, Leaf, LeafResult, Pass, Step
from dkmeans.rows.requests import State, States, evaluate
from dkmeans.rows.store import BlockStore, Key, Place, hold_by, process_store


def run_leaf(leaf: Leaf, shared: Pass, part: Any = None, then: Leaf | None = None) -> LeafResult:
    """Answer all requests of a pass for the blocks of one leaf; `then` is walked after it."""
    if shared.versions != (here := versions_here()):
        raise WorkersUnfit(
            f"worker {_worker()} has {' '.join(here)}, the client {' '.join(shared.versions)}; "
            "give both the same versions."
        )
    hold_by(shared.lease, leaf.owner)
    try:
        result = _walk(leaf, shared, part, then)
        # again, for what was stored may outlive a lease that was given up meanwhile
        hold_by(shared.lease, leaf.owner)
        return result
    except UnreadableFile as error:
        if not (shared.skips_bad_files and error.url):
            raise
        return LeafResult(bad_files=((error.url, str(error)),))


def _walk(leaf: Leaf, shared: Pass, part: Any, then: Leaf | None) -> LeafResult:
    blocks = _Blocks(leaf, shared.steps, process_store())
    unread = [i for i in leaf.blocks if not blocks.has(i)]
    if unread and leaf.draw is not None:
        unread = [i for i in leaf.draw.siblings if not blocks.has(i)]
    reader = leaf.source.open(part, unread)
    partials: list[Partial] = []
    n_rows = n_source_rows = n_missing_rows = 0
    wanted = sorted({*leaf.blocks, *unread})
    with ExitStack() as held:
        held.enter_context(one_blas_thread())
        if reader is not None:
            held.callback(reader.close)
        for at, number in enumerate(wanted):
            if at + 1 < len(wanted):
                blocks.soon(wanted[at + 1])
            elif then is not None:
                _Blocks(then, shared.steps, process_store()).soon(then.blocks[0])
            block = blocks.get(number, reader)
            if block is None:
                return LeafResult(missing=(leaf.number,))
            if block.n_rows != (block.n_source_rows if block.kept is None else block.kept.sum()):
                raise DkmeansError(
                    f"{leaf.source.describe(number)} has {block.n_rows} rows in memory; this is a "
                    "fault of dkmeans or of the machine, run again."
                )
            if number not in leaf.blocks:
                del block
                continue
            n_drawn = block.n_source_rows
            if leaf.draw is not None:
                n_drawn = leaf.draw.n_source_rows(number)
                block = leaf.draw.of(block, number)
            n_rows += block.n_rows
            n_source_rows += n_drawn
            n_missing_rows += block.n_missing_rows
            answers = [
                evaluate(request, block, blocks.states(number)) for request in shared.requests
            ]
            # a block that is mapped or decoded for us alone goes before the next one comes
            del block
            partials = (
                [so_far.merge(answer) for so_far, answer in zip(partials, answers, strict=True)]
                if partials
                else answers
            )
    complete = blocks.place is not None and not blocks.n_unkept
    if leaf.draw is not None and leaf.draw.ends and leaf.stage == "none":
        complete = False
        for number in leaf.draw.siblings:
            blocks.forget(number)
    return LeafResult(
        tuple(partials),
        n_rows,
        n_source_rows,
        n_missing_rows,
        blocks.n_bytes,
        blocks.n_requests,
        blocks.n_unkept,
        {Home(_worker(), complete): (leaf.number,)},
    )


def merge_results(results: Sequence[LeafResult]) -> LeafResult:
    """Merge what consecutive leaves contribute, in order."""
    missing = tuple(number for result in results for number in result.missing)
    bad_files = tuple(dict.fromkeys(file for result in results for file in result.bad_files))
    homes: dict[Home, tuple[int, ...]] = {}
    for result in results:
        for home, leaves in result.homes.items():
            homes[home] = homes.get(home, ()) + leaves
    partials: tuple[Partial, ...] = ()
    if not missing and not bad_files:
        partials = tuple(map(merge_all, zip(*(one.partials for one in results), strict=True)))
    return LeafResult(
        partials,
        sum(result.n_rows for result in results),
        sum(result.n_source_rows for result in results),
        sum(result.n_missing_rows for result in results),
        sum(result.n_bytes for result in results),
        sum(result.n_requests for result in results),
        sum(result.n_unkept for result in results),
        homes,
        missing,
        bad_files,
    )


def _worker() -> str:
    """The address of the Dask worker that runs this task; empty on local schedulers."""
    from distributed.worker import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""


class _Blocks:
    """The blocks of one leaf as a pass wants them, from the store or from their source."""

    def __init__(self, leaf: Leaf, steps: tuple[Step, ...], store: BlockStore) -> None:
        self._leaf, self._steps, self._store = leaf, steps, store
        self.place: Place | None = None if leaf.stage == "none" else leaf.stage
        if leaf.draw is not None:
            # steps come back to a block until all of its rows are drawn
            self.place = leaf.state_place
        self.n_bytes = self.n_requests = self.n_unkept = 0

    def has(self, number: int) -> bool:
        """Whether the block is in the store, at whatever step."""
        return any(self._store.has(key) for key in self._keys(number))

    def soon(self, number: int) -> None:
        """Have a block that is on the disk read ahead."""
        self._store.soon(self._keys(number)[-1])

    def get(self, number: int, reader: BlockReader | None) -> Block | None:
        """Return a block; None if it is nowhere."""
        *earlier, wanted = self._keys(number)
        block: Block | None = self._store.get(wanted)
        if block is not None:
            return self._leaf.numbered(block)
        n_done = 0
        for n_done in range(len(earlier) - 1, -1, -1):
            # kept by a pass that had not found all steps yet: from now on it is wanted after them
            block = self._store.pop(earlier[n_done])
            if block is not None:
                break
        if block is None:
            n_done = 0
            if reader is None:
                return None
            block, cost = reader.read(number)
            block = self._leaf.taken(block)
            self.n_bytes += cost.n_bytes
            self.n_requests += cost.n_requests
        block = self._leaf.numbered(block)
        for step in self._steps[n_done:]:
            block = replace(block, X=step.transform(block.X))
        if self.place is not None and not self._store.put(wanted, block, self.place):
            self.n_unkept += 1
        return block

    def forget(self, number: int) -> None:
        """Keep a block no longer."""
        self._store.forget(self._keys(number)[-1])

    def states(self, number: int) -> States:
        """Return the states beside a block."""
        return _StoredStates(self._store, self._leaf.owner, number, self._leaf.state_place)

    def _keys(self, number: int) -> list[Key]:
        """Where the block is kept before any step, after the first one, ..., after all."""
        names = [step.name for step in self._steps]
        return [
            (self._leaf.owner, "block", "/".join(names[:n]), number) for n in range(len(names) + 1)
        ]


class _StoredStates(States):
    """States of one block in the block store."""

    def __init__(self, store: BlockStore, owner: str, block: int, place: Place) -> None:
        self._store, self._owner, self._block, self._place = store, owner, block, place

    def latest(self, name: str, number: int) -> tuple[State | None, int]:
        state = self._store.get((self._owner, name, self._block, number))
        return (None, 0) if state is None else (state, number)

    def keep(self, name: str, number: int, state: State) -> None:
        # a repeated task finds the state before gone, and computes it again
        self.drop(name, number)
        self._store.put((self._owner, name, self._block, number), state, self._place)

    def drop(self, name: str, number: int) -> None:
        self._store.forget((self._owner, name, self._block, number - 1))
