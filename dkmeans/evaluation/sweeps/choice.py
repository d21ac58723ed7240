"""Which number of clusters: the elbow of the inertia, and the one that stands out."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkmeans.evaluation.shown import decimals, share
from dkmeans.evaluation.sweeps.scores import Scores

LEAST_EXCESS = 0.05
"""How far the silhouette of very many rows must be above that of rows without clusters."""

_EXCESS_OF_CHANCE = 0.4
"""How much further, of n rows, over the root of n: of 30 draws of noise each, with 2 to 10
clusters, the greatest was 0.083 above with 30 rows, 0.066 with 60, 0.049 with 150, 0.044 with 500,
where 0.123, 0.102, 0.083 and 0.068 are asked for."""

LEAST_AGREEMENT = 0.8
"""Adjusted Rand index from which fits from two seeds are said to agree."""

_FEWEST_POINTS = 3


@dataclass(frozen=True)
class Choice:
    """The number of clusters that is recommended."""

    n_clusters: int | None
    """None if none stands out."""

    reason: str
    """Why, in one sentence."""


def elbow_of(n_clusters: Sequence[int], inertias: Sequence[float]) -> int | None:
    """Return the number of clusters from which on more of them lower the inertia by little.

    The elbow of a convex, falling curve by the Kneedle criterion, with sensitivity 1. None if there
    is none: of a straight or flat curve, or of fewer than three numbers.

    Parameters
    ----------
    n_clusters
        Ascending.
    inertias
        Of each.

    References
    ----------
    .. [1] V. Satopaa et al., "Finding a 'Kneedle' in a haystack: detecting knee points in system
       behavior", ICDCS Workshops 2011.
    """
    if len(n_clusters) < _FEWEST_POINTS or not np.isfinite(inertias).all():
        return None
    # a curve that falls by rounding only is flat
    if np.ptp(inertias) <= 1e-9 * max(inertias):
        return None
    from kneed import KneeLocator

    with warnings.catch_warnings():
        # older versions warn where there is no elbow, which is an answer
        warnings.simplefilter("ignore")
        found = KneeLocator(
            list(n_clusters), list(inertias), S=1.0, curve="convex", direction="decreasing"
        ).elbow
    return None if found is None else int(found)


def least_excess(n_rows: int) -> float:
    """Return how far the silhouette of so many rows must be above that of rows without clusters."""
    return LEAST_EXCESS + _EXCESS_OF_CHANCE / math.sqrt(max(n_rows, 1))


def choose(scores: Sequence[Scores], elbow: int | None, n_rows: int) -> Choice:
    """Recommend a number of clusters, or say that none stands out.

    Of those whose silhouette by distances to centers is at least `least_excess(n_rows)` above that
    of rows without clusters of the same spread, whose fits from two seeds agree (an adjusted Rand
    index of at least `LEAST_AGREEMENT`; taken for granted where there is one seed), and whose
    clusters all have rows, it is the one where the silhouette is furthest above; of equals the
    smallest.

    Parameters
    ----------
    scores
        Of each number of clusters, ascending.
    elbow
        Only mentioned.
    n_rows
        How many rows there are.
    """
    told = [one for one in scores if one.excess is not None and one.smallest_cluster > 0]
    if not told:
        return Choice(None, "no k stands out: there are none with a silhouette.")
    clear = [one for one in told if _excess(one) >= least_excess(n_rows)]
    if not clear:
        best = max(told, key=_excess)
        return Choice(
            None,
            "no k stands out: silhouettes by distances to centers are hardly above those of rows "
            f"without clusters, {_against(best)} at most, for k={best.n_clusters}.",
        )
    stable = [one for one in clear if _agrees(one)]
    if not stable:
        best = max(clear, key=lambda one: one.adjusted_rand or 0.0)
        index, k = decimals(best.adjusted_rand, 2), best.n_clusters
        return Choice(
            None,
            "no k stands out: where silhouettes are above those of rows without clusters, fits "
            f"from two seeds differ (adjusted Rand index {index} at most, for k={k}).",
        )
    best = max(stable, key=_excess)
    return Choice(best.n_clusters, _reason(best, scores, elbow))


def _reason(best: Scores, scores: Sequence[Scores], elbow: int | None) -> str:
    k = best.n_clusters
    others = [one for one in scores if one is not best and one.excess is not None]
    among = " than that of any other k"
    if not others:
        among = ""
    elif any(_excess(one) > _excess(best) for one in others):
        among = " than that of any other k whose fits from two seeds agree"
    parts = [
        f"k={k} stands out: its silhouette by distances to centers is "
        f"{'further' if among else 'clearly'} above that of rows without clusters "
        f"({_against(best)}){among}"
    ]
    if best.adjusted_rand is not None:
        index = decimals(best.adjusted_rand, 2)
        parts.append(f"fits from two seeds agree (adjusted Rand index {index})")
    parts.append(f"the smallest cluster has {share(best.smallest_share, 1.0)} of the rows")
    if elbow is not None:
        parts.append(f"the elbow is {'there, too' if elbow == k else f'at k={elbow}'}")
    if others and k == scores[-1].n_clusters:
        parts.append("larger k may stand out more")
    return f"{', '.join(parts[:-1])}, and {parts[-1]}."


def _excess(one: Scores) -> float:
    assert one.excess is not None
    return one.excess


def _agrees(one: Scores) -> bool:
    return one.adjusted_rand is None or one.adjusted_rand >= LEAST_AGREEMENT


def _against(one: Scores) -> str:
    here, there = one.silhouette_simplified, one.silhouette_reference
    return f"{decimals(here, 3)} against {decimals(there, 3)}"
