"""Where the rows of each cluster of one model are in the next."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.kernels.block import Array


@dataclass(frozen=True, eq=False)
class Flow:
    """Rows in common of old and new clusters."""

    old: tuple[ChartCluster, ...]
    """The clusters of the old model that are shown by themselves, by id."""

    new: tuple[ChartCluster, ...]
    """Those of the new model, in the order that crosses least: kept ones beside their old ones,
    others where most of their rows come from."""

    weight: Array
    """`(n_old + 1, n_new + 1)` float64: rows in common, or the sum of their weights. The last row
    and column are of all other clusters together."""

    is_kept: Array
    """`(n_new,)` bool: whether a new cluster continues an old one, under its id."""

    n_other_old: int
    """Clusters that the last row of `weight` takes together."""

    n_other_new: int
    churn: float | None
    """Share of the rows whose cluster id changes; None if there are no rows."""

    n_rows: int
    unit: str
    """"rows" or "weight"."""

    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(
        cls,
        lineage: Lineage,
        *,
        champion: Any = None,
        challenger: Any = None,
        most_clusters: int = MOST_CLUSTERS,
    ) -> Self:
        """Take the flow from a lineage. Makes no pass.

        Parameters
        ----------
        lineage
            What `dkmeans.lineage` has found, with rows.
        champion, challenger
            The models, for the colors and names of their clusters; new clusters have the ids that
            the lineage gives them. None for what the lineage knows.
        most_clusters
            Most clusters to show by themselves, on either side.

        Raises
        ------
        ArgumentError
            If clusters were matched without rows, or there were none.
        """
        table = lineage.table
        if table is None or not table.total > 0:
            raise ArgumentError(
                "this lineage was found without rows, and knows of no flow; pass X to lineage()."
            )
        old_faces = _faces(lineage, table.old_ids, table.old_weight, champion)
        new_faces = _faces(lineage, table.new_ids, table.new_weight, champion, challenger)
        old, old_notes = old_faces.chosen(None, most_clusters)
        new, new_notes = new_faces.chosen(None, most_clusters)
        rows = _gathered([one.label for one in old], len(table.old_ids))
        columns = _gathered([one.label for one in new], len(table.new_ids))
        weight = rows @ table.weight @ columns.T
        order = _least_crossing([one.cluster_id for one in old], new, weight)
        weight = weight[:, [*order, len(new)]]
        kept = {one.new_label for one in lineage.kept}
        new = tuple(new[j] for j in order)
        return cls(
            old,
            new,
            weight,
            np.array([one.label in kept for one in new], bool),
            old_faces.n_clusters - len(old),
            new_faces.n_clusters - len(new),
            lineage.churn,
            int(lineage.n_rows or 0),
            lineage.unit,
            tuple(
                f"{side}: {note}"
                for side, notes in (("before", old_notes), ("after", new_notes))
                for note in notes
            ),
        )


def _faces(lineage: Lineage, ids: Array, weights: Array, *models: Any) -> Faces:
    """Names and colors of old clusters go on with their ids; a new model's own come first."""
    names: dict[int, str] = dict(lineage.cluster_names)
    colors: dict[int, str] = {}
    for model in models:
        if model is not None:
            found = model_of(model)
            known = set(ids.tolist())
            # a challenger that was not numbered yet has other ids
            if model is models[0] or set(found.cluster_ids.tolist()) == known:
                names |= found.cluster_names
                colors |= found.cluster_colors
    return Faces(ids, weights, names, colors)


def _gathered(labels: list[int], n_clusters: int) -> Array:
    """A matrix that takes the clusters that are not shown together, `(n_shown + 1, n_clusters)`."""
    out = np.zeros((len(labels) + 1, n_clusters))
    out[-1] = 1.0
    out[np.arange(len(labels)), labels] = 1.0
    out[-1, labels] = 0.0
    return out


def _least_crossing(old_ids: list[int], new: tuple[ChartCluster, ...], weight: Array) -> list[int]:
    """The order of new clusters: by the place of the old one that each continues, or comes from."""
    places = {cluster_id: i for i, cluster_id in enumerate(old_ids)}
    rank = np.arange(len(weight), dtype=np.float64)

    def place(j: int) -> tuple[float, int]:
        at = places.get(new[j].cluster_id)
        total = weight[:, j].sum()
        origin = float(rank @ weight[:, j] / total) if total > 0 else float(len(rank))
        return (origin if at is None else float(at), new[j].cluster_id)

    return sorted(range(len(new)), key=place)
