"""Where a fit is, between two passes: as it begins, and as checkpoints store it."""

from dataclasses import dataclass

from dkmeans.algorithms.drive import Record, RunState
from dkmeans.kernels.block import Array
from dkmeans.models.scaling import AnyScaling


@dataclass(frozen=True)
class Wanted:
    """What a run is to find."""

    n_clusters: int
    seed: int


@dataclass(frozen=True, eq=False)
class Begun:
    """A fit that goes on from here."""

    scaling: AnyScaling | None
    history: tuple[Record, ...]
    """Of the passes before the runs."""

    runs: tuple[RunState, ...]
    wanted: tuple[Wanted, ...]
    """For each run."""

    others: tuple[Array, ...] = ()
    """For numbers of clusters of which a coreset sent one run only on its way, the best centers
    `(n_clusters, n_features)` that another seed has led to."""
