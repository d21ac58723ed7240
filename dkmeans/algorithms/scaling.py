"""How the first pass of a fit finds the scaling: what it asks of the rows, and what follows."""

from collections.abc import Sequence

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.models.scaling import AnyScaling, Normalization, Scaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows


def scaling_request(rows: Rows, kind: str | None, origin: Array | None = None) -> Reduce:
    """Return what a pass has to compute for `scale=kind`.

    Any answer has the `n_rows` and `weight` of all rows, for `check_enough`.

    Parameters
    ----------
    rows
        The samples, unscaled. Their first block is read where sums need a point to start from.
    kind
        One of `SCALES`, or None.
    origin
        `(n_features,)`: a point within the data, if one is known.
    """
    if kind == "robust":
        return Reduce("quantiles", Quantiles.from_block)
    if origin is None:
        origin = rows.pilot_mean()
    return Reduce("moments", Moments.from_block, (origin,))


def scaling_from(
    kind: str | None, answer: Moments | Quantiles, names: Sequence[str] | None = None
) -> AnyScaling | None:
    """Return the scaling that follows from the answer to `scaling_request`; None for None.

    Parameters
    ----------
    kind
        One of `SCALES`, or None.
    answer
        Of rows that have some weight.
    names
        Names of the features, for warnings.
    """
    if kind is None:
        return None
    if kind == "normalize":
        return Normalization()
    if isinstance(answer, Quantiles):
        return Scaling.from_quantiles(answer, names)
    return Scaling.from_moments(kind, answer, names)


def learned_in_memory(kind: str | None, block: Block) -> AnyScaling | None:
    """Return the scaling that some rows in this process ask for."""
    if kind is None or kind == "normalize":
        return scaling_from(kind, Moments.zero(np.zeros(block.n_features)))
    if kind == "robust":
        return scaling_from(kind, Quantiles.from_block(block))
    return scaling_from(kind, Moments.from_block(block, block.X[0].astype(np.float64)))
