"""Where to cut the range of each feature into cells: edges, from a sample of rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.by_label import ByLabel

OWN_EDGES = 48
"""Most edges of a cluster and feature."""

MOST_BINS = 30
"""Most bins, or distinct values, of a histogram."""

CELL_BYTES = 64 * 2**20
"""Most bytes of the cells of all clusters and features, unless three edges of each take more."""

_STEPS = (10, 20, 25, 50, 100)
"""Widths of a bin that make nice edges, times a power of ten."""


def most_edges(n_clusters: int, n_features: int) -> tuple[int, int]:
    """Return how many edges a cluster and feature may have: fewer where there are many of both.

    So that the cells, `n_clusters * n_features * (2 edges + 1)` of 8 bytes, take at most
    `CELL_BYTES`.

    Returns
    -------
    own, shared
        Edges of a cluster's own, at least one, and edges of bins, at least two.
    """
    n_cells = CELL_BYTES // (8 * n_clusters * n_features)
    total = int(np.clip((n_cells - 1) // 2, 3, OWN_EDGES + MOST_BINS + 1))
    shared = min(MOST_BINS + 1, max(2, total // 2))
    return total - shared, shared


def own_edges(X: Array, labels: Array, weight: Array, n_clusters: int, most: int) -> Array:
    """Return edges for each cluster and feature: its distinct values, or equally deep quantiles.

    Parameters
    ----------
    X
        `(n_rows, n_features)`: a sample.
    labels
        `(n_rows,)`: the cluster of each row.
    weight
        `(n_rows,)` float64, positive: what each row stands for.
    n_clusters
        The number of clusters.
    most
        Most edges of a list.

    Returns
    -------
    edges
        `(n_clusters, n_features, n_edges)` float64, ascending, padded with inf. `n_edges` is at
        least 1 and at most `most`. All are values of rows.
    """
    out = np.full((n_clusters, X.shape[1], most), np.inf)
    by_label = ByLabel.of(labels, n_clusters)
    for label, run in by_label.runs():
        rows = by_label.order[run]
        # by feature; adding zero makes one of the two zeros
        out[label] = _lists(X[rows].T.astype(np.float64) + 0.0, weight[rows], most)
    used = int(np.isfinite(out).sum(axis=2).max(initial=0))
    return np.ascontiguousarray(out[:, :, : max(used, 1)])


def _lists(values: Array, weight: Array, most: int) -> Array:
    """Edges of each row of `values`, `(n_features, n_rows)`: `(n_features, most)`."""
    order = values.argsort(axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    out, n_distinct = _distinct(values, most)
    many = np.flatnonzero(n_distinct > most)
    if len(many):
        ends = np.cumsum(weight[order[many]], axis=1)
        levels = np.arange(1, most + 1) / (most + 1)
        # one search for all features: that of feature i is moved by i
        shares = ends / ends[:, -1:] + np.arange(len(many))[:, None]
        wanted = levels + np.arange(len(many))[:, None]
        at = np.searchsorted(shares.ravel(), wanted.ravel()).reshape(wanted.shape)
        at = np.minimum(at - np.arange(len(many))[:, None] * values.shape[1], values.shape[1] - 1)
        out[many] = _distinct(np.take_along_axis(values[many], at, axis=1), most)[0]
    return out


def _distinct(values: Array, most: int) -> tuple[Array, Array]:
    """The first distinct values of each row, ascending, padded with inf; and how many it has."""
    is_new = np.ones(values.shape, bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=is_new[:, 1:])
    number = is_new.cumsum(axis=1) - 1
    out = np.full((len(values), most), np.inf)
    feature, row = np.nonzero(is_new & (number < most))
    out[feature, number[feature, row]] = values[feature, row]
    return out, number[:, -1] + 1


def joined(own: Array, shared: Array) -> Array:
    """Put edges that all clusters share into the list of each.

    Parameters
    ----------
    own
        `(n_clusters, n_features, n_own)`, ascending, padded with inf.
    shared
        `(n_features, n_shared)`, likewise.

    Returns
    -------
    edges
        `(n_clusters, n_features, n_edges)` float64, ascending, distinct, padded with inf.
    """
    k, d, _ = own.shape
    both = np.concatenate([own, np.broadcast_to(shared, (k, *shared.shape))], axis=2)
    both.sort(axis=2)
    lists, _ = _distinct(both.reshape(k * d, both.shape[2]), both.shape[2])
    used = int(np.isfinite(lists).sum(axis=1).max())
    return np.ascontiguousarray(lists[:, : max(used, 1)].reshape(k, d, -1))


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins that histograms of all clusters share, feature by feature."""

    edges: Array
    """`(n_features, n_edges)` float64, ascending, padded with inf: the distinct values of a
    discrete feature, or the edges of bins."""

    discrete: Array
    """`(n_features,)` bool: whether the sample has so few distinct values that each is counted."""

    @classmethod
    def of(cls, X: Array, weight: Array, most: int = MOST_BINS) -> Self:
        """Cut each feature into at most `most` bins between its 1st and 99th percentile.

        The edges of bins are nice numbers around these percentiles.

        Parameters
        ----------
        X
            `(n_rows, n_features)`: a sample, of at least one row.
        weight
            `(n_rows,)` float64, positive: what each row stands for.
        most
            Most bins.
        """
        lists, discrete = [], []
        for feature in range(X.shape[1]):
            column = X[:, feature].astype(np.float64) + 0.0
            order = column.argsort(kind="stable")
            values, firsts = np.unique(column[order], return_index=True)
            discrete.append(len(values) <= most)
            if not discrete[-1]:
                ends = np.cumsum(np.add.reduceat(weight[order], firsts))
                low, high = values[np.searchsorted(ends, np.array([0.01, 0.99]) * ends[-1])]
                # nearly all may have one value
                ends_at = (low, high) if low < high else (values[0], values[-1])
                values = nice_edges(*ends_at, most)
            lists.append(values)
        edges = np.full((len(lists), max(map(len, lists))), np.inf)
        for row, values in zip(edges, lists, strict=True):
            row[: len(values)] = values
        return cls(edges, np.array(discrete))

    @classmethod
    def none(cls, n_features: int) -> Self:
        """Return no bins, for want of rows."""
        return cls(np.full((n_features, 1), np.inf), np.ones(n_features, bool))

    def counts(self, cells: Array) -> tuple[Array, Array]:
        """Return what bins hold, from the cells between the edges.

        Bin i of a feature that is not discrete goes from edge i, which it holds, to edge i + 1; the
        first also holds what lies below, the last what lies at its end or above. Bin i of a
        discrete feature holds value i.

        Parameters
        ----------
        cells
            `(n_clusters, n_features, 2 n_edges + 1)`.

        Returns
        -------
        weight
            `(n_clusters, n_features, n_edges)` float64; bins beyond the last have none.
        other
            `(n_clusters, n_features)` float64: what has none of the values of a discrete feature,
            because the sample did not.
        """
        weight = cells[:, :, 1::2].copy()
        between = cells[:, :, ::2]
        other = np.where(self.discrete, between.sum(axis=2), 0.0)
        for feature in np.flatnonzero(~self.discrete):
            n_bins = int(np.isfinite(self.edges[feature]).sum()) - 1
            own, own_between = weight[:, feature], between[:, feature]
            own[:, :n_bins] += own_between[:, 1 : n_bins + 1]
            own[:, 0] += own_between[:, 0]
            own[:, n_bins - 1] += own[:, n_bins] + own_between[:, n_bins + 1]
            own[:, n_bins] = 0.0
        return weight, other


def nice_edges(low: float, high: float, most: int) -> Array:
    """Return the edges of at most `most` bins of one nice width that cover `low` to `high`.

    Widths are 1, 2, 2.5 or 5 times a power of ten, and edges multiples of them. Where these are too
    close for float64, the ends are the only edges.
    """
    exponent = int(np.floor(np.log10((high - low) / most))) - 1
    for power in (exponent, exponent + 1, exponent + 2):
        for step in _STEPS:
            # in whole numbers, so that 3 times 0.1 is 0.3
            width = step * 10.0**power
            first, last = np.floor(low / width), np.ceil(high / width)
            if last - first <= most:
                numbers = np.arange(first, last + 1) * step
                edges = numbers / 10.0**-power if power < 0 else numbers * 10.0**power
                if np.all(np.diff(edges) > 0) and edges[0] <= low and high <= edges[-1]:
                    return np.asarray(edges)
                return np.array([low, high])
    return np.array([low, high])
