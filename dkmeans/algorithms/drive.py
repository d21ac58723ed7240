"""Run algorithms over rows, or over one block in memory."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from dkmeans.kernels.block import Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Request, States, evaluate
from dkmeans.rows.rows import Rows

_T = TypeVar("_T")

Record = dict[str, Any]
"""What history says of a pass: kind, seconds, rows_read, bytes_read, and `FINDINGS`."""

FINDINGS = ("cost", "inertia", "gain", "shift", "empty_clusters")
"""What algorithms find in a pass; None where it does not apply. `cost` is k-means||'s."""


class Answer(NamedTuple):
    """What an algorithm gets for a request."""

    partial: Any
    record: Record
    """To be updated with what the algorithm makes of the partial."""


Passes = Generator[Request, Answer, _T]
"""An algorithm that ends in a `_T`."""


def drive(rows: Rows, runs: Sequence[Passes[_T]]) -> list[tuple[_T, list[Record]]]:
    """Run algorithms side by side; as long as several live, they share passes.

    Parameters
    ----------
    rows
        What they all run over.
    runs
        The algorithms, not yet started.

    Returns
    -------
    list of (result, history)
        In the order of `runs`; a history has one record for each pass that its run took part in.
    """
    results: dict[int, _T] = {}
    histories: list[list[Record]] = [[] for _ in runs]
    wanted: dict[int, Request] = {}

    def advance(i: int, answer: Answer | None) -> None:
        wanted.pop(i, None)
        try:
            wanted[i] = next(runs[i]) if answer is None else runs[i].send(answer)
        except StopIteration as stop:
            results[i] = stop.value

    for i in range(len(runs)):
        advance(i, None)
    while wanted:
        taking_part = list(wanted)
        cost: Record = {}
        partials = rows.run([wanted[i] for i in taking_part], cost)
        for i, partial in zip(taking_part, partials, strict=True):
            record = {**dict.fromkeys(FINDINGS), **cost, "kind": wanted[i].kind}
            advance(i, Answer(partial, record))
            histories[i].append(record)
        latest = [histories[i][-1] for i in taking_part]
        best = min(latest, key=lambda record: record.get("inertia") or float("inf"))
        reporter().ended({**best, "kind": cost["kind"]})
    return [(results[i], histories[i]) for i in range(len(runs))]


def drive_in_memory(block: Block, run: Passes[_T]) -> _T:
    """Run one algorithm over the rows of one block, in this process."""
    states = States()
    with one_blas_thread():
        try:
            request = next(run)
            while True:
                request = run.send(Answer(evaluate(request, block, states), {}))
        except StopIteration as stop:
            result: _T = stop.value
            return result
