"""Which values can be clustered, and what becomes of rows that lack one, null or NaN."""

from dataclasses import replace
from typing import Literal

import numpy as np

from dkmeans.kernels.block import Array, Block

MissingName = Literal["raise", "drop", "mean"]
MISSING_NAMES = ("raise", "drop", "mean")

LARGEST = {"float32": 1e16, "float64": 1e150}
"""Greater magnitudes would overflow once squared and summed."""


def without_missing(block: Block) -> Block:
    """Drop the rows that have a NaN, and count them."""
    # the least of a column with a NaN is NaN: one look at whole columns where there is none
    if block.n_rows == 0 or not np.isnan(block.X.min(axis=0)).any():
        return block
    present: Array = np.logical_not(np.isnan(block.X).any(axis=1))
    kept = present
    if block.kept is not None:
        kept = block.kept.copy()
        kept[kept] = present
    n_missing = block.n_rows - int(present.sum())
    return replace(block.only(np.flatnonzero(present), kept), n_missing_rows=n_missing)


def within_bounds(X: Array, largest: float, missing: MissingName) -> Array:
    """Whether each column has usable values only, `(n_features,)` bool."""
    if missing == "mean":
        # what is missing is filled later; NaN is passed over
        least, most = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
        within: Array = ~(least < -largest) & ~(most > largest)
        return within
    return (X.min(axis=0) >= -largest) & (X.max(axis=0) <= largest)
