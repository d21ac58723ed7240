"""How likely chance alone makes two sets of rows of one distribution differ as much.

A weight of w counts as w rows. NaN where there are too few rows to tell: nothing is concluded then.
"""

import numpy as np

from dkmeans.kernels.block import Array

LEAST_ROWS = 20.0
"""Weight of a cluster, then and now, from which on its mean is compared."""


def of_counts(base: Array, now: Array) -> float:
    """Return the p value of Pearson's test of homogeneity of counts, `(n_bins,)` each."""
    from scipy.special import chdtrc

    seen = base + now > 0
    n, m = float(base.sum()), float(now.sum())
    if seen.sum() < 2 or not min(n, m) > 0:
        return float("nan")
    expected = base[seen] * np.sqrt(m / n) - now[seen] * np.sqrt(n / m)
    statistic = float((expected**2 / (base + now)[seen]).sum())
    return float(chdtrc(int(seen.sum()) - 1, statistic))


def of_ks(ks: float, base: float, now: float) -> float:
    """Return the p value of a Kolmogorov-Smirnov statistic of so many rows, asymptotically.

    Of histograms the statistic is less, so that the p value is too large, if anything.
    """
    from scipy.special import kolmogorov

    if not min(base, now) > 0 or np.isnan(ks):
        return float("nan")
    return float(kolmogorov(np.sqrt(base * now / (base + now)) * ks))


def of_center(shift: float, base: float, now: float) -> float:
    """Return the p value of a mean that is `shift` root mean squared distances from another.

    As if all rows lay on one line, where chance moves a mean farthest.
    """
    from scipy.special import chdtrc

    if min(base, now) < LEAST_ROWS or np.isnan(shift):
        return float("nan")
    return float(chdtrc(1, shift**2 / (1 / base + 1 / now)))


def of_excess(count: float, now: float, n_before: float, base: float) -> float:
    """Return how likely so many of `now` rows, or more, lie beyond a limit.

    A limit that was chosen so that `n_before - 1` of `base` rows lay beyond: the count has a
    negative binomial distribution then, whatever that of the rows. For a limit that was there
    before, it is what `n_before - 1` events of `base` rows let expect.
    """
    from scipy.special import betainc

    if not min(now, base) > 0:
        return float("nan")
    if count <= 0:
        return 1.0
    return float(betainc(count, n_before, now / (now + base)))
