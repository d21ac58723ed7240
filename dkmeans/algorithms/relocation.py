"""Where to move the centers of empty clusters: to the rows that fit worst where they are."""

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.farthest import Farthest


def relocate(ledger: ClusterSums, farthest: Farthest) -> ClusterSums | None:
    """Give each empty cluster one of the farthest rows, taken from the cluster that it was in.

    A row is passed over if it is its cluster's last weight, or the same as one already taken:
    either would leave a cluster empty again. So every relocation lowers the inertia, and iterations
    end even with fewer distinct rows than clusters.

    Parameters
    ----------
    ledger
        What all rows contribute to their clusters, some of them empty.
    farthest
        At least as many rows as there are empty clusters, plus as many as there are clusters, if
        the data have that many at a positive distance.

    Returns
    -------
    ClusterSums or None
        The ledger with the rows moved; None if no row could be.
    """
    targets = np.flatnonzero(ledger.empty)
    left = ledger.weight.copy()
    taken: list[int] = []
    for row, (donor, weight) in enumerate(zip(farthest.labels, farthest.weight, strict=True)):
        if len(taken) == len(targets):
            break
        spent = left[donor] - weight <= 1e-12 * ledger.weight[donor]
        if spent or _is_among(farthest.X[row], farthest.X[taken]):
            continue
        left[donor] -= weight
        taken.append(row)
    if not taken:
        return None
    return ledger.move(
        farthest.labels[taken],
        targets[: len(taken)],
        farthest.X[taken].astype(np.float64),
        farthest.weight[taken],
    )


def _is_among(row: Array, others: Array) -> bool:
    return bool((others == row).all(axis=1).any())
