"""A leaf: consecutive blocks, where they come from, and what comes of walking them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from dkmeans.cluster.preflight import versions_here
from dkmeans.kernels.block import Array, Block
from dkmeans.partials.base import Partial
from dkmeans.rows.draw import Draw
from dkmeans.rows.requests import Request
from dkmeans.rows.sample import Sample
from dkmeans.rows.store import Place

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

    @property
    def first_bytes(self) -> int:
        """Stored bytes that reading the first block fetches; 0 where nothing is read."""
        ...

    def block_rows(self, number: int) -> int:
        """Return the stored rows of block `number`; 0 if that is not known."""
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

    draw: Draw | None = None
    """Which of these the step of a mini-batch uses; None for all."""

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
    """Where leaves ran."""

    worker: str
    """Its address; empty on local schedulers."""

    complete: bool
    """Whether all blocks of the leaves are kept there."""


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

    homes: Mapping[Home, tuple[int, ...]] = field(default_factory=dict)
    """The numbers of the leaves that ran at each."""

    missing: tuple[int, ...] = ()
    """Leaves that lack blocks: neither in the store, nor sent along."""

    bad_files: tuple[tuple[str, str], ...] = ()
    """Files that cannot be read, each with the reason."""
