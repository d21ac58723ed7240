"""What the passes of a profile find of each cluster, as plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkmeans.evaluation.profiles.parts import Examples, Histogram
from dkmeans.kernels.block import Array
from dkmeans.partials.cells import Cells


@dataclass(frozen=True, eq=False)
class ProfileStatistics:
    """What two passes found of each cluster. In the units of the data where nothing else is said.

    Weight w of a row means w copies of it; rows of weight zero count in `n_rows` alone.
    """

    n_rows: int
    """Rows seen."""

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights."""

    mean: Array
    """`(n_clusters, n_features)` float64; NaN for empty clusters."""

    variance: Array
    """`(n_clusters, n_features)` float64: population variance; NaN for empty clusters."""

    minimum: Array
    """`(n_clusters, n_features)` float64; NaN for empty clusters."""

    maximum: Array
    """`(n_clusters, n_features)` float64; NaN for empty clusters."""

    sq_distances: Array
    """`(n_clusters,)` float64: weighted sum of squared distances to the center, in the space of the
    model: its inertia on these rows."""

    covariance: Array | None
    """`(n_clusters, n_features, n_features)` float64: population covariance, in the space of the
    model; NaN for empty clusters. None where there are too many clusters and features for it."""

    cells: Cells
    """The weight between `edges`."""

    edges: Array
    """`(n_clusters, n_features, n_edges)` float64: of each cluster: distinct values
    of its sampled rows or equally deep quantiles of them, and edges of bins; padded with inf."""

    histogram: Histogram
    """The weight in bins that all clusters share."""

    n_sampled: int
    """Rows of the sample that edges and bins come from."""

    typical: Examples | None
    """The rows nearest to each center; None if no examples were wanted."""

    boundary: Examples | None
    """The rows with the smallest margins; None if no examples were wanted, or for one cluster."""

    @property
    def spread(self) -> Array:
        """Root mean squared distance to the center, in the space of the model, `(n_clusters,)`.

        NaN for empty clusters.
        """
        weight = np.where(self.weight > 0, self.weight, np.nan)
        return np.asarray(np.sqrt(self.sq_distances / weight))

    def quantiles(self, levels: Sequence[float]) -> tuple[Array, Array, Array]:
        """Return quantiles and the bounds that they lie between; see `Cells.quantiles`.

        Parameters
        ----------
        levels
            From 0 to 1, at least one.

        Returns
        -------
        values, low, high
            `(n_levels, n_clusters, n_features)` float64 each; NaN for empty clusters.
        """
        return self.cells.quantiles(np.asarray(levels), self.edges, self.minimum, self.maximum)
