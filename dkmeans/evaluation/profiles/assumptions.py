"""Whether clusters are what k-means takes them for: round, of like size, and of like spread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.profiles import findings
from dkmeans.evaluation.profiles.anova import EqualVariances, bartlett
from dkmeans.evaluation.profiles.findings import LEAST_WEIGHT, Finding
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.profiles.shape import Shape
from dkmeans.evaluation.shown import Section, Shown, brief, plain
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Assumptions(Shown):
    """The assumptions that k-means makes by using distances to means, checked on its clusters.

    All but the sizes are measured in the space where distances are.
    """

    feature_names: tuple[str, ...]
    """The features, `n_features` of them."""

    cluster_ids: Array
    """`(n_clusters,)` int64: the numbers that users see, by label."""

    findings: tuple[Finding, ...]
    """The checks: sizes, spreads, shapes, features, variances."""

    spread: Array
    """`(n_clusters,)` float64: root mean squared distance to the mean; NaN if empty."""

    shape: Shape
    """How elongated each cluster is."""

    feature_std: Array
    """`(n_features,)` float64: pooled standard deviation within clusters; NaN if not known."""

    variances: EqualVariances
    """Bartlett's test of each feature over the clusters of at least `LEAST_WEIGHT`."""

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per check."""
        import pandas as pd

        return pd.DataFrame([vars(finding) for finding in self.findings])

    @property
    def clusters(self) -> "pd.DataFrame":
        """Spread and shape of each cluster, one row each."""
        import pandas as pd

        return pd.DataFrame(
            {
                "cluster_id": self.cluster_ids,
                "spread": self.spread,
                "elongation": self.shape.elongation,
                "longest_share": self.shape.longest_share,
            }
        )

    @property
    def features(self) -> "pd.DataFrame":
        """Standard deviation within clusters and Bartlett's test of each feature, one row each."""
        import pandas as pd

        return pd.DataFrame(
            {
                "feature": list(self.feature_names),
                "within_std": self.feature_std,
                "std_ratio": self.variances.std_ratio,
                "bartlett": self.variances.statistic,
                "p_value": self.variances.p_value,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; infinities and NaN as None."""
        return {
            "findings": [plain(vars(finding)) for finding in self.findings],
            "clusters": [plain(dict(row)) for row in self.clusters.to_dict("records")],
            "features": [plain(dict(row)) for row in self.features.to_dict("records")],
        }

    def sections(self) -> tuple[Section, ...]:
        """Return the checks with their verdicts and sentences."""
        rows = tuple((f.check, brief(f.value), f.verdict, f.sentence) for f in self.findings)
        columns = ("Check", "Ratio", "Verdict", "What it means")
        return (Section("Does the data suit k-means?", (), columns, rows),)


def assumptions(
    moments: GroupMoments,
    spread: Array,
    shape: Shape,
    feature_names: tuple[str, ...],
    cluster_ids: Array,
) -> Assumptions:
    """Check what k-means assumes.

    Parameters
    ----------
    moments
        Of the clusters, in the space where distances are measured; variances NaN if not known.
    spread
        `(n_clusters,)`: root mean squared distance to the cluster's mean in that space.
    shape
        How elongated the clusters are.
    feature_names
        One for each feature.
    cluster_ids
        `(n_clusters,)`: the numbers that users see, by label.
    """
    judged = moments.weight >= LEAST_WEIGHT
    spread = np.where(moments.filled, spread, np.nan)
    known = not np.isnan(moments.variance[moments.filled]).any()
    std = (
        np.sqrt(moments.within / (moments.total or np.nan))
        if known
        else np.full(len(feature_names), np.nan)
    )
    variances = bartlett(moments, LEAST_WEIGHT)
    found = (
        findings.sizes(moments.weight, cluster_ids),
        findings.spreads(spread, judged, cluster_ids),
        findings.shapes(shape, moments.weight, cluster_ids),
        findings.features(std, moments.between, feature_names),
        findings.variances(variances, known, feature_names, cluster_ids),
    )
    return Assumptions(feature_names, cluster_ids, found, spread, shape, std, variances)
