"""The leaves of some rows, and the data to send along with each."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dkmeans.rows.inputs import Parts
from dkmeans.rows.layout import cut_blocks, cut_leaves
from dkmeans.rows.leaf import Leaf
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.parquet_source import GroupPiece, ParquetSource


@dataclass(frozen=True)
class Leaves:
    """What a pass walks."""

    leaves: tuple[Leaf, ...]
    parts: tuple[Any, ...]
    n_rows: int | None
    """Source rows; None where they are not counted yet."""


def parquet_leaves(plan: ParquetPlan, block_rows: int, staged: bool) -> Leaves:
    """Cut the row groups of a plan into leaves of blocks of at most `block_rows` rows."""
    blocks = cut_blocks([group.n_rows for group in plan.row_groups], block_rows)
    owner = f"{plan.fingerprint}-{uuid.uuid4().hex[:8]}"
    leaves = []
    for number, members in enumerate(cut_leaves(blocks)):
        pieces = [
            (
                i,
                tuple(
                    GroupPiece(plan.row_groups[piece.row_group], piece.start, piece.stop)
                    for piece in blocks[i]
                ),
            )
            for i in members
        ]
        source = ParquetSource.of(plan, pieces)
        leaves.append(Leaf(owner, number, tuple(members), source, staged))
    return Leaves(tuple(leaves), (None,) * len(leaves), plan.n_rows)


def part_leaves(parts: Parts, staged: bool) -> Leaves:
    """Make each part a block and a leaf."""
    owner = f"parts-{uuid.uuid4().hex}"
    leaves = tuple(
        Leaf(owner, number, (number,), source, staged)
        for number, source in enumerate(parts.sources)
    )
    layout = Leaves(leaves, parts.parts, None)
    return layout if parts.lengths is None else numbered(layout, parts.lengths)


def numbered(layout: Leaves, lengths: Sequence[int]) -> Leaves:
    """Number the rows of leaves of one block each, whose lengths are known."""
    first_rows = np.concatenate([[0], np.cumsum(lengths)])
    return Leaves(
        tuple(
            replace(
                leaf,
                first_row=int(first),
                source=replace(leaf.source, most_block_rows=int(n_rows)),  # type: ignore[type-var]
            )
            for leaf, first, n_rows in zip(layout.leaves, first_rows, lengths, strict=False)
        ),
        layout.parts,
        int(first_rows[-1]),
    )
