"""What the two passes of a profile compute on each block. Run by the tasks of a pass."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest, nearest_two
from dkmeans.models.model import Model
from dkmeans.partials.base import Partial
from dkmeans.partials.cells import Cells
from dkmeans.partials.cluster_moments import ClusterMoments
from dkmeans.partials.cluster_scatter import ClusterScatter
from dkmeans.partials.extremes import Extremes
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample

SAMPLE_ROWS = 20_000
"""Rows of the sample that edges come from, for few clusters."""

SAMPLE_ROWS_OF_A_CLUSTER = 200
"""Rows of it for each cluster, for many."""

_AMPLE = 16
"""Blocks sort only rows with small keys where there are so many times more rows than wanted."""

SAMPLE_BYTES = 16 * 2**20
"""Most bytes of the sampled rows."""

SCATTER_BYTES = 32 * 2**20
"""Most bytes of the sums of products that covariances follow from."""


def sample_rows(n_clusters: int, n_features: int, dtype: str) -> int:
    """Return the size of the sample that edges come from."""
    row_bytes = n_features * np.dtype(dtype).itemsize
    wanted = max(SAMPLE_ROWS, SAMPLE_ROWS_OF_A_CLUSTER * n_clusters)
    return max(1, min(wanted, SAMPLE_BYTES // row_bytes))


def has_scatter(n_clusters: int, n_features: int) -> bool:
    """Whether there is room for the products of the features of each cluster."""
    return n_clusters * n_features**2 * 8 <= SCATTER_BYTES


def importance(labels: Array, weight: Array | None, cluster_weights: Array) -> Array:
    """Return the importance of rows for the sample, `(n_rows,)` float64.

    Half of the draws go to all rows by weight, half to all clusters alike: a small cluster is
    sampled, too, and a large one as it deserves.

    Parameters
    ----------
    labels
        `(n_rows,)`: the cluster of each row.
    weight
        `(n_rows,)` float64: sample weights; None for ones.
    cluster_weights
        `(n_clusters,)`: about what each cluster weighs.
    """
    filled = cluster_weights > 0
    # rows that the fit did not know may fall to clusters that were empty then
    least = cluster_weights[filled].min() if filled.any() else 1.0
    weights = np.where(filled, cluster_weights, least)
    by_cluster = 0.5 / weights.sum() + 0.5 / (len(weights) * weights)
    out = by_cluster[labels]
    return np.asarray(out if weight is None else out * weight)


@dataclass(frozen=True, eq=False)
class Survey:
    """The first pass: moments, products, a sample, and examples."""

    model: Model
    """Without its history and its means."""

    origins: Array
    """`(n_clusters, n_features)` float64, in the units of the data."""

    size: int
    """Of the sample."""

    seed: int
    n_examples: int

    most_key: float
    """Rows whose keys are not below this are not sampled; see `WeightedSample`."""

    @classmethod
    def of(
        cls,
        model: Model,
        pilot: Array | None,
        n_rows: int | None,
        n_examples: int,
        seed: int,
    ) -> Self:
        """Prepare the pass.

        Parameters
        ----------
        model
            The model.
        pilot
            `(n_features,)`: a point within the data, where centers have not its units; else None.
        n_rows
            How many rows there are; None if that is not known.
        n_examples
            Typical rows, and rows on the boundary, to find of each cluster.
        seed
            Of the sample.
        """
        k, d = model.n_clusters, model.n_features
        size = sample_rows(k, d, model.dtype)
        origins = model.centers if pilot is None else np.broadcast_to(pilot, (k, d))
        most_key = float("inf")
        if n_rows is not None and n_rows > _AMPLE * size:
            # the importance of all rows of the fit adds up to 1, that of some of them to less
            share = min(1.0, n_rows / max(float(model.weights.sum()), 1.0))
            most_key = 4 * size / share
        # means are not needed; what is there already takes no more when it is sent
        model = replace(
            model,
            scaled_means=model.scaled_centers,
            baseline=None,
            parameters={},
            provenance={},
        )
        return cls(model, np.array(origins), size, seed, n_examples, most_key)

    def step(self, block: Block) -> tuple[Together, Array]:
        """Return the partial of a block, and the label of each row.

        The parts: "moments" and "sample", "scatter" if there is room for it, and the `Extremes`
        "typical" and "boundary" if examples are wanted.
        """
        model = self.model
        scaled = model.scale(block.X)
        two = None
        if self.n_examples and model.n_clusters > 1:
            both, sq_both = nearest_two(scaled, model.scaled_centers)
            labels, sq_distances = np.ascontiguousarray(both[:, 0]), sq_both[:, 0]
            two = np.sqrt(sq_both.astype(np.float64))
        else:
            labels, sq_distances = nearest(scaled, model.scaled_centers)
        parts: dict[str, Partial] = {
            "moments": ClusterMoments.from_block(block, labels, sq_distances, self.origins),
            "sample": self._sample(block, labels),
        }
        if has_scatter(*model.scaled_centers.shape):
            in_space = replace(block, X=scaled)
            parts["scatter"] = ClusterScatter.from_block(in_space, labels, model.scaled_centers)
        if self.n_examples:
            if two is None:
                first = np.sqrt(sq_distances.astype(np.float64))
                two = np.column_stack([first, np.full(len(first), np.nan)])
            parts |= self._examples(block, labels, two)
        return Together(parts), labels

    def _sample(self, block: Block, labels: Array) -> WeightedSample:
        given = importance(labels, block.weight, self.model.weights)
        purpose = ("profile",)
        return WeightedSample.from_block(block, self.size, self.seed, purpose, given, self.most_key)

    def sampled_weight(self, sample: WeightedSample, labels: Array) -> Array:
        """Return what the rows of the sample stand for, `(n_sampled,)`: weight over probability.

        Parameters
        ----------
        sample
            The sample of all rows.
        labels
            `(n_sampled,)`: the cluster of each.
        """
        threshold = min(sample.threshold, self.most_key)
        if threshold == np.inf:
            return sample.weight
        given = importance(labels, sample.weight, self.model.weights)
        return np.asarray(sample.weight / -np.expm1(-given * threshold))

    def _examples(self, block: Block, labels: Array, distances: Array) -> dict[str, Partial]:
        n = self.n_examples
        typical = Extremes.from_block(block, labels, distances[:, 0], distances, n)
        if self.model.n_clusters == 1:
            return {"typical": typical}
        boundary = Extremes.from_block(block, labels, margins(distances), distances, n)
        return {"typical": typical, "boundary": boundary}


def margins(distances: Array) -> Array:
    """Return how much nearer rows are to their own center than to the next, from 0 to 1.

    One minus the ratio of the two distances, `(n_rows,)`, for `distances` `(n_rows, 2)`: 0 on the
    boundary between two clusters, 1 on the center. 0 where two centers coincide with the row, NaN
    where there is no second distance.
    """
    first, second = distances[:, 0], distances[:, 1]
    return np.asarray(np.where(second == 0, 0.0, 1 - first / np.where(second == 0, 1.0, second)))


@dataclass(frozen=True, eq=False)
class Count:
    """The second pass: the weight of each cluster between edges."""

    edges: Array
    """`(n_clusters, n_features, n_edges)` float64."""

    def step(self, block: Block, labels: Array) -> Cells:
        """Return the cells of a block."""
        return Cells.from_block(block, labels, len(self.edges), self.edges)


def profile_step(
    block: Block, labels: Array | None, work: Survey | Count
) -> tuple[Together | Cells, Array]:
    """Make a step of the scan, whose state is the label of each row, `(n_rows,)` int32."""
    if isinstance(work, Survey):
        return work.step(block)
    if labels is None:
        raise ValueError("the pass that counts comes after the one that assigns.")
    return work.step(block, labels), labels
