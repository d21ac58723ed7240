"""Several numbers of clusters in a few characters."""

from dkmeans.errors import ArgumentError

_MOST_COUNTS = 1_000
"""Numbers of clusters in one range: more are a slip."""


def parse_counts(text: str) -> list[int]:
    """Turn `2:5,10` into 2, 3, 4, 5, 10: ascending, each once.

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    counts: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split(":")]
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
            raise ArgumentError(
                f"{text} should be numbers of clusters, as 2:30, 10,20,50 or 2:10,20,50."
            )
        first, last = int(ends[0]), int(ends[-1])
        if first < 1:
            raise ArgumentError(f"{text} should be numbers from 1 on; {first} is not.")
        if last < first:
            raise ArgumentError(f"{text} goes down; write {last}:{first}.")
        if last - first >= _MOST_COUNTS:
            raise ArgumentError(
                f"{text} has {last - first + 1:,} numbers in a row; sweep at most "
                f"{_MOST_COUNTS:,} together."
            )
        counts.update(range(first, last + 1))
    return sorted(counts)
