"""All rows of a pass in one block, for algorithms that need them in one process."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block, Labels


@dataclass(frozen=True, eq=False)
class Gathered:
    """Blocks, in order. Merges in order only, which a pass does."""

    blocks: tuple[Block, ...]

    @classmethod
    def from_block(cls, block: Block) -> Self:
        """Take one block."""
        return cls((block,))

    @property
    def n_rows(self) -> int:
        """Rows of all blocks."""
        return sum(block.n_rows for block in self.blocks)

    def merge(self, other: Self) -> Self:
        """Put the blocks after ours behind ours."""
        return type(self)(self.blocks + other.blocks)

    def block(self) -> Block:
        """Join the blocks into one."""
        X = np.empty((self.n_rows, self.blocks[0].n_features), self.blocks[0].X.dtype, order="F")
        first = 0
        for block in self.blocks:
            X[first : first + block.n_rows] = block.X
            first += block.n_rows
        kept: Array | None = None
        if any(block.kept is not None for block in self.blocks):
            kept = np.concatenate(
                [
                    np.ones(block.n_source_rows, bool) if block.kept is None else block.kept
                    for block in self.blocks
                ]
            )
        weight: Array | None = None
        if any(block.weight is not None for block in self.blocks):
            weight = np.concatenate([block.weights for block in self.blocks])
        labels = zip(*(block.labels for block in self.blocks), strict=True)
        return Block(
            X,
            sum((block.ranges for block in self.blocks), ()),
            weight,
            kept,
            labels=tuple(map(Labels.joined, labels)),
        )
