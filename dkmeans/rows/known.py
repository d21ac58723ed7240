"""What is known of some rows, and what passes over them have cost: shared by all views of them."""

import time
from dataclasses import dataclass, field, replace
from typing import Self

from dkmeans.errors import ArgumentError, BudgetSpent, DkmeansError
from dkmeans.kernels.block import Array
from dkmeans.models.filling import Filling
from dkmeans.rows.layout import Cutting
from dkmeans.rows.leaf import LeafResult
from dkmeans.rows.leaves import Leaves
from dkmeans.rows.parquet_plan import ParquetPlan
from dkmeans.rows.progress import reporter
from dkmeans.rows.sample import Sample


class RowsChanged(Exception):
    """Files were left out in the middle of a job: all that was computed must be computed again."""


@dataclass(eq=False)
class Known:
    """The state of some rows."""

    layout: Leaves
    parquet: ParquetPlan | None = None
    cutting: Cutting = field(default_factory=Cutting)
    sample: Sample | None = None
    filling: Filling | None = None
    """What missing values are filled with, once that is found."""

    filling_is_given: bool = False
    """Whether that does not depend on the rows: it stays when files are left out."""

    present_weight: Array | None = None
    """`(n_features,)` float64: weight of the rows that have each feature, once a pass has
    counted it to find what others are filled with."""

    n_samples: int | None = None
    """Rows that are used; None until a pass has counted them."""

    n_missing_rows: int = 0
    """Rows that were dropped because a value is missing."""

    n_passes: int = 0
    rows_read: int = 0
    bytes_read: int = 0
    n_requests: int = 0
    kept_bytes: int = 0
    """Of those, what blocks were made of that may be kept still; only for rows that are staged."""

    pass_seconds: float = 0.0
    """Of the last pass."""

    n_unkept: int = 0
    """Blocks that the last pass found no room for."""

    budget: "Budget | None" = None

    def of_part(self, layout: Leaves) -> "Known":
        """Return what is known of some of the leaves."""
        return Known(
            layout,
            self.parquet,
            self.cutting,
            self.sample,
            self.filling,
            self.filling_is_given,
        )

    def check_budget(self) -> None:
        """Raise `BudgetSpent` if another pass would go beyond what the job may cost."""
        if self.budget is not None:
            self.budget.check(self, self.next_bytes)

    @property
    def next_bytes(self) -> int:
        """What another pass reads from the source: what is not kept."""
        planned = 0 if self.parquet is None else self.parquet.n_bytes
        if self.layout.leaves[0].stage == "none":
            return planned
        if self.n_unkept:
            n_blocks = sum(len(leaf.blocks) for leaf in self.layout.leaves)
            return planned * self.n_unkept // n_blocks
        return max(0, planned - self.kept_bytes)

    def count_reading(self, result: LeafResult) -> None:
        """Add what was read."""
        self.rows_read += result.n_source_rows
        self.bytes_read += result.n_bytes
        self.kept_bytes += result.n_bytes
        self.n_requests += result.n_requests

    def count_pass(self, result: LeafResult, seconds: float) -> None:
        """Add what a pass cost."""
        self.count_reading(result)
        self.n_passes += 1
        self.pass_seconds = seconds
        self.tell_unkept(result)

    def tell_unkept(self, result: LeafResult) -> None:
        """Say once if blocks found no room."""
        if result.n_unkept and not self.n_unkept:
            n_blocks = sum(len(leaf.blocks) for leaf in self.layout.leaves)
            reporter().note(
                f"stage: no room for {result.n_unkept} of {n_blocks} blocks; they are read again "
                "whenever they are needed"
            )
        self.n_unkept = result.n_unkept

    def check_rows(self, result: LeafResult) -> None:
        """Check that a pass saw each row once, and that each of its partials counts those it used.

        Raises
        ------
        DkmeansError
            If rows were lost or counted twice.
        """
        counts = [leaf.n_source_rows for leaf in self.layout.leaves]
        planned = sum(count for count in counts if count is not None)
        if None not in counts and result.n_source_rows != planned:
            raise DkmeansError(
                f"a pass visited {result.n_source_rows} rows where {planned} are planned; this is "
                "a fault of dkmeans or of the machine, run again."
            )
        for partial in result.partials:
            if partial.n_rows != result.n_rows:
                raise DkmeansError(
                    f"{type(partial).__name__} counts {partial.n_rows} rows of the {result.n_rows} "
                    "that the pass used; this is a fault of dkmeans or of the machine, run again."
                )
        if self.n_samples is not None and result.n_rows != self.n_samples:
            raise DkmeansError(
                f"a pass used {result.n_rows} rows where an earlier one used {self.n_samples}; the "
                "data changed meanwhile, or the machine is faulty: run again."
            )
        self.n_samples = result.n_rows
        self.n_missing_rows = result.n_missing_rows


@dataclass(frozen=True)
class Budget:
    """What passes may cost; None for no limit."""

    passes: int | None
    """Number of the last pass."""

    bytes: int | None
    """Most bytes read, those before the budget included."""

    deadline: float | None
    """On the monotonic clock."""

    asked: tuple[tuple[str, float | None], ...]
    """The limits as the user gave them."""

    @classmethod
    def from_now(
        cls,
        known: Known,
        max_passes: int | None,
        max_bytes: int | None,
        max_seconds: float | None,
    ) -> Self:
        """Limit what comes after now."""
        budget = cls.of(max_passes, max_bytes, max_seconds)
        return budget.moved(known.n_passes, known.bytes_read)

    @classmethod
    def of(cls, max_passes: int | None, max_bytes: int | None, max_seconds: float | None) -> Self:
        """Limit what comes after now, for rows that nothing was read of.

        Raises
        ------
        ArgumentError
            If a limit is not above zero.
        """
        asked = (
            ("max_passes", max_passes),
            ("max_bytes", max_bytes),
            ("max_seconds", max_seconds),
        )
        for name, value in asked:
            if value is not None and not value > 0:
                raise ArgumentError(f"{name}={value} should be above 0.")
        deadline = None if max_seconds is None else time.monotonic() + max_seconds
        return cls(max_passes, max_bytes, deadline, asked)

    def moved(self, n_passes: int, n_bytes: int) -> Self:
        """Return the same limits for rows that count so much more."""
        return replace(
            self,
            passes=None if self.passes is None else self.passes + n_passes,
            bytes=None if self.bytes is None else self.bytes + n_bytes,
        )

    def check(self, known: Known, pass_bytes: int) -> None:
        """Raise `BudgetSpent` if a pass that reads `pass_bytes` would go beyond a limit."""
        if self.passes is not None and known.n_passes >= self.passes:
            self._stop("max_passes", "are made")
        if self.bytes is not None and known.bytes_read + pass_bytes > self.bytes:
            self._stop("max_bytes", f"would be exceeded by the {pass_bytes:,} of another pass")
        if self.deadline is not None and time.monotonic() + known.pass_seconds > self.deadline:
            self._stop("max_seconds", "leave no time for another pass")

    def check_deadline(self) -> None:
        """Raise `BudgetSpent` if there is no time left."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            self._stop("max_seconds", "are over")

    def _stop(self, name: str, why: str) -> None:
        raise BudgetSpent(
            f"{name}={dict(self.asked)[name]:g} {why}; resume from a checkpoint with a new budget."
        )
