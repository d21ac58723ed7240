"""The leaves of some rows, and the data to send along with each."""

import hashlib
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from dkmeans.kernels.block import Array
from dkmeans.rows.inputs import Parts
from dkmeans.rows.layout import Cutting, cut_blocks, cut_leaves, rows_per_block
from dkmeans.rows.leaf import Leaf, Stage
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.parquet_source import GroupPiece, ParquetSource
from dkmeans.rows.sample import Sample


@dataclass(frozen=True)
class Leaves:
    """What a pass walks."""

    leaves: tuple[Leaf, ...]
    parts: tuple[Any, ...]
    n_rows: int | None
    """Source rows; None where they are not counted yet."""

    def identity(self) -> dict[str, Any]:
        """Return what names parts, as plain values: their number, and the content of arrays.

        Labels that come along name nothing: no fit looks at them.
        """
        arrays = [
            array
            for part in self.parts
            for array in (part if isinstance(part, tuple) else ())
            if isinstance(array, np.ndarray)
        ]
        digest = hashlib.sha256()
        with ThreadPoolExecutor(CPU_COUNT) as pool:
            for of_array in pool.map(_digest, arrays):
                digest.update(of_array)
        return {"parts": len(self.parts), "content": digest.hexdigest()}


def _digest(array: Array) -> bytes:
    values = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.sha256(values.data).digest()


def parquet_leaves(
    plan: ParquetPlan, cutting: Cutting, stage: Stage, sample: Sample | None = None
) -> Leaves:
    """Cut the row groups of a plan into blocks, and these into leaves."""
    lengths = [group.n_rows for group in plan.row_groups]
    step = rows_per_block(sum(lengths), plan.row_bytes, cutting.block_bytes, cutting.block_rows)
    blocks = cut_blocks(lengths, step)
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
        leaves.append(
            Leaf(owner, number, tuple(members), source, stage, source.n_rows, None, sample)
        )
    return Leaves(tuple(leaves), (None,) * len(leaves), plan.n_rows)


def part_leaves(parts: Parts, stage: Stage) -> Leaves:
    """Make each part a block and a leaf."""
    owner = f"parts-{uuid.uuid4().hex}"
    leaves = tuple(
        Leaf(owner, number, (number,), source, stage) for number, source in enumerate(parts.sources)
    )
    layout = Leaves(leaves, parts.parts, None)
    return layout if parts.lengths is None else numbered(layout, parts.lengths)


def sampled_leaves(layout: Leaves, sample: Sample, chosen: Sequence[int]) -> Leaves:
    """Return some of the leaves, with a sample of their rows, under an owner of their own."""
    owner = f"sample-{uuid.uuid4().hex}"
    return Leaves(
        tuple(replace(layout.leaves[i], owner=owner, sample=sample) for i in chosen),
        tuple(layout.parts[i] for i in chosen),
        layout.n_rows,
    )


def numbered(layout: Leaves, lengths: Sequence[int]) -> Leaves:
    """Number the rows of leaves of one block each, whose lengths are known."""
    first_rows = np.concatenate([[0], np.cumsum(lengths)])
    return Leaves(
        tuple(
            replace(
                leaf,
                first_row=int(first),
                n_source_rows=int(n_rows),
                source=replace(leaf.source, most_block_rows=int(n_rows)),  # type: ignore[type-var]
            )
            for leaf, first, n_rows in zip(layout.leaves, first_rows, lengths, strict=False)
        ),
        layout.parts,
        int(first_rows[-1]),
    )
