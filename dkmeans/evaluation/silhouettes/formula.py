"""The silhouette of a row, from how far it is from its own cluster and from the next."""

import numpy as np

from dkmeans.kernels.block import Array


def silhouettes(own: Array, other: Array) -> Array:
    """Return `(other - own) / max(own, other)`, of the shape that both have together, float64.

    0 where both are 0 or infinite, or one is NaN; 1 where only `other` is infinite.
    """
    larger = np.maximum(own, other)
    out = np.ones_like(larger)
    with np.errstate(invalid="ignore"):
        difference = other - own
    np.divide(difference, larger, out=out, where=(larger > 0) & np.isfinite(larger))
    # NaN: own is, or both are infinite
    out[(larger == 0) | np.isnan(difference)] = 0
    return out
