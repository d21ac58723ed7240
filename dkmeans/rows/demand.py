"""What an algorithm asks of its passes, from which their cost follows."""

from dataclasses import dataclass
from typing import Protocol

from dkmeans.rows.requests import Reduce


@dataclass(frozen=True)
class Demand:
    """What an algorithm asks of its passes."""

    n_passes: int
    """At most."""

    n_runs: int
    """Runs that share the passes."""

    n_centers: int
    """Centers that rows are scored against, of one run."""

    broadcast_bytes: int
    """Of what is the same for all blocks, for one run."""

    partial_bytes: int
    """Of what a block contributes, for one run, but for rows."""

    sampled_rows: int
    """Rows that a block may contribute, for one run; no more than there are."""

    scaling_bytes: int
    """Of what a block contributes to the scaling that all runs share."""

    samples_under_centers: bool
    """Whether the pass that these two are of has centers and scale already."""

    scratch_bytes: int
    """Taken while a block is computed, whatever its size."""

    row_bytes: int
    """Taken for each row of a block while it is computed."""

    tile_bytes: int
    """Taken for a tile of rows while it is computed."""

    has_pilot: bool
    """Whether the first rows are looked at before the first pass."""

    n_scalings: int
    """How often kept blocks are written anew, because a pass has found how to scale them."""

    n_state_passes: int
    """Passes that leave a state beside each row."""

    state_bytes: int
    """Kept beside each row from pass to pass, by all runs together."""

    n_epochs: int
    """Passes by mini-batches: where nothing is staged, these keep open leaves on local disks."""

    drawn_rows: int
    """Rows that a step of these draws from a block."""

    probe: Reduce
    """What a pass computes, with made-up values, to be timed."""

    held_copies: int = 0
    """How many times a task that reads no rows holds those that were sampled."""

    spread_above: int | None = None
    """Number of rows above which the pilot looks at a share of all, not at the first ones, and one
    more pass is made if the share misleads; None if it never does."""

    then: "Demand | None" = None
    """What further passes ask, once these are made."""


class HasDemand(Protocol):
    """An estimator, which knows what it will ask."""

    def demand(self, n_features: int, dtype: str) -> Demand:
        """Return what a fit asks of rows with so many features."""
        ...
