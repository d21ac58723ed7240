"""A partial that also tells how long its kernel ran: what is left of a pass is not the kernel's."""

import time
from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.partials.cluster_sums import ClusterSums


@dataclass(frozen=True, eq=False)
class TimedSums:
    """Sums of some rows, and seconds."""

    sums: ClusterSums
    seconds: float
    """Of the kernel, all blocks together."""

    @property
    def n_rows(self) -> int:
        """Rows counted."""
        return self.sums.n_rows

    @classmethod
    def from_block(cls, block: Block, centers: np.ndarray, origin: np.ndarray) -> Self:
        """Time the kernel on one block."""
        start = time.perf_counter()
        sums = ClusterSums.from_block(block, centers, origin)
        return cls(sums, time.perf_counter() - start)

    def merge(self, other: Self) -> Self:
        """Add up both."""
        return type(self)(self.sums.merge(other.sums), self.seconds + other.seconds)
