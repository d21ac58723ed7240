"""How many rows each block has: what numbers the rows of parts of unknown length."""

from dataclasses import dataclass
from typing import Self

from dkmeans.kernels.block import Block


@dataclass(frozen=True)
class RowCounts:
    """Rows of consecutive blocks. Merges in order only, which a pass does."""

    lengths: tuple[int, ...]
    """Stored rows of each block, dropped ones included."""

    n_rows: int
    """Rows of all blocks that are used."""

    @classmethod
    def from_block(cls, block: Block) -> Self:
        """Count the rows of one block."""
        return cls((block.n_source_rows,), block.n_rows)

    def merge(self, other: Self) -> Self:
        """Put the counts of the blocks after ours behind ours."""
        return type(self)(self.lengths + other.lengths, self.n_rows + other.n_rows)
