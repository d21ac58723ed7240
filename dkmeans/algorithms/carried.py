"""Rows that are not read any more, as the model that came of them remembers them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.partials.cluster_sums import ClusterSums


@dataclass(frozen=True, eq=False)
class Carried:
    """For each cluster one lump of rows, which stays in the cluster wherever its center goes."""

    means: Array
    """`(n_clusters, n_features)` float64, scaled: the mean of each lump."""

    weight: Array
    """`(n_clusters,)` float64: what is left of the weight of each, 0 for clusters without rows."""

    scatter: Array
    """`(n_clusters,)` float64: weighted sum of squared distances to the means."""

    @classmethod
    def of(cls, model: Model, decay: float) -> Self:
        """Take the ledger of a model, each weight multiplied by `decay`."""
        moved = ((model.scaled_means - model.scaled_centers) ** 2).sum(axis=1)
        # about the centers it is more, by what moving them to the means would gain
        scatter = np.maximum(model.inertias - model.weights * moved, 0.0)
        return cls(model.scaled_means, decay * model.weights, decay * scatter)

    def under(self, centers: Array, origin: Array) -> ClusterSums:
        """Return what the lumps contribute to their clusters if the centers are these.

        Parameters
        ----------
        centers
            `(n_clusters, n_features)` float64.
        origin
            `(n_features,)` float64: what sums are measured from.
        """
        moved = ((self.means - centers) ** 2).sum(axis=1)
        sums = self.weight[:, None] * (self.means - origin)
        return ClusterSums(origin, self.weight, sums, self.scatter + self.weight * moved, 0)
