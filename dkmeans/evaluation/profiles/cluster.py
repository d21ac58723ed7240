"""One cluster of a profile, with all its features."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkmeans.evaluation.profiles.sections import of_cluster
from dkmeans.evaluation.shown import Section, Shown, plain

if TYPE_CHECKING:
    import pandas as pd

    from dkmeans.evaluation.profiles.result import Profile


@dataclass(frozen=True, eq=False)
class ClusterProfile(Shown):
    """One cluster of a profile."""

    profile: "Profile"
    """All clusters."""

    label: int
    """Which of them."""

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per feature, those that set the cluster apart first."""
        frame = self.profile.to_frame()
        d = self.profile.n_features
        mine = frame.iloc[self.label * d : (self.label + 1) * d]
        return mine.sort_values("rank").reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the cluster as plain values; infinities and NaN as None."""
        cluster = self.profile.clusters.iloc[self.label].to_dict()
        return plain(cluster) | {
            "features": [plain(dict(row)) for row in self.to_frame().to_dict("records")]
        }

    def sections(self) -> tuple[Section, ...]:
        """Return the cluster in words, and its features."""
        return of_cluster(self.profile, self.label)
