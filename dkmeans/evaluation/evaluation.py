"""How good a model is on some rows: the result of `evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.agreement.agreement import Agreement
from dkmeans.evaluation.metrics import METRICS, Figure
from dkmeans.evaluation.shown import Section, Shown, cluster, decimals, number, plain, share
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd

_CLUSTERS_SHOWN = 30
_TITLES = {metric.name: metric.title for metric in METRICS}


@dataclass(frozen=True, eq=False)
class Evaluation(Shown):
    """Metrics of a model on some rows, overall and of each cluster.

    Distances are measured in the space where the model measures them, after scaling.
    """

    n_rows: int
    """Rows evaluated, those of weight zero included."""

    cluster_ids: Array
    """`(n_clusters,)` int64."""

    weights: Array
    """`(n_clusters,)` float64: sum of the sample weights of each cluster's rows."""

    figures: Mapping[str, Figure]
    """The metrics that were asked for and are defined, by name."""

    undefined: Mapping[str, str]
    """Metrics that are not defined for these rows, by name, each with the reason."""

    agreement: Agreement | None
    """How clusters agree with true labels; None if there were none."""

    n_passes: int
    """Passes made."""

    reused: bool
    """Whether these are the rows of the fit, whose statistics the model has."""

    cluster_names: Mapping[int, str] = field(default_factory=dict)
    """What clusters are called, by cluster id; not all need a name."""

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric; KeyError if it was not asked for or is not defined."""
        return self.figures[name].value

    @property
    def n_clusters(self) -> int:
        """Number of clusters of the model, empty ones included."""
        return len(self.cluster_ids)

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a cluster: id, count, share, and its part in each metric.

        With a column `cluster_name` after the id, if any cluster has a name.
        """
        import pandas as pd

        return pd.DataFrame(self._named())

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        columns = self._named()
        clusters = [
            {name: values[j] for name, values in columns.items()} for j in range(self.n_clusters)
        ]
        found = {
            "rows": self.n_rows,
            "weight": float(self.weights.sum()),
            "n_clusters": self.n_clusters,
            "metrics": {name: figure.value for name, figure in self.figures.items()},
            "intervals": {
                name: {"low": figure.low, "high": figure.high, "sampled_rows": figure.n_sampled}
                for name, figure in self.figures.items()
                if figure.low is not None
            },
            "undefined": dict(self.undefined),
            "clusters": clusters,
            "agreement": None if self.agreement is None else self.agreement.to_dict(),
            "passes": self.n_passes,
            "reused": self.reused,
        }
        return {name: plain(value) for name, value in found.items()}

    def sections(self) -> Sequence[Section]:
        """Return the figures, the clusters, and the agreement with true labels."""
        has_intervals = any(figure.low is not None for figure in self.figures.values())
        columns = ("Metric", "Value", "95 % interval")[: 3 if has_intervals else 2]
        shown = [self._shown(name, figure) for name, figure in self.figures.items()]
        parts = [
            Section(
                f"{self.n_clusters} clusters on {self.n_rows:,} rows",
                self._sentences(),
                columns,
                tuple(row[: len(columns)] for row in shown),
            )
        ]
        by_cluster = self._by_cluster()
        hidden = self.n_clusters - _CLUSTERS_SHOWN
        parts.append(
            Section(
                "Clusters",
                (f"{hidden} more clusters: to_frame() or --json has all",) if hidden > 0 else (),
                tuple(_HEADINGS[name] for name in by_cluster),
                tuple(
                    tuple(self._cell(name, values[j]) for name, values in by_cluster.items())
                    for j in range(min(self.n_clusters, _CLUSTERS_SHOWN))
                ),
            )
        )
        return parts if self.agreement is None else [*parts, *self.agreement.sections()]

    def _sentences(self) -> tuple[str, ...]:
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.undefined.items():
            by_reason.setdefault(reason, []).append(name)
        said = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
        if self.reused:
            said.append("The rows are those of the fit, whose statistics were not computed again.")
        empty = int((self.weights <= 0).sum())
        if empty:
            said.append(f"{empty} clusters have no rows here.")
        said.append(f"Passes over the rows: {self.n_passes}.")
        return tuple(said)

    def _shown(self, name: str, figure: Figure) -> tuple[str, str, str]:
        interval = ""
        if figure.low is not None and figure.high is not None:
            interval = f"{figure.low:.4f} to {figure.high:.4f}, from {figure.n_sampled:,} rows"
        return _TITLES[name], number(figure.value), interval

    def _named(self) -> dict[str, Any]:
        """The columns, with the names of clusters."""
        columns: dict[str, Any] = self._by_cluster()
        if not self.cluster_names:
            return columns
        ids = columns.pop("cluster_id")
        names = [self.cluster_names.get(one) for one in ids.tolist()]
        return {"cluster_id": ids, "cluster_name": names, **columns}

    def _cell(self, name: str, value: Any) -> str:
        if name == "cluster_id":
            return cluster(value, self.cluster_names)
        return _cell(name, float(value))

    def _by_cluster(self) -> dict[str, Array]:
        total = float(self.weights.sum())
        columns: dict[str, Array] = {
            "cluster_id": self.cluster_ids,
            "count": self.weights,
            "share": self.weights / (total or 1.0),
        }
        full = self.weights > 0
        for name, figure in self.figures.items():
            if figure.per_cluster is None:
                continue
            columns[name] = figure.per_cluster
            if name == "inertia":
                mean = figure.per_cluster / np.where(full, self.weights, 1.0)
                columns["rms_distance"] = np.where(full, np.sqrt(mean), np.nan)
            if figure.per_cluster_error is not None:
                columns[f"{name}_error"] = figure.per_cluster_error
        return columns


_HEADINGS = {
    "cluster_id": "Cluster",
    "count": "Count",
    "share": "Share",
    "inertia": "Inertia",
    "rms_distance": "RMS distance",
    "davies_bouldin": "Davies-Bouldin",
    "silhouette": "Silhouette",
    "silhouette_error": "Std. error",
    "silhouette_squared": "Squared s.",
    "silhouette_simplified": "Simplified s.",
}


def _cell(name: str, value: float) -> str:
    if name == "share":
        return share(value, 1.0)
    return decimals(value, 3) if name.startswith("silhouette") else number(value)
