"""What metrics are computed from."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.partials.contingency import Contingency
from dkmeans.partials.weighted_sample import WeightedSample

Need = Literal["inertias", "truth", "margins", "within", "spread", "squared", "sample"]
"""What a metric may need of each cluster: squared distances to centers; true labels of its rows;
silhouettes by distances to centers; squared distances to means;
distances to means; silhouettes by squared distances; a sample of the rows."""

AFTER_MEANS: frozenset[Need] = frozenset(("within", "spread", "squared", "sample"))
"""What can be found only when the weights and means of clusters are known. "within" is mostly known
with them: only where centers are far from their rows it must be summed up anew."""

_ALL = 2**62
"""More rows than there are."""

_LOST = 1e4
"""How many times what is left a difference may have been."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Weight and mean of each cluster, and how far its rows lie from the mean."""

    weight: Array
    """`(n_clusters,)` float64: sum of the sample weights."""

    means: Array
    """`(n_clusters, n_features)` float64; any finite values for clusters without weight."""

    sq_spread: Array
    """`(n_clusters,)` float64: weighted sum of squared distances to the mean."""

    n_rows: int
    """Rows of all clusters, those of weight zero included."""

    precise: bool = True
    """Whether `sq_spread` was summed up about the means, or lost few digits to a difference."""

    @property
    def full(self) -> Array:
        """Which clusters have weight, `(n_clusters,)` bool."""
        return self.weight > 0

    @property
    def n_full(self) -> int:
        """Number of clusters that have weight."""
        return int(self.full.sum())

    @property
    def total_weight(self) -> float:
        """Weight of all rows."""
        return float(self.weight.sum())

    @property
    def sq_within(self) -> float:
        """Weighted sum of squared distances to the means; 0 for what may be their rounding."""
        real = self.full & (self.sq_spread > self.weight * _rounding(self.means))
        return float(self.sq_spread[real].sum())

    @property
    def variances(self) -> Array:
        """Mean squared distance to the mean, `(n_clusters,)`; infinite without weight."""
        safe = np.where(self.full, self.weight, 1.0)
        return np.where(self.full, self.sq_spread / safe, np.inf)

    @classmethod
    def about_centers(
        cls, weight: Array, means: Array, inertias: Array, centers: Array, n_rows: int
    ) -> Self:
        """Take the squared distances about the means from those about other centers."""
        moved = weight * ((means - centers) ** 2).sum(axis=1)
        spread = np.maximum(inertias - moved, 0.0)
        # of rows that all lie on their center there is nothing to lose
        nothing = np.maximum(inertias, moved) <= weight * _rounding(means)
        return cls(weight, means, spread, n_rows, bool((nothing | (moved <= _LOST * spread)).all()))

    @property
    def sq_between(self) -> float:
        """Weighted sum of squared distances of the means to the mean of all rows."""
        if not self.full.any():
            return 0.0
        means = self.means[self.full]
        shares = self.weight[self.full] / self.total_weight
        # about one of them, so that means far from zero lose nothing
        moved = means - means[0]
        return float(self.weight[self.full] @ ((moved - shares @ moved) ** 2).sum(axis=1))


def _rounding(means: Array) -> Array:
    """Squared distances to means that may be nothing but the rounding of these."""
    return (4 * np.finfo(np.float64).eps) ** 2 * (means**2).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of rows and their clusters; None for what was not asked for."""

    clusters: Clusters
    inertias: Array | None = None
    """`(n_clusters,)` float64: weighted sum of squared distances to the centers of a model."""

    truth: Contingency | None = None
    margins: Array | None = None
    """`(n_clusters,)` float64: weighted sum of silhouettes by distances to centers."""

    spread: Array | None = None
    """`(n_clusters,)` float64: weighted sum of distances to the mean."""

    squared: Array | None = None
    """`(n_clusters,)` float64: weighted sum of silhouettes by squared distances."""

    sample: WeightedSample | None = None
    """Sampled rows, the number of their cluster as one more feature."""


@dataclass(frozen=True)
class Sampling:
    """How rows are sampled."""

    size: int
    seed: int

    @classmethod
    def checked(cls, sample_size: int | None, random_state: int | None) -> Self:
        """Return it, unless a value cannot be; None stands for all rows, and for a fresh seed.

        Raises
        ------
        ArgumentError
            If the size is no integer from 1 on, or the seed is no integer.
        """
        size = _ALL if sample_size is None else check_integer("sample_size", sample_size, 1)
        seed = secrets.randbits(63) if random_state is None else random_state
        return cls(size, check_integer("random_state", seed, 0))


@dataclass(frozen=True, eq=False)
class Task:
    """What a pass finds; the same for all blocks."""

    needs: frozenset[Need]
    values: tuple[Any, ...]
    """The names of the clusters: those of a model, or the labels that rows came with."""

    centers: Array | None
    """That rows belong to; None if they belong to the labels that they came with."""

    clusters: Clusters | None = None
    """For what depends on means."""

    sampling: Sampling | None = None
    most_key: float = float("inf")
    """Of sampled rows."""

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.values)


def check_integer(name: str, value: object, least: int) -> int:
    """Return the integer that a parameter is.

    Raises
    ------
    ArgumentError
        If it is no integer, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name}={value!r} should be an integer from {least} on.")
    return int(value)
