"""What a fit ends in, whatever the algorithm."""

from dataclasses import dataclass

from dkmeans.algorithms.drive import Record
from dkmeans.algorithms.lloyd import Fit
from dkmeans.models.scaling import AnyScaling


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fit, and what it took."""

    fit: Fit
    scaling: AnyScaling | None
    seed: int
    history: tuple[Record, ...]
    """A record of each pass that the best run took part in."""

    run_id: str
    n_passes: int
    """Passes made for all runs together, those before an interruption included."""

    rows_read: int
    bytes_read: int
