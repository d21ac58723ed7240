"""How many rows each cluster has."""

from dataclasses import dataclass
from typing import Any, Self

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.kernels.block import Array


@dataclass(frozen=True, eq=False)
class Sizes:
    """Rows of the largest clusters, the largest first, and of all others together."""

    clusters: tuple[ChartCluster, ...]
    weights: Array
    """`(n_shown,)` float64: rows of each cluster, or the sum of their weights."""

    shares: Array
    """`(n_shown,)` float64: of all rows."""

    n_others: int
    """Clusters that are not shown by themselves."""

    others_weight: float
    """Rows of those together."""

    n_empty: int
    """Clusters without rows, shown or not."""

    total: float
    """Rows of all clusters, or the sum of their weights."""

    unit: str
    """"rows", or "weight" if it is known that rows have weights."""

    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(cls, given: Any, *, model: Any = None, most: int = MOST_CLUSTERS) -> Self:
        """Take the sizes of clusters from what knows them. Makes no pass.

        Parameters
        ----------
        given
            A `Model` or a fitted estimator, for the rows of its fit; an `Evaluation` or a
            `Profile`, for the rows that it is of.
        model
            Whose names and colors clusters have, where results know of none.
        most
            Most clusters to show.

        Raises
        ------
        ArgumentError
            If sizes are not known there.
        """
        if most < 1:
            raise ArgumentError(f"most={most} should be at least 1.")
        faces = Faces.of(given, model)
        labels, notes = faces.largest(most)
        weights = faces.weights[labels]
        total = float(faces.weights.sum())
        is_weighted = (isinstance(given, Profile) and given.weighted) or not total.is_integer()
        return cls(
            tuple(map(faces.cluster, labels.tolist())),
            weights,
            weights / (total or 1.0),
            faces.n_clusters - len(labels),
            # not less than nothing by rounding
            max(0.0, total - float(weights.sum())) if len(labels) < faces.n_clusters else 0.0,
            int((faces.weights <= 0).sum()),
            total,
            "weight" if is_weighted else "rows",
            notes,
        )
