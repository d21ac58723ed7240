"""What reading several rows may cost together, such as those of the partitions of a window."""

from dkmeans.errors import BudgetSpent
from dkmeans.rows.known import Budget, Known
from dkmeans.rows.rows import Rows


class Allowance:
    """Limits that several rows share, from now on. Those that were given it count against it.

    Parameters
    ----------
    max_passes
        Most passes over any one row: rows that are read one after the other are read in one pass.
    max_bytes
        Most bytes read from the source, by all together.
    max_seconds
        Most seconds from now; no pass is begun that would end later, at the speed of those before.

    Raises
    ------
    ArgumentError
        If a limit is not above zero.
    """

    def __init__(
        self,
        max_passes: int | None = None,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
    ) -> None:
        self._budget = Budget.of(max_passes, max_bytes, max_seconds)
        self._max_bytes = max_bytes
        self._limited: list[tuple[Known, int]] = []
        # with each, the passes over its rows that were made before

    def limit(self, rows: Rows, *, goes_on: bool = False) -> Rows:
        """Limit rows that no pass was made over yet, to what is left; return them.

        With `goes_on` they are, or may be, rows that were read before: passes over them come on
        top of those.
        """
        known, before = rows.known, 0
        if goes_on:
            before = max((one.n_passes + earlier for one, earlier in self._limited), default=0)
        known.budget = self._budget.moved(-before, -self._bytes)
        known.pass_seconds = self._seconds_a_byte * known.next_bytes
        self._limited.append((known, before))
        return rows

    def check(self, n_bytes: int, what: str) -> None:
        """Raise if reading so much would go beyond what is left, before any of it is read.

        Parameters
        ----------
        n_bytes
            Of the source.
        what
            That would be read, as "3 new partitions".

        Raises
        ------
        BudgetSpent
            If it would.
        """
        left = None if self._max_bytes is None else self._max_bytes - self._bytes
        if left is not None and n_bytes > left:
            raise BudgetSpent(
                f"max_bytes={self._max_bytes:g} would be exceeded by the {n_bytes:,} of {what}, of "
                "which none was read; allow more, or ask for less at a time."
            )
        self._budget.check_deadline()

    @property
    def _bytes(self) -> int:
        return sum(one.bytes_read for one, _ in self._limited)

    @property
    def _seconds_a_byte(self) -> float:
        """How long reading takes, by the last rows that were read; 0 as long as none were."""
        for one, _ in reversed(self._limited):
            if one.n_passes == 1 and one.bytes_read:
                return one.pass_seconds / one.bytes_read
        return 0.0
