"""What charts of rows need, in one pass: samples of rows, and the variances that a map is made of.

Run by the tasks of a pass, but for `sampled_rows`.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import answers, model_of, opened
from dkmeans.evaluation.demand import chart_demand
from dkmeans.evaluation.profiles.passes import known_rows
from dkmeans.evaluation.silhouettes.sampled import importance_of_clusters
from dkmeans.evaluation.statistics import check_integer
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.model import Model
from dkmeans.partials.base import Partial
from dkmeans.partials.cluster_scatter import ClusterScatter
from dkmeans.partials.cluster_totals import ClusterTotals
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce
from dkmeans.rows.task_memory import check_fits

MAP_ROWS = 3_000
"""Rows of the sample that a map shows."""

SILHOUETTE_ROWS = 5_000
"""Rows of the sample that silhouettes are measured of: all pairs of them are."""

_AMPLE = 16
"""Blocks sort only rows with small keys where there are so many times more rows than wanted."""

SCATTER_BYTES = 32 * 2**20
"""Most bytes of the products of features; with more features a map is made of its sample alone."""


@dataclass(frozen=True, eq=False)
class SampleOfRows:
    """Some rows, drawn without replacement."""

    X: Array
    """`(n_sampled, n_features)`, in the space where the model measures distances."""

    labels: Array
    """`(n_sampled,)` int32: the cluster of each."""

    weight: Array
    """`(n_sampled,)` float64: their sample weights."""

    stands_for: Array
    """`(n_sampled,)` float64: `weight` over the probability of being drawn."""

    row_numbers: Array
    """`(n_sampled,)` int64: their source row numbers."""

    is_all: bool
    """Whether it is all rows of positive weight."""


@dataclass(frozen=True, eq=False)
class SampledRows:
    """What one pass finds for a map and for silhouettes."""

    model: Model
    n_rows: int
    """Rows seen, those of weight zero included."""

    weights: Array
    """`(n_clusters,)` float64: sums of the sample weights of all rows."""

    for_map: SampleOfRows | None
    """Drawn by weight; None if no map is wanted."""

    scatter: ClusterScatter | None
    """Products of the features of all rows, as of one cluster; None if no map is wanted, or there
    are too many features."""

    for_silhouettes: SampleOfRows | None
    """Drawn by weight, but more of small clusters; None if they are not wanted."""


def sampled_rows(
    model: Any,
    X: Any,
    *,
    sample_weight: Any = None,
    map_size: int = MAP_ROWS,
    silhouette_size: int = SILHOUETTE_ROWS,
    random_state: int = 0,
) -> SampledRows:
    """Draw the rows that charts show, in one pass; one more counts rows of unknown number.

    The same seed draws the same rows of the same stored data, however they are cut into blocks.

    Parameters
    ----------
    model
        A `Model`, or a fitted estimator.
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    map_size, silhouette_size
        Rows to draw for `Map2D` and for `Silhouettes`; 0 for none.
    random_state
        Seed of the samples.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    FeaturesMismatch
        If X has other features than the model.
    TooLarge
        If a task does not fit in the memory of the workers.
    """
    model = model_of(model)
    sizes = (
        check_integer("map_size", map_size, 0),
        check_integer("silhouette_size", silhouette_size, 0),
    )
    if not sum(sizes):
        raise ArgumentError("map_size=0 and silhouette_size=0 leave nothing to draw.")
    seed = check_integer("random_state", random_state, 0)
    with opened(model, X, sample_weight) as given:
        rows = given.scaled(model.scaling)
        rows.prepare()
        scatters = sizes[0] > 0 and has_scatter(model.n_features)
        demand = chart_demand(model, sum(sizes), scatters)
        check_fits(rows, demand, rows.engine.slots())
        request = sample_request(model, known_rows(rows), *sizes, seed)
        while True:
            with suppress(RowsChanged):
                (found,) = answers(rows, [request])
                break
    return samples_of(model, found, request)


def sample_request(
    model: Model,
    n_rows: int | None,
    map_size: int = MAP_ROWS,
    silhouette_size: int = SILHOUETTE_ROWS,
    seed: int = 0,
) -> Reduce:
    """Ask a pass over rows that are scaled already for what `samples_of` takes.

    `n_rows` is their number, if all have weight one; None where that is not known before.
    """
    task = _Task(
        model.scaled_centers,
        importance_of_clusters(model.weights, max(silhouette_size, 1)),
        map_size,
        silhouette_size,
        has_scatter(model.n_features),
        seed,
        n_rows,
    )
    return Reduce("chart samples", of_block, (task,))


def samples_of(model: Model, found: Together, request: Reduce) -> SampledRows:
    """Return what a pass has found for a `sample_request`."""
    (task,) = request.broadcast
    weights, scatter = found["weights"].totals[0], found.parts.get("scatter")
    assert scatter is None or isinstance(scatter, ClusterScatter)
    return SampledRows(
        model,
        found.n_rows,
        weights,
        _sample_of(found["map"], task, None) if "map" in found else None,
        scatter,
        _sample_of(found["silhouettes"], task, task.importance) if "silhouettes" in found else None,
    )


def has_scatter(n_features: int) -> bool:
    """Whether there is room for the products of so many features."""
    return n_features**2 * 8 <= SCATTER_BYTES


@dataclass(frozen=True, eq=False)
class _Task:
    """What the pass finds; the same for all blocks."""

    centers: Array
    importance: Array
    """`(n_clusters,)`: how much more often rows are drawn for silhouettes than by weight."""

    map_size: int
    silhouette_size: int
    has_room: bool
    seed: int
    n_rows: int | None
    """Rows, all of weight one; None where that is not known before."""

    def most_key(self, size: int) -> float:
        """Return a key below which a sample of so many rows is found: rows beyond are not sorted.

        Of importance one or more.
        """
        if self.n_rows is None or self.n_rows <= _AMPLE * size:
            return float("inf")
        return (4 * size + 50) / self.n_rows

    @property
    def scatters(self) -> bool:
        return self.map_size > 0 and self.has_room


def of_block(block: Block, task: _Task) -> Together:
    """Sample the rows of a block, and add up products of their features."""
    return reduce(Together.merge, (_of_tile(tile, task) for _, tile in _tiles(block)))


def _tiles(block: Block) -> Any:
    tiles = list(block.tiles())
    return tiles or [(slice(0, 0), block)]


def _of_tile(tile: Block, task: _Task) -> Together:
    labels = nearest(tile.X, task.centers)[0]
    k = len(task.centers)
    parts: dict[str, Partial] = {
        "weights": ClusterTotals.of([np.ones(tile.n_rows)], labels, tile.weight, k)
    }
    if task.map_size:
        most_key = task.most_key(task.map_size)
        parts["map"] = WeightedSample.from_block(
            tile, task.map_size, task.seed, ("map",), most_key=most_key
        )
    if task.scatters:
        # the mean of centers lies within the data, as an origin should
        origin = task.centers.mean(axis=0, keepdims=True)
        nobody = np.zeros(tile.n_rows, np.int32)
        parts["scatter"] = ClusterScatter.from_block(tile, nobody, origin)
    if task.silhouette_size:
        importance = tile.weights * task.importance[labels]
        parts["silhouettes"] = WeightedSample.from_block(
            tile,
            task.silhouette_size,
            task.seed,
            ("silhouettes",),
            importance,
            task.most_key(task.silhouette_size),
        )
    return Together(parts)


def _sample_of(sample: WeightedSample, task: _Task, importance: Array | None) -> SampleOfRows:
    """Label what was drawn, and say what it stands for."""
    X = np.asfortranarray(sample.X)
    with one_blas_thread():
        labels = nearest(X, task.centers)[0]
    given = sample.weight if importance is None else sample.weight * importance[labels]
    threshold = min(sample.threshold, task.most_key(sample.size))
    is_all = threshold == np.inf
    stands_for = sample.weight if is_all else sample.weight / -np.expm1(-given * threshold)
    return SampleOfRows(X, labels, sample.weight, stands_for, sample.row_numbers, is_all)
