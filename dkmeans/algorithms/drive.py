"""Run algorithms over rows, or over one block in memory."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from dkmeans.kernels.block import Block
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.rows.progress import reporter
from dkmeans.rows.requests import Request, States, evaluate
from dkmeans.rows.rows import Rows
from dkmeans.storage.errands import check_wanted

_T = TypeVar("_T")

Record = dict[str, Any]
"""What history says of a pass: kind, seconds, rows_read, bytes_read, and `FINDINGS`."""

FINDINGS = ("cost", "inertia", "gain", "shift", "empty_clusters")
"""What algorithms find in a pass; None where it does not apply. `cost` is k-means||'s."""


class Ask(NamedTuple):
    """What an algorithm yields."""

    request: Request
    """What it wants of the next pass."""

    state: Any
    """What it can begin again from, at this very request: a dataclass of arrays and numbers."""


class Answer(NamedTuple):
    """What an algorithm gets for a request."""

    partial: Any
    record: Record
    """To be updated with what the algorithm makes of the partial."""


Passes = Generator[Ask, Answer, _T]
"""An algorithm that ends in a `_T`."""


@dataclass(frozen=True)
class RunState:
    """One of the algorithms that `drive` runs, between two passes."""

    state: Any
    """What it can begin again from; None if it has ended."""

    result: Any
    """What it ended in; None if it has not."""

    history: tuple[Record, ...]
    """A record of each pass that it took part in."""


class Answered(NamedTuple):
    """What a pass gave to one of the algorithms."""

    ask: Ask
    partial: Any


OnPass = Callable[[Sequence[RunState], Mapping[int, Answered]], Mapping[int, Passes[_T]]]
"""Told where all algorithms are, and what the pass gave to those that took part in it, by number;
returns, by number, algorithms that go on in place of others, not yet started."""


def drive(
    rows: Rows,
    runs: Sequence[Passes[_T]],
    histories: Sequence[Sequence[Record]] = (),
    on_pass: OnPass[_T] | None = None,
) -> list[tuple[_T, list[Record]]]:
    """Run algorithms side by side; as long as several live, they share passes.

    Parameters
    ----------
    rows
        What they all run over.
    runs
        The algorithms, not yet started.
    histories
        For algorithms that begin again from a state, the records of the passes before it.
    on_pass
        Called before the first pass, with no answers, and after each.

    Returns
    -------
    list of (result, history)
        In the order of `runs`; a history has one record for each pass that its run took part in.
    """
    runs = list(runs)
    results: dict[int, _T] = {}
    records: list[list[Record]] = [list(history) for history in histories] or [[] for _ in runs]
    asked: dict[int, Ask] = {}

    def advance(i: int, answer: Answer | None) -> None:
        asked.pop(i, None)
        try:
            asked[i] = next(runs[i]) if answer is None else runs[i].send(answer)
        except StopIteration as stop:
            results[i] = stop.value

    def tell(answered: Mapping[int, Answered]) -> None:
        if on_pass is None:
            return
        states = [
            RunState(asked[i].state if i in asked else None, results.get(i), tuple(records[i]))
            for i in range(len(runs))
        ]
        for i, instead in on_pass(states, answered).items():
            runs[i] = instead
            advance(i, None)

    for i in range(len(runs)):
        advance(i, None)
    tell({})
    while asked:
        taking_part = dict(asked)
        cost: Record = {}
        partials = rows.run([ask.request for ask in taking_part.values()], cost)
        answered = {
            i: Answered(ask, partial)
            for (i, ask), partial in zip(taking_part.items(), partials, strict=True)
        }
        for i, (ask, partial) in answered.items():
            record = {**dict.fromkeys(FINDINGS), **cost, "kind": ask.request.kind}
            advance(i, Answer(partial, record))
            records[i].append(record)
        best = records[best_of({i: records[i][-1] for i in answered})][-1]
        reporter().ended({**best, "kind": cost["kind"]})
        tell(answered)
    return [(results[i], records[i]) for i in range(len(runs))]


def best_of(records: Mapping[int, Record]) -> int:
    """Return whose record of a pass has the least inertia; the first if none has any."""

    def inertia(i: int) -> float:
        found = records[i].get("inertia")
        return float("inf") if found is None else found

    return min(records, key=inertia)


def drive_in_memory(block: Block, run: Passes[_T]) -> _T:
    """Run one algorithm over the rows of one block, in this process.

    It is given up between two passes once nobody waits for it, as after an interrupt.
    """
    states = States()
    with one_blas_thread():
        try:
            asked = next(run)
            while True:
                check_wanted()
                asked = run.send(Answer(evaluate(asked.request, block, states), {}))
        except StopIteration as stop:
            result: _T = stop.value
            return result
