"""Rows put into the order of their labels, so that each cluster is one run of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array

_SHORT_LABELS = 2**16
"""Fewer labels than this are sorted by their digits, in time linear in the rows."""


@dataclass(frozen=True, eq=False)
class ByLabel:
    """The order of some rows by label, equal ones as they were, and where each label begins."""

    order: Array
    """`(n_rows,)` intp: indices of the rows."""

    labels: Array
    """`(n_present,)`: the labels that some row has, ascending."""

    starts: Array
    """`(n_present,)` intp: where the rows of each begin in `order`."""

    @classmethod
    def of(cls, labels: Array, n_clusters: int, able: Array | None = None) -> Self:
        """Put rows in order.

        Parameters
        ----------
        labels
            `(n_rows,)` in 0..n_clusters-1.
        n_clusters
            The number of clusters.
        able
            `(n_rows,)` bool: which rows to take; None for all.
        """
        among = None if able is None else np.flatnonzero(able)
        some = labels if among is None else labels[among]
        short = some.astype(np.uint16) if n_clusters <= _SHORT_LABELS else some
        order = np.argsort(short, kind="stable")
        some = some[order]
        first = np.ones(len(some), bool)
        np.not_equal(some[1:], some[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        return cls(order if among is None else among[order], some[starts], starts)

    @property
    def counts(self) -> Array:
        """Rows of each present label, `(n_present,)`."""
        return np.diff(self.starts, append=len(self.order))

    def runs(self) -> Iterator[tuple[int, slice]]:
        """Yield each present label and where its rows lie in `order`."""
        starts, counts = self.starts.tolist(), self.counts.tolist()
        for label, start, count in zip(self.labels.tolist(), starts, counts, strict=True):
            yield label, slice(start, start + count)
