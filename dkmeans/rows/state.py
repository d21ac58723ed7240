"""What must be told of rows so that a job over them can go on in another process."""

from dataclasses import dataclass

from dkmeans.models.filling import Filling
from dkmeans.rows.leaves import numbered
from dkmeans.rows.rows import Rows


@dataclass(frozen=True, eq=False)
class RowsState:
    """What passes have found and cost."""

    n_samples: int | None
    n_missing_rows: int
    n_passes: int
    rows_read: int
    bytes_read: int
    n_requests: int
    filling: Filling | None
    lengths: tuple[int, ...] | None
    """Rows of each part, for parts whose rows had to be counted."""

    skipped: tuple[tuple[str, str], ...]
    """Files that were left out, each with the reason."""

    @classmethod
    def of(cls, rows: Rows) -> "RowsState":
        """Take it from rows."""
        known = rows.known
        lengths = None
        if rows.parquet is None:
            lengths = tuple(leaf.n_source_rows or 0 for leaf in rows.layout.leaves)
        return cls(
            known.n_samples,
            known.n_missing_rows,
            known.n_passes,
            known.rows_read,
            known.bytes_read,
            known.n_requests,
            known.filling,
            lengths,
            () if rows.parquet is None else rows.parquet.skipped,
        )

    def give(self, rows: Rows) -> None:
        """Give it to rows of the same input that no pass was made over."""
        if rows.parquet is not None:
            known_bad = {url for url, _ in rows.parquet.skipped}
            rows.leave_out([pair for pair in self.skipped if pair[0] not in known_bad])
        elif self.lengths is not None and rows.layout.n_rows is None:
            rows.known.layout = numbered(rows.layout, self.lengths)
        known = rows.known
        known.n_samples, known.n_missing_rows = self.n_samples, self.n_missing_rows
        known.n_passes += self.n_passes
        known.rows_read += self.rows_read
        known.bytes_read += self.bytes_read
        known.n_requests += self.n_requests
        if known.budget is not None:
            known.budget = known.budget.moved(self.n_passes, self.bytes_read)
        known.filling = self.filling
