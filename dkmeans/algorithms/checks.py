"""Whether rows can be clustered at all, and whether a parameter is a number."""

import numbers

from dkmeans.errors import BadValues, TooFewRows


def check_enough(n_rows: int, weight: float, n_clusters: int) -> None:
    """Raise if there are fewer rows than clusters, or no row has a positive weight.

    Raises
    ------
    TooFewRows
        If `n_rows` is below `n_clusters`.
    BadValues
        If `weight`, the sum of all weights, is zero.
    """
    if n_rows < n_clusters:
        raise TooFewRows(
            f"n_clusters={n_clusters} needs at least {n_clusters} rows; the data has {n_rows}."
        )
    if weight <= 0:
        raise BadValues("all sample weights are zero; at least one row needs a positive weight.")


def is_real(value: object) -> bool:
    """Whether a value is a real number, and no boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
