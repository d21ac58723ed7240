"""Shares of rows, then and now: of clusters, beyond limits, outside ranges, incomplete."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.limits import Limits
from dkmeans.models.model import Model


def psi(base: Array, now: Array) -> float:
    """Return the population stability index of counts, `(n_bins,)` each.

    The sum of `(q - p) ln(q / p)` over bins; a count below half a row is taken for half a row.
    0 without any.
    """
    if not (base.sum() > 0 and now.sum() > 0):
        return 0.0
    p = np.maximum(base, 0.5) / base.sum()
    q = np.maximum(now, 0.5) / now.sum()
    return float(((q - p) * np.log(q / p)).sum())


@dataclass(frozen=True)
class Shares:
    """Shares of all rows, then and now."""

    base_rows: float
    """Weight of the rows of the baseline that have a cluster."""

    rows: float
    base_all: float
    """Weight of all of its rows, those that lack values included."""

    all_rows: float
    outside: float
    base_beyond: float
    beyond: float
    n_limits: int
    """Limits of distances that were chosen by the rows of the baseline."""

    base_incomplete: float
    incomplete: float

    @classmethod
    def between(
        cls,
        model: Model,
        limits: Limits,
        *,
        weight: float,
        beyond: float,
        outside: float,
        incomplete: float,
        read: float,
    ) -> Self:
        """Set rows beside the baseline of a model, which it must have.

        Parameters
        ----------
        model
            The model.
        limits
            Those of its baseline.
        weight
            Of the rows that have a cluster.
        beyond, outside
            Weight of those beyond the limits of distances, and outside of the ranges of features.
        incomplete
            Share of all rows that lack a value; NaN if that is not known.
        read
            Weight of all rows, those included that have no cluster; used where none has one.
        """
        assert model.baseline is not None
        base = model.baseline
        return cls(
            base_rows=base.weight,
            rows=weight,
            base_all=_all_rows(model, base.weight, base.incomplete),
            all_rows=_all_rows(model, weight, incomplete) if weight else read,
            outside=outside / (weight or 1.0),
            base_beyond=float(limits.beyond(base.distance_table).sum()) / base.weight,
            beyond=beyond / (weight or 1.0),
            n_limits=limits.n_own,
            base_incomplete=base.incomplete,
            incomplete=incomplete,
        )

    def excess_outside(self, n_features: int) -> float:
        """Return the share outside, but for what as many rows of one distribution would have."""
        expected = 2 * n_features / (self.base_rows + 1)
        return max(0.0, self.outside - expected)

    @property
    def excess_beyond(self) -> float:
        """The share beyond, but for what was there then."""
        return max(0.0, self.beyond - self.base_beyond)

    @property
    def excess_incomplete(self) -> float:
        """The share that lacks a value, but for what did then; NaN if either is not known."""
        more = self.incomplete - self.base_incomplete
        return more if np.isnan(more) else max(0.0, more)


def _all_rows(model: Model, weight: float, incomplete: float) -> float:
    """Weight of all rows, those included that lack a value and so have no cluster."""
    if model.filling is not None or np.isnan(incomplete) or incomplete >= 1:
        return weight
    return weight / (1 - incomplete)
