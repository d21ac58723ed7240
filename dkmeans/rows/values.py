"""Which values can be clustered, and what becomes of rows that lack one, null or NaN."""

from typing import Literal

import numpy as np

from dkmeans.kernels.block import Array

MissingName = Literal["raise", "drop", "mean"]
MISSING_NAMES = ("raise", "drop", "mean")

LARGEST = {"float32": 1e16, "float64": 1e150}
"""Greater magnitudes would overflow once squared and summed."""


def without_missing(
    X: Array, weight: Array | None, kept: Array | None
) -> tuple[Array, Array | None, Array | None, int]:
    """Drop the rows of `X` that have a NaN.

    Returns
    -------
    X, weight, kept, n_dropped
        What is left; `kept` says which of the rows before any dropping it is.
    """
    # the least of a column with a NaN is NaN: one look at whole columns where there is none
    if len(X) == 0 or not np.isnan(X.min(axis=0)).any():
        return X, weight, kept, 0
    lacking = np.isnan(X).any(axis=1)
    present: Array = np.logical_not(lacking)
    if kept is None:
        kept = present
    else:
        kept = kept.copy()
        kept[kept] = present
    left = np.asfortranarray(X[present])
    return left, None if weight is None else weight[present], kept, int(lacking.sum())


def within_bounds(X: Array, largest: float, missing: MissingName) -> Array:
    """Whether each column has usable values only, `(n_features,)` bool."""
    if missing == "mean":
        # what is missing is filled later; NaN is passed over
        least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
        within: Array = ~(least < -largest) & ~(most > largest)
        return within
    return (X.min(axis=0) >= -largest) & (X.max(axis=0) <= largest)
