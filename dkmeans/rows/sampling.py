"""Which row groups a sample of rows is drawn from, and with what probability."""

from dataclasses import replace
from typing import TYPE_CHECKING

from dkmeans.errors import ArgumentError
from dkmeans.rows.known import Known
from dkmeans.rows.layout import spread
from dkmeans.rows.leaves import parquet_leaves, sampled_leaves
from dkmeans.rows.sample import Sample

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows

_LEAST_PIECES = 16
_READ_MORE = 2
"""How many times the rows of the sample are read, so that it is spread."""


def sampled(rows: "Rows", size: float, seed: int) -> "Rows":
    """See `Rows.sample`."""
    is_share = isinstance(size, float) and 0 < size <= 1
    is_number = isinstance(size, (int, float)) and size >= 1 and float(size).is_integer()
    if isinstance(size, bool) or not (is_share or is_number):
        raise ArgumentError(
            f"sample={size!r} should be a share above 0.0 and at most 1.0, or a number of rows."
        )
    if rows.known.sample is not None:
        raise ArgumentError("these rows are a sample already; take another one of all rows.")
    rows.prepare()
    plan, layout = rows.parquet, rows.layout
    if plan is not None:
        pieces = [group.n_rows for group in plan.row_groups]
    else:
        pieces = [leaf.n_source_rows or 0 for leaf in layout.leaves]
    n_rows = sum(pieces)
    share = float(size) if is_share else min(1.0, size / max(1, n_rows))
    read_share = min(1.0, max(_READ_MORE * share, _LEAST_PIECES / len(pieces)))
    if all(isinstance(part, tuple) for part in layout.parts):
        # what lies in memory costs nothing to visit, and how it is cut is no property of the data
        read_share = 1.0
    chosen = spread(len(pieces), read_share)
    among = sum(pieces[i] for i in chosen)
    sample = Sample(min(1.0, share * n_rows / max(1, among)), seed)
    if plan is not None:
        plan = replace(plan, row_groups=tuple(plan.row_groups[i] for i in chosen))
        layout = parquet_leaves(plan, rows.known.cutting, rows.staging.stage, sample)
    else:
        layout = sampled_leaves(layout, sample, chosen)
    known = Known(layout, plan, rows.known.cutting, sample, rows.known.filling)
    if rows.known.budget is not None:
        known.budget = rows.known.budget.moved(-rows.known.n_passes, -rows.known.bytes_read)
    return replace(rows, known=known).released_with_us()
