"""How elongated clusters are, from the eigenvalues of their covariances."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.kernels.block import Array
from dkmeans.kernels.threads import one_blas_thread

_ROUNDING = 1e-12
"""Eigenvalues up to this share of the largest may be rounding."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The longest axis of each cluster, in the space where distances are measured."""

    n_features: int
    """Number of features looked at: those that vary at all."""

    elongation: Array
    """`(n_clusters,)` float64: standard deviation along the longest axis over the root mean
    variance of the other axes: 1 for round clusters, inf for lines; NaN without variance or for
    one feature."""

    longest_share: Array
    """`(n_clusters,)` float64: share of the variance that lies along the longest axis: 1 divided by
    `n_features` for round clusters, 1 for lines; NaN without variance."""

    unknown: bool = False
    """Whether covariances were not computed; all is NaN then."""

    @classmethod
    def from_covariances(cls, covariances: Array, moments: GroupMoments) -> Self:
        """Return the shapes of clusters.

        Parameters
        ----------
        covariances
            `(n_clusters, n_features, n_features)`; NaN where a cluster is empty.
        moments
            Of the clusters, in the same space: what varies in no row or by rounding is left out.
        """
        # features without any variance are no axes that clusters could stretch along
        varied = moments.between + moments.within > 0
        spread = moments.real_variance.max(axis=1, initial=0.0) > 0
        n_clusters, n_features = len(covariances), int(varied.sum())
        elongation, share = np.full(n_clusters, np.nan), np.full(n_clusters, np.nan)
        # one at a time: together, they would need as much memory again
        with one_blas_thread():
            for j in np.flatnonzero(moments.filled & spread):
                variances = np.linalg.eigvalsh(covariances[j][np.ix_(varied, varied)])
                variances = np.where(variances > _ROUNDING * variances[-1], variances, 0.0)
                share[j] = variances[-1] / variances.sum()
                if n_features > 1:
                    width = variances[:-1].mean()
                    elongation[j] = np.sqrt(variances[-1] / width) if width > 0 else np.inf
        return cls(n_features, elongation, share)

    @classmethod
    def not_known(cls, n_clusters: int, n_features: int) -> Self:
        """Return that shapes are not known, for want of covariances."""
        nothing = np.full(n_clusters, np.nan)
        return cls(n_features, nothing, nothing, unknown=True)
