"""The task of a pass: walk the blocks of one leaf in order and merge what they contribute."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dkmeans.kernels.block import Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.scaling import Scaling
from dkmeans.partials.base import Partial, merge_all
from dkmeans.rows.requests import Request, State, States, evaluate
from dkmeans.rows.store import BlockStore, process_store


class BlockReader(Protocol):
    """Reads blocks of one leaf from where they come from."""

    def read(self, number: int) -> tuple[Block, int]:
        """Return block `number` and the bytes read from the source for it."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Source(Protocol):
    """Where the blocks of one leaf come from. Travels to a worker; opens nothing until asked."""

    @property
    def most_block_rows(self) -> int:
        """Stored rows of the largest block; 0 if that is not known."""
        ...

    def open(self, part: Any) -> BlockReader | None:
        """Return a reader of the blocks of the leaf, to be asked for them in ascending order.

        `part` holds the data of sources that are computed or sent along; where such a source gets
        None, there is no reader, and the blocks must be in the store.
        """
        ...


@dataclass(frozen=True)
class Leaf:
    """Consecutive blocks that one task walks."""

    owner: str
    """Names the rows: the first part of every key in the block store."""

    number: int
    """Its place among the leaves."""

    blocks: tuple[int, ...]
    """Numbers of its blocks."""

    source: Source
    """Where the blocks come from."""

    staged: bool
    """Whether blocks are kept in the store."""

    first_row: int | None = None
    """Source row number of the first row of the leaf's one block, where its source cannot know
    it."""

    def numbered(self, block: Block) -> Block:
        """Return a block of ours with its source row numbers."""
        if self.first_row is None:
            return block
        return replace(block, ranges=((self.first_row, self.first_row + block.n_source_rows),))


@dataclass(frozen=True)
class Pass:
    """What is the same for all leaves of a pass."""

    requests: tuple[Request, ...]
    scaling: Scaling | None
    """Applied to every block as it is read."""


@dataclass(frozen=True)
class LeafResult:
    """What leaves contribute to a pass."""

    partials: tuple[Partial, ...]
    """One for each request; none if blocks were missing."""

    n_rows: int
    """Rows that passed the filters."""

    n_source_rows: int
    """Stored rows that were visited, dropped ones included."""

    n_bytes: int
    """Bytes read from the source."""

    homes: tuple[tuple[int, str], ...]
    """Which worker each leaf ran on."""

    missing: tuple[int, ...] = ()
    """Leaves that lack blocks: neither in the store, nor sent along."""


def run_leaf(leaf: Leaf, shared: Pass, part: Any = None) -> LeafResult:
    """Answer all requests of a pass for the blocks of one leaf."""
    store = process_store()
    reader = leaf.source.open(part)
    partials: list[Partial] = []
    n_rows = n_source_rows = n_bytes = 0
    with ExitStack() as held:
        held.enter_context(one_blas_thread())
        if reader is not None:
            held.callback(reader.close)
        for number in leaf.blocks:
            found = _block(leaf, number, shared, reader, store)
            if found is None:
                return LeafResult((), 0, 0, n_bytes, (), (leaf.number,))
            block, n_read = leaf.numbered(found[0]), found[1]
            n_bytes += n_read
            n_rows += block.n_rows
            n_source_rows += block.n_source_rows
            states = _StoredStates(store, leaf.owner, number)
            answers = [evaluate(request, block, states) for request in shared.requests]
            partials = (
                [so_far.merge(answer) for so_far, answer in zip(partials, answers, strict=True)]
                if partials
                else answers
            )
    return LeafResult(tuple(partials), n_rows, n_source_rows, n_bytes, ((leaf.number, _worker()),))


def merge_results(results: Sequence[LeafResult]) -> LeafResult:
    """Merge what consecutive leaves contribute, in order."""
    missing = tuple(number for result in results for number in result.missing)
    partials = (
        ()
        if missing
        else tuple(map(merge_all, zip(*(result.partials for result in results), strict=True)))
    )
    return LeafResult(
        partials,
        sum(result.n_rows for result in results),
        sum(result.n_source_rows for result in results),
        sum(result.n_bytes for result in results),
        tuple(home for result in results for home in result.homes),
        missing,
    )


def _worker() -> str:
    """The address of the Dask worker that runs this task; empty on local schedulers."""
    from distributed.worker import get_worker

    try:
        return str(get_worker().address)
    except ValueError:
        return ""


def _block(
    leaf: Leaf, number: int, shared: Pass, reader: BlockReader | None, store: BlockStore
) -> tuple[Block, int] | None:
    """The block as this pass wants it, and the bytes read for it; None if it is nowhere."""
    scaling_name = "" if shared.scaling is None else shared.scaling.name
    wanted = (leaf.owner, "block", scaling_name, number)
    block: Block | None = store.get(wanted)
    if block is not None:
        return block, 0
    n_bytes = 0
    if shared.scaling is not None:
        # kept as given by the pass that found the scaling: from now on it is wanted scaled
        block = store.pop((leaf.owner, "block", "", number))
    if block is None:
        if reader is None:
            return None
        block, n_bytes = reader.read(number)
    if shared.scaling is not None:
        block = replace(block, X=shared.scaling.transform(block.X))
    if leaf.staged:
        store.put(wanted, block, block.n_bytes)
    return block, n_bytes


class _StoredStates(States):
    """States of one block in the block store."""

    def __init__(self, store: BlockStore, owner: str, block: int) -> None:
        self._store, self._owner, self._block = store, owner, block

    def latest(self, name: str, number: int) -> tuple[State | None, int]:
        state = self._store.get((self._owner, name, self._block, number))
        return (None, 0) if state is None else (state, number)

    def keep(self, name: str, number: int, state: State) -> None:
        self._store.put((self._owner, name, self._block, number), state, _n_bytes(state))
        self._store.pop((self._owner, name, self._block, number - 2))

    def drop(self, name: str, number: int) -> None:
        for before in (number - 1, number - 2):
            self._store.pop((self._owner, name, self._block, before))


def _n_bytes(state: State) -> int:
    if isinstance(state, tuple):
        return sum(_n_bytes(part) for part in state)
    return int(state.nbytes)
