"""Cut rows into blocks and blocks into leaves. A pure function of the data: never of the machine.

A block is what is decoded at a time; a leaf is what a task walks, and the unit of merging. Small
data get smaller blocks and leaves, so that a few workers have something to share.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK_BYTES = 32 * 2**20
LEAF_BLOCKS = 8
FAN_IN = 8
_STRIP_ROWS = 32
"""A multiple of the rows that kernels take at a time."""
_ENOUGH_BLOCKS = 16
"""Data are cut into about this many blocks if `BLOCK_BYTES` would give fewer."""
_ENOUGH_LEAVES = 64
"""Leaves hold less than `LEAF_BLOCKS` blocks until there are this many."""
_LEAST_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one row group."""

    row_group: int
    """Which of the planned row groups."""

    start: int
    """First row, counted from the beginning of the row group."""

    stop: int
    """Row after the last."""


@dataclass(frozen=True)
class Cutting:
    """What the user says of the size of blocks; None for a constant size."""

    block_bytes: int | None = None
    block_rows: int | None = None


def rows_per_block(
    n_rows: int, row_bytes: int, block_bytes: int | None, block_rows: int | None
) -> int:
    """Return how many rows a block holds: what the caller says, or a constant size."""
    if block_rows is not None:
        return block_rows
    if block_bytes is not None:
        return max(1, block_bytes // row_bytes)
    most = _well_apart(BLOCK_BYTES // row_bytes)
    share = max(-(-n_rows // _ENOUGH_BLOCKS), _LEAST_BLOCK_BYTES // row_bytes)
    return max(1, min(most, _well_apart(share + 2 * _STRIP_ROWS - 1)))


def _well_apart(n_rows: int) -> int:
    """Lower a number of rows, if it is large, to an odd multiple of `_STRIP_ROWS`.

    The features of a block lie one behind the other: if they began a power of two apart, they would
    compete for the same few places in the processor's caches. Sizes that the caller gives are kept,
    and so are row groups that are gathered whole.
    """
    n_strips = n_rows // _STRIP_ROWS
    return n_rows if n_strips < 2 else (n_strips - 1 + n_strips % 2) * _STRIP_ROWS


def cut_blocks(row_group_rows: Sequence[int], block_rows: int) -> list[tuple[Piece, ...]]:
    """Cut row groups into blocks of at most `block_rows` rows, in order.

    Small row groups are gathered whole; large ones are split evenly.
    """
    blocks: list[tuple[Piece, ...]] = []
    gathered: list[Piece] = []
    n_gathered = 0
    for number, n_rows in enumerate(row_group_rows):
        if n_gathered and n_gathered + n_rows > block_rows:
            blocks.append(tuple(gathered))
            gathered, n_gathered = [], 0
        if n_rows > block_rows:
            n_parts = -(-n_rows // block_rows)
            cuts = [n_rows * i // n_parts for i in range(n_parts + 1)]
            blocks += [(Piece(number, start, stop),) for start, stop in itertools.pairwise(cuts)]
        elif n_rows:
            gathered.append(Piece(number, 0, n_rows))
            n_gathered += n_rows
    if gathered:
        blocks.append(tuple(gathered))
    return blocks


def spread(n: int, share: float) -> list[int]:
    """Choose about a `share` of `n` things, at least one, evenly spread."""
    n_chosen = min(n, max(1, round(share * n)))
    return sorted({(2 * i + 1) * n // (2 * n_chosen) for i in range(n_chosen)})


def cut_leaves(blocks: Sequence[tuple[Piece, ...]]) -> list[range]:
    """Gather blocks, by their numbers, into leaves.

    The blocks of a row group stay in one leaf, so that a pass reads every row group once.
    """
    most = max(1, min(LEAF_BLOCKS, len(blocks) // _ENOUGH_LEAVES))
    leaves: list[range] = []
    start = 0
    for i in range(1, len(blocks) + 1):
        if i < len(blocks):
            same_row_group = blocks[i][0].row_group == blocks[i - 1][-1].row_group
            if i - start < most or same_row_group:
                continue
        leaves.append(range(start, i))
        start = i
    return leaves
