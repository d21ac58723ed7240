"""How the values of features are spread in each cluster: boxes and histograms."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.charts.features import leading, named, separations
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.kernels.block import Array

MOST_PANELS = 6
"""Features that are shown: those that set clusters apart the most, if there are more."""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The five numbers of a box."""


@dataclass(frozen=True, eq=False)
class FeatureSpread:
    """One feature in the clusters that are shown; in the units of the data."""

    feature: str
    place: int
    """Its number in the model."""

    boxes: Array
    """`(n_shown, 5)` float64: the quantiles of `LEVELS` in each cluster; NaN for empty ones."""

    minimum: Array
    """`(n_shown,)` float64."""

    maximum: Array
    """`(n_shown,)` float64."""

    mean: Array
    """`(n_shown,)` float64."""

    overall_mean: float
    """Of all rows."""

    is_discrete: bool
    """Whether its values are few, and counted by value."""

    edges: Array
    """`(n_bins + 1,)` float64, the edges of bins; of a discrete feature `(n_bins,)`, its values."""

    heights: Array
    """`(n_shown, n_bins)` float64: share of the rows of each cluster in each bin; the first and
    the last have what lies beyond, too."""

    separation: float
    """Share of its variance that lies between clusters, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Distributions:
    """The spread of some features in some clusters."""

    clusters: tuple[ChartCluster, ...]
    """By id."""

    features: tuple[FeatureSpread, ...]
    """Those that set clusters apart the most first."""

    unit: str
    """What shares are of: "rows", or "the weight"."""

    n_clusters: int
    n_features: int
    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(
        cls,
        profile: Profile,
        *,
        model: Any = None,
        features: Any = None,
        clusters: Any = None,
        most_features: int = MOST_PANELS,
        most_clusters: int = MOST_CLUSTERS,
    ) -> Self:
        """Take boxes and histograms from a profile. Makes no pass.

        Parameters
        ----------
        profile
            With the quantiles of `LEVELS`, as `dkmeans.profile` finds them unless told otherwise.
        model
            Whose names and colors clusters have.
        features, clusters
            Which to show, by name and by id, in this order; None for those that set clusters apart
            the most, and for the largest by id.
        most_features, most_clusters
            Most of them to show where they are not given.

        Raises
        ------
        ArgumentError
            If there is no such feature or cluster, or the profile lacks quantiles or histograms.
        """
        quantiles, histogram = profile.quantiles, profile.histogram
        levels = [None if quantiles is None else quantiles.at(level) for level in LEVELS]
        boxes = [one for one in levels if one is not None]
        if len(boxes) < len(LEVELS) or histogram is None:
            raise ArgumentError(
                f"boxes need a profile with quantiles={LEVELS} and histograms; make it by "
                "profile(model, X)."
            )
        faces = Faces.of(profile, model)
        shown, notes = faces.chosen(clusters, most_clusters)
        separation = separations(profile.difference, profile.count)
        if features is None:
            places, said = leading(separation, most_features)
            notes = (*said, *notes)
        else:
            places = named(features, profile.feature_names)
        labels = np.array([one.label for one in shown], np.int64)
        count = np.where(profile.count > 0, profile.count, np.nan)[labels, None]
        found = []
        for j in places.tolist():
            edges, counts = histogram.of(j)
            found.append(
                FeatureSpread(
                    profile.feature_names[j],
                    j,
                    np.stack([one[labels, j] for one in boxes], axis=1),
                    profile.minimum[labels, j],
                    profile.maximum[labels, j],
                    profile.mean[labels, j],
                    float(profile.overall_mean[j]),
                    bool(histogram.bins.discrete[j]),
                    edges,
                    counts[labels] / count,
                    float(separation[j]),
                )
            )
        return cls(
            shown,
            tuple(found),
            profile.unit,
            profile.n_clusters,
            profile.n_features,
            notes,
        )
