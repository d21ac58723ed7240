"""A fit by Lloyd's iterations as seen from outside.

Callbacks hear of its passes and may end it; an interrupt asks what it has found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dkmeans.algorithms.callbacks import Callbacks, centers_seen, pass_event
from dkmeans.algorithms.drive import Answered, Passes, Record, RunState, best_of
from dkmeans.algorithms.lloyd import Fit, LloydState, lloyd_passes
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.kernels.block import Array
from dkmeans.models.scaling import AnyScaling
from dkmeans.rows.rows import Rows


class FitWatch:
    """Looks at the passes of a fit by Lloyd's iterations.

    Parameters
    ----------
    rows
        What the fit runs over.
    settings
        What it is asked for.
    callbacks
        Who is told of passes.
    n_before
        What `rows` counted as passes when the fit began.
    """

    def __init__(
        self, rows: Rows, settings: KMeansSettings, callbacks: Callbacks, n_before: int
    ) -> None:
        self._rows, self._settings = rows, settings
        self._callbacks, self._n_before = callbacks, n_before
        self._stopping = False
        self._seen: tuple[Sequence[RunState], Mapping[int, Fit]] = ((), {})
        """All runs after the last pass, and what is exactly known of those that iterate."""

    def tell(self, *records: Record, centers: Array | None = None) -> None:
        """Tell callbacks of the last passes."""
        first = self._rows.n_passes - self._n_before - len(records) + 1
        for number, record in enumerate(records, first):
            self._stopping |= self._callbacks.tell(pass_event(record, number, centers))

    def on_pass(
        self, scaling: AnyScaling | None, runs: Sequence[RunState], answered: Mapping[int, Answered]
    ) -> Mapping[int, Passes[Fit]]:
        """Hear of a pass of the runs, and end those that iterate once a callback wants to stop."""
        self._remember(runs, answered)
        if answered and self._callbacks:
            best = best_of({i: runs[i].history[-1] for i in answered})
            self.tell(runs[best].history[-1], centers=_centers(runs[best], scaling))
        if not self._stopping:
            return {}
        return {
            i: self._ending(run.state)
            for i, run in enumerate(runs)
            if isinstance(run.state, LloydState) and run.state.n_iter <= self._settings.max_iter
        }

    def found(self) -> tuple[Fit, list[Record]] | None:
        """Return the best fit that passes so far know exactly, and its history; None if none is.

        What a pass has found belongs to the centers that entered it: those are returned, and not
        where it moved them.
        """
        runs, fits = self._seen
        if not fits:
            return None
        best = min(fits, key=lambda i: fits[i].inertia)
        return replace(fits[best], stopped_by="interrupt"), list(runs[best].history)

    def _remember(self, runs: Sequence[RunState], answered: Mapping[int, Answered]) -> None:
        fits = dict(self._seen[1])
        for i, (ask, partial) in answered.items():
            at = ask.state
            if isinstance(at, LloydState) and at.ledger is None:
                n_iter = min(at.n_iter, self._settings.max_iter)
                fits[i] = Fit.at(at, partial, n_iter, False)
        fits.update({i: run.result for i, run in enumerate(runs) if run.result is not None})
        # in one step: an interrupt may come at any time
        self._seen = (runs, fits)

    def _ending(self, at: LloydState) -> Passes[Fit]:
        """End as if `max_iter` were reached; clusters that came out empty are filled before."""
        n_iter = at.n_iter - 1 if at.ledger is None else at.n_iter
        fit = yield from lloyd_passes(at, max_iter=n_iter, tol=self._settings.tol)
        return replace(fit, stopped_by="callback")


def _centers(run: RunState, scaling: AnyScaling | None) -> Array | None:
    """Where the centers of a run are, in the units of X; None if it has none yet."""
    at = run.state if run.result is None else run.result
    if not isinstance(at, (LloydState, Fit)):
        return None
    return centers_seen(at.centers, scaling)
