"""A map of rows: the two directions in which they vary the most, a sample of them, the centers."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.clusters import MOST_CLUSTERS, ChartCluster, Faces
from dkmeans.evaluation.charts.features import names_of
from dkmeans.evaluation.charts.sampled import SampledRows, SampleOfRows
from dkmeans.kernels.block import Array
from dkmeans.kernels.threads import one_blas_thread

_NAMED = 2
"""Features that an axis is named by."""


@dataclass(frozen=True, eq=False)
class Map2D:
    """Rows and centers on their first two principal components.

    Of the space where the model measures distances; the variances are those of all rows.
    """

    clusters: tuple[ChartCluster, ...]
    """The clusters that are shown by themselves, by id."""

    points: Array
    """`(n_sampled, 2)` float64: sampled rows, in the order of their draws."""

    point_clusters: Array
    """`(n_sampled,)` int64: index into `clusters` of each; -1 for other clusters."""

    row_numbers: Array
    """`(n_sampled,)` int64: their source row numbers."""

    centers: Array
    """`(n_shown, 2)` float64: the centers of `clusters`."""

    other_centers: Array
    """`(n_others, 2)` float64: the centers of all other clusters."""

    mean: Array
    """`(n_features,)` float64: the point at the origin of the map."""

    components: Array
    """`(2, n_features)` float64: unit vectors, the largest entry of each positive; zeros where
    there is no such direction."""

    explained: Array
    """`(2,)` float64: share of the variance of all rows along each; 0 where nothing varies."""

    leading: tuple[tuple[str, ...], tuple[str, ...]]
    """The features that count for the most along each, two at most, the first first."""

    n_rows: int
    n_sampled: int
    is_all: bool
    """Whether the points are all rows."""

    notes: tuple[str, ...]
    """What is left out, and by which rule."""

    @classmethod
    def of(cls, found: SampledRows, *, most_clusters: int = MOST_CLUSTERS) -> Self:
        """Make the map of what a pass has found. Makes none.

        Raises
        ------
        ArgumentError
            If no rows were drawn for it, or there are none.
        """
        sample, model = found.for_map, found.model
        if sample is None or not len(sample.X):
            raise ArgumentError("a map needs rows of positive weight, and map_size above 0.")
        with one_blas_thread():
            mean, components, explained = _principal(found, sample)
            points = (sample.X.astype(np.float64) - mean) @ components.T
            centers = (model.scaled_centers - mean) @ components.T
        faces = Faces(model.cluster_ids, found.weights, model.cluster_names, model.cluster_colors)
        clusters, notes = faces.chosen(None, most_clusters)
        labels = np.array([one.label for one in clusters], np.int64)
        place = np.full(model.n_clusters, -1, np.int64)
        place[labels] = np.arange(len(labels))
        if found.scatter is None:
            notes = (*notes, "axes are those of the sample: there are too many features")
        names = names_of(model.feature_names, model.n_features)
        return cls(
            clusters,
            points,
            place[sample.labels],
            sample.row_numbers,
            centers[labels],
            centers[place < 0],
            mean,
            components,
            explained,
            (_leading(components[0], names), _leading(components[1], names)),
            found.n_rows,
            len(points),
            sample.is_all,
            notes,
        )


def _principal(found: SampledRows, sample: SampleOfRows) -> tuple[Array, Array, Array]:
    """Mean, the first two components, and their shares of the variance."""
    d = sample.X.shape[1]
    if found.scatter is None:
        X = sample.X.astype(np.float64)
        shares = sample.stands_for / sample.stands_for.sum()
        mean = shares @ X
        _, roots, vectors = np.linalg.svd(
            (X - mean) * np.sqrt(shares)[:, None], full_matrices=False
        )
        values, total = roots**2, float((roots**2).sum())
    else:
        scatter = found.scatter
        mean = scatter.centers[0] + scatter.sums[0] / scatter.weight[0]
        covariance = scatter.covariance[0]
        values, columns = np.linalg.eigh(covariance)
        values, vectors = np.maximum(values[::-1], 0.0), columns.T[::-1]
        total = float(np.trace(covariance))
    components, explained = np.zeros((2, d)), np.zeros(2)
    # what is left of rounding is no direction
    n_real = min(2, int((values > values[0] * d * np.finfo(np.float64).eps).sum()))
    for i in range(n_real):
        vector = vectors[i]
        components[i] = vector * np.sign(vector[np.abs(vector).argmax()])
        explained[i] = values[i] / total
    return mean, components, explained


def _leading(component: Array, names: tuple[str, ...]) -> tuple[str, ...]:
    """The features with the largest entries, those below half of the largest left out."""
    size = np.abs(component)
    order = np.argsort(-size, kind="stable")[:_NAMED]
    return tuple(names[j] for j in order if size[j] > 0 and size[j] >= size[order[0]] / 2)
