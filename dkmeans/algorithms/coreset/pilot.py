"""What a few rows tell of all before these are read: a scale, cells, and what cells hold."""

import warnings
from dataclasses import dataclass

import numpy as np

from dkmeans.algorithms.drive import drive_in_memory
from dkmeans.algorithms.lloyd import LloydState, lloyd_passes
from dkmeans.algorithms.plus_plus import greedy_plus_plus
from dkmeans.algorithms.scaling import learned_in_memory
from dkmeans.errors import ConstantFeature
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.sums import weight_by_label
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.scaling import AnyScaling
from dkmeans.rows.pilot import PilotRows

MOST_CELLS = 1024
_CELLS_BY_CLUSTER = 2
_ROWS_BY_CELL = 64
_LEAST_ROWS, _MOST_ROWS = 2**14, 2**17
_MOST_PILOT_BYTES = 256 * 2**20
_ITERATIONS = 5


@dataclass(frozen=True, eq=False)
class Pilot:
    """A guess of what all rows are like. A wrong one costs accuracy, and never biases."""

    mean: Array
    """`(n_features,)` float64: a point within the data, unscaled."""

    scaling: AnyScaling | None
    """The scale that distances to cells are measured in."""

    centers: Array
    """`(n_cells, n_features)` float64, scaled."""

    weight: Array
    """`(n_cells,)` float64, positive: about the weight of all rows in each cell."""


@dataclass(frozen=True, eq=False)
class Unread:
    """A fit that has looked at its pilot, and reads all rows next."""

    pilot: Pilot | None
    """None if all rows go into the coreset anyway."""

    is_second: bool = False
    """Whether all rows were read before, and what was drawn did not stand for them."""


def n_cells(n_clusters: int) -> int:
    """Return how many cells a pilot for so many clusters has."""
    return min(_CELLS_BY_CLUSTER * n_clusters, max(MOST_CELLS, n_clusters))


def pilot_size(n_clusters: int, row_bytes: int) -> int:
    """Return how many rows a pilot for so many clusters is made of."""
    wanted = int(np.clip(_ROWS_BY_CELL * n_cells(n_clusters), _LEAST_ROWS, _MOST_ROWS))
    return max(n_cells(n_clusters), min(wanted, _MOST_PILOT_BYTES // row_bytes))


def pilot_of(found: PilotRows, scale: str | None, n_clusters: int, seed: int) -> Pilot:
    """Cluster the rows of a pilot."""
    everything = ((0, len(found.X)),)
    raw = Block(found.X, everything, found.expanded)
    with one_blas_thread():
        with warnings.catch_warnings():
            # of all rows, fewer features may be constant
            warnings.simplefilter("ignore", ConstantFeature)
            scaling = learned_in_memory(scale, raw)
        X = raw.X if scaling is None else scaling.transform(raw.X)
        block = Block(X, everything, found.expanded)
        # filters may leave few rows where the pilot looks
        n = min(n_cells(n_clusters), len(X))
        start = greedy_plus_plus(X, found.expanded, n, generator(seed, "coreset", "cells"))
        passes = lloyd_passes(LloydState.start(start), max_iter=_ITERATIONS, tol=1e-3)
        centers = drive_in_memory(block, passes).centers
        labels, _ = nearest(X, centers)
    weight = weight_by_label(labels, found.expanded, len(centers))
    filled = weight > 0
    mean = np.average(found.X, axis=0, weights=found.expanded)
    return Pilot(mean, scaling, centers[filled], weight[filled])
