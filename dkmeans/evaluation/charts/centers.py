"""Centers as z-scores, in the order in which features set clusters apart."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.charts.features import (
    MOST_FEATURES,
    leading,
    named,
    names_of,
    separations,
)
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling

_OF_ROWS = "standard deviations of all rows"
_OF_CENTERS = "standard deviations of the centers"


@dataclass(frozen=True, eq=False)
class Centers:
    """How far the center of each cluster is from the mean, feature by feature."""

    clusters: tuple[ChartCluster, ...]
    """By id."""

    features: tuple[str, ...]
    """The features that are shown, those that set clusters apart the most first."""

    places: Array
    """`(n_shown_features,)` int64: their numbers in the model."""

    z: Array
    """`(n_shown_clusters, n_shown_features)` float64: center less overall mean, in `unit`; NaN for
    empty clusters and constant features."""

    values: Array
    """Of the shape of `z`: the centers in the units of the data."""

    separation: Array
    """`(n_shown_features,)` float64: weighted mean of the squares of `z` over all clusters: the
    share of the variance that lies between clusters, if `unit` is of rows."""

    unit: str
    """"standard deviations of all rows", or "of the centers" where the model does not know those
    of its rows."""

    n_clusters: int
    n_features: int
    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(
        cls,
        given: Any,
        *,
        model: Any = None,
        features: Any = None,
        clusters: Any = None,
        most_features: int = MOST_FEATURES,
        most_clusters: int = MOST_CLUSTERS,
    ) -> Self:
        """Take centers from what knows them. Makes no pass.

        Parameters
        ----------
        given
            A `Profile`, for the means and standard deviations of its rows; a `Model` or a fitted
            estimator. A model knows the standard deviations of its rows if it has a baseline or
            `scale="standard"`; otherwise those of its centers, by the weight of clusters, stand for
            them.
        model
            Whose names and colors clusters have, where a profile knows of none.
        features, clusters
            Which to show, by name and by id, in this order; None for those that set clusters apart
            the most, and for the largest by id.
        most_features, most_clusters
            Most of them to show where they are not given.

        Raises
        ------
        ArgumentError
            If there is no such feature or cluster.
        """
        faces = Faces.of(given, model)
        if isinstance(given, Profile):
            names, unit = given.feature_names, _OF_ROWS
            z, values = given.difference, given.mean
        else:
            found = model_of(given)
            names = names_of(found.feature_names, found.n_features)
            z, unit = _z_scores(found)
            values = found.centers
        separation = separations(z, faces.weights)
        shown, notes = faces.chosen(clusters, most_clusters)
        if features is None:
            places, said = leading(separation, most_features)
            notes = (*said, *notes)
        else:
            places = named(features, names)
        labels = np.array([one.label for one in shown], np.int64)
        return cls(
            shown,
            tuple(names[j] for j in places),
            places,
            z[np.ix_(labels, places)],
            values[np.ix_(labels, places)],
            separation[places],
            unit,
            faces.n_clusters,
            len(names),
            notes,
        )


def _z_scores(model: Model) -> tuple[Array, str]:
    """How far centers are from the mean, `(n_clusters, n_features)`, and in what unit.

    Scaling a feature does not change them.
    """
    centers, baseline = model.scaled_centers, model.baseline
    if baseline is not None:
        varies = baseline.minimum < baseline.maximum
        return _over(centers - baseline.mean, np.where(varies, baseline.variance, 0.0)), _OF_ROWS
    if isinstance(model.scaling, Scaling) and model.scaling.kind == "standard":
        return centers.copy(), _OF_ROWS
    weights = model.weights if model.weights.sum() > 0 else np.ones(model.n_clusters)
    moved = centers - centers[0]
    moved = moved - weights @ moved / weights.sum()
    largest = np.abs(centers).max(axis=0, initial=0.0)
    # what differs by rounding alone does not differ
    noise = (64 * np.finfo(np.float64).eps * largest) ** 2
    variance = weights @ moved**2 / weights.sum()
    return _over(moved, np.where(variance > noise, variance, 0.0)), _OF_CENTERS


def _over(moved: Array, variance: Array) -> Array:
    """Divide by standard deviations; NaN where these are 0."""
    std = np.sqrt(np.where(variance > 0, variance, np.nan))
    return np.asarray(moved / std)
