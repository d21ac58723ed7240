"""Greedy k-means++: which rows of a weighted sample in memory become centers."""

from typing import Protocol

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.kernels.choice import are_compiled

_LEAST, _MOST = 1e-20, 1e36
"""Where the largest squared distance lies between these, float32 holds all that matter."""


class Steps(Protocol):
    """Greedy k-means++ on some rows, step by step."""

    @property
    def sq_distances(self) -> Array:
        """Squared distances to the nearest chosen row, `(n_rows,)`."""
        ...

    def begin(self, row: int) -> None:
        """Choose the first row."""
        ...

    def choose(self, uniforms: Array) -> int:
        """Draw as many rows as there are `uniforms`; choose and return the best, -1 if none is."""
        ...


def greedy_rows(
    X: Array, weight: Array, n_clusters: int, n_trials: int, generator: np.random.Generator
) -> Array:
    """Choose rows, each by its weighted squared distance to those chosen before.

    Large samples are measured by compiled loops, in the rows' dtype, without Python's lock and in
    one thread. Nothing depends on how many of these run at a time.

    Parameters
    ----------
    X
        `(n_rows, n_features)` float32 or float64, finite; feature-major, or else it is copied.
    weight
        `(n_rows,)`, not negative, some positive.
    n_clusters
        Rows to choose; fewer distinct rows give repeated ones.
    n_trials
        Rows drawn for each but the first; the one that lowers the cost most is kept.
    generator
        Source of randomness.

    Returns
    -------
    chosen
        `(n_clusters,)` intp: indices of rows, none of weight zero, in the order of choice.
    """
    chosen = drawn(weight, generator.random(1))
    steps = _begun(X, weight, n_trials, int(chosen[0]))
    rows = [int(chosen[0])]
    while len(rows) < n_clusters:
        row = steps.choose(generator.random(n_trials))
        if row < 0:
            # every row coincides with a center: repeat some, for the caller to relocate or warn of
            rows += [int(row) for row in drawn(weight, generator.random(n_clusters - len(rows)))]
            break
        rows.append(row)
    return np.array(rows, np.intp)


def _begun(X: Array, weight: Array, n_trials: int, row: int) -> Steps:
    """Choose how to compute, by the rows' shape, and the first row."""
    steps: Steps
    if not are_compiled(X.shape[0], X.shape[1], n_trials):
        steps = Plain(X, weight)
        steps.begin(row)
        return steps
    from dkmeans.kernels.greedy_loops import Compiled

    if X.dtype == np.float32:
        steps = Compiled(X, weight, n_trials)
        steps.begin(row)
        if in_range(steps.sq_distances):
            return steps
    steps = Compiled(X.astype(np.float64, order="F", copy=False), weight, n_trials)
    steps.begin(row)
    return steps


def in_range(sq_distances: Array) -> bool:
    """Whether squared distances of some dtype are good enough, or float64 has to measure them."""
    return sq_distances.dtype == np.float64 or bool(_LEAST < sq_distances.max() < _MOST)


def drawn(importance: Array, uniforms: Array) -> Array:
    """Draw rows in proportion to importance, one for each number in [0, 1); never one of zero."""
    cumulated = np.cumsum(importance)
    rows = np.searchsorted(cumulated, uniforms * cumulated[-1], side="right")
    return np.minimum(rows, int(np.flatnonzero(importance)[-1]))


class Plain:
    """Steps in NumPy and float64: for small samples, which wait for no compiler.

    Parameters
    ----------
    X
        `(n_rows, n_features)`.
    weight
        `(n_rows,)`.
    """

    def __init__(self, X: Array, weight: Array) -> None:
        self._X = X.astype(np.float64)
        # or else the norms of rows far from zero leave no digits to their distances
        self._X -= self._X.mean(axis=0)
        self._sq_norms = np.einsum("ij,ij->i", self._X, self._X)
        self._weight = weight
        self._sq_distances = np.full(len(X), np.inf)

    @property
    def sq_distances(self) -> Array:
        """Squared distances to the nearest chosen row, `(n_rows,)` float64."""
        return self._sq_distances

    def begin(self, row: int) -> None:
        """Choose the first row."""
        self._sq_distances = self._measured(np.array([row]))[0]

    def choose(self, uniforms: Array) -> int:
        """Draw as many rows as there are `uniforms`; choose and return the best, -1 if none is."""
        importance = self._weight * self._sq_distances
        if not importance.any():
            return -1
        tried = drawn(importance, uniforms)
        lowered = np.minimum(self._measured(tried), self._sq_distances)
        best = int((lowered @ self._weight).argmin())
        self._sq_distances = lowered[best]
        return int(tried[best])

    def _measured(self, rows: Array) -> Array:
        """Squared distances of all rows to some, `(len(rows), n_rows)`."""
        out = self._X[rows] @ self._X.T
        out *= -2
        out += self._sq_norms
        out += self._sq_norms[rows][:, None]
        np.maximum(out, 0, out=out)
        out[np.arange(len(out)), rows] = 0
        return out
