"""Which runs have no chance any more, so that passes need not go on for them."""

from collections.abc import Mapping, Sequence

from dkmeans.algorithms.drive import Answered, RunState
from dkmeans.algorithms.lloyd import Fit, LloydState

_MORE = 300
"""How many more times its last gain a run may lower its inertia by.

Gains mostly fall from pass to pass, but a center that is on its way to a cluster of its own gains
little before it gains much. Of 108 fits with restarts, of 12 small sets, 30 lost 12 winners, one of
which was better by more than a half; 300 lost one, which was better by 1e-4."""


def beaten(
    n_clusters: Sequence[int], runs: Sequence[RunState], answered: Mapping[int, Answered]
) -> dict[int, Fit]:
    """Return the runs that another of as many clusters has beaten by more than they can still gain.

    Parameters
    ----------
    n_clusters
        Of each run.
    runs
        All runs, after a pass.
    answered
        What the pass gave to those that took part in it.

    Returns
    -------
    dict
        What these end in, by number: they are left where the pass has found them.
    """
    found: dict[int, Fit] = {i: run.result for i, run in enumerate(runs) if run.result is not None}
    going = {}
    for i, (ask, partial) in answered.items():
        at = ask.state
        if isinstance(at, LloydState) and at.ledger is None and i not in found:
            going[i] = Fit.at(at, partial, at.n_iter, False)
    best: dict[int, float] = {}
    for i, fit in (found | going).items():
        k = n_clusters[i]
        best[k] = min(best.get(k, fit.inertia), fit.inertia)
    return {
        i: fit for i, fit in going.items() if fit.inertia - _MORE * fit.gain > best[n_clusters[i]]
    }
