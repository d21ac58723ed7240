"""What became of the clusters of one model in the next: the result of `match`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.lineage.fates import Birth, Death, Kept, Merge, Split, Table
from dkmeans.evaluation.lineage.sections import Line, of_lineage
from dkmeans.evaluation.shown import Section, Shown, plain
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Lineage(Shown):
    """Which clusters of a new model, the challenger, continue those of the old one, the champion.

    Shares are of the rows that both have labelled, by weight; 0 to 1.
    """

    old_ids: Array
    """`(n_old,)` int64: the cluster ids of the champion, by label."""

    new_ids: Array
    """`(n_new,)` int64: the cluster ids that the challenger gets, by label."""

    next_cluster_id: int
    """The next id after these: greater than every one that was ever used."""

    kept: tuple[Kept, ...]
    """Clusters that go on under their id, in the order of ids."""

    births: tuple[Birth, ...]
    """New clusters with new ids, in the order of ids."""

    deaths: tuple[Death, ...]
    """Clusters that are gone, with their ids, in the order of ids."""

    splits: tuple[Split, ...] = ()
    """Old clusters whose rows went to several new ones; without rows none."""

    merges: tuple[Merge, ...] = ()
    """New clusters that the rows of several old ones went to; without rows none."""

    table: Table | None = None
    """The weight of the rows of each pair of clusters; None if clusters were matched without."""

    n_rows: int | None = None
    """Rows that both models have labelled, those of weight zero included; None without rows."""

    cluster_names: Mapping[int, str] = field(default_factory=dict)
    """What the champion's clusters are called, by cluster id."""

    @cached_property
    def churn(self) -> float | None:
        """Share of the rows whose cluster id changes, 0 to 1; None if there are no rows.

        Rows that a split or a merge moves to another id are among them, though they still are where
        they were.
        """
        if self.table is None:
            return None
        moves = self.table.weight.copy()
        for one in self.kept:
            moves[one.old_label, one.new_label] = 0.0
        total = self.table.total
        return min(1.0, float(moves.sum()) / total) if total > 0 else None

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a cluster: old id, new id, name, fate, shares, overlap, shift.

        Clusters that are gone have no new id, those that are new no old one.
        """
        import pandas as pd

        columns = {
            name: pd.Series([getattr(line, name) for line in self.lines], dtype=dtype)
            for name, dtype in _COLUMNS.items()
        }
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values: what is not known is None."""
        found: dict[str, Any] = {
            "churn": self.churn,
            "rows": self.n_rows,
            "weight": None if self.table is None else self.table.total,
            "next_cluster_id": self.next_cluster_id,
            "old_ids": self.old_ids,
            "new_ids": self.new_ids,
            "clusters": [vars(line) for line in self.lines],
        }
        for fate in ("kept", "births", "deaths", "splits", "merges"):
            found[fate] = [asdict(one) for one in getattr(self, fate)]
        found["flow"] = None if self.table is None else self._flow(self.table)
        return {name: plain(value) for name, value in found.items()}

    def sections(self) -> tuple[Section, ...]:
        """Return the clusters before and after, and what happened to them, in words."""
        return of_lineage(self)

    @property
    def unit(self) -> str:
        """What shares are of: "rows", or "weight" if rows have weights."""
        weighted = self.table is not None and self.table.total != self.n_rows
        return "weight" if weighted else "rows"

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The clusters in the order of their ids."""
        lines = [self._line(one.cluster_id, one.old_label, None) for one in self.deaths]
        lines += [self._line(one.cluster_id, None, one.new_label) for one in self.births]
        for one in self.kept:
            told = one.overlap, one.shift
            lines.append(self._line(one.cluster_id, one.old_label, one.new_label, *told))
        return tuple(sorted(lines, key=lambda line: line.cluster_id))

    def _line(
        self,
        cluster_id: int,
        old: int | None,
        new: int | None,
        overlap: float | None = None,
        shift: float | None = None,
    ) -> Line:
        fate = "gone" if new is None else "new" if old is None else "kept"
        name = self.cluster_names.get(cluster_id)
        ids = None if old is None else cluster_id, None if new is None else cluster_id
        if self.table is None or not (total := self.table.total) > 0:
            return Line(*ids, name, fate, None, None, None, overlap, shift)
        before = None if old is None else float(self.table.old_weight[old])
        after = None if new is None else float(self.table.new_weight[new])
        stays = None
        if old is not None and new is not None and before:
            stays = min(1.0, float(self.table.weight[old, new] / before))
        old_share, new_share = (None if one is None else one / total for one in (before, after))
        return Line(*ids, name, fate, old_share, new_share, stays, overlap, shift)

    def _flow(self, table: Table) -> dict[str, Any]:
        """The pairs of ids that have rows in common."""
        old, new = np.nonzero(table.weight)
        return {
            "old_id": table.old_ids[old],
            "new_id": table.new_ids[new],
            "weight": table.weight[old, new],
        }


_COLUMNS = {
    "old_id": "Int64",
    "new_id": "Int64",
    "cluster_name": "object",
    "fate": "object",
    "old_share": "float64",
    "new_share": "float64",
    "stays": "float64",
    "overlap": "float64",
    "shift": "float64",
}
