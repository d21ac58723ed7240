"""The curves of a sweep, by number of clusters."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.kernels.block import Array

_SILHOUETTES = {
    "silhouette_simplified": "by distances to centers",
    "silhouette_squared": "by squared distances",
    "silhouette": "by distances between rows",
    "silhouette_reference": "to centers, if there were no clusters",
}

_RATIO = 20
"""The least ratio of the greatest to the smallest k that calls for a logarithmic axis."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A figure by number of clusters, where it is defined."""

    name: str
    """As in `Scores`."""

    text: str
    """What it is, for a legend."""

    counts: Array
    """`(n_points,)` int64: numbers of clusters."""

    values: Array
    """`(n_points,)` float64."""


@dataclass(frozen=True, eq=False)
class Elbow:
    """Inertia and silhouettes by number of clusters."""

    inertia: Curve
    silhouettes: tuple[Curve, ...]
    """Mean silhouettes of several kinds, from -1 to 1; those that were computed."""

    elbow: int | None
    """Where the inertia stops to fall steeply; None if it does nowhere."""

    recommended: int | None
    reason: str
    """Why that is recommended, or nothing is."""

    n_rows: int
    is_wide: bool
    """Whether numbers of clusters span so much that they call for a logarithmic axis."""

    @classmethod
    def of(cls, sweep: Sweep) -> Self:
        """Take the curves of a sweep. Makes no pass."""
        counts = [one.n_clusters for one in sweep.scores]
        curves = (_curve(sweep, name, text) for name, text in _SILHOUETTES.items())
        return cls(
            _curve(sweep, "inertia", "inertia"),
            tuple(curve for curve in curves if len(curve.counts)),
            sweep.elbow,
            sweep.recommended,
            sweep.reason,
            sweep.n_rows,
            counts[-1] >= _RATIO * counts[0],
        )

    @property
    def marks(self) -> tuple[tuple[int, str], ...]:
        """The numbers of clusters that stand out, each with the word for it."""
        places: dict[int, list[str]] = {}
        for k, word in ((self.recommended, "recommended"), (self.elbow, "elbow")):
            if k is not None:
                places.setdefault(k, []).append(word)
        return tuple((k, " and ".join(words)) for k, words in places.items())


def _curve(sweep: Sweep, name: str, text: str) -> Curve:
    points = [(one.n_clusters, getattr(one, name)) for one in sweep.scores]
    told = [(k, value) for k, value in points if value is not None]
    counts = np.array([k for k, _ in told], np.int64)
    return Curve(name, text, counts, np.array([value for _, value in told], np.float64))
