"""How the inertia fell, pass by pass."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.kernels.block import Array

_ENDS = {"callback": "stopped by a callback", "interrupt": "interrupted"}


@dataclass(frozen=True, eq=False)
class Convergence:
    """The inertia after each pass of the run that a fit ended in."""

    passes: Array
    """`(n_records,)` int64: passes that had been made."""

    kinds: tuple[str, ...]
    """What each was for: "k-means|| round 1", "iteration 3"."""

    inertia: Array
    """`(n_records,)` float64: of the centers that entered the pass; NaN where none was found."""

    is_estimate: Array
    """`(n_records,)` bool: whether it is that of a coreset rather than of all rows."""

    gain: Array
    """`(n_records,)` float64: what moving the centers to the means lowers it by, at least; NaN
    where that is not known."""

    seconds: Array
    """`(n_records,)` float64: how long each took."""

    final: float
    """Inertia of the model."""

    n_clusters: int
    n_passes: int
    """Passes of the fit, those of all runs together."""

    outcome: str
    """How it ended, in a few words."""

    @classmethod
    def of(cls, given: Any) -> Self:
        """Take it from the history of a `Model` or a fitted estimator. Makes no pass.

        Raises
        ------
        ArgumentError
            If it has none.
        """
        model = model_of(given)
        history = list(model.provenance.get("history", ()))
        if not history:
            raise ArgumentError("this model has no history of its fit; draw that of a fitted one.")
        passes = np.cumsum([record.get("rows_read", 1) > 0 for record in history])

        def column(name: str) -> Array:
            values = [record.get(name) for record in history]
            return np.array([np.nan if one is None else one for one in values], np.float64)

        kinds = tuple(str(record.get("kind", "")) for record in history)
        return cls(
            np.maximum(passes, 1).astype(np.int64),
            kinds,
            column("inertia"),
            np.array([kind == "solve" for kind in kinds]),
            column("gain"),
            column("seconds"),
            model.inertia,
            model.n_clusters,
            int(model.provenance.get("n_passes") or passes[-1]),
            _outcome(model.provenance),
        )


def _outcome(provenance: Any) -> str:
    n_iter = provenance.get("n_iter")
    made = "" if n_iter is None else f" after {n_iter:,} iteration{'s' if n_iter != 1 else ''}"
    if provenance.get("converged"):
        return f"converged{made}"
    return f"{_ENDS.get(str(provenance.get('stopped_by')), 'not converged')}{made}"
