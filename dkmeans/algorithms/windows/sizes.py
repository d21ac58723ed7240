"""How many rows the coreset of each partition of a window should have."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from dkmeans.algorithms.coreset.solve import rough_solution
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.partition import PartitionCoreset
from dkmeans.algorithms.windows.union import check_alike, joined, learned_scaling
from dkmeans.errors import ConstantFeature
from dkmeans.kernels.nearest import nearest
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.models.model import Model

_LOOKED_AT = 2**12
"""Rows of a coreset that tell what the inertia of its partition is about."""


def sizes_of(shares: Sequence[Mapping[str, float]], size: int, fewest: int) -> dict[str, int]:
    """Return how many rows the coreset of each partition of a window should have, by name.

    Parameters
    ----------
    shares
        Of each partition, by name: in units of their own, what it has a share of; the first
        names the partitions.
    size
        Rows that a coreset of the window would have.
    fewest
        Fewest rows of any.
    """
    names = list(shares[0])
    found = dict.fromkeys(names, max(fewest, -(-size // len(names))))
    for share in shares:
        total = sum(share.values())
        for name, one in share.items() if total > 0 else ():
            found[name] = max(found[name], math.ceil(size * one / total))
    return found


def costs_of(
    parts: Mapping[str, PartitionCoreset], settings: KMeansSettings, champion: Model | None
) -> dict[str, float]:
    """Return about what the inertia of each partition is, by name.

    Under the champion's centers; without one, under those of a rough solution.

    Raises
    ------
    SchemaMismatch, FeaturesMismatch
        If partitions do not have the same features, or others than the champion.
    """
    filled = {name: part for name, part in parts.items() if part.moments.weight > 0}
    costs = dict.fromkeys(parts, 0.0)
    if not filled:
        return costs
    check_alike(list(filled.items()), champion)
    if champion is not None:
        scaling, centers = champion.scaling, champion.scaled_centers
    else:
        with warnings.catch_warnings():
            # the fit tells of them
            warnings.simplefilter("ignore", ConstantFeature)
            scaling = learned_scaling(settings.scale, list(filled.values()))
        whole = joined(list(filled.values()), scaling)
        centers = rough_solution(whole, settings.n_clusters, settings.seed).centers
    for name, part in filled.items():
        X, weight = part.coreset.part(min(1.0, _LOOKED_AT / part.size))
        with one_blas_thread():
            _, sq_distances = nearest(X if scaling is None else scaling.transform(X), centers)
        costs[name] = float(weight @ sq_distances.astype(np.float64))
    return costs
