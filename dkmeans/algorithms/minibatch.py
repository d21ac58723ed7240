"""Mini-batch k-means: centers follow batches of rows, and a sample says when to stop."""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from dkmeans.algorithms.checkpoint import Checkpoint
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import FINDINGS, Record, RunState
from dkmeans.algorithms.held_out import Held
from dkmeans.algorithms.lloyd import Fit
from dkmeans.algorithms.minibatch_state import MiniBatchState
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.seeding import seeded_in_memory
from dkmeans.algorithms.settings import MiniBatchSettings
from dkmeans.algorithms.stream import Stream
from dkmeans.errors import BudgetSpent
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.draws import generator
from dkmeans.kernels.nearest import nearest
from dkmeans.models.scaling import Scaling
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.moments import Moments
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.batches import Batching
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Reduce, Request
from dkmeans.rows.rows import Rows

HELD_OUT_ROWS = 20_000
"""Rows that centers are looked at with."""

_MOST_HELD_OUT_BYTES = 16 * 2**20
_MOST_SEEDING_BYTES = 64 * 2**20
_ROWS_PER_LOOK = 8
"""Rows of batches for each held-out row between two looks: looking costs little beside them."""

_ROWS_PER_STREAM_LOOK = 10
"""Rows of a stream for each cluster between two looks at which centers starve."""

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class MiniBatchResult(FitResult):
    """A fit, and the stream of batches that can go on from it."""

    stream: Stream


@dataclass(frozen=True, eq=False)
class Begun:
    """A fit before its first step."""

    scaling: Scaling | None
    history: tuple[Record, ...]
    """Of the passes so far."""

    state: MiniBatchState


OnState = Callable[[MiniBatchState, tuple[Record, ...]], None]
"""Called with where a fit is, and the records of its epochs."""


def minibatch(
    rows: Rows, settings: MiniBatchSettings, checkpoint: str | None = None
) -> MiniBatchResult:
    """Cluster rows by mini-batches.

    Passes: one for scale and sample, one for each epoch, one that assigns all rows to the final
    centers. Where filters, or weights of zero, leave fewer rows than a sample needs, up to two more
    draw it.

    Parameters
    ----------
    rows
        The samples, unscaled.
    settings
        What to do.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each epoch and once
        a minute. A fit whose state lies there goes on from it, and gives the bits that it would
        have given.

    Raises
    ------
    InputRefused
        If the rows cannot be clustered so.
    InputChanged
        If the checkpoint belongs to other input, settings or versions.
    """
    settings.check()
    settings.given_centers(rows.n_features)
    if rows.n_source_rows is not None:
        check_enough(rows.n_source_rows, 1.0, settings.n_clusters)
    spent = (rows.n_passes, rows.rows_read, rows.bytes_read)
    place = None if checkpoint is None else Checkpoint(checkpoint, rows, settings)
    settings = settings if place is None else place.settings(settings)
    begun: Begun | None = None
    epochs: tuple[Record, ...] = ()
    if place is not None and place.saved is not None:
        saved = place.saved
        saved.rows.give(rows)
        (run,) = saved.runs
        begun, epochs = Begun(saved.scaling, saved.history, run.state), run.history
        reporter().note(f"resumed: {saved.rows.n_passes} passes were made before")
    while True:
        try:
            if begun is None:
                begun, epochs = _begin(rows, settings), ()
            on_state = None if place is None else _writer(place, begun)
            view = rows.scaled(begun.scaling)
            state, converged, epochs = _epochs(view, settings, begun.state, epochs, on_state)
            fit, record = _final(view, state, converged)
            break
        except RowsChanged:
            begun = None
    return MiniBatchResult(
        fit,
        begun.scaling,
        settings.seed,
        (*begun.history, *epochs, record),
        uuid.uuid4().hex if place is None else place.run_id,
        rows.n_passes - spent[0],
        rows.rows_read - spent[1],
        rows.bytes_read - spent[2],
        state.stream,
    )


def started(rows: Rows, settings: MiniBatchSettings) -> Stream:
    """Seed a stream from a sample of some rows, in one pass; nothing is scaled."""
    while True:
        with suppress(RowsChanged):
            return _begin(rows, settings).state.stream


def followed(rows: Rows, stream: Stream, settings: MiniBatchSettings) -> Stream:
    """Take all of some rows for one batch of a stream, in one pass.

    Now and then one more draws rows for starved centers, by their squared distances.
    """
    sums = rows.reduce(ClusterSums.from_block, stream.centers, stream.ledger.origin, kind="step")
    assert isinstance(sums, ClusterSums)
    stream = stream.after(sums, settings.pace)
    if stream.n_unseen < _ROWS_PER_STREAM_LOOK * settings.n_clusters:
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


def _writer(place: Checkpoint, begun: Begun) -> OnState:
    def write(state: MiniBatchState, epochs: tuple[Record, ...]) -> None:
        place.write(begun.scaling, begun.history, [RunState(state, None, epochs)])

    return write


def _begin(rows: Rows, settings: MiniBatchSettings) -> Begun:
    """Learn the scale, draw a sample, and seed from it."""
    history: list[Record] = [{**dict.fromkeys(FINDINGS), **record} for record in rows.prepare()]
    scaling, sample = _first_pass(rows, settings, history)
    X = sample.X if scaling is None else scaling.transform(sample.X)
    held, seeding = _parted(sample, X, settings)
    given = settings.given_centers(rows.n_features)
    if given is not None:
        starts = [given if scaling is None else scaling.transform(given)]
    else:
        more = generator(settings.seed, "restarts").integers(0, 2**63, settings.n_init - 1)
        seeds = [settings.seed, *more.tolist()]
        starts = [seeded_in_memory(seeding, settings, seed) for seed in seeds]
    streams = [Stream.start(start) for start in starts]
    best = min(
        streams, key=lambda stream: held.sums(stream.centers, stream.ledger.origin)[0].inertia
    )
    return Begun(scaling, tuple(history), MiniBatchState(best, held))


def _first_pass(
    rows: Rows, settings: MiniBatchSettings, history: list[Record]
) -> tuple[Scaling | None, WeightedSample]:
    """Learn the scale, and draw the rows to seed from and to hold out, by their weights."""
    row_bytes = rows.n_features * np.dtype(rows.dtype).itemsize
    size = sample_rows(settings, row_bytes)
    learn: list[Request] = [Reduce("moments", Moments.from_block, (rows.pilot_mean(),))]
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
            moments = cast(Moments, learned[0])
            check_enough(moments.n_rows, moments.weight, settings.n_clusters)
        if most_key == np.inf or len(sample.keys) >= min(size + 1, moments.n_rows):
            break
        # filters or small weights left less than was stored
        most_key = _key_of(size, moments.weight) if learned else np.inf
        learn = []
    scaling = None
    if settings.scale is not None:
        scaling = Scaling.from_moments(settings.scale, moments, rows.feature_names)
    return scaling, sample


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
        return Held(everything, is_sample=False), everything
    n_held = _held_out_rows(X.shape[1] * X.dtype.itemsize)
    # the order of the draws depends on weights: evenly spread in it, both parts are like the whole
    is_held = np.zeros(len(X), bool)
    is_held[np.linspace(0, len(X) - 1, n_held).astype(int)] = True
    return Held(block(np.flatnonzero(is_held)), is_sample=True), block(np.flatnonzero(~is_held))


def _epochs(
    rows: Rows,
    settings: MiniBatchSettings,
    state: MiniBatchState,
    epochs: tuple[Record, ...],
    on_state: OnState | None,
) -> tuple[MiniBatchState, bool, tuple[Record, ...]]:
    """Make epochs until one of the rules says stop; return whether that was not `max_epochs`."""
    batching = Batching(settings.batch_size, settings.n_slots, settings.seed)
    rows_per_look = _ROWS_PER_LOOK * state.held.block.n_rows
    if on_state is not None:
        on_state(state, epochs)
    written = time.monotonic()
    converged = False
    while state.epoch <= settings.max_epochs and not converged:
        epoch = rows.batches(batching, state.epoch, state.step, state.cost)
        finding: Record = {}
        try:
            for batch in epoch:
                stream = state.stream
                sums = batch.reduce(ClusterSums.from_block, stream.centers, stream.ledger.origin)
                stream = stream.after(sums, settings.pace)
                state = replace(state, stream=stream, step=state.step + 1)
                if state.stream.n_unseen >= rows_per_look:
                    state, converged, finding = _look(state, settings)
                    if converged:
                        break
                if on_state is not None and time.monotonic() - written > _CHECKPOINT_SECONDS:
                    on_state(replace(state, cost={**epoch.record, **finding}), epochs)
                    written = time.monotonic()
        except BudgetSpent:
            # so that even runs that are shorter than that get on
            if on_state is not None and state.step:
                on_state(replace(state, cost={**epoch.record, **finding}), epochs)
            raise
        if state.stream.n_unseen and not converged:
            state, converged, finding = _look(state, settings)
        record = {**dict.fromkeys(FINDINGS), **epoch.record, **finding}
        reporter().ended(record)
        epochs = (*epochs, record)
        state = replace(state, epoch=state.epoch + 1, step=0, cost={})
        if on_state is not None:
            on_state(state, epochs)
            written = time.monotonic()
    return state, converged, epochs


def _look(
    state: MiniBatchState, settings: MiniBatchSettings
) -> tuple[MiniBatchState, bool, Record]:
    """Look at the centers with the held-out rows; return whether to stop, and what is found."""
    held = state.held
    stream, sums = held.look(state.stream, settings.reassignment_ratio, settings.tol, settings.seed)
    gain = held.gain(sums, stream.centers)
    lowered = sums.inertia < (1 - settings.tol) * state.best
    state = replace(
        state,
        stream=stream,
        best=sums.inertia if lowered else state.best,
        n_stalled=0 if lowered else state.n_stalled + 1,
    )
    patience = settings.max_no_improvement
    stalled = patience is not None and state.n_stalled >= patience
    # before all rows were seen, only if no center has far to go: of data in some order, the places
    # that were seen may be done with while others wait
    seen = state.epoch > 1 or gain <= settings.tol * sums.inertia
    return state, stalled and seen, {"inertia": sums.inertia, "gain": gain}


def _final(rows: Rows, state: MiniBatchState, converged: bool) -> tuple[Fit, Record]:
    """Assign all rows to the final centers, in one pass."""
    centers, origin = state.stream.centers, state.stream.ledger.origin
    record: Record = dict.fromkeys(FINDINGS)
    request = Reduce("final assignment", ClusterSums.from_block, (centers, origin))
    (ledger,) = rows.run([request], record)
    assert isinstance(ledger, ClusterSums)
    check_enough(ledger.n_rows, float(ledger.weight.sum()), ledger.n_clusters)
    gain = ledger.gain(centers)
    record.update(inertia=ledger.inertia, gain=gain, empty_clusters=int(ledger.empty.sum()))
    reporter().ended(record)
    return Fit(centers, ledger, state.epoch - 1, converged, gain), record
