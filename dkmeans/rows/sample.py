"""A sample of rows by their numbers: the same rows, however they are cut and wherever they lie."""

from dataclasses import dataclass

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.kernels.draws import uniforms


@dataclass(frozen=True)
class Sample:
    """Each source row is taken with the same probability."""

    share: float
    """The probability."""

    seed: int

    def of(self, block: Block) -> Block:
        """Return the rows of a block that are taken."""
        drawn = [uniforms(first, stop, self.seed, "sample") for first, stop in block.ranges]
        taken = (np.concatenate(drawn) if drawn else np.empty(0)) < self.share
        among = np.flatnonzero(taken if block.kept is None else taken[block.kept])
        return block.only(among, taken if block.kept is None else taken & block.kept)
