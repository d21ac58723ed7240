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

from dkmeans.kernels import tables
from dkmeans.kernels.block import Array

log = logging.getLogger(__name__)

_COPIED_BYTES = 2**18
"""Rows that are not feature-major are copied so many bytes at a time."""

_COPIED_VALUES = 2**11
"""What rows are added to has as many copies as fit the innermost cache beside all else."""

_NONE, _NO_LABELS = np.empty(0), np.empty(0, np.int32)
_VECTOR_BYTES = 64
"""Of the widest vectors: memory is read in lines of as many bytes."""


@dataclass(frozen=True)
class Loops:
    """The loops for one dtype, see `simd` and `tables`."""

    assign: Callable[..., None]
    measure: Callable[..., None]
    fill_panels: Callable[..., None]
    fill_table: Callable[..., None]
    read_table: Callable[..., None]

    panel: int
    """Centers of a panel."""

    n_strip: int
    """Rows come in multiples of this."""

    n_lanes: int
    """Values of float64 in a vector."""

    few_centers: int
    few_features: int
    """What are few, see `simd`."""


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

        found = _compile(simd, dtype)
        _try(found, dtype)
    except (NumbaError, RuntimeError, ArithmeticError) as error:
        # not whatever goes wrong once: workers that fall back on other loops give other bits
        log.warning("no vectors on this machine, clustering will be slower: %s", error)
        found = _compile(plain, dtype)
    return found


def _compile(module: ModuleType, dtype: np.dtype) -> Loops:
    """Compile for arrays of any layout, so that there is one version."""
    import numba
    from numba import types

    from dkmeans.kernels.jit import jitted

    value = numba.from_dtype(dtype)

    def given(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "A", readonly=True, aligned=False)

    def written(kind: Any, n_dimensions: int) -> Any:
        return types.Array(kind, n_dimensions, "C")

    f64, i32, n = types.float64, types.int32, types.intp
    X, labels, flat = given(value, 2), given(i32, 1), given(f64, 1)
    panels, table = (written(value, 1),) * 3, written(f64, 2)
    result = types.Array(i32, 2, "A"), types.Array(value, 2, "A")
    assign = types.void(X, *panels, table, n, n, labels, n, *result, flat, flat, flat)
    measure = types.void(X, labels, table, n, written(f64, 1), flat, flat)
    fill_panels = types.void(given(f64, 2), flat, n, *panels)
    fill_table = types.void(given(f64, 2), n, n, table)
    read_table = types.void(table, n, n, written(f64, 1), written(f64, 2), written(f64, 1))
    return Loops(
        assign=jitted(module.assign, assign),
        measure=jitted(module.measure, measure),
        fill_panels=jitted(tables.fill_panels, fill_panels),
        fill_table=jitted(tables.fill_table, fill_table),
        read_table=jitted(tables.read_table, read_table),
        panel=module.PANEL,
        n_strip=module.width(dtype.itemsize),
        n_lanes=module.DOUBLES,
        few_centers=module.FEW_CENTERS,
        few_features=module.FEW_FEATURES,
    )


def _try(found: Loops, dtype: np.dtype) -> None:
    """Check the loops on a few rows."""
    X = np.arange(found.n_strip, dtype=dtype)[:, None]
    centers = np.array([[0.0], [found.n_strip - 1.0]])
    labels, sq_distances = _nearest(found, X, centers, 1)
    expected = (2 * X[:, 0] > found.n_strip - 1).astype(np.int32)
    weight, *_ = _sums_of_nearest(found, X, None, centers, np.zeros(1))
    if (
        not np.array_equal(labels[0], expected)
        or not np.array_equal(sq_distances[0], np.square(X[:, 0] - centers[labels[0], 0]))
        or not np.array_equal(weight, np.bincount(expected, minlength=2))
    ):
        raise ArithmeticError("the compiled loops give wrong results.")


def _panels(
    found: Loops, centers: Array, dtype: np.dtype, offsets: Array = _NONE
) -> tuple[Array, Array, Array]:
    k, d = centers.shape
    n_padded = -(-k // found.panel) * found.panel
    shift, norms = np.empty(d, dtype), np.full(n_padded, np.inf, dtype)
    panels = np.zeros(n_padded * d, dtype)
    found.fill_panels(centers, offsets, found.panel, shift, panels, norms)
    return shift, panels, norms


def _zeros(n_rows: int, n_columns: int) -> Array:
    """A matrix of float64 that begins where a vector may begin in memory."""
    n = n_rows * n_columns
    values = np.zeros(n + _VECTOR_BYTES // 8)
    start = -values.__array_interface__["data"][0] % _VECTOR_BYTES // 8
    return values[start : start + n].reshape(n_rows, n_columns)


def _table(found: Loops, centers: Array, n_copies: int = 0) -> Array:
    """See `tables`: to measure and to add up; without copies, to measure."""
    k, d = centers.shape
    length = tables.entry_length(d, found.n_lanes, n_copies > 0)
    table = _zeros(max(n_copies, 1) * k, length)
    found.fill_table(centers, n_copies, found.n_lanes, table)
    return table


def _n_copies(found: Loops, n_values: int) -> int:
    """Choose how many copies there are of so many values to add to: a power of two."""
    n_copies = 1
    while n_copies < found.n_lanes and 2 * n_copies * n_values <= _COPIED_VALUES:
        n_copies *= 2
    return n_copies


def _read(found: Loops, table: Array, n_copies: int, n_features: int) -> tuple[Array, Array, Array]:
    """Weights, sums and squared distances, by center."""
    k = len(table) // n_copies
    weight, sums, sq_distances = np.empty(k), np.empty((k, n_features)), np.empty(k)
    found.read_table(table, n_copies, found.n_lanes, weight, sums, sq_distances)
    return weight, sums, sq_distances


def _columns(found: Loops, centers: Array) -> Array:
    """Centers by feature, a vector for each."""
    k, d = centers.shape
    columns = np.zeros((found.few_features, found.n_lanes))
    columns[:d, :k] = centers.T
    return columns.ravel()


def _read_few(table: Array, n_copies: int, n_features: int) -> tuple[Array, Array, Array]:
    """Weights, sums and squared distances, by center."""
    whole = table.reshape(n_copies, -1, table.shape[1]).sum(axis=0)
    return whole[:, -2].copy(), whole[:, :n_features].copy(), whole[:, -1].copy()


def _padded(found: Loops, origin: Array) -> Array:
    """A copy in float64, padded by zeros to whole vectors."""
    d = len(origin)
    padded = np.zeros(-(-d // found.n_lanes) * found.n_lanes)
    padded[:d] = origin
    return padded


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
    found: Loops,
    X: Array,
    centers: Array,
    n_best: int,
    own: Array | None = None,
    offsets: Array = _NONE,
) -> tuple[Array, Array]:
    """Nearest centers, `(n_best, n_rows)`; with `own`, `(1, n_rows)`, those left out."""
    centers = np.asarray(centers, np.float64)
    scored, table = _panels(found, centers, X.dtype, offsets), _table(found, centers)
    n_wanted, n = (n_best if own is None else 1), _n_padded(found, len(X))
    labels = np.zeros((n_wanted, n), np.int32)
    sq_distances = np.full((n_wanted, n), np.inf, X.dtype)
    for rows, XT in _pieces(found, X):
        left_out = _NO_LABELS if own is None else _part(own, rows)
        found.assign(
            XT, *scored, table, 0, n_best, left_out, 0, labels[:, rows], sq_distances[:, rows],
            _NONE, _NONE, _NONE,
        )  # fmt: skip
    return labels[:, : len(X)], sq_distances[:, : len(X)]


def nearest(X: Array, centers: Array, n_best: int) -> tuple[Array, Array]:
    """See `nearest.nearest` and `nearest.nearest_two`; returns `(n_rows, n_best)`."""
    labels, sq_distances = _nearest(loops(X.dtype), X, centers, n_best)
    return labels.T, sq_distances.T


def nearest_other(
    X: Array, centers: Array, labels: Array, offsets: Array | None
) -> tuple[Array, Array]:
    """See `nearest.nearest_other`."""
    own = labels.astype(np.int32, copy=False)
    offsets = _NONE if offsets is None else offsets
    others, sq_distances = _nearest(loops(X.dtype), X, centers, 2, own, offsets)
    return others[0], sq_distances[0]


def bring_up_to_date(
    X: Array, newest: Array, first_label: int, labels: Array, sq_distances: Array
) -> None:
    """See `nearest.bring_up_to_date`."""
    found, newest = loops(X.dtype), np.asarray(newest, np.float64)
    scored, table = _panels(found, newest, X.dtype), _table(found, newest)
    for rows, XT in _pieces(found, X):
        n = min(rows.stop, len(X)) - rows.start
        so_far = _part(labels, rows)[None], _part(sq_distances, rows)[None]
        found.assign(
            XT, *scored, table, 0, 1, _NO_LABELS, first_label, *so_far, _NONE, _NONE, _NONE
        )
        if rows.stop > len(X):
            labels[rows], sq_distances[rows] = so_far[0][0, :n], so_far[1][0, :n]


def sq_distances_to(X: Array, centers: Array, labels: Array) -> Array:
    """See `nearest.sq_distances_to`."""
    found = loops(X.dtype)
    table = _table(found, np.asarray(centers, np.float64))
    labels = np.ascontiguousarray(labels, np.int32)
    sq_distances = np.empty(_n_padded(found, len(X)))
    for rows, XT in _pieces(found, X):
        found.measure(XT, _part(labels, rows), table, 0, sq_distances[rows], _NONE, _NONE)
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
    labels, n_features = np.ascontiguousarray(labels, np.int32), X.shape[1]
    length = tables.entry_length(n_features, found.n_lanes, False)
    n_copies = _n_copies(found, n_clusters * length)
    table, origin = _zeros(n_copies * n_clusters, length), _padded(found, origin)
    for rows, XT in _pieces(found, X):
        found.measure(
            XT, _part(labels, rows), table, n_copies, _NONE, _weights(weight, rows, len(X)), origin
        )
    sums = table if n_copies == 1 else table.reshape(n_copies, n_clusters, length).sum(axis=0)
    return np.ascontiguousarray(sums[:, :n_features])


def sums_of_nearest(
    X: Array, weight: Array | None, centers: Array, origin: Array
) -> tuple[Array, Array, Array]:
    """See `sums.sums_of_nearest`."""
    return _sums_of_nearest(loops(X.dtype), X, weight, centers, origin)


def _sums_of_nearest(
    found: Loops, X: Array, weight: Array | None, centers: Array, origin: Array
) -> tuple[Array, Array, Array]:
    k, d = centers.shape
    centers = np.asarray(centers, np.float64)
    scored, origin = _panels(found, centers, X.dtype), _padded(found, origin)
    few = k <= found.few_centers and d <= found.few_features
    if few:
        n_copies, columns = found.n_lanes, _columns(found, centers)
        table = _zeros(n_copies * k, 4 if d <= 2 else found.n_lanes)
    else:
        n_copies = _n_copies(found, k * tables.entry_length(d, found.n_lanes, True))
        table, columns = _table(found, centers, n_copies), _NONE
    none = np.empty((0, 0), np.int32), np.empty((0, 0), X.dtype)
    for rows, XT in _pieces(found, X):
        found.assign(
            XT, *scored, table, n_copies, 1, _NO_LABELS, 0, *none,
            _weights(weight, rows, len(X)), origin, columns,
        )  # fmt: skip
    return _read_few(table, n_copies, d) if few else _read(found, table, n_copies, d)
