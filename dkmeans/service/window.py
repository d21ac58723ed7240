"""What is kept of rows that were answered: a few counts of the last hour, beside a baseline.

No row is kept. What is counted are partials of the same kind as those that a comparison with the
baseline by a pass has, so that both find the same of the same rows.
"""

from collections import deque
from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.log_bins import DistanceBins
from dkmeans.models.baseline import Baseline
from dkmeans.models.limits import Limits, distance_bins
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.models.shares import Shares, psi
from dkmeans.partials.cluster_totals import ClusterTotals
from dkmeans.partials.log_histograms import LogHistograms
from dkmeans.partials.missing_values import MissingValues
from dkmeans.partials.outside import Outside
from dkmeans.partials.together import Together

WINDOW_SECONDS = 3600.0
"""Rows of the last hour are compared, ..."""

SLOTS = 12
"""... in so many parts: the oldest goes as a whole, so that the hour may lack up to a twelfth."""

LEAST_ROWS = 1000
"""Of a window that is compared, at least; and 50 for each cluster, of which chance alone makes a
stability index of 0.02."""

_ROWS_PER_CLUSTER = 50
_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Of the distances of the baseline: near these are the edges of the histogram that is told."""

_COUNT, _BEYOND, _DISTANCE = range(3)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What rows are measured by, which a model and its baseline say."""

    model: Model
    bins: DistanceBins
    """Of squared distances."""

    edge_cells: Array
    """`(n_edges,)` intp, ascending: bins at whose lower edges the histogram that is told is cut."""

    limits: Limits | None
    """Of the baseline; None if there is none."""

    minimum: Array
    """`(n_features,)`: the least values that are in the range of the baseline, in the units of the
    data and the dtype of the model; minus infinity without a baseline."""

    maximum: Array
    """The greatest ones."""

    is_scaled: bool
    """Whether these are of scaled rows, for scaling does not keep the order of a feature."""

    @classmethod
    def of(cls, model: Model) -> Self:
        """Prepare to compare rows with the baseline of a model, or to count them if it has none."""
        base, d = model.baseline, model.n_features
        if base is None:
            bins = distance_bins(model)
            # around the typical distance, halves and doubles of it
            middle = (bins.n_cells - 2) // 2
            cells = middle + (np.arange(-4, 5) << (bins.bits + 1))
            inf = np.full(d, np.inf, model.dtype)
            return cls(model, bins, cells.clip(1, bins.n_cells - 1), None, -inf, inf, False)
        limits = Limits.of(base)
        ends = np.cumsum(base.distance_table.sum(axis=0))
        found = np.searchsorted(ends, np.array(_QUANTILES) * ends[-1]) + 1
        cells = np.unique(found.clip(1, base.bins.n_cells - 1))
        scaling = model.scaling
        if scaling is None or (isinstance(scaling, Scaling) and (scaling.factor > 0).all()):
            low = _least_within(scaling, limits.minimum, model.dtype)
            # the order is that of the features turned around
            high = -_least_within(scaling, limits.maximum, model.dtype, turned=True)
            return cls(model, base.bins, cells, limits, low, high, False)
        return cls(model, base.bins, cells, limits, limits.minimum, limits.maximum, True)

    @property
    def least_rows(self) -> int:
        """Rows that a window must have to be compared with the baseline."""
        return max(LEAST_ROWS, _ROWS_PER_CLUSTER * self.model.n_clusters)

    @property
    def edges(self) -> Array:
        """Distances at which the histogram that is told is cut, `(n_edges,)` float64."""
        return np.sqrt(self.bins.edges[self.edge_cells])

    def below_edges(self, distances: LogHistograms) -> Array:
        """Return the weight below each edge, `(n_edges,)` float64, of one histogram of all rows."""
        so_far = np.concatenate([[0.0], np.cumsum(distances.weights)])
        return so_far[np.searchsorted(distances.keys, self.edge_cells)]

    def nothing(self) -> Together:
        """Return the counts of no rows."""
        d, k = self.model.n_features, self.model.n_clusters
        return Together(
            {
                "clusters": ClusterTotals.zero(3, k),
                "distances": LogHistograms.zero(),
                "outside": Outside.zero(d),
                "missing": MissingValues.zero(d),
            }
        )

    def count(self, X: Array, labels: Array, sq_distances: Array) -> Together:
        """Count rows that were answered.

        Parameters
        ----------
        X
            `(n_rows, n_features)` of the model's dtype, in the units of the data; NaN is missing.
        labels, sq_distances
            `(n_rows,)` each: what they were answered.
        """
        model, shape = self.model, X.shape
        k = model.n_clusters
        lacking = np.isnan(X) if len(X) and np.isnan(X.min(axis=0)).any() else None
        if lacking is not None and model.filling is not None:
            X = model.filling.transform(X)
        if self.is_scaled and model.scaling is not None:
            X = model.scaling.transform(X)
        wide = sq_distances.astype(np.float64)
        if self.limits is None:
            beyond = np.zeros(len(wide))
        else:
            beyond = (wide >= self.limits.sq_distances[labels]).astype(np.float64)
        values = (np.ones(len(wide)), beyond, np.sqrt(wide))
        nowhere = np.zeros(len(wide), np.int32)
        return Together(
            {
                "clusters": ClusterTotals.of(values, labels, None, k),
                "distances": LogHistograms.of_distances(wide, nowhere, None, 1, self.bins),
                "outside": Outside.from_block(Block(X, ((0, len(X)),)), self.minimum, self.maximum),
                "missing": MissingValues.from_lacking(lacking, None, (shape[0], shape[1])),
            }
        )

    def compared(self, found: Together) -> "Live | None":
        """Compare counts with the baseline; None without one, or of too few rows."""
        base = self.model.baseline
        if base is None or self.limits is None or found.n_rows < self.least_rows:
            return None
        return Live.between(self.model, base, self.limits, found)


@dataclass(frozen=True)
class Live:
    """How rows of a window compare with a baseline, as `dkmeans drift` would say of them."""

    cluster_psi: float
    """Population stability index of the shares of clusters."""

    shares: Shares

    figures: dict[str, float]
    """By the names of the thresholds of `dkmeans drift`: cluster_psi, outside_share, beyond_share,
    missing_share. NaN where the baseline does not know."""

    @classmethod
    def between(cls, model: Model, base: Baseline, limits: Limits, found: Together) -> Self:
        """Compare."""
        totals, missing = found["clusters"].totals, found["missing"]
        shares = Shares.between(
            model,
            limits,
            weight=float(totals[_COUNT].sum()),
            beyond=float(totals[_BEYOND].sum()),
            outside=found["outside"].rows,
            incomplete=missing.incomplete / (missing.weight or 1.0),
            read=missing.weight,
        )
        stability = psi(base.cluster_weights, totals[_COUNT])
        figures = {
            "cluster_psi": stability,
            "outside_share": shares.excess_outside(model.n_features),
            "beyond_share": shares.excess_beyond,
            "missing_share": shares.excess_incomplete,
        }
        return cls(stability, shares, figures)


class Window:
    """Counts of the rows of the last hour, in parts of five minutes. Not thread-safe.

    Memory: `24 n_clusters + 24 n_features` bytes a part, and 25 KB for distances.
    """

    def __init__(self, yardstick: Yardstick) -> None:
        self._nothing = yardstick.nothing()
        self._parts: deque[tuple[int, Together]] = deque(maxlen=SLOTS)

    def add(self, counts: Together, now: float) -> None:
        """Add counts of rows that were answered at a time, in seconds, that never goes back."""
        slot = _slot(now)
        if self._parts and self._parts[-1][0] >= slot:
            last, so_far = self._parts.pop()
            self._parts.append((last, so_far.merge(counts)))
        else:
            self._parts.append((slot, counts))

    def counts(self, now: float) -> Together:
        """Return those of all rows within the window."""
        oldest, merged = _slot(now) - SLOTS, self._nothing
        for slot, part in self._parts:
            if slot > oldest:
                merged = merged.merge(part)
        return merged


def _slot(now: float) -> int:
    return int(now // (WINDOW_SECONDS / SLOTS))


def _least_within(
    scaling: Scaling | None, bound: Array, dtype: str, *, turned: bool = False
) -> Array:
    """Return the least values that scale to `bound` or more, `(n_features,)` of a dtype.

    If `turned`, the least of which the negative scales to `bound` or less. By bisection over the
    floats themselves: a value at the end of the range must be in it, whatever was rounded.
    """
    kind = np.dtype(dtype)
    whole = np.int32 if kind.itemsize == 4 else np.int64
    most = int(np.array(np.finfo(kind).max).view(whole))

    def values(keys: Array) -> Array:
        """The floats in their order, by number; 0 is 0."""
        sizes = np.abs(keys).astype(whole).view(kind)
        return np.where(keys < 0, -sizes, sizes)

    def is_within(keys: Array) -> Array:
        X = values(keys)[None]
        X = -X if turned else X
        with np.errstate(over="ignore"):
            scaled = (X if scaling is None else scaling.transform(X))[0]
        return (scaled <= bound) if turned else (scaled >= bound)

    low = np.full(len(bound), -most, np.int64)
    high = np.full(len(bound), most, np.int64)
    while (high - 1 > low).any():
        # the sum of two numbers of 64 bits may have more
        middle = low // 2 + high // 2 + (low % 2 + high % 2) // 2
        within = is_within(middle)
        high, low = np.where(within, middle, high), np.where(within, low, middle)
    return values(np.where(is_within(low), low, high))
