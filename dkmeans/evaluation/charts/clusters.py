"""Clusters as charts show them: which of them, and each with its text, color and marker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.charts.palette import Marker, color_of, marker_of
from dkmeans.evaluation.evaluation import Evaluation
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.evaluation.shown import share
from dkmeans.kernels.block import Array

MOST_CLUSTERS = 20
"""Clusters that a chart shows by themselves: the largest, if there are more."""

LONGEST_TEXT = 24
"""Characters of the text of a cluster or a feature; what is longer is cut."""


@dataclass(frozen=True)
class ChartCluster:
    """A cluster in a chart."""

    label: int
    """Its index in the model."""

    cluster_id: int
    name: str | None
    """What it is called; None if it has no name."""

    text: str
    """Its id, and its name if it has one, `LONGEST_TEXT` characters at most."""

    color: str
    """As #rrggbb."""

    marker: Marker


@dataclass(frozen=True, eq=False)
class Faces:
    """What charts are told of the clusters of a model or a result."""

    cluster_ids: Array
    """`(n_clusters,)` int64, by label."""

    weights: Array
    """`(n_clusters,)` float64: sums of sample weights, 0 for clusters without rows."""

    names: Mapping[int, str] = field(default_factory=dict)
    """By cluster id."""

    colors: Mapping[int, str] = field(default_factory=dict)
    """By cluster id."""

    @classmethod
    def of(cls, given: Any, model: Any = None) -> Self:
        """Take them from a `Model`, a fitted estimator, an `Evaluation` or a `Profile`.

        `model` is one whose names and colors clusters have, where results know of none.
        """
        known = None if model is None else model_of(model)
        if isinstance(given, (Evaluation, Profile)):
            weights = given.weights if isinstance(given, Evaluation) else given.count
            names = given.cluster_names if isinstance(given, Profile) else {}
            if known is None:
                return cls(given.cluster_ids, weights, names)
            return cls(
                given.cluster_ids, weights, {**names, **known.cluster_names}, known.cluster_colors
            )
        found = model_of(given)
        known = found if known is None else known
        return cls(found.cluster_ids, found.weights, known.cluster_names, known.cluster_colors)

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.cluster_ids)

    def cluster(self, label: int) -> ChartCluster:
        """Return one cluster."""
        return chart_cluster(label, int(self.cluster_ids[label]), self.names, self.colors)

    def largest(self, most: int = MOST_CLUSTERS) -> tuple[Array, tuple[str, ...]]:
        """Choose the clusters that are shown: all, or the largest.

        Returns
        -------
        labels, notes
            `(n_shown,)` int64, the largest first and of equal ones that with the lower id; and a
            sentence on those that are left out, if there are any.
        """
        order = np.lexsort((self.cluster_ids, -self.weights))
        if len(order) <= most:
            return order, ()
        rest = share(float(self.weights[order[most:]].sum()), float(self.weights.sum()))
        said = f"the {most} largest of {len(order):,} clusters; the others have {rest} of the rows"
        return order[:most], (said,)

    def chosen(
        self, clusters: Any, most: int = MOST_CLUSTERS
    ) -> tuple[tuple[ChartCluster, ...], tuple[str, ...]]:
        """Return the clusters of these ids, in their order; None for `largest`, by id.

        Raises
        ------
        ArgumentError
            If there is no cluster of an id, or none is chosen.
        """
        if clusters is None:
            labels, notes = self.largest(most)
            labels = labels[np.argsort(self.cluster_ids[labels], kind="stable")]
            return tuple(map(self.cluster, labels.tolist())), notes
        places = {one: label for label, one in enumerate(self.cluster_ids.tolist())}
        found = []
        for one in np.atleast_1d(np.asarray(clusters, object)).tolist():
            if one not in places:
                known = ", ".join(map(str, list(places)[:10]))
                more = ", ..." if len(places) > 10 else ""
                raise ArgumentError(
                    f"clusters={clusters!r} has {one!r}, which is not the id of a cluster; there "
                    f"are {known}{more}."
                )
            found.append(self.cluster(places[one]))
        if not found:
            raise ArgumentError("clusters=[] chooses none; leave it out for the largest.")
        return tuple(found), ()


def chart_cluster(
    label: int,
    cluster_id: int,
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
) -> ChartCluster:
    """Return a cluster as charts show it; `names` and `colors` are by cluster id."""
    name = (names or {}).get(cluster_id)
    text = str(cluster_id) if name is None else f"{cluster_id} {name}"
    color = color_of(cluster_id, colors)
    return ChartCluster(label, cluster_id, name, cut(text), color, marker_of(cluster_id))


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """Cut a text that is too long, and say so by an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
