"""The delete-a-group jackknife: bias and variance of what is computed from a sample of clusters.

What is computed from the whole sample is replicate 0; replicate g leaves the rows of group g out.
Sums by group give all replicates at once.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dkmeans.kernels.block import Array

LEAST_GROUPS = 3
"""With two, a cluster of two rows would keep one, which has no other to be compared with."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of rows, and how each replicate changes what rows stand for.

    Replicate g multiplies what a row stands for by `1 + noise * inside` if the row is of group g,
    else by `1 + noise * outside`. `noise` is the root of 1 - p where the row is in the sample with
    probability p: the deviation of drawing it, over that of drawing with replacement. So replicates
    vary as samples of a finite population do.

    A cluster of at least `n_groups` rows loses those of a group, and the others make up for them.
    Leaving out rows of a smaller cluster would show too much variance: they are thinned [1]_. Rows
    that are alone in their cluster stay, since they cannot show how they vary.

    References
    ----------
    .. [1] P. Kott, "The delete-a-group jackknife", Journal of Official Statistics 17(4), 2001.
    """

    of_row: Array
    """`(n_rows,)` in 1..n_groups; 0 if there are no groups."""

    inside: Array
    """`(n_clusters,)`."""

    outside: Array
    """`(n_groups + 1, n_clusters)`."""

    @classmethod
    def random(cls, labels: Array, n_clusters: int, n_groups: int, seed: int) -> Self:
        """Deal the rows of each cluster to groups at random, and evenly; 0 groups for no sample.

        `labels` is `(n_rows,)`, ascending.
        """
        n = np.bincount(labels, minlength=n_clusters)
        if not n_groups:
            nothing = np.zeros((1, n_clusters))
            return cls(np.zeros(len(labels), np.intp), nothing[0], nothing)
        rng = np.random.default_rng(seed)
        shuffled = np.lexsort((rng.random(len(labels)), labels))
        turn = np.arange(len(labels)) - (np.cumsum(n) - n)[labels]
        of_row = np.empty(len(labels), np.intp)
        of_row[shuffled] = 1 + (turn + rng.integers(n_groups, size=n_clusters)[labels]) % n_groups
        held = np.zeros((n_groups + 1, n_clusters), np.intp)
        np.add.at(held, (of_row, labels), 1)
        several = np.maximum(n, 2)
        thinned = np.sqrt(n_groups / ((n_groups - 1) * several * (several - 1)))
        few = n < n_groups
        inside = np.where(few, -(several - 1) * thinned, -1)
        outside = np.where(few, thinned * (held > 0), held / np.maximum(several - held, 1))
        return cls(of_row, np.where(n > 1, inside, 0), np.where(n > 1, outside, 0))

    def changes(self, rows: slice, labels: Array) -> Array:
        """Return `inside` or `outside` for some rows, `(rows, n_groups + 1)`."""
        mine = self.of_row[rows, None] == np.arange(len(self.outside))
        return np.where(mine, self.inside[labels, None], self.outside.T[labels])

    def replicates(self, whole: Array, varying: Array) -> Array:
        """Compute the sums of each replicate, `(..., n_groups + 1, n_clusters)`.

        Parameters
        ----------
        whole
            `(..., n_clusters)`: the sums of all rows.
        varying
            `(..., n_groups + 1, n_clusters)`: the sums of the rows of each group, times `noise`;
            0 for group 0.
        """
        out = varying * (self.inside - self.outside)
        out += self.outside * varying.sum(axis=-2, keepdims=True)
        out += whole[..., None, :]
        return out


def pseudo_values(whole: Array, replicates: Array) -> Array:
    """Tell what each group by itself says of all rows, `(n_groups, ...)` [1]_.

    Their mean has no bias that is inversely proportional to the number of rows.

    Parameters
    ----------
    whole
        `(...)` or `(n_groups, ...)`: what the whole sample gives, in the way of each replicate.
    replicates
        `(n_groups, ...)`: what is left without each group.

    References
    ----------
    .. [1] J. Tukey, "Bias and confidence in not quite large samples", Annals of Mathematical
       Statistics 29, 1958.
    """
    n_groups = len(replicates)
    return n_groups * whole - (n_groups - 1) * replicates


def deviations(values: Array) -> Array:
    """Return the parts of the error of a mean of pseudo-values that groups make, `(n_groups, ...)`.

    Their squares add up to its variance.
    """
    n_groups = len(values)
    return (values - values.mean(axis=0)) / np.sqrt(n_groups * (n_groups - 1))


def degrees_of_freedom(parts: Array) -> float:
    """Return those of the variance that is the sum of squares of `(n_groups,)` parts of an error.

    One less than groups if the parts vary alike, fewer where a few make most of it: Satterthwaite's
    formula, with the squared variance of a part estimated as a third of its fourth power, as of
    normal errors.
    """
    most = len(parts) - 1
    fourth = float((parts**4).sum())
    if not fourth:
        return most
    return float(np.clip(3 * float((parts**2).sum()) ** 2 / fourth - 2, 1, most))
