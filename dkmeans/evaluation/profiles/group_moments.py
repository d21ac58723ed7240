"""Weight, mean and variance of each feature in each cluster, all that tests of means need."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array

_ROUNDING = 64
"""Units of rounding by which means of equal values may differ, for sums of many rows."""


@dataclass(frozen=True, eq=False)
class GroupMoments:
    """Moments of each feature in each cluster. Weight w means w copies of a row.

    What differs by no more than the rounding of the means counts as equal: a feature that is
    constant has variance 0, also where its mean was rounded.

    Raises
    ------
    ArgumentError
        If the shapes do not agree.
    """

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights; 0 where a cluster is empty."""

    mean: Array
    """`(n_clusters, n_features)` float64; anything where a cluster is empty."""

    variance: Array
    """`(n_clusters, n_features)` float64: population variance, that is, divided by the weight;
    anything where a cluster is empty."""

    def __post_init__(self) -> None:
        shape = (len(self.weight), self.mean.shape[-1])
        if self.mean.shape != shape or self.variance.shape != shape:
            raise ArgumentError(
                f"mean {self.mean.shape} and variance {self.variance.shape} must have one row for "
                f"each of {len(self.weight)} weights, and the same features."
            )

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.mean.shape[1])

    @cached_property
    def filled(self) -> Array:
        """Which clusters have weight, `(n_clusters,)` bool."""
        return self.weight > 0

    @cached_property
    def n_filled(self) -> int:
        """Number of clusters that have weight."""
        return int(self.filled.sum())

    @cached_property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self.weight.sum())

    @cached_property
    def noise(self) -> Array:
        """Squares up to which a feature's differences are rounding, `(n_features,)` float64."""
        largest = np.abs(self.mean[self.filled]).max(axis=0, initial=0.0)
        return (_ROUNDING * np.finfo(np.float64).eps * largest) ** 2

    @cached_property
    def overall_mean(self) -> Array:
        """Mean of all rows, `(n_features,)` float64; NaN if there are none."""
        if self.n_filled == 0:
            return np.full(self.n_features, np.nan)
        # from a mean that lies within the data, so that nothing is lost far from zero
        origin = self.mean[self.filled][0]
        return origin + self.weight[self.filled] @ (self.mean[self.filled] - origin) / self.total

    @cached_property
    def overall_variance(self) -> Array:
        """Population variance of all rows, `(n_features,)` float64; NaN if there are none."""
        return (self.between + self.within) / self.total if self.total else self.overall_mean

    @cached_property
    def between(self) -> Array:
        """Weighted sum of squares of the means around the overall mean, `(n_features,)`."""
        moved = self.mean[self.filled] - self.overall_mean
        squares = self.weight[self.filled] @ moved**2
        return np.where(squares <= self.total * self.noise, 0.0, squares)

    @cached_property
    def within(self) -> Array:
        """Weighted sum of squares of the rows around the mean of their cluster, `(n_features,)`."""
        return self.weight[self.filled] @ self.real_variance[self.filled]

    @cached_property
    def real_variance(self) -> Array:
        """`variance`, 0 where it is rounding, `(n_clusters, n_features)` float64."""
        return np.where(self.variance <= self.noise, 0.0, self.variance)

    @cached_property
    def sample_variance(self) -> Array:
        """Variance divided by weight - 1, `(n_clusters, n_features)`; NaN up to weight 1."""
        weight = np.where(self.weight > 1, self.weight, np.nan)[:, None]
        return self.real_variance * (weight / (weight - 1))
