"""A few rows, spread over the data, to look at before the first pass; the same however it is cut.

Of Parquet these come from whole row groups, which have to be read; of what lies in memory, from all
rows; of what Dask has to compute, from stretches.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.layout import spread
from dkmeans.rows.leaf import Leaf, Pass
from dkmeans.rows.leaves import parquet_leaves
from dkmeans.rows.parquet_source import ParquetSource
from dkmeans.rows.passes import leave_out, skips_bad_files
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows

PILOT_SHARE = 0.01
"""Of the row groups, or of the rows that Dask has to compute."""

_STRETCHES = 16
_WIDER = 8
"""How many times as much is looked at where nothing was found."""

_Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of source row numbers, ascending."""


@dataclass(frozen=True, eq=False)
class PilotRows:
    """Some rows, and how many all may be."""

    X: Array
    """`(n_rows, n_features)`, feature-major, in the order of row numbers."""

    expanded: Array
    """`(n_rows,)` float64: the weight of all rows that each stands for, by and large."""

    record: dict[str, Any]
    """What looking took: kind, seconds, rows_read, bytes_read."""


def pilot_rows(rows: "Rows", size: int, seed: int) -> PilotRows:
    """See `Rows.pilot`."""
    while True:
        with suppress(RowsChanged):
            return _pilot_rows(rows, size, seed)


def pilot_cost(rows: "Rows") -> tuple[int, int]:
    """Return the bytes and requests that `pilot_rows` takes of Parquet that is not kept.

    It takes more where a filter leaves none of the rows that it looks at.
    """
    if rows.parquet is None:
        return 0, 0
    groups = rows.parquet.row_groups
    chosen = [groups[i] for i in spread(len(groups), PILOT_SHARE)]
    return sum(group.n_bytes for group in chosen), sum(group.n_requests for group in chosen)


def _pilot_rows(rows: "Rows", size: int, seed: int) -> PilotRows:
    rows.prepare()
    known = rows.known
    start, rows_before, bytes_before = time.perf_counter(), known.rows_read, known.bytes_read
    share = PILOT_SHARE
    while True:
        ranges = _ranges(rows, share)
        sample = _sample_of(rows, ranges, size, seed)
        n_looked_at = sum(stop - first for first, stop in ranges)
        if sample.total > 0 or n_looked_at >= (rows.n_source_rows or 0):
            break
        # filters may leave nothing here, and much elsewhere
        share = min(1.0, _WIDER * share)
    order = np.argsort(sample.row_numbers)
    stands_for = sample.expanded_weight * ((rows.n_source_rows or 0) / max(1, n_looked_at))
    record = {
        "kind": "pilot",
        "seconds": time.perf_counter() - start,
        "rows_read": known.rows_read - rows_before,
        "bytes_read": known.bytes_read - bytes_before,
    }
    reporter().ended(record, is_pass=False)
    return PilotRows(np.asfortranarray(sample.X[order]), stands_for[order], record)


def _ranges(rows: "Rows", share: float) -> _Ranges:
    """Return the source rows that are looked at."""
    if rows.parquet is not None:
        groups = rows.parquet.row_groups
        chosen = [groups[i] for i in spread(len(groups), share)]
        return tuple((group.first_row, group.first_row + group.n_rows) for group in chosen)
    n = rows.n_source_rows or 0
    if all(isinstance(part, tuple) for part in rows.layout.parts):
        return ((0, n),)
    starts = [n * i // _STRETCHES for i in range(_STRETCHES + 1)]
    return tuple(
        (first, first + max(1, round(share * (stop - first))))
        for first, stop in pairwise(starts)
        if stop > first
    )


def _sample_of(rows: "Rows", ranges: _Ranges, size: int, seed: int) -> WeightedSample:
    """Draw rows from some ranges; where blocks are kept, those that were read stay."""
    layout = rows.layout
    if rows.parquet is not None and rows.staging.stage == "none":
        # blocks may gather row groups: only those that are wanted are read
        firsts = {first for first, _ in ranges}
        wanted = [group for group in rows.parquet.row_groups if group.first_row in firsts]
        plan = replace(rows.parquet, row_groups=tuple(wanted))
        layout = parquet_leaves(plan, rows.known.cutting, "none", rows.known.sample)
    leaves, parts = [], []
    for leaf, part in zip(layout.leaves, layout.parts, strict=True):
        touched = tuple(i for i in leaf.blocks if _overlap(_source_rows(leaf, i), ranges))
        if touched:
            leaves.append(replace(leaf, blocks=touched))
            parts.append(part)
    request = Reduce("pilot", _draw, (size, seed, ranges))
    shared = Pass((request,), rows.steps, skips_bad_files(rows))
    reporter().began("pilot", len(leaves), is_pass=False)
    result = rows.engine.run(leaves, parts, shared, reporter().leaf_done)
    rows.known.count_reading(result)
    leave_out(rows, result)
    (sample,) = result.partials
    assert isinstance(sample, WeightedSample)
    return sample


def _source_rows(leaf: Leaf, number: int) -> _Ranges:
    """Return the source rows that a block covers."""
    if isinstance(leaf.source, ParquetSource):
        pieces = dict(leaf.source.blocks)[number]
        return tuple(piece.source_rows for piece in pieces)
    assert leaf.first_row is not None
    return ((leaf.first_row, leaf.first_row + (leaf.n_source_rows or 0)),)


def _overlap(some: _Ranges, others: _Ranges) -> bool:
    return any(a < d and c < b for a, b in some for c, d in others)


def _draw(block: Block, size: int, seed: int, ranges: _Ranges) -> WeightedSample:
    """Draw rows of some ranges by their weights."""
    numbers = block.row_numbers
    inside = np.zeros(block.n_rows, bool)
    for first, stop in ranges:
        inside |= (numbers >= first) & (numbers < stop)
    importance = np.where(inside, block.weights, 0.0)
    return WeightedSample.from_block(block, size, seed, ("pilot",), importance)
