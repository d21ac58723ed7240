"""The task of a pass: walk the blocks of one leaf in order and merge what they contribute."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from dkmeans.cluster.preflight import versions_here
from dkmeans.errors import UnreadableFile, WorkersUnfit
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.partials.base import Partial, merge_all
from dkmeans.rows.requests import Request, State, States, evaluate
from dkmeans.rows.sample import Sample
from dkmeans.rows.store import BlockStore, Key, Place, hold_by, process_store

Stage = Literal["memory", "disk", "none"]
"""Where decoded blocks are kept between passes."""


@dataclass(frozen=True)
class ReadCost:
    """What reading a block took from the source."""

    n_bytes: int = 0
    n_requests: int = 0


class BlockReader(Protocol):
    """Reads blocks of one leaf from where they come from."""

    def read(self, number: int) -> tuple[Block, ReadCost]:
        """Return block `number`, and what it took from the source."""
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

    @property
    def first_blocks(self) -> tuple[int, ...]:
        """The blocks that reading the first one opens the source for; none where it is alone."""
        ...

    def describe(self, number: int) -> str:
        """Say what block `number` is, for a user who has to find it."""
        ...

    def open(self, part: Any, wanted: Sequence[int]) -> BlockReader | None:
        """Return a reader of the blocks `wanted`, to be asked for in this, ascending, order.

        `part` holds the data of sources that are computed or sent along; where such a source gets
        None, there is no reader, and the blocks must be in the store.
        """
        ...


class Step(Protocol):
    """Something that every row goes through as its block is read: filling, scaling."""

    @property
    def name(self) -> str:
        """Short, and equal for what does the same."""
        ...

    def transform(self, X: Array) -> Array:
        """Return the rows `(n_rows, n_features)` as the step makes them, feature-major."""
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

    stage: Stage
    """Where blocks are kept."""

    n_source_rows: int | None = None
    """Stored rows of its blocks; None where they are not counted yet."""

    first_row: int | None = None
    """Source row number of the first row of the leaf's one block, where its source cannot know
    it."""

    sample: Sample | None = None
    """Which rows to take; None for all."""

    @property
    def state_place(self) -> Place:
        """Where the states beside the blocks are kept: in memory only beside what lies there."""
        if self.stage == "none":
            return "disk" if self.first_row is None else "memory"
        return self.stage

    def taken(self, block: Block) -> Block:
        """Return a block as its source gives it with its row numbers, and the sample of it."""
        block = self.numbered(block)
        return block if self.sample is None else self.sample.of(block)

    def numbered(self, block: Block) -> Block:
        """Return a block with its row numbers, which it lacks if it was kept by the counting."""
        if self.first_row is None:
            return block
        return replace(block, ranges=((self.first_row, self.first_row + block.n_source_rows),))


@dataclass(frozen=True)
class Pass:
    """What is the same for all leaves of a pass."""

    requests: tuple[Request, ...]
    steps: tuple[Step, ...]
    """What every block goes through as it is read."""

    skips_bad_files: bool = False
    """Whether a file that cannot be read is reported rather than raised."""

    versions: tuple[str, ...] = field(default_factory=versions_here)
    """Of what computes the bits, in the process that asks."""

    lease: str = ""
    """Key that the scheduler knows as long as the client lives; empty on local schedulers."""


@dataclass(frozen=True)
class Home:
    """Where a leaf ran."""

    leaf: int
    worker: str
    """Its address; empty on local schedulers."""

    complete: bool
    """Whether all blocks of the leaf are kept there."""


@dataclass(frozen=True)
class LeafResult:
    """What leaves contribute to a pass."""

    partials: tuple[Partial, ...] = ()
    """One for each request; none if blocks were missing or bad."""

    n_rows: int = 0
    """Rows that were used."""

    n_source_rows: int = 0
    """Stored rows that were visited, dropped ones included."""

    n_missing_rows: int = 0
    """Rows dropped because a value is missing."""

    n_bytes: int = 0
    """Bytes read from the source."""

    n_requests: int = 0
    """Requests to the source's store."""

    n_unkept: int = 0
    """Blocks that should be kept and were not, for lack of room."""

    homes: tuple[Home, ...] = ()

    missing: tuple[int, ...] = ()
    """Leaves that lack blocks: neither in the store, nor sent along."""

    bad_files: tuple[tuple[str, str], ...] = ()
    """Files that cannot be read, each with the reason."""


def run_leaf(leaf: Leaf, shared: Pass, part: Any = None) -> LeafResult:
    """Answer all requests of a pass for the blocks of one leaf."""
    if shared.versions != (here := versions_here()):
        raise WorkersUnfit(
            f"worker {_worker()} has {' '.join(here)}, the client {' '.join(shared.versions)}; "
            "give both the same versions."
        )
    hold_by(shared.lease, leaf.owner)
    try:
        result = _walk(leaf, shared, part)
        # again, for what was stored may outlive a lease that was given up meanwhile
        hold_by(shared.lease, leaf.owner)
        return result
    except UnreadableFile as error:
        if not (shared.skips_bad_files and error.url):
            raise
        return LeafResult(bad_files=((error.url, str(error)),))


def _walk(leaf: Leaf, shared: Pass, part: Any) -> LeafResult:
    blocks = _Blocks(leaf, shared.steps, process_store())
    reader = leaf.source.open(part, [i for i in leaf.blocks if not blocks.has(i)])
    partials: list[Partial] = []
    n_rows = n_source_rows = n_missing_rows = 0
    with ExitStack() as held:
        held.enter_context(one_blas_thread())
        if reader is not None:
            held.callback(reader.close)
        for at, number in enumerate(leaf.blocks):
            if at + 1 < len(leaf.blocks):
                blocks.soon(leaf.blocks[at + 1])
            block = blocks.get(number, reader)
            if block is None:
                return LeafResult(missing=(leaf.number,))
            n_rows += block.n_rows
            n_source_rows += block.n_source_rows
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
    return LeafResult(
        tuple(partials),
        n_rows,
        n_source_rows,
        n_missing_rows,
        blocks.n_bytes,
        blocks.n_requests,
        blocks.n_unkept,
        (Home(leaf.number, _worker(), leaf.stage != "none" and not blocks.n_unkept),),
    )


def merge_results(results: Sequence[LeafResult]) -> LeafResult:
    """Merge what consecutive leaves contribute, in order."""
    missing = tuple(number for result in results for number in result.missing)
    bad_files = tuple(dict.fromkeys(file for result in results for file in result.bad_files))
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
        tuple(home for result in results for home in result.homes),
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
        if self._leaf.stage != "none" and not self._store.put(wanted, block, self._leaf.stage):
            self.n_unkept += 1
        return block

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
