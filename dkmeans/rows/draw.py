"""What the step of a mini-batch draws from the blocks of one leaf."""

from dataclasses import dataclass

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.kernels.draws import permuted


@dataclass(frozen=True)
class Draw:
    """Some rows of some blocks: positions in a permutation of the source rows of each.

    The rows belong to the source, so that a step takes the same ones wherever it runs, and whatever
    a filter drops.
    """

    seed: int
    epoch: int
    spans: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    """Numbers of blocks, ascending, each with half-open ranges of positions."""

    siblings: tuple[int, ...]
    """All blocks of the leaf, which are read together so that the source is read once."""

    ends: bool
    """Whether the epoch needs no more rows of the leaf after this step."""

    def n_source_rows(self, number: int) -> int:
        """Stored rows that are drawn from a block, those that a filter drops included."""
        return sum(stop - start for start, stop in dict(self.spans)[number])

    def of(self, block: Block, number: int) -> Block:
        """Return the rows that are drawn from block `number`, in stored order."""
        n_rows, first_row = block.n_source_rows, block.ranges[0][0]
        taken = np.zeros(n_rows, bool)
        for start, stop in dict(self.spans)[number]:
            where = permuted(start, stop, n_rows, self.seed, "mini-batch", self.epoch, first_row)
            taken[where] = True
        among = np.flatnonzero(taken if block.kept is None else taken[block.kept])
        return block.only(among, taken if block.kept is None else taken & block.kept)
