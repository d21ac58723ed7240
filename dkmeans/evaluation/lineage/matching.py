"""Which old cluster is which new one: an assignment problem.

A pair is the better the more rows both have in common, and a little better the less the center has
moved. Pairs with too little in common are no candidates: an assignment never takes them.
"""

import numpy as np

from dkmeans.errors import TooLarge
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization

LEAST_OVERLAP = 0.25
"""Jaccard index of the rows of two clusters from which on they may be the same: clusters of one
size then share two rows in five, and a part of a cluster is at least a quarter of it."""

LEAST_CLOSENESS = 0.5
"""The same where there are no rows to tell: the center has moved at most half of the way to the
next center of the old model."""

_OF_CLOSENESS = 0.1
"""How much the centers count beside the rows."""

_MOST_PAIRS = 2**26


def check_pairs(n_old: int, n_new: int) -> None:
    """Raise `TooLarge` if there are too many pairs of clusters to choose from."""
    if n_old * n_new > _MOST_PAIRS:
        raise TooLarge(
            f"{n_old} old and {n_new} new clusters are more than {_MOST_PAIRS} pairs to match."
        )


def overlaps(weight: Array) -> Array:
    """Return the Jaccard index of the rows of each pair of clusters.

    Parameters
    ----------
    weight
        `(n_old, n_new)` float64: the weight of the rows that they have in common.

    Returns
    -------
    Array
        `(n_old, n_new)` float64 from 0 to 1; NaN where neither cluster has any weight.
    """
    either = weight.sum(axis=1)[:, None] + weight.sum(axis=0) - weight
    shared = np.divide(weight, either, out=np.full(weight.shape, np.nan), where=either > 0)
    return np.minimum(shared, 1.0)


def center_distances(old: Model, new: Model) -> Array | None:
    """Return how far each new center is from each old one, in the scaled units of the old model.

    Returns
    -------
    Array
        `(n_old, n_new)` float64; None where centers cannot be compared, because one model measures
        the directions of rows and the other does not.
    """
    centers = _in_units_of(old, new)
    if centers is None:
        return None
    return np.stack([_distances_to(center, centers) for center in old.scaled_centers])


def closeness(old_centers: Array, distances: Array) -> Array:
    """Return how near new centers are to old ones, next to how far old ones are from each other.

    Parameters
    ----------
    old_centers
        `(n_old, n_features)` float64.
    distances
        `(n_old, n_new)` float64: from old to new centers.

    Returns
    -------
    Array
        `(n_old, n_new)` float64: 1 where the center has not moved, 0 from where the next old center
        is. If there is no other, the nearest new center is near, whatever its distance.
    """
    between = np.stack([_distances_to(center, old_centers) for center in old_centers])
    # centers in one place are one
    next_one = np.where(between > 0, between, np.inf).min(axis=1)
    farthest = 2 * distances.max(axis=1)
    alone = np.where(farthest > 0, farthest, 1.0)
    scale = np.where(np.isfinite(next_one), next_one, alone)
    return np.clip(1 - distances / scale[:, None], 0.0, 1.0)


def similarities(overlap: Array | None, near: Array | None) -> Array:
    """Return what each pair adds to an assignment, 0 for pairs that are not the same cluster.

    Parameters
    ----------
    overlap
        `(n_old, n_new)` as `overlaps`; None where there are no rows.
    near
        `(n_old, n_new)` as `closeness`; None where centers cannot be compared. Not both.
    """
    by_centers = 0.0 if near is None else np.where(near >= LEAST_CLOSENESS, near, 0.0)
    if overlap is None:
        return np.asarray(by_centers)
    by_rows = overlap if near is None else (1 - _OF_CLOSENESS) * overlap + _OF_CLOSENESS * near
    by_rows = np.where(overlap >= LEAST_OVERLAP, by_rows, 0.0)
    return np.where(np.isnan(overlap), by_centers, by_rows)


def best_heirs(similarity: Array) -> Array:
    """Assign old to new clusters so that their similarities add up to the most.

    Of assignments that are equally good, old clusters that come first get new ones that come first,
    as far as an exchange between two of them can tell.

    Parameters
    ----------
    similarity
        `(n_old, n_new)` float64, not negative; 0 for pairs that are not to be assigned.

    Returns
    -------
    Array
        `(n_old,)` int64: the new cluster of each old one, -1 for none.
    """
    # SciPy is large, and only the client needs it
    from scipy.optimize import linear_sum_assignment

    heirs = np.full(len(similarity), -1, np.int64)
    old, new = linear_sum_assignment(similarity, maximize=True)
    assigned = similarity[old, new] > 0
    heirs[old[assigned]] = new[assigned]
    return _first_of_ties(similarity, heirs)


def _first_of_ties(similarity: Array, heirs: Array) -> Array:
    """Exchange heirs while that is as good, and an earlier old cluster gets an earlier new one."""
    heirs = heirs.copy()
    owners = np.full(similarity.shape[1], -1)
    owners[heirs[heirs >= 0]] = np.flatnonzero(heirs >= 0)

    def give(i: int, j: int) -> None:
        heirs[i] = j
        if j >= 0:
            owners[j] = i

    def improved(i: int) -> bool:
        mine = int(heirs[i])
        for j in np.flatnonzero(similarity[i]).tolist():
            if mine >= 0 and j >= mine:
                return False
            other = int(owners[j])
            if 0 <= other < i:
                continue
            before = similarity[i, mine] if mine >= 0 else 0.0
            after = similarity[i, j]
            if other >= 0:
                before += similarity[other, j]
                after += similarity[other, mine] if mine >= 0 else 0.0
            if after < before:
                continue
            if mine >= 0:
                owners[mine] = -1
            give(i, j)
            if other >= 0:
                # what adds nothing is no heir
                give(other, mine if mine >= 0 and similarity[other, mine] > 0 else -1)
            return True
        return False

    # each exchange puts the list of heirs earlier in the order of such lists: this ends
    while any(improved(i) for i in range(len(heirs))):
        pass
    return heirs


def _in_units_of(old: Model, new: Model) -> Array | None:
    """The centers of the new model in the scaled units of the old one."""
    one, other = (None if model.scaling is None else model.scaling.name for model in (old, new))
    if one == other:
        return new.scaled_centers
    if isinstance(old.scaling, Normalization) or isinstance(new.scaling, Normalization):
        return None
    centers = new.centers
    return centers if old.scaling is None else old.scaling.transform(centers)


def _distances_to(center: Array, centers: Array) -> Array:
    return np.sqrt(((centers - center) ** 2).sum(axis=1))
