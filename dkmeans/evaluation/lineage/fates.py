"""What becomes of clusters from one model to the next: kept, born, gone, split, merged.

A *split*: of an old cluster, its heir and the new-born clusters that have at least half of their
rows from it, two or more in all. A *merge*: into a new cluster, the old one whose id it keeps and
the ones that are gone and have left it at least half of their rows, two or more in all.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkmeans.kernels.block import Array

MOST_OF_IT = 0.5
"""Share of its rows that makes a cluster a part of another."""

LEAST_TOLD = 0.01
"""Share of the rows of a cluster from which on it is told where they are, or were."""


@dataclass(frozen=True)
class Kept:
    """An old cluster that goes on in the new model, under its id and name."""

    cluster_id: int
    old_label: int
    new_label: int

    overlap: float | None
    """Jaccard index of its old and its new rows; None if there are none."""

    shift: float | None
    """How far its center has moved, in the scaled units of the old model; None if that cannot be
    told."""


@dataclass(frozen=True)
class Part:
    """The rows that an old and a new cluster have in common, as seen from one of them."""

    cluster_id: int
    """The other one."""

    share_of_old: float
    """Share of the old cluster's rows that are in the new one, from 0 to 1."""

    share_of_new: float
    """Share of the new cluster's rows that were in the old one, from 0 to 1."""


@dataclass(frozen=True)
class Birth:
    """A new cluster that is none of the old ones."""

    cluster_id: int
    """A number that no cluster had before."""

    new_label: int

    parts: tuple[Part, ...]
    """Old clusters that its rows were in, the most first; without rows none."""


@dataclass(frozen=True)
class Death:
    """An old cluster that none of the new ones continues. Its id is never used again."""

    cluster_id: int
    old_label: int

    parts: tuple[Part, ...]
    """New clusters that its rows are in, the most first; without rows none."""


@dataclass(frozen=True)
class Split:
    """An old cluster whose rows went to several new ones."""

    cluster_id: int
    """Of the old cluster."""

    kept_by: int | None
    """The new cluster that keeps its id, which is the same number; None if none does."""

    parts: tuple[Part, ...]
    """The new clusters, that with the most of its rows first."""


@dataclass(frozen=True)
class Merge:
    """Several old clusters whose rows went to one new one."""

    cluster_id: int
    """Of the new cluster: that of the old one that it continues, or a new number."""

    kept_from: int | None
    """The old cluster whose id it keeps, which is the same number; None if it keeps none."""

    parts: tuple[Part, ...]
    """The old clusters, that with the most rows in it first."""


@dataclass(frozen=True, eq=False)
class Table:
    """The rows that old and new clusters have in common, and the ids of both."""

    weight: Array
    """`(n_old, n_new)` float64."""

    old_ids: Array
    """`(n_old,)` int64."""

    new_ids: Array
    """`(n_new,)` int64."""

    @cached_property
    def old_weight(self) -> Array:
        """The weight of each old cluster, `(n_old,)` float64."""
        return self.weight.sum(axis=1)

    @cached_property
    def new_weight(self) -> Array:
        """The weight of each new cluster, `(n_new,)` float64."""
        return self.weight.sum(axis=0)

    @cached_property
    def total(self) -> float:
        """The weight of all rows."""
        return float(self.weight.sum())

    def of_old(self, i: int, columns: Array | None = None) -> tuple[Part, ...]:
        """Where the rows of an old cluster are: in these new ones, or in those that matter."""
        if columns is None:
            columns = np.flatnonzero(self._told(self.weight[i]))
        order = columns[np.argsort(-self.weight[i, columns], kind="stable")]
        return tuple(self._part(i, j, self.new_ids[j]) for j in order)

    def of_new(self, j: int, rows: Array | None = None) -> tuple[Part, ...]:
        """Where the rows of a new cluster were: in these old ones, or in those that matter."""
        if rows is None:
            rows = np.flatnonzero(self._told(self.weight[:, j]))
        order = rows[np.argsort(-self.weight[rows, j], kind="stable")]
        return tuple(self._part(i, j, self.old_ids[i]) for i in order)

    def mostly_of_old(self, i: int) -> Array:
        """Which new clusters have at least half of their rows from an old one, `(n_new,)` bool."""
        return self._at_least(self.weight[i], self.new_weight, MOST_OF_IT)

    def mostly_in_new(self, j: int) -> Array:
        """Which old clusters have at least half of their rows in a new one, `(n_old,)` bool."""
        return self._at_least(self.weight[:, j], self.old_weight, MOST_OF_IT)

    def _told(self, weight: Array) -> Array:
        return self._at_least(weight, weight.sum(), LEAST_TOLD)

    @staticmethod
    def _at_least(part: Array, whole: Array, share: float) -> Array:
        return (part > 0) & (part >= share * whole)

    def _part(self, i: int, j: int, cluster_id: int) -> Part:
        common = self.weight[i, j]
        old, new = self.old_weight[i], self.new_weight[j]
        shares = (min(1.0, float(common / whole)) if whole > 0 else 0.0 for whole in (old, new))
        return Part(int(cluster_id), *shares)


def splits(table: Table, heirs: Array) -> tuple[Split, ...]:
    """Find old clusters whose rows went to several new ones, in the order of their ids.

    Parameters
    ----------
    table
        The rows in common.
    heirs
        `(n_old,)` int64: the label of the new cluster that continues each old one, -1 for none.
    """
    born = ~np.isin(np.arange(len(table.new_ids)), heirs)
    found = []
    for i in np.argsort(table.old_ids, kind="stable").tolist():
        members = table.mostly_of_old(i) & born
        if heirs[i] >= 0:
            members[heirs[i]] = True
        if members.sum() > 1:
            cluster_id = int(table.old_ids[i])
            parts = table.of_old(i, np.flatnonzero(members))
            found.append(Split(cluster_id, cluster_id if heirs[i] >= 0 else None, parts))
    return tuple(found)


def merges(table: Table, heirs: Array) -> tuple[Merge, ...]:
    """Find new clusters that the rows of several old ones went to, in the order of their ids.

    Parameters
    ----------
    table, heirs
        As in `splits`.
    """
    found = []
    for j in np.argsort(table.new_ids, kind="stable").tolist():
        members = table.mostly_in_new(j) & (heirs < 0)
        continued = heirs == j
        members |= continued
        if members.sum() > 1:
            cluster_id = int(table.new_ids[j])
            parts = table.of_new(j, np.flatnonzero(members))
            found.append(Merge(cluster_id, cluster_id if continued.any() else None, parts))
    return tuple(found)
