"""The memory that a task takes: a formula, held against the peaks of real workers by tests."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dkmeans.errors import TooLarge
from dkmeans.kernels.block import TILE_ROWS
from dkmeans.kernels.choice import COMPILER_BYTES, are_compiled
from dkmeans.rows.demand import Demand
from dkmeans.rows.engine import Slot
from dkmeans.rows.parquet_source import BATCH_BYTES, READ_AHEAD_BYTES
from dkmeans.rows.read_ahead import MAPPED_BYTES
from dkmeans.rows.spans import FREE_TASKS, held_results
from dkmeans.rows.staging import LABEL_BYTES

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows

PAGE_BYTES = 4 * 2**20
"""What Arrow holds of a column while it decodes it: pages of 1 MiB, as stored, packed, unpacked,
decoded."""

PARSED_FOOTER = 10
"""How many times the bytes of a footer it takes once it is parsed."""

SAMPLED_BYTES = 24
"""What a sampled row has beside its features: key, weight, number."""

PLACE_BYTES = 64
"""What finding the place of a drawn row in its block takes for a moment."""

COLUMN_BYTES = 28 * 2**10
"""What Arrow's reader takes for each column, whatever is in it: fitted to measured peaks."""


def task_bytes(rows: "Rows", demand: Demand) -> int:
    """Return the peak bytes of a task above an idle worker, what the block store keeps apart.

    What a process takes once, for its first task, is not part of it: see `process_bytes`. The
    greatest of four moments. Reading: the block that is filled, the row group that it comes
    from as it is stored, what Arrow holds of it while it decodes, and the leaf's partial so far,
    if it has more blocks. Scaling: the block and its scaled copy, and that partial. Computing: the
    block, what is taken by the row, rows that a step draws, with their places, the broadcast as the
    kernel wants it, and partials: of the block, of the leaf, and of both merged. In both the row
    group, too, if it has more blocks. Sending: the last partial of a join, what all are merged
    into, and two copies of that: Dask's scheduler has it pickled into one text.

    In all: the results of other spans and joins that wait to be joined, the broadcast as it came,
    what is taken by the tile and the kernel's scratch, which allocators keep between blocks (unless
    they are told to trim, as those of Dask's workers are), parsed footers and what is read ahead:
    of stores the next row group, of local disks some pieces.
    A task that computes with drawn rows alone, as on a coreset, takes what the demand says.
    The pass of a fit that samples rows, or learns quantiles, has neither centers nor scale yet.

    Of some 180 fits of one kind, whose peaks were otherwise alike to 2 MB, 3 took 12 MB more for a
    moment; why is not known.
    """
    if demand.then is not None:
        return max(task_bytes(rows, replace(demand, then=None)), task_bytes(rows, demand.then))
    block_rows = rows.most_block_rows
    row = rows.n_features * np.dtype(rows.dtype).itemsize
    beside = LABEL_BYTES * len(rows.label_names)
    block = block_rows * (row + beside)
    stored = decoding = parsed = ahead = still_open = 0
    if rows.parquet is not None:
        groups = rows.parquet.row_groups
        stored = max(group.n_bytes for group in groups)
        columns = max(len(group.leaf_columns) for group in groups)
        decoding = min(8 * stored // 5, columns * PAGE_BYTES) + columns * COLUMN_BYTES
        # the batch whose rows are taken over, and the next one
        decoding += 2 * BATCH_BYTES
        parsed = PARSED_FOOTER * rows.parquet.footer_bytes
        if source_is_remote(rows):
            ahead = min(stored, READ_AHEAD_BYTES)
        if max(group.n_rows for group in groups) > block_rows:
            still_open = stored + decoding
    if rows.staging.stage == "disk":
        ahead += MAPPED_BYTES
    broadcast = demand.n_runs * demand.broadcast_bytes
    tile = demand.tile_bytes * min(block_rows, TILE_ROWS) // TILE_ROWS
    drawn = min(demand.drawn_rows, block_rows) * (row + beside + PLACE_BYTES)
    # what was decoded goes once it is scaled; what was sent along stays
    held = block if rows.parquet is not None else 2 * block
    n_leaves, n_tasks = len(rows.layout.leaves), [slot.n_tasks for slot in rows.engine.slots()]
    # tasks that walk several leaves join them: two results, and what they come to
    n_held = held_results(n_leaves, n_tasks) + (n_leaves > FREE_TASKS * max(1, sum(n_tasks)))
    # of a block in one piece, alone in its leaf, there is nothing to merge
    joins_blocks = any(len(leaf.blocks) > 1 for leaf in rows.layout.leaves)
    n_merged = 3 if joins_blocks or block_rows > TILE_ROWS else 1
    n_waiting = n_held - 1
    by_rows = block_rows * demand.row_bytes

    def peak(of_leaf: int, of_all: int, centers: int, scaled: int) -> int:
        so_far = of_leaf if joins_blocks else 0
        reading = block + stored + decoding + so_far
        scaling = block + scaled + still_open + so_far
        computing = held + still_open + by_rows + centers + n_merged * of_leaf
        sending = of_leaf + 3 * of_all
        return max(reading, scaling, computing, sending) + n_waiting * of_leaf

    known = broadcast + demand.scratch_bytes
    leaf_rows = [leaf.n_source_rows or 0 for leaf in rows.layout.leaves]
    of_leaf = _first_bytes(demand, row, max(leaf_rows) or None)
    of_all = _first_bytes(demand, row, rows.n_source_rows)
    if demand.samples_under_centers:
        first = peak(of_leaf, of_all, broadcast, block) + known
    else:
        first = peak(of_leaf, of_all, 0, 0)
    runs = demand.n_runs * demand.partial_bytes
    later = peak(runs, runs, drawn + broadcast, block) + known
    reads_none = demand.held_copies * _sampled_bytes(demand, row, rows.n_source_rows)
    return max(max(first, later) + tile + ahead + parsed, reads_none)


def process_bytes(rows: "Rows", demand: Demand) -> int:
    """Return what a process takes once, whatever tasks it runs: compiled loops and their compiler.

    It is more than an idle worker has, and stays. Drawn rows that tasks compute with are a block.
    """
    n_rows = rows.most_block_rows
    if demand.held_copies:
        n_rows = max(n_rows, min(demand.sampled_rows, rows.n_source_rows or demand.sampled_rows))
    compiled = are_compiled(n_rows, rows.n_features, demand.n_centers)
    if demand.then is not None:
        compiled = compiled or process_bytes(rows, demand.then) > 0
    return COMPILER_BYTES if compiled else 0


def _first_bytes(demand: Demand, row: int, n_rows: int | None) -> int:
    """Bytes that so many rows contribute to the pass that samples; None for any number of rows."""
    return demand.n_runs * _sampled_bytes(demand, row, n_rows) + demand.scaling_bytes


def _sampled_bytes(demand: Demand, row: int, n_rows: int | None) -> int:
    """Bytes of a sample of so many rows; None for any number of rows."""
    sampled = demand.sampled_rows if n_rows is None else min(demand.sampled_rows, n_rows)
    return sampled * (row + SAMPLED_BYTES)


def source_is_remote(rows: "Rows") -> bool:
    """Whether the source is a store that requests go to."""
    return rows.parquet is not None and any(rows.parquet.footer_requests)


def check_fits(rows: "Rows", demand: Demand, slots: tuple[Slot, ...]) -> None:
    """Raise if no process can hold what its tasks take.

    Raises
    ------
    TooLarge
        If even the roomiest process has too little memory.
    """
    if not slots:
        return
    need = task_bytes(rows, demand)
    best = max(slots, key=lambda slot: slot.free_bytes / slot.n_tasks)
    once = process_bytes(rows, demand)
    if need * best.n_tasks + once > best.free_bytes:
        coreset = "a smaller coreset_size, " if demand.held_copies else ""
        largest, compiler = "", f", and compiled code {once / 1e6:,.0f} MB" if once else ""
        if rows.parquet is not None:
            group = max(rows.parquet.row_groups, key=lambda group: group.n_bytes)
            largest = f" (its largest row group has {group.n_bytes / 1e6:,.0f} MB stored)"
        raise TooLarge(
            f"a task takes {need / 1e6:,.0f} MB{largest}{compiler}; the roomiest worker has "
            f"{best.free_bytes / 1e6:,.0f} MB free for {best.n_tasks} tasks at a time: use workers "
            "with more memory or fewer threads, smaller block_bytes, smaller row groups, "
            f"{coreset}or fewer clusters."
        )
