"""Make a pass over rows: run its leaves, count what it cost, and check that no row was lost."""

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.filling import Filling
from dkmeans.partials.moments import Moments
from dkmeans.partials.present_sums import PresentSums
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.leaf import LeafResult, Pass
from dkmeans.rows.leaves import numbered
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.row_counts import RowCounts

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows

Record = dict[str, Any]


def make_pass(
    rows: "Rows", requests: tuple[Request, ...], record: Record | None = None
) -> LeafResult:
    """Make one pass; `record` gets what it was and cost.

    Raises
    ------
    RowsChanged
        If files had to be left out.
    """
    known = rows.known
    known.check_budget()
    kind = " + ".join(dict.fromkeys(request.kind for request in requests))
    leaves = rows.layout.leaves
    reporter().began(kind, len(leaves))
    start = time.perf_counter()
    shared = Pass(requests, rows.steps, skips_bad_files(rows))
    result = rows.engine.run(leaves, rows.layout.parts, shared, reporter().leaf_done)
    seconds = time.perf_counter() - start
    known.count_pass(result, seconds)
    leave_out(rows, result)
    known.check_rows(result)
    if record is not None:
        record.update(
            kind=kind,
            seconds=seconds,
            rows_read=result.n_source_rows,
            bytes_read=result.n_bytes,
        )
    return result


def prepare(rows: "Rows") -> list[Record]:
    """See `Rows.prepare`."""
    while True:
        # nothing was computed yet that files could be left out of
        with suppress(RowsChanged):
            return _prepare(rows)


def _prepare(rows: "Rows") -> list[Record]:
    records: list[Record] = []

    def reduce(request: Reduce) -> Any:
        records.append({})
        (partial,) = make_pass(rows, (request,), records[-1]).partials
        reporter().ended(records[-1])
        return partial

    if rows.layout.n_rows is None:
        counts = reduce(Reduce("count rows", RowCounts.from_block))
        rows.known.layout = numbered(rows.layout, counts.lengths)
    if rows.missing == "mean" and rows.known.filling is None:
        sums = reduce(Reduce("column means", PresentSums.from_block, (rows.n_features,)))
        rows.known.filling = Filling.from_sums(sums, rows.feature_names)
        rows.known.present_weight = sums.weight
    return records


def pilot_mean(rows: "Rows") -> Array:
    """See `Rows.pilot_mean`."""
    while True:
        with suppress(RowsChanged):
            return _pilot_mean(rows)


def _pilot_mean(rows: "Rows") -> Array:
    rows.prepare()
    origin = np.zeros(rows.n_features)
    pilot = Reduce("pilot", Moments.from_block, (origin,))
    shared = Pass((pilot,), rows.steps, skips_bad_files(rows))
    for leaf, part in zip(rows.layout.leaves, rows.layout.parts, strict=True):
        # all that reading the first block opens, so that nothing is read twice
        first = replace(leaf, blocks=leaf.source.first_blocks or leaf.blocks[:1])
        result = rows.engine.run([first], [part], shared, lambda: None)
        rows.known.count_reading(result)
        leave_out(rows, result)
        moments = result.partials[0]
        assert isinstance(moments, Moments)
        if moments.weight > 0:
            return moments.mean
    return origin


def skips_bad_files(rows: "Rows") -> bool:
    """Whether files that cannot be read are left out."""
    return rows.parquet is not None and rows.parquet.on_bad_file == "skip"


def leave_out(rows: "Rows", result: LeafResult) -> None:
    """Leave out the files that a pass could not read; raise `RowsChanged` if there were any."""
    if result.bad_files:
        # what passes have found so far came from those files, too
        rows.leave_out(result.bad_files)
        raise RowsChanged
