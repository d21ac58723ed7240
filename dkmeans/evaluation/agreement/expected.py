"""The mutual information that two labelings of given sizes have by chance.

Exact for small expected counts, by a series for large ones: what it takes does not grow with the
number of rows.
"""

from math import comb

import numpy as np

from dkmeans.kernels.block import Array

SERIES_FROM = 300.0
"""Cells whose expected count m is at least this take the series. The moments up to the twelfth give
all terms down to `m ** -5`; what is left out is less than 4e-12 of the cell, and falls with the
sixth power of m."""

_MOMENTS = 12
_STANDARD_DEVIATIONS = 12.0
_MORE_COUNTS = 30.0
_CHUNK_COUNTS = 2**20
"""Counts that are computed at a time."""


def expected_mutual_information(true: Array, pred: Array) -> float:
    """Return the mean of the mutual information over all ways to deal out labels to rows.

    Parameters
    ----------
    true, pred
        The number of rows of each true label, and of each cluster: whole numbers with the same
        sum, at most 2**53.

    Returns
    -------
    float
        In nats; not negative.

    References
    ----------
    .. [1] N. Vinh, J. Epps, J. Bailey, "Information theoretic measures for clusterings comparison:
       variants, properties, normalization and correction for chance", JMLR 11, 2010.
    """
    n = float(true.sum())
    if n <= 1 or len(true) == 1 or len(pred) == 1:
        return 0.0
    # labels of the same size expect the same
    a, times_a = np.unique(true[true > 0].astype(np.float64), return_counts=True)
    b, times_b = np.unique(pred[pred > 0].astype(np.float64), return_counts=True)
    total = 0.0
    most = max(1, _CHUNK_COUNTS // len(b))
    for start in range(0, len(a), most):
        rows = slice(start, start + most)
        of_a, of_b = np.repeat(a[rows], len(b)), np.tile(b, len(a[rows]))
        times = np.repeat(times_a[rows], len(b)) * np.tile(times_b, len(a[rows]))
        is_large = of_a * of_b / n >= SERIES_FROM
        gain = np.empty(len(times))
        gain[is_large] = _by_series(of_a[is_large], of_b[is_large], n)
        gain[~is_large] = _by_counts(of_a[~is_large], of_b[~is_large], n)
        total += float(np.dot(times, gain))
    return total / n


# What a cell gives is E[x log(x / m)], x its count, which is hypergeometric of mean m = a b / n.
# Since E[x - m] = 0 this is E[x log(x / m) - (x - m)], whose terms are all positive: no digits are
# lost by adding them up.


def _by_counts(a: Array, b: Array, n: float) -> Array:
    """Sum over the counts that have any probability worth mentioning.

    The tails are lighter than those of a binomial count of the same mean (Hoeffding). With v its
    variance, Bernstein's inequality leaves a probability below `2 exp(-45)` to what is farther than
    `12 sqrt(v) + 30` from the mean.
    """
    mean = a * b / n
    spread = np.sqrt(np.minimum(mean * (1 - a / n), mean * (1 - b / n)))
    far = _STANDARD_DEVIATIONS * spread + _MORE_COUNTS
    least = np.maximum(np.maximum(0.0, a + b - n), np.floor(mean - far))
    most = np.minimum(np.minimum(a, b), np.ceil(mean + far))
    gain = np.empty(len(a))
    # cells of about one width together
    order = np.argsort(most - least, kind="stable")
    width = (most - least)[order].astype(np.int64) + 1
    start = 0
    while start < len(order):
        ahead = width[start : start + _CHUNK_COUNTS // int(width[start]) + 1]
        n_counts = ahead * np.arange(1, len(ahead) + 1)
        stop = start + max(1, int(np.searchsorted(n_counts, _CHUNK_COUNTS, side="right")))
        cells = order[start:stop]
        gain[cells] = _summed(a[cells], b[cells], n, least[cells], most[cells], mean[cells])
        start = stop
    return gain


def _summed(a: Array, b: Array, n: float, least: Array, most: Array, mean: Array) -> Array:
    """Sum over the counts from `least` to `most`; all arguments but n are `(n_cells,)`."""
    a, b, m = a[:, None], b[:, None], mean[:, None]
    counts = least[:, None] + np.arange(int((most - least).max()) + 1)
    below = counts[:, :-1]
    # what is behind a cell's last count has a ratio of zero, or is cut off
    ratios = (a - below) * (b - below) / ((below + 1) * (n - a - b + below + 1))
    ratios[counts[:, 1:] > most[:, None]] = 0.0
    weight = np.ones(counts.shape)
    np.cumprod(ratios, axis=1, out=weight[:, 1:])
    off = counts - m
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(counts > 0, counts * np.log1p(off / m) - off, m)
    # a count that cannot be has weight zero, and maybe no logarithm
    gain[weight == 0] = 0.0
    return np.einsum("ij,ij->i", weight, gain) / weight.sum(axis=1)


def _by_series(a: Array, b: Array, n: float) -> Array:
    """Expand `(1 + u) log(1 + u) - u` in u, the count's relative distance from its mean.

    The central moments of a hypergeometric count follow from each other: for any function g,
    `E[g(x - 1) x (n - a - b + x)] = E[g(x) (a - x) (b - x)]`, here with powers of `x - mean`.
    """
    mean = a * b / n
    both = (n - a) * (n - b) / n * mean
    linear = n - a - b + 2 * mean
    moments = [np.ones(len(a)), np.zeros(len(a))]
    for k in range(1, _MOMENTS):
        following = k * (linear * moments[k] + both * moments[k - 1])
        for i in range(k - 1):
            sign = comb(k, i) * (-1) ** (k - i)
            following -= sign * (moments[i + 2] + linear * moments[i + 1] + both * moments[i])
        moments.append(following / (n - k))
    gain = np.zeros(len(a))
    for k in range(_MOMENTS, 1, -1):
        gain += (-1) ** k * moments[k] / (k * (k - 1) * mean ** (k - 1))
    return gain
