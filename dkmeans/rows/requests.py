"""What a pass is asked to compute on every block."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dkmeans.kernels.block import Block
from dkmeans.partials.base import Partial

State = Any
"""Arrays beside a block that a scan takes from one pass to the next; it has `nbytes`, or is a tuple
of such."""


@dataclass(frozen=True)
class Reduce:
    """One partial of all rows."""

    kind: str
    """What the pass is for, as history and progress show it."""

    from_block: Callable[..., Partial]
    """Called with a block and `broadcast`."""

    broadcast: tuple[Any, ...] = ()
    """The same for every block."""


@dataclass(frozen=True)
class Scan:
    """One partial of all rows, by steps that keep state beside each block from pass to pass."""

    kind: str
    """What the pass is for, as history and progress show it."""

    step: Callable[..., tuple[Partial, State]]
    """Called with a block, its state after the pass before (None at first) and a broadcast.

    Gives the partial and the new state; calling it again gives the same.
    """

    broadcasts: tuple[tuple[Any, ...], ...]
    """Those of all passes of the scan so far, this pass's last: a lost state is computed again from
    them."""

    name: str
    """Names the state; unique to the scan."""

    last: bool = False
    """Whether the scan ends with this pass, so that its states can be forgotten."""


Request = Reduce | Scan


def evaluate(request: Request, block: Block, states: "States") -> Partial:
    """Answer a request for one block."""
    if isinstance(request, Reduce):
        return request.from_block(block, *request.broadcast)
    last = len(request.broadcasts)
    state, done = states.latest(request.name, last - 1)
    partial: Partial | None = None
    for number in range(done, last):
        partial, state = request.step(block, state, *request.broadcasts[number])
    assert partial is not None
    if request.last:
        states.drop(request.name, last)
    else:
        states.keep(request.name, last, state)
    return partial


class States:
    """Where the states of one block are kept between passes: here, in a dictionary."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, int], State] = {}

    def latest(self, name: str, number: int) -> tuple[State | None, int]:
        """Return the state after pass `number` and `number`, or None and 0 if it is not there."""
        state = self._states.get((name, number))
        return (None, 0) if state is None else (state, number)

    def keep(self, name: str, number: int, state: State) -> None:
        """Keep the state after pass `number`, instead of the one before."""
        self.drop(name, number)
        self._states[name, number] = state

    def drop(self, name: str, number: int) -> None:
        """Forget the state before pass `number`."""
        self._states.pop((name, number - 1), None)
