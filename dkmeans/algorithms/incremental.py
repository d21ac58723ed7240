"""Streams: whoever has the rows gives them, a batch at a time."""

from contextlib import suppress
from typing import cast

from dkmeans.algorithms.minibatch_start import begin
from dkmeans.algorithms.settings import MiniBatchSettings
from dkmeans.algorithms.stream import Stream
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import nearest
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.rows import Rows

_ROWS_PER_LOOK = 10
"""Rows of a stream for each cluster between two looks at which centers starve."""


def started(rows: Rows, settings: MiniBatchSettings) -> Stream:
    """Seed a stream from a sample of some rows, in one pass; nothing is scaled."""
    while True:
        with suppress(RowsChanged):
            (run,) = begin(rows, settings).runs
            return cast(Stream, run.state.stream)


def followed(rows: Rows, stream: Stream, settings: MiniBatchSettings) -> Stream:
    """Take all of some rows for one batch of a stream, in one pass.

    Now and then one more draws rows for starved centers, by their squared distances.
    """
    sums = rows.reduce(ClusterSums.from_block, stream.centers, stream.ledger.origin, kind="step")
    assert isinstance(sums, ClusterSums)
    stream = stream.after(sums, settings.pace)
    if stream.n_unseen < _ROWS_PER_LOOK * settings.n_clusters:
        return stream
    stream = stream.look(stream.ledger.weight, settings.reassignment_ratio)
    starved = stream.starved
    if len(starved) == 0:
        return stream
    purpose = (len(starved), settings.seed, ("starved centers", stream.n_steps))
    drawn = rows.reduce(_drawn_by_distance, stream.centers, *purpose, kind="starved centers")
    assert isinstance(drawn, WeightedSample)
    return stream.reseeded(starved[: len(drawn.X)], drawn.X)


def _drawn_by_distance(
    block: Block, centers: Array, size: int, seed: int, purpose: tuple[str | int, ...]
) -> WeightedSample:
    _, sq_distances = nearest(block.X, centers)
    return WeightedSample.from_block(block, size, seed, purpose, sq_distances * block.weights)
