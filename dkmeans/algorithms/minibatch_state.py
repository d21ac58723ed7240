"""Where a fit by mini-batches is between two steps, as checkpoints store it."""

from dataclasses import dataclass, field

from dkmeans.algorithms.drive import Record
from dkmeans.algorithms.held_out import Held
from dkmeans.algorithms.stream import Stream


@dataclass(frozen=True, eq=False)
class MiniBatchState:
    """Where a fit is between two steps."""

    stream: Stream
    held: Held
    epoch: int = 1
    step: int = 0
    """Steps made of the epoch."""

    best: float = float("inf")
    """Inertia of the held-out rows when it was last lowered enough."""

    n_stalled: int = 0
    """Looks since then."""

    n_rows_stalled: int = 0
    """Rows of the steps since then."""

    converged: bool = False
    """Whether looks say that it is enough."""

    cost: Record = field(default_factory=dict)
    """What the epoch has cost and found so far."""
