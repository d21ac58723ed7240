"""The compiled loops, and rows, centers and results as they want them.

Numba is imported, and loops are compiled or loaded from its cache, when the first rows come.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from dkmeans.kernels.block import Array

log = logging.getLogger(__name__)

_COPIED_BYTES = 2**18
"""Rows that are not feature-major are copied so many bytes at a time."""

_NONE, _NO_LABELS = np.empty(0), np.empty(0, np.int32)
_NO_MATRIX = np.empty((0, 0))


@dataclass(frozen=True)
class Loops:
    """The loops for one dtype."""

    assign: Callable[..., None]
    measure: Callable[..., None]

    panel: int
    """Centers of a panel."""

    n_strip: int
    """Rows come in multiples of this."""

    n_doubles: int
    """Features of float64 arrays are padded to multiples of this."""


_compiling = Lock()


def loops(dtype: np.dtype) -> Loops:
    """Compile the loops for a dtype, or load them; the first of several threads does."""
    with _compiling:
        return _loops(dtype)


@cache
def _loops(dtype: np.dtype) -> Loops:
    from numba.core.errors import NumbaError

    from dkmeans.kernels import plain

    try:
        from dkmeans.kernels import simd

        assign, measure = _compile(simd, dtype)
        n_strip = simd.width(dtype.itemsize)
        found = Loops(assign, measure, simd.PANEL, n_strip, simd.DOUBLES)
        _try(found, dtype)
    except (NumbaError, RuntimeError, ArithmeticError) as error:
        # not whatever goes wrong once: workers that fall back on other loops give other bits
        log.warning("no vectors on this machine, clustering will be slower: %s", error)
        assign, measure = _compile(plain, dtype)
        found = Loops(assign, measure, plain.PANEL, 1, 1)
    return found


def _compile(
    module: ModuleType, dtype: np.dtype
) -> tuple[Callable[..., None], Callable[..., None]]:
    """Compile for arrays of any layout, so that there is one version."""
    import numba
    from numba import types

    from dkmeans.kernels.jit import jitted

    value = numba.from_dtype(dtype)

    def given(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "A", readonly=True, aligned=False)

    def written(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "A")

    f64, i32, n = types.float64, types.int32, types.intp
    X, labels, flat = given(value, 2), given(i32, 1), given(f64, 1)
    ranked = (given(value, 1), given(value, 1), given(value, 1), given(f64, 2))
    assign = types.void(
        X, *ranked, n, labels, n, written(i32, 2), written(value, 2), flat, flat,
        written(f64, 2), written(f64, 2),
    )  # fmt: skip
    measure = types.void(X, labels, given(f64, 2), written(f64, 1), flat, flat, written(f64, 2))
    return jitted(module.assign, assign), jitted(module.measure, measure)


def _try(found: Loops, dtype: np.dtype) -> None:
    """Check the loops on a few rows."""
    X = np.arange(found.n_strip, dtype=dtype)[:, None]
    centers = np.array([[0.0], [found.n_strip - 1.0]])
    labels, sq_distances = _nearest(found, X, _ranked(found, centers, dtype), 1)
    expected = (2 * X[:, 0] > found.n_strip - 1).astype(np.int32)
    if not np.array_equal(labels[0], expected) or sq_distances[0, 1] != 1:
        raise ArithmeticError("the compiled loops give wrong results.")


@dataclass(frozen=True, eq=False)
class _Ranked:
    shift: Array
    panels: Array
    norms: Array
    centers: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        return self.shift, self.panels, self.norms, self.centers


def _ranked(found: Loops, centers: Array, dtype: np.dtype, offsets: Array | None = None) -> _Ranked:
    k, d = centers.shape
    wide = np.asarray(centers, np.float64)
    # without it, float32 at an offset of 1e3 labels 13 % of the rows wrongly
    shift = wide.mean(axis=0).astype(dtype)
    panels = np.zeros((-(-k // found.panel), found.panel, d), dtype)
    moved = panels.reshape(-1, d)[:k]
    np.subtract(wide, shift, out=moved, casting="same_kind")
    norms = np.full(len(panels) * found.panel, np.inf, dtype)
    norms[:k] = np.einsum("ij,ij->i", moved, moved, dtype=np.float64)
    if offsets is not None:
        norms[:k] += offsets
    moved *= -2
    turned = panels.transpose(0, 2, 1).ravel()
    # before the next large array is made
    del panels, moved
    return _Ranked(shift, turned, norms, _padded(found, wide))


def _padded(found: Loops, matrix: Array) -> Array:
    """A copy in float64, features padded by zeros."""
    k, d = matrix.shape
    out = np.zeros((k, -(-d // found.n_doubles) * found.n_doubles))
    out[:, :d] = matrix
    return out


def _pieces(found: Loops, X: Array) -> Iterator[tuple[slice, Array]]:
    """Cut rows into matrices `(n_features, n)` of whole strips; the last is filled up by zeros.

    Yields which rows they are, beyond the last one where it is filled up, and the matrix.
    """
    n_rows, d = X.shape
    step, start = found.n_strip, 0
    if X.strides[0] == X.itemsize and X.strides[1] % X.itemsize == 0:
        start = n_rows // step * step
        if start:
            yield slice(0, start), X[:start].T
    n_copied = max(1, _COPIED_BYTES // (step * d * X.itemsize)) * step
    for first in range(start, n_rows, n_copied):
        rows = X[first : first + n_copied]
        XT = np.zeros((d, -(-len(rows) // step) * step), X.dtype)
        XT[:, : len(rows)] = rows.T
        yield slice(first, first + XT.shape[1]), XT


def _part(values: Array, rows: slice) -> Array:
    """The values of some rows, zero beyond the last one."""
    part = values[rows]
    missing = rows.stop - rows.start - len(part)
    return np.concatenate([part, np.zeros(missing, part.dtype)]) if missing else part


def _weights(weight: Array | None, rows: slice, n_rows: int) -> Array:
    """Weights of some rows; no array for rows that all count once."""
    if weight is not None:
        return _part(weight, rows)
    if rows.stop <= n_rows:
        return _NONE
    return (np.arange(rows.start, rows.stop) < n_rows).astype(np.float64)


def _n_padded(found: Loops, n_rows: int) -> int:
    return -(-n_rows // found.n_strip) * found.n_strip


def _nearest(
    found: Loops, X: Array, ranked: _Ranked, n_best: int, own: Array | None = None
) -> tuple[Array, Array]:
    """Nearest centers, `(n_best, n_rows)`; with `own`, `(1, n_rows)`, those left out."""
    n_wanted, n = (n_best if own is None else 1), _n_padded(found, len(X))
    labels = np.zeros((n_wanted, n), np.int32)
    sq_distances = np.full((n_wanted, n), np.inf, X.dtype)
    for rows, XT in _pieces(found, X):
        left_out = _NO_LABELS if own is None else _part(own, rows)
        found.assign(
            XT, *ranked.arrays, n_best, left_out, 0, labels[:, rows], sq_distances[:, rows],
            _NONE, _NONE, _NO_MATRIX, _NO_MATRIX,
        )  # fmt: skip
    return labels[:, : len(X)], sq_distances[:, : len(X)]


def nearest(X: Array, centers: Array, n_best: int) -> tuple[Array, Array]:
    """See `nearest.nearest` and `nearest.nearest_two`; returns `(n_rows, n_best)`."""
    found = loops(X.dtype)
    labels, sq_distances = _nearest(found, X, _ranked(found, centers, X.dtype), n_best)
    return labels.T, sq_distances.T


def nearest_other(
    X: Array, centers: Array, labels: Array, offsets: Array | None
) -> tuple[Array, Array]:
    """See `nearest.nearest_other`."""
    found = loops(X.dtype)
    ranked = _ranked(found, centers, X.dtype, offsets)
    own = labels.astype(np.int32, copy=False)
    others, sq_distances = _nearest(found, X, ranked, 2, own)
    return others[0], sq_distances[0]


def bring_up_to_date(
    X: Array, newest: Array, first_label: int, labels: Array, sq_distances: Array
) -> None:
    """See `nearest.bring_up_to_date`."""
    found = loops(X.dtype)
    ranked = _ranked(found, newest, X.dtype)
    for rows, XT in _pieces(found, X):
        n = min(rows.stop, len(X)) - rows.start
        so_far = _part(labels, rows)[None], _part(sq_distances, rows)[None]
        found.assign(
            XT, *ranked.arrays, 1, _NO_LABELS, first_label, *so_far,
            _NONE, _NONE, _NO_MATRIX, _NO_MATRIX,
        )  # fmt: skip
        if rows.stop > len(X):
            labels[rows], sq_distances[rows] = so_far[0][0, :n], so_far[1][0, :n]


def sq_distances_to(X: Array, centers: Array, labels: Array) -> Array:
    """See `nearest.sq_distances_to`."""
    found = loops(X.dtype)
    labels, padded = labels.astype(np.int32, copy=False), _padded(found, centers)
    sq_distances = np.empty(_n_padded(found, len(X)))
    for rows, XT in _pieces(found, X):
        found.measure(XT, _part(labels, rows), padded, sq_distances[rows], _NONE, _NONE, _NO_MATRIX)
    return sq_distances[: len(X)].astype(X.dtype, copy=False)


def distances(X: Array, centers: Array) -> Array:
    """See `nearest.distances`."""
    into, wide = _distances(X.dtype), np.ascontiguousarray(centers, np.float64)
    out = np.empty((len(X), len(centers)), X.dtype)
    step = max(1, _COPIED_BYTES // (8 * X.shape[1]))
    for first in range(0, len(X), step):
        rows = slice(first, first + step)
        into(np.ascontiguousarray(X[rows].T, np.float64), wide, out[rows])
    return out


@cache
def _distances(dtype: np.dtype) -> Callable[..., None]:
    import numba
    from numba import types

    from dkmeans.kernels import plain
    from dkmeans.kernels.jit import jitted

    wide, out = types.Array(types.float64, 2, "C"), types.Array(numba.from_dtype(dtype), 2, "C")
    return jitted(plain.distances, types.void(wide, wide, out))


def sums_by_label(
    X: Array, labels: Array, weight: Array | None, origin: Array, n_clusters: int
) -> Array:
    """See `sums.sums_by_label`."""
    found = loops(X.dtype)
    labels = labels.astype(np.int32, copy=False)
    origin = _padded(found, origin[None])
    sums = np.zeros((n_clusters, origin.shape[1]))
    for rows, XT in _pieces(found, X):
        # how far rows are from anything is not looked at
        found.measure(
            XT, _part(labels, rows), sums, np.empty(XT.shape[1]), _weights(weight, rows, len(X)),
            origin[0], sums,
        )  # fmt: skip
    return sums[:, : X.shape[1]]


def sums_of_nearest(
    X: Array, weight: Array | None, centers: Array, origin: Array
) -> tuple[Array, Array, Array]:
    """See `sums.sums_of_nearest`."""
    found = loops(X.dtype)
    ranked = _ranked(found, centers, X.dtype)
    sums, totals = np.zeros_like(ranked.centers), np.zeros((len(centers), 2))
    origin = _padded(found, origin[None])[0]
    for rows, XT in _pieces(found, X):
        found.assign(
            XT, *ranked.arrays, 1, _NO_LABELS, 0, np.empty((0, 0), np.int32),
            np.empty((0, 0), X.dtype), _weights(weight, rows, len(X)), origin, sums, totals,
        )  # fmt: skip
    return totals[:, 0].copy(), sums[:, : X.shape[1]].copy(), totals[:, 1].copy()
