"""A model is tried before it serves, and what computes its answers is compiled."""

import numpy as np

from dkmeans.errors import DkmeansError, ModelRefused
from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import are_compiled
from dkmeans.models.model import Model

_MOST_TRIED = 256
"""Centers that are tried: evenly chosen among more."""

_ROUNDING = 64.0
"""Units in the last place that the sum of a feature's squares may be off."""

_MOST_WARM_ROWS = 2**18


def try_out(model: Model) -> None:
    """Assign the centers themselves, and compare with plain float64 arithmetic.

    A center is as near to itself as can be; but centers may lie on each other, and rows that are
    scaled to length 1 are not where their center is. So what is asked is that no center is nearer
    to a row than the one it is assigned to.

    Raises
    ------
    ModelRefused
        If the model assigns rows wrongly, or not at all.
    """
    centers = model.scaled_centers
    which = np.unique(np.linspace(0, len(centers) - 1, min(len(centers), _MOST_TRIED)).astype(int))
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.asarray(model.centers[which], np.float64).astype(model.dtype)
    try:
        found = model.assign(rows, by_row=True)
        scaled = np.asarray(model.prepare(rows), np.float64)
    except DkmeansError as error:
        raise ModelRefused(f"the model cannot assign its own centers: {error}") from None
    labels = found.labels
    if labels.min() < 0 or labels.max() >= len(centers):
        raise ModelRefused("the model assigns its own centers to clusters that it does not have.")
    apart = _distances(scaled, centers)
    own = apart[np.arange(len(rows)), labels]
    # rows are ranked by squares that cancel: half of the digits of a distance may be lost
    eps = float(np.finfo(model.dtype).eps) * _ROUNDING * np.sqrt(model.n_features)
    slack = np.sqrt(eps) * max(_radius(scaled, centers), _radius(centers, centers))
    wrong = (own > apart.min(axis=1) + slack) | ~(np.abs(found.distances - own) <= slack)
    if wrong.any():
        label = int(which[np.flatnonzero(wrong)[0]])
        raise ModelRefused(
            f"the model assigns {int(wrong.sum())} of {len(which)} of its own centers wrongly, the "
            f"one of cluster {int(model.cluster_ids[label])} first."
        )


def warm(model: Model) -> None:
    """Have the model assign few rows and many, as requests will, so that all loops are compiled."""
    center = np.asarray(model.centers[:1], np.float64).astype(model.dtype)
    for n_rows in (1, _many(model)):
        rows = np.repeat(center, n_rows, axis=0)
        for second in (True, False):
            model.assign_scaled(model.scale(rows), by_row=True, second=second)
    model.transform(center, by_row=True)


def _many(model: Model) -> int:
    """The least power of two rows that compiled loops are taken for."""
    n_rows = 64
    while n_rows < _MOST_WARM_ROWS and not are_compiled(n_rows, model.n_features, model.n_clusters):
        n_rows *= 2
    return n_rows


def _distances(X: Array, centers: Array) -> Array:
    """Every distance, float64, by differences: a center at a time."""
    return np.stack([np.sqrt(((X - one) ** 2).sum(axis=1)) for one in centers], axis=1)


def _radius(X: Array, centers: Array) -> float:
    """The greatest distance of some rows from the middle of the centers."""
    return float(np.sqrt(((X - centers.mean(axis=0)) ** 2).sum(axis=1)).max())
