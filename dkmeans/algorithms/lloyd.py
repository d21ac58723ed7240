"""Lloyd's iterations: assign rows to their nearest centers, move centers to their rows' means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dkmeans.algorithms.carried import Carried
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.drive import Ask, Passes, Record, drive
from dkmeans.algorithms.relocation import relocate
from dkmeans.errors import TooFewRows
from dkmeans.kernels.block import Array
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.farthest import Farthest
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Fit:
    """Centers, and what is exactly known of the rows under them."""

    centers: Array
    """`(n_clusters, n_features)` float64."""

    ledger: ClusterSums
    """Of all rows, assigned to `centers`; those that are carried along, too."""

    n_iter: int
    """Iterations made."""

    converged: bool
    """Whether the rule of `tol` was met."""

    gain: float
    """What moving the centers once more would lower the inertia by, labels fixed."""

    stopped_by: str | None = None
    """What ended the fit before its own rules did: "callback" or "interrupt"."""

    of_rows: ClusterSums | None = None
    """Of the rows that were read, where others are carried along; else None."""

    @classmethod
    def at(cls, state: "LloydState", found: ClusterSums, n_iter: int, converged: bool) -> "Fit":
        """Return the fit that ends in a state, of which a pass has found the rows' sums."""
        ledger = state.all_rows(found)
        of_rows = None if state.carried is None else found
        gain = ledger.gain(state.centers)
        return cls(state.centers, ledger, n_iter, converged, gain, of_rows=of_rows)

    @property
    def inertia(self) -> float:
        """Weighted sum of squared distances of all rows to their centers."""
        return self.ledger.inertia

    @property
    def n_distinct(self) -> int:
        """Number of clusters that have rows."""
        return int((~self.ledger.empty).sum())


def least(inertias: Sequence[float]) -> int:
    """Return the index of the least inertia, the first where several differ by rounding only.

    Restarts often end in one optimum; which of them is kept, and so the order of the clusters,
    should not depend on how sums were rounded.
    """
    limit = (1 + _ROUNDING) * min(inertias)
    return next(i for i, inertia in enumerate(inertias) if inertia <= limit)


def lloyd(
    rows: Rows, centers: Array, *, max_iter: int = 300, tol: float = 1e-4
) -> tuple[Fit, list[Record]]:
    """Move `centers` to a local optimum of the inertia by Lloyd's iterations.

    One pass over `rows` per iteration. An iteration that meets an empty cluster makes one more, to
    move that center to the row farthest from its own; a run that ends on `max_iter` makes one more,
    so that centers, inertia and labels agree.

    Parameters
    ----------
    rows
        The samples, `(n_samples, n_features)`, finite.
    centers
        Where to start, `(n_clusters, n_features)`. Not modified.
    max_iter
        Most iterations to make.
    tol
        Stop when moving the centers to their rows' means would lower the inertia by at most this
        share of it. 0 goes on until the centers come out unchanged, bit for bit.

    Returns
    -------
    fit, history
        Centers, inertia and the rest; and a record of each pass.

    Raises
    ------
    TooFewRows
        If `rows` has fewer rows than `centers`.
    BadValues
        If all weights are zero.

    References
    ----------
    .. [1] S. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2), 1982.

    Examples
    --------
    >>> rows = Rows.from_array(np.array([[0.0], [1.0], [9.0], [11.0]]), block_rows=2)
    >>> fit, history = lloyd(rows, np.array([[0.0], [9.0]]), tol=0)
    >>> fit.centers.ravel().tolist(), fit.inertia
    ([0.5, 10.0], 2.5)
    """
    start = LloydState.start(centers)
    (result,) = drive(rows, [lloyd_passes(start, max_iter=max_iter, tol=tol)])
    return result


@dataclass(frozen=True, eq=False)
class LloydState:
    """Where Lloyd's iterations are between two passes."""

    centers: Array
    """`(n_clusters, n_features)` float64."""

    origin: Array
    """`(n_features,)` float64: what sums are measured from, for the whole run."""

    n_iter: int = 1
    """Number of the iteration that is under way."""

    ledger: ClusterSums | None = None
    """What this iteration has found of the rows, if its empty clusters are to be filled next."""

    carried: Carried | None = None
    """Rows that passes do not read, which stay in their clusters."""

    @classmethod
    def start(cls, centers: Array, carried: Carried | None = None) -> "LloydState":
        """Begin with some centers."""
        centers = np.array(centers, np.float64)
        return cls(centers, centers.mean(axis=0), carried=carried)

    def all_rows(self, found: ClusterSums) -> ClusterSums:
        """Return the sums of the rows that a pass has found, and of those carried along."""
        if self.carried is None:
            return found
        return found.merge(self.carried.under(self.centers, self.origin))

    def next(self, centers: Array) -> "LloydState":
        """Go on to the next iteration, with new centers."""
        return replace(self, centers=centers, n_iter=self.n_iter + 1, ledger=None)


def lloyd_passes(at: LloydState, *, max_iter: int, tol: float) -> Passes[Fit]:
    """`lloyd`, as an algorithm that can share its passes with others.

    Rows that are carried along count in every sum, and so in the rule of `tol`.
    """
    while at.n_iter <= max_iter:
        centers, found = at.centers, at.ledger
        if found is None:
            request = Reduce(f"iteration {at.n_iter}", ClusterSums.from_block, (centers, at.origin))
            found, record = yield Ask(request, at)
            ledger = _checked(at, found)
            moved = ledger.centers(otherwise=centers)
            gain = ledger.gain(centers)
            record.update(_findings(ledger, gain, moved - centers))
            if ledger.empty.any():
                at = replace(at, ledger=found)
                continue
        else:
            ledger = at.all_rows(found)
            size = int(ledger.empty.sum()) + ledger.n_clusters
            farthest, _ = yield Ask(Reduce("relocation", Farthest.from_block, (centers, size)), at)
            relocated = relocate(ledger, farthest)
            if relocated is not None:
                at = at.next(relocated.centers(otherwise=centers))
                continue
            # fewer distinct rows than clusters: no center may stay where there are no rows
            moved, gain = ledger.centers(otherwise=centers), ledger.gain(centers)
            moved[ledger.empty] = moved[ledger.weight.argmax()]
            if not np.array_equal(moved[ledger.empty], centers[ledger.empty]):
                at = at.next(moved)
                continue
        if np.array_equal(moved, centers) or (tol > 0 and gain <= tol * ledger.inertia):
            return Fit.at(at, found, at.n_iter, True)
        at = at.next(moved)
    request = Reduce("final assignment", ClusterSums.from_block, (at.centers, at.origin))
    found, record = yield Ask(request, at)
    ledger = _checked(at, found)
    gain = ledger.gain(at.centers)
    record.update(_findings(ledger, gain, np.zeros_like(at.centers)))
    return Fit.at(at, found, max_iter, tol > 0 and gain <= tol * ledger.inertia)


def _checked(at: LloydState, found: ClusterSums) -> ClusterSums:
    """Return the sums of all rows, unless there is nothing to learn from those that were read."""
    if at.carried is not None and found.n_rows == 0:
        raise TooFewRows("there are no new rows; filters or missing='drop' leave none.")
    # beside rows that are carried along, there may be few
    least = 1 if at.carried is not None else len(at.centers)
    check_enough(found.n_rows, float(found.weight.sum()), least)
    return at.all_rows(found)


def _findings(ledger: ClusterSums, gain: float, moves: Array) -> Record:
    return {
        "inertia": ledger.inertia,
        "gain": gain,
        "shift": float(np.sqrt((moves**2).sum())),
        "empty_clusters": int(ledger.empty.sum()),
    }
