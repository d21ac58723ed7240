"""How far two sets of rows are apart, from counts and histograms alone."""

from dataclasses import dataclass

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.log_bins import DistanceBins

N_BINS = 10
"""Bins of a feature that its stability is measured by."""

LEAST_COUNT = 5.0
"""Weight that is expected in each bin of the smaller set of rows: with less, what chance gives is
not known. Fewer rows have fewer bins."""


def joined(base: Array, now: Array) -> tuple[Array, Array]:
    """Join bins of unordered counts, `(n_bins,)` each, that are too small to be tested.

    The smallest become one bin, until that has the least count that is expected.
    """
    least = least_weight(base, now)
    order = np.argsort(base, kind="stable")
    ends = np.cumsum(base[order])
    n_small = int((base < least).sum())
    while n_small and n_small < len(base) and ends[n_small - 1] < least:
        n_small += 1
    small, rest = order[:n_small], np.sort(order[n_small:])
    if not n_small:
        return base, now
    return (
        np.append(base[rest], base[small].sum()),
        np.append(now[rest], now[small].sum()),
    )


def least_weight(base: Array, now: Array) -> float:
    """Return what a bin of the baseline must weigh for its count to be expected often enough."""
    fewest = min(float(base.sum()), float(now.sum()))
    return float(base.sum()) * LEAST_COUNT / fewest if fewest > 0 else np.inf


def equal_groups(base: Array, now: Array, n_groups: int = N_BINS) -> Array:
    """Group ordered bins so that groups have about equal weight in the baseline.

    A bin with the weight of a group or more is a group by itself, if what came before may be one.

    Parameters
    ----------
    base, now
        `(n_bins,)`: weights, in order.
    n_groups
        How many groups are wanted; fewer where bins are coarse or rows are few.

    Returns
    -------
    groups
        `(n_bins,)` intp: the group of each bin, ascending.
    """
    least = least_weight(base, now)
    wanted = max(float(base.sum()) / n_groups, least) * (1 - 1e-9)
    groups = np.empty(len(base), np.intp)
    group, so_far = 0, 0.0
    for i, weight in enumerate(base.tolist()):
        if so_far >= wanted or (weight >= wanted and so_far >= least):
            group, so_far = group + 1, 0.0
        groups[i] = group
        so_far += weight
    if group and so_far < least:
        groups[groups == group] = group - 1
    return groups


def grouped(weights: Array, groups: Array) -> Array:
    """Add up weights by group, `(n_groups,)` float64."""
    return np.bincount(groups, weights, minlength=int(groups.max(initial=-1)) + 1)


@dataclass(frozen=True, eq=False)
class DistanceShift:
    """How the distances of two sets of rows to their centers differ, cluster by cluster.

    NaN where either has no rows.
    """

    ks: Array
    """`(n_clusters,)`: greatest difference of the shares within any distance that is the edge of a
    bin. That between edges may be greater, by the weight in one bin at most."""

    wasserstein: Array
    """`(n_clusters,)`: mean distance that rows are to be moved by to turn one into the other, as a
    share of the mean distance of the first. Exact but for the width of a bin."""

    base_mean: Array
    """`(n_clusters,)`: mean distance of the first."""

    now_mean: Array
    """`(n_clusters,)`: mean distance of the second."""

    @classmethod
    def between(cls, base: Array, now: Array, bins: DistanceBins) -> "DistanceShift":
        """Compare weights by cluster and bin of squared distances, `(n_clusters, n_cells)` each."""
        edges = np.sqrt(bins.edges)
        # the last bin has no end: what lies there is taken to lie at its beginning
        widths = np.append(np.diff(edges), 0.0)
        k = len(base)
        out = np.full((4, k), np.nan)
        for j in range(k):
            totals = base[j].sum(), now[j].sum()
            if not min(totals) > 0:
                continue
            p, q = base[j] / totals[0], now[j] / totals[1]
            apart = np.cumsum(p) - np.cumsum(q)
            before = np.concatenate([[0.0], apart[:-1]])
            middles = edges + widths / 2
            means = float(p @ middles), float(q @ middles)
            moved = float(_area(before, apart, widths))
            out[:, j] = min(np.abs(apart).max(), 1.0), moved / (means[0] or np.inf), *means
        return cls(*out)


def _area(left: Array, right: Array, widths: Array) -> Array:
    """Area below the absolute value of what runs straight from `left` to `right` in each bin."""
    total = np.abs(left) + np.abs(right)
    crosses = left * right < 0
    whole = total / 2
    safe = np.where(total > 0, total, 1.0)
    both = (left**2 + right**2) / (2 * safe)
    return np.asarray((np.where(crosses, both, whole) * widths).sum())
