"""What has drifted: figures against their thresholds, features, and shares of clusters."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, chart_cluster, cut
from dkmeans.evaluation.charts.features import MOST_FEATURES
from dkmeans.evaluation.drift.result import Drift, Verdict
from dkmeans.kernels.block import Array

_TITLES = {
    "cluster_psi": "Shares of clusters (PSI)",
    "distance_ks": "Distances to center (KS)",
    "distance_shift": "Distances to center (moved)",
    "center_shift": "Mean of a cluster (moved)",
    "feature_psi": "Distribution of a feature (PSI)",
    "mean_shift": "Mean of a feature (moved)",
    "variance_ratio": "Variance of a feature (ratio)",
    "missing_share": "Missing values (share)",
    "outside_share": "Outside of known range (share)",
    "beyond_share": "Far from all centers (share)",
}


@dataclass(frozen=True)
class WorstCheck:
    """A metric of drift, where it is the worst."""

    metric: str
    """As in `Thresholds`."""

    title: str
    """What it measures, for people."""

    subject: str
    """"cluster 3", the name of a feature, or "all rows"."""

    value: float
    threshold: float
    ratio: float
    """`value` over `threshold`: above 1 is drift, unless it may be chance; inf if the threshold is
    0 and the value is not."""

    drifts: bool
    """Whether it is above its threshold and more than chance."""

    n_drifting: int
    """How many clusters or features drift by this metric."""

    n_checked: int


@dataclass(frozen=True, eq=False)
class DriftFigures:
    """A drift, as charts show it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    n_rows: int
    base_rows: int
    checks: tuple[WorstCheck, ...]
    """One a metric: what drifts first, the largest ratio first."""

    features: tuple[str, ...]
    """Those of the largest stability index first."""

    psi: Array
    """`(n_shown_features,)` float64: population stability index of each."""

    psi_drifts: Array
    """`(n_shown_features,)` bool."""

    psi_threshold: float
    base_mean: Array
    """`(n_shown_features,)` float64: mean then, in the units of the data."""

    mean: Array
    """`(n_shown_features,)` float64: mean now."""

    clusters: tuple[ChartCluster, ...]
    """Those whose shares have changed the most first."""

    base_shares: Array
    """`(n_shown_clusters,)` float64: of the rows of the baseline."""

    shares: Array
    """`(n_shown_clusters,)` float64: of the rows now."""

    feature_notes: tuple[str, ...]
    """Which features are left out, and by which rule."""

    cluster_notes: tuple[str, ...]
    """The same of clusters."""

    @classmethod
    def of(
        cls,
        drift: Drift,
        *,
        model: Any = None,
        most_features: int = MOST_FEATURES,
        most_clusters: int = MOST_CLUSTERS,
    ) -> Self:
        """Take the figures of a drift. Makes no pass.

        Parameters
        ----------
        drift
            What `dkmeans.drift` has found.
        model
            Whose names and colors clusters have; None for none.
        most_features, most_clusters
            Most of them to show.
        """
        features, clusters = drift.features, drift.clusters
        order = np.argsort(-features.psi, kind="stable")
        shown = order[:most_features]
        drifting = {one.place for one in drift.checks if one.metric == "feature_psi" and one.drifts}
        changed = np.argsort(-np.abs(clusters.share - clusters.base_share), kind="stable")
        labels = changed[:most_clusters]
        known = None if model is None else model_of(model)
        names = {} if known is None else known.cluster_names
        colors = {} if known is None else known.cluster_colors
        return cls(
            drift.verdict,
            drift.reasons,
            drift.n_rows,
            drift.base_rows,
            _worst(drift),
            tuple(cut(features.feature[j]) for j in shown),
            features.psi[shown],
            np.array([j in drifting for j in shown.tolist()], bool),
            drift.thresholds.feature_psi,
            features.base_mean[shown],
            features.mean[shown],
            tuple(
                chart_cluster(label, int(clusters.cluster_id[label]), names, colors)
                for label in labels.tolist()
            ),
            clusters.base_share[labels],
            clusters.share[labels],
            _left_out(len(shown), len(order), "features that differ the most"),
            _left_out(len(labels), len(changed), "clusters whose shares changed the most"),
        )


def _worst(drift: Drift) -> tuple[WorstCheck, ...]:
    found = []
    for metric in drift.figures:
        checks = [one for one in drift.checks if one.metric == metric]
        worst = max(checks, key=lambda one: (one.drifts, one.value))
        ratio = worst.value / worst.threshold if worst.threshold > 0 else np.inf
        found.append(
            WorstCheck(
                metric,
                _TITLES.get(metric, metric),
                worst.subject,
                worst.value,
                worst.threshold,
                0.0 if worst.value == 0 else float(ratio),
                worst.drifts,
                sum(one.drifts for one in checks),
                len(checks),
            )
        )
    return tuple(sorted(found, key=lambda one: (not one.drifts, -one.ratio)))


def _left_out(n_shown: int, n: int, what: str) -> tuple[str, ...]:
    return (f"the {n_shown} {what}, of {n:,}",) if n_shown < n else ()
