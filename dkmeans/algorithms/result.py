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

    @property
    def coreset_error(self) -> float | None:
        """The coreset's estimate of an inertia over the exact one, less 1; None without.

        Both are of the centers that were solved on the coreset.
        """
        found = [record["inertia"] for record in self.history if record["inertia"] is not None]
        if len(found) < 2 or not any(record["kind"] == "solve" for record in self.history):
            return None
        estimate, exact = found[:2]
        return float(estimate / exact - 1) if exact > 0 else 0.0
