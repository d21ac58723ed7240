"""Does an exported model assign rows as the model does? Asked before it is published."""

import numpy as np

from dkmeans.errors import ExportRefused
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model

SAMPLE_ROWS = 2000
"""Rows that an export is checked on."""

_MOST_CENTERS = 500
"""Centers that are rows of the sample themselves."""

_ROUNDING = 256
"""Roundings of the squared reach of the rows that squared distances may differ by."""


def sample_rows(model: Model, n_rows: int = SAMPLE_ROWS, seed: int = 0) -> Array:
    """Draw rows `(n_rows, n_features)` of the model's dtype, in the units of the data.

    The first are centers, the others lie between two centers or beyond, so that most clusters get
    some. Where the model fills missing values, some are missing. No row of any data is among them.
    """
    rng = np.random.default_rng(seed)
    centers = model.scaled_centers
    one, other = centers[rng.integers(0, len(centers), (2, n_rows))]
    extent = np.ptp(centers, axis=0)
    extent = np.where(extent > 0, extent, 1.0)
    rows = one + rng.uniform(-0.5, 1.0, (n_rows, 1)) * (other - one)
    rows += 0.1 * extent * rng.normal(size=rows.shape)
    few = centers[:_MOST_CENTERS][:n_rows]
    rows[: len(few)] = few
    if model.scaling is not None:
        rows = model.scaling.inverse_transform(rows)
    rows = rows.astype(model.dtype)
    if model.filling is not None:
        rows[rng.uniform(size=rows.shape) < 0.05] = np.nan
    return rows


def check_same(model: Model, X: Array, labels: Array, distances: Array, what: str) -> None:
    """Compare what an exported model says of rows with what `model` says.

    Labels may differ where a row is as far from both centers, but for the dtype's rounding.

    Parameters
    ----------
    model
        The model.
    X
        `(n_rows, n_features)`, in the units of the data.
    labels, distances
        `(n_rows,)` each: of the exported model.
    what
        The exported model, for the message.

    Raises
    ------
    ExportRefused
        If they differ by more.
    """
    prepared = model.prepare(X)
    expected = model.assign_scaled(prepared)
    middle = model.scaled_centers.mean(axis=0)
    reach = np.square(prepared.astype(np.float64) - middle).sum(axis=1)
    reach += np.square(model.scaled_centers - middle).sum(axis=1).max()
    # what is far from zero was rounded before it was measured
    reach += np.sqrt(reach) * np.abs(prepared).max(axis=1)
    slack = _ROUNDING * np.finfo(model.dtype).eps * reach
    nearest = np.square(expected.distances.astype(np.float64))
    second = nearest if expected.second_distances is None else expected.second_distances**2.0
    is_tie = second - nearest <= slack
    wrong = (np.asarray(labels) != expected.labels) & ~is_tie
    off = ~(np.abs(np.asarray(distances, np.float64) ** 2 - nearest) <= slack)
    if wrong.any() or off.any():
        raise ExportRefused(
            f"{what} gives {int(wrong.sum())} of {len(X)} sample rows another label than the model "
            f"does, and {int(off.sum())} another distance; nothing was published. Check the "
            f"versions of its packages, or fit with dtype float64."
        )
