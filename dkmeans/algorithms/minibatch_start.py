"""Where mini-batches start: the scale of all rows, a sample of them, and centers seeded from it."""

from typing import cast

import numpy as np

from dkmeans.algorithms.begun import Begun, Wanted
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.held_out import Held
from dkmeans.algorithms.lloyd import least
from dkmeans.algorithms.minibatch_state import MiniBatchState
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.algorithms.seeding import seeded_in_memory
from dkmeans.algorithms.settings import MiniBatchSettings
from dkmeans.algorithms.stream import Stream
from dkmeans.kernels.block import Array, Block
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows

HELD_OUT_ROWS = 20_000
"""Rows that centers are looked at with."""

_MOST_HELD_OUT_BYTES = 16 * 2**20
_MOST_SEEDING_BYTES = 64 * 2**20


def begin(rows: Rows, settings: MiniBatchSettings) -> Begun:
    """Learn the scale, draw a sample, and seed from it."""
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    scaling, sample = _first_pass(rows, settings, history)
    X = sample.X if scaling is None else scaling.transform(sample.X)
    held, seeding = _parted(sample, X, settings)
    given = settings.given_centers(rows.n_features)
    if given is not None:
        starts = [given if scaling is None else scaling.transform(given)]
    else:
        starts = [seeded_in_memory(seeding, settings, seed) for seed in settings.seeds]
    streams = [Stream.start(start) for start in starts]
    found = [held.sums(stream.centers, stream.ledger.origin)[0].inertia for stream in streams]
    state = MiniBatchState(streams[least(found)], held)
    wanted = (Wanted(settings.n_clusters, settings.seed),)
    return Begun(scaling, tuple(history), (RunState(state, None, ()),), wanted)


def _first_pass(
    rows: Rows, settings: MiniBatchSettings, history: list[Record]
) -> tuple[AnyScaling | None, WeightedSample]:
    """Learn the scale, and draw the rows to seed from and to hold out, by their weights."""
    row_bytes = rows.n_features * np.dtype(rows.dtype).itemsize
    size = sample_rows(settings, row_bytes)
    learn: list[Request] = [scaling_request(rows, settings.scale)]
    most_key = _key_of(size, rows.n_source_rows or 0)
    while True:
        arguments = (size, settings.seed, ("mini-batch sample",), None, most_key)
        record: Record = dict.fromkeys(FINDINGS)
        *learned, sample = rows.run(
            [*learn, Reduce("sample", WeightedSample.from_block, arguments)], record
        )
        history.append(record)
        reporter().ended(record)
        assert isinstance(sample, WeightedSample)
        if learned:
            answer = cast(Moments | Quantiles, learned[0])
            check_enough(answer.n_rows, answer.weight, settings.n_clusters)
        if most_key == np.inf or len(sample.keys) >= min(size + 1, answer.n_rows):
            break
        # filters or small weights left less than was stored
        most_key = _key_of(size, answer.weight) if learned else np.inf
        learn = []
    return scaling_from(settings.scale, answer, rows.feature_names), sample


def _key_of(size: int, weight: float) -> float:
    """Return a key that the `size` smallest keys of rows of this weight together lie below."""
    return 4 * size / weight if weight > 4 * size else float("inf")


def sample_rows(settings: MiniBatchSettings, row_bytes: int) -> int:
    """Return how many rows the first pass draws: to seed from, and to hold out."""
    seeding = settings.init_size
    if seeding is None:
        wanted = max(3 * settings.batch_size, 300 * settings.n_clusters)
        seeding = max(3 * settings.n_clusters, min(wanted, _MOST_SEEDING_BYTES // row_bytes))
    return seeding + _held_out_rows(row_bytes)


def _held_out_rows(row_bytes: int) -> int:
    return min(HELD_OUT_ROWS, _MOST_HELD_OUT_BYTES // row_bytes)


def _parted(sample: WeightedSample, X: Array, settings: MiniBatchSettings) -> tuple[Held, Block]:
    """Part a sample, whose scaled rows are `X`, into rows to hold out and rows to seed from.

    Where the sample is all there is, both are all of it.
    """
    weight = sample.expanded_weight

    def block(among: Array) -> Block:
        scale = sample.total / weight[among].sum()
        return Block(np.asfortranarray(X[among]), ((0, len(among)),), scale * weight[among])

    if sample.threshold == np.inf:
        everything = block(np.arange(len(X)))
        return Held(everything, share=1.0), everything
    n_held = _held_out_rows(X.shape[1] * X.dtype.itemsize)
    # the order of the draws depends on weights: evenly spread in it, both parts are like the whole
    is_held = np.zeros(len(X), bool)
    is_held[np.linspace(0, len(X) - 1, n_held).astype(int)] = True
    share = n_held / sample.n_rows
    return Held(block(np.flatnonzero(is_held)), share), block(np.flatnonzero(~is_held))
