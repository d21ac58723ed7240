"""Centers that follow batches of rows: the ledger, how it forgets, and which centers starve."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dkmeans.algorithms.checks import is_real
from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Array
from dkmeans.partials.cluster_sums import ClusterSums

LearningRate = Literal["count", "share"]
HalfLifeUnit = Literal["rows", "batches"]

PATIENCE = 2
"""A center is starved when it was at so many looks in a row."""

GRACE = 10
"""Looks that a center is spared after it was seeded again."""

_LEAST_WEIGHT = 1e-100


@dataclass(frozen=True)
class Pace:
    """How fast centers follow, and what they forget."""

    learning_rate: LearningRate = "count"
    half_life: float | None = None
    half_life_unit: HalfLifeUnit = "rows"

    def check(self) -> None:
        """Raise `ArgumentError` if a value cannot be."""
        if self.learning_rate not in ("count", "share"):
            raise ArgumentError(
                f"learning_rate={self.learning_rate!r} is not known; use 'count' or 'share'."
            )
        if self.half_life_unit not in ("rows", "batches"):
            raise ArgumentError(
                f"half_life_unit={self.half_life_unit!r} is not known; use 'rows' or 'batches'."
            )
        if self.half_life is None:
            return
        if not (is_real(self.half_life) and self.half_life > 0):
            raise ArgumentError(
                f"half_life={self.half_life!r} should be a number above 0, or None."
            )
        if self.learning_rate == "share":
            raise ArgumentError(
                f"half_life={self.half_life!r} goes with learning_rate='count'; 'share' forgets by "
                "itself."
            )

    def kept(self, batch: ClusterSums) -> float:
        """Return the part of the ledger that is left when `batch` comes."""
        if self.half_life is None:
            return 1.0
        passed = 1.0 if self.half_life_unit == "batches" else float(batch.weight.sum())
        return float(0.5 ** (passed / self.half_life))


@dataclass(frozen=True, eq=False)
class Stream:
    """Centers between two batches."""

    centers: Array
    """`(n_clusters, n_features)` float64."""

    ledger: ClusterSums
    """Of all rows so far, each counted for the center that it was nearest to when it came."""

    starving: Array
    """`(n_clusters,)` int64: looks in a row at which a center had too little weight; negative while
    it is spared."""

    n_steps: int = 0
    n_unseen: int = 0
    """Rows of the batches since the last look."""

    @classmethod
    def start(cls, centers: Array) -> "Stream":
        """Begin with some centers, and nothing in the ledger."""
        centers = np.array(centers, np.float64)
        ledger = ClusterSums.zero(len(centers), centers.mean(axis=0))
        return cls(centers, ledger, np.zeros(len(centers), np.int64))

    def after(self, batch: ClusterSums, pace: Pace) -> "Stream":
        """Follow one batch, whose rows were assigned to our centers.

        "count" merges it into the ledger, whose means the centers are: Sculley's rule, by which
        each row moves its center by one over the number of rows that the center has had. "share"
        moves a center towards the mean of its rows in the batch by the square root of their share
        of the batch.

        References
        ----------
        .. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010.
        .. [2] G. Schwartzman, "Mini-batch k-means terminates within O(d/epsilon) iterations",
           ICLR 2023.
        """
        kept, ledger = pace.kept(batch), self.ledger
        if kept < 1:
            ledger = ledger.decay(kept)
            # before nothing but rounding is left of a mean
            ledger = ledger.without(ledger.weight < _LEAST_WEIGHT)
        ledger = ledger.merge(batch)
        if pace.learning_rate == "count":
            centers = ledger.centers(otherwise=self.centers)
        else:
            share = np.sqrt(batch.weight / (batch.weight.sum() or 1.0))[:, None]
            centers = self.centers + share * (batch.centers(self.centers) - self.centers)
        return replace(
            self,
            centers=centers,
            ledger=ledger,
            n_steps=self.n_steps + 1,
            n_unseen=self.n_unseen + batch.n_rows,
        )

    def look(self, weight: Array, ratio: float) -> "Stream":
        """Note which centers have less than `ratio` of the mean of `weight`, `(n_clusters,)`."""
        short = weight < ratio * weight.mean()
        starving = np.where(short | (self.starving < 0), self.starving + 1, 0)
        return replace(self, starving=starving, n_unseen=0)

    def spared(self, clusters: Array) -> "Stream":
        """Begin anew to count the looks at which some centers starve."""
        starving = self.starving.copy()
        starving[clusters] = 0
        return replace(self, starving=starving)

    @property
    def starved(self) -> Array:
        """Indices of the centers to be seeded again."""
        return np.flatnonzero(self.starving >= PATIENCE)

    def forgetting(self, clusters: Array) -> "Stream":
        """Empty the ledgers of some centers, `(n_clusters,)` bool, which stay where they are."""
        return replace(self, ledger=self.ledger.without(clusters))

    def reseeded(self, clusters: Array, rows: Array) -> "Stream":
        """Put some centers where rows are, `(len(clusters), n_features)`, with empty ledgers."""
        centers, starving = self.centers.copy(), self.starving.copy()
        centers[clusters], starving[clusters] = rows, -GRACE
        emptied = np.isin(np.arange(len(centers)), clusters)
        return replace(
            self, centers=centers, ledger=self.ledger.without(emptied), starving=starving
        )
