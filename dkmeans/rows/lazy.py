"""Something of every block as a lazy Dask Array."""

import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask._task_spec import Alias
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph

from dkmeans.kernels.block import Array
from dkmeans.kernels.threads import one_blas_thread
from dkmeans.rows.leaf import Leaf, Step

if TYPE_CHECKING:
    from dkmeans.rows.rows import Rows


def map_blocks(
    rows: "Rows",
    function: Callable[..., Array],
    broadcast: tuple[Any, ...],
    dtype: "np.dtype[Any]",
    width: int | None,
) -> da.Array:
    """See `Rows.map`. One task a leaf: reading is in order within it."""
    if rows.missing == "mean" and rows.known.filling is None:
        rows.prepare()
    shared = delayed(_Shared(function, broadcast, rows.steps), pure=False)
    of_leaf = delayed(_of_leaf, pure=False)
    leaves, parts = rows.layout.leaves, rows.layout.parts
    computed = [
        of_leaf(_Opaque(leaf), part, shared) for leaf, part in zip(leaves, parts, strict=True)
    ]
    # not by concatenating, which would leave out chunks without rows
    name = f"rows-{uuid.uuid4().hex}"
    column = () if width is None else (0,)
    aliases = [Alias((name, i, *column), one.key) for i, one in enumerate(computed)]
    graph = HighLevelGraph.from_collections(
        name, {alias.key: alias for alias in aliases}, dependencies=computed
    )
    n_rows = tuple(_n_rows(rows, leaf) for leaf in leaves)
    return da.Array(graph, name, (n_rows,) if width is None else (n_rows, (width,)), dtype=dtype)


class _Shared:
    def __init__(
        self, function: Callable[..., Array], broadcast: tuple[Any, ...], steps: tuple[Step, ...]
    ) -> None:
        self.function, self.broadcast, self.steps = function, broadcast, steps


class _Opaque:
    """Keeps Dask from searching a leaf for collections."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf


def _of_leaf(opaque: _Opaque, part: Any, shared: _Shared) -> Array:
    leaf = opaque.leaf
    reader = leaf.source.open(part, leaf.blocks)
    assert reader is not None
    results = []
    with one_blas_thread(), closing(reader):
        for number in leaf.blocks:
            block = leaf.taken(reader.read(number)[0])
            for step in shared.steps:
                block = replace(block, X=step.transform(block.X))
            results.append(shared.function(block, *shared.broadcast))
    return np.concatenate(results)


def _n_rows(rows: "Rows", leaf: Leaf) -> int | float:
    """Rows of a leaf, if they are known before it is read."""
    if leaf.n_source_rows is None or leaf.sample is not None or rows.missing == "drop":
        return float("nan")
    return float("nan") if rows.parquet and rows.parquet.filters else leaf.n_source_rows
