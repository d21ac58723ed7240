"""Whether rows are like those of a baseline: the result of `drift`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkmeans.evaluation.drift.checks import Check
from dkmeans.evaluation.drift.comparison import ClusterDrift, FeatureDrift, columns_of
from dkmeans.evaluation.drift.region import Region
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.shown import Section, Shown, brief, cluster, plain, probability, share
from dkmeans.models.shares import Shares

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["drift", "no drift", "unknown"]

_MOST_SHOWN = 30


@dataclass(frozen=True, eq=False)
class Drift(Shown):
    """How some rows differ from those of a baseline, and whether that is drift."""

    n_rows: int
    """Rows compared, those of weight zero and those that lack values included."""

    base_rows: int
    """Rows of the baseline."""

    checks: tuple[Check, ...]
    """All figures, each with its threshold."""

    reasons: tuple[str, ...]
    """What has drifted, a sentence each."""

    clusters: ClusterDrift
    features: FeatureDrift
    shares: Shares
    region: Region | None
    """Where rows lie that are beyond; None unless more do than in the baseline."""

    thresholds: Thresholds
    n_passes: int
    """Passes made."""

    cluster_names: Mapping[int, str] = field(default_factory=dict)
    """What clusters are called, by cluster id; not all need a name."""

    @property
    def verdict(self) -> Verdict:
        """Whether rows have drifted; "unknown" where they are too few for any test."""
        if any(one.drifts for one in self.checks):
            return "drift"
        judged = any(not np.isnan(one.probability) for one in self.checks)
        return "no drift" if judged else "unknown"

    @property
    def is_drift(self) -> bool:
        """Whether the verdict is drift."""
        return self.verdict == "drift"

    def __getitem__(self, metric: str) -> float:
        """Return the greatest value of a metric; KeyError if none was found of that name."""
        values = [one.value for one in self.checks if one.metric == metric]
        if not values:
            raise KeyError(metric)
        return max(values)

    @property
    def figures(self) -> dict[str, float]:
        """The greatest value of each metric, by name."""
        return {name: self[name] for name in dict.fromkeys(one.metric for one in self.checks)}

    def to_frame(self) -> "pd.DataFrame":
        """Return one row a check: metric, subject, value, threshold, probability, drifts."""
        import pandas as pd

        return pd.DataFrame([_told(one) for one in self.checks], columns=[*_TOLD])

    def clusters_frame(self) -> "pd.DataFrame":
        """Return one row a cluster, then and now."""
        import pandas as pd

        return pd.DataFrame(columns_of(self.clusters))

    def features_frame(self) -> "pd.DataFrame":
        """Return one row a feature, then and now."""
        import pandas as pd

        return pd.DataFrame(columns_of(self.features))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        found = {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "rows": self.n_rows,
            "baseline_rows": self.base_rows,
            "figures": self.figures,
            "checks": [{name: plain(one) for name, one in _told(c).items()} for c in self.checks],
            "clusters": _by_row(self.clusters),
            "features": _by_row(self.features),
            "shares": vars(self.shares),
            "region": None if self.region is None else vars(self.region),
            "thresholds": asdict(self.thresholds),
            "passes": self.n_passes,
        }
        return {name: plain(value) for name, value in found.items()}

    def sections(self) -> Sequence[Section]:
        """Return the verdict with its reasons, the worst of each metric, clusters, and features."""
        return [
            Section(
                f"{_VERDICTS[self.verdict]}: {self.n_rows:,} rows, {self.base_rows:,} in the "
                "baseline",
                (*self.reasons, *self._notes()),
                ("Metric", "Worst in", "Value", "Threshold", "By chance", "Drift"),
                tuple(_shown(self._worst(name)) for name in self.figures),
            ),
            self._of_clusters(),
            self._of_features(),
        ]

    def _notes(self) -> tuple[str, ...]:
        said = []
        if self.verdict == "unknown":
            said.append("There are too few rows to tell drift from chance.")
        said.append(f"Passes over the rows: {self.n_passes}.")
        return tuple(said)

    def _worst(self, metric: str) -> Check:
        of_metric = [one for one in self.checks if one.metric == metric]
        return max(of_metric, key=lambda one: (one.drifts, one.value))

    def _of_clusters(self) -> Section:
        one = self.clusters
        order = np.argsort(-np.abs(one.share - one.base_share), kind="stable")[:_MOST_SHOWN]
        return Section(
            "Clusters",
            _hidden(len(one.share), "clusters"),
            ("Cluster", "Share", "Was", "Distance", "Was", "KS", "Shift", "Center", "Width"),
            tuple(
                (
                    cluster(one.cluster_id[j], self.cluster_names),
                    share(one.share[j], 1),
                    share(one.base_share[j], 1),
                    *(
                        brief(column[j])
                        for column in (
                            one.distance,
                            one.base_distance,
                            one.ks,
                            one.shift,
                            one.center_shift,
                            one.width_ratio,
                        )
                    ),
                )
                for j in order
            ),
        )

    def _of_features(self) -> Section:
        one = self.features
        order = np.argsort(-one.psi, kind="stable")[:_MOST_SHOWN]
        return Section(
            "Features",
            _hidden(len(one.psi), "features"),
            ("Feature", "Mean", "Was", "Std", "Was", "PSI", "Outside", "Missing", "Was"),
            tuple(
                (
                    one.feature[j],
                    *(brief(c[j]) for c in (one.mean, one.base_mean, one.std, one.base_std)),
                    brief(one.psi[j]),
                    share(one.below[j] + one.above[j], 1),
                    share(one.missing[j], 1) if one.missing[j] == one.missing[j] else "-",
                    share(one.base_missing[j], 1)
                    if one.base_missing[j] == one.base_missing[j]
                    else "-",
                )
                for j in order
            ),
        )


_VERDICTS = {"drift": "Drift", "no drift": "No drift", "unknown": "Too few rows to judge"}
_TOLD = ("metric", "subject", "value", "threshold", "probability", "drifts")


def _told(one: Check) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _TOLD}


def _by_row(table: ClusterDrift | FeatureDrift) -> list[dict[str, Any]]:
    columns = {name: plain(column) for name, column in columns_of(table).items()}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _shown(one: Check) -> tuple[str, ...]:
    return (
        one.metric,
        one.subject,
        brief(one.value),
        brief(one.threshold),
        probability(one.probability),
        "yes" if one.drifts else "no",
    )


def _hidden(n: int, what: str) -> tuple[str, ...]:
    hidden = n - _MOST_SHOWN
    return (f"{hidden:,} more {what}: to_dict() or --json has all",) if hidden > 0 else ()
