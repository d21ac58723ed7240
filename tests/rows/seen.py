"""A partial that notes all it sees: row numbers, values, weights, and how they were cut."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Block


@dataclass(frozen=True, eq=False)
class Seen:
    row_numbers: np.ndarray
    X: np.ndarray
    weights: np.ndarray
    block_rows: tuple[int, ...]

    @classmethod
    def from_block(cls, block: Block) -> Self:
        return cls(block.row_numbers.copy(), block.X.copy(), block.weights.copy(), (block.n_rows,))

    @property
    def n_rows(self) -> int:
        return len(self.X)

    def merge(self, other: Self) -> Self:
        return type(self)(
            np.concatenate([self.row_numbers, other.row_numbers]),
            np.concatenate([self.X, other.X]),
            np.concatenate([self.weights, other.weights]),
            self.block_rows + other.block_rows,
        )


def see(rows) -> Seen:
    """Make one pass and return all that it saw."""
    return rows.reduce(Seen.from_block, kind="see")
