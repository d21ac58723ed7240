"""Hypothesis strategies: integer-valued rows, their weights and filters, and cuts into blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dkmeans.kernels.block import Array, Block

MOST_FEATURES = 4


@dataclass(frozen=True)
class CutRows:
    """The same rows twice: in one block, and in several."""

    whole: Block
    blocks: tuple[Block, ...]


dtypes = st.sampled_from(["float32", "float64"])


def integer_matrices(n_rows: int, n_features: int, dtype: str) -> st.SearchStrategy[Array]:
    """Feature-major matrices of small integers; the smaller their range, the more duplicates."""
    return (
        st.sampled_from([1, 5, 50])
        .flatmap(
            lambda most: arrays(np.int64, (n_rows, n_features), elements=st.integers(-most, most))
        )
        .map(lambda X: np.asfortranarray(X, dtype))
    )


def integer_weights(n_rows: int) -> st.SearchStrategy[Array]:
    """Float64 weights 0, 1, 2 or 3."""
    return arrays(np.int64, n_rows, elements=st.integers(0, 3)).map(lambda w: w.astype(np.float64))


def source_ranges(n_source_rows: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    """Ascending ranges of row numbers that hold so many rows, with gaps and seams between."""

    @st.composite
    def ranges(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
        seams = sorted(draw(st.lists(st.integers(0, n_source_rows), max_size=2)))
        number, out = draw(st.integers(0, 9)), []
        for first, stop in zip([0, *seams], [*seams, n_source_rows], strict=True):
            out.append((number, number + stop - first))
            number += stop - first + draw(st.integers(0, 5))
        return tuple(out)

    return ranges()


@st.composite
def cut_rows(draw: st.DrawFn, *, most_rows: int = 25, least_blocks: int = 2) -> CutRows:
    """Rows, weighted or not, filtered or not, cut into blocks of which some may be empty."""
    n_source_rows = draw(st.integers(0, most_rows))
    n_features = draw(st.integers(1, MOST_FEATURES))
    X = draw(integer_matrices(n_source_rows, n_features, draw(dtypes)))
    weight = draw(st.none() | integer_weights(n_source_rows))
    kept = draw(st.none() | arrays(np.bool_, n_source_rows))
    if kept is not None:
        X = np.asfortranarray(X[kept])
        weight = None if weight is None else weight[kept]
    whole = Block(X, draw(source_ranges(n_source_rows)), weight, kept)
    cuts = draw(st.lists(st.integers(0, n_source_rows), min_size=least_blocks - 1, max_size=5))
    return CutRows(whole, cut_block(whole, sorted(cuts)))


@st.composite
def weighted_blocks(draw: st.DrawFn, most_rows: int = 15) -> Block:
    """One block of rows with weights, zeros among them."""
    n_rows = draw(st.integers(0, most_rows))
    X = draw(integer_matrices(n_rows, draw(st.integers(1, MOST_FEATURES)), draw(dtypes)))
    return Block(X, ((0, n_rows),), draw(integer_weights(n_rows)))


def cut_block(whole: Block, cuts: Sequence[int]) -> tuple[Block, ...]:
    """Cut a block before each of some positions among its source rows, which ascend."""
    edges = [0, *cuts, whole.n_source_rows]
    return tuple(_between(whole, start, stop) for start, stop in pairwise(edges))


def blocks_of(X: Array, n_blocks: int, weight: Array | None = None) -> tuple[Block, ...]:
    """Cut rows numbered from 0 into blocks of about one size."""
    whole = Block(np.asfortranarray(X), ((0, len(X)),), weight)
    return cut_block(whole, [len(X) * number // n_blocks for number in range(1, n_blocks)])


def _between(whole: Block, start: int, stop: int) -> Block:
    ranges, passed = [], 0
    for first, last in whole.ranges:
        inside = (max(first, first + start - passed), min(last, first + stop - passed))
        if inside[0] < inside[1]:
            ranges.append(inside)
        passed += last - first
    kept = None if whole.kept is None else whole.kept[start:stop].copy()
    if whole.kept is None:
        rows = slice(start, stop)
    else:
        rows = slice(int(whole.kept[:start].sum()), int(whole.kept[:stop].sum()))
    weight = None if whole.weight is None else whole.weight[rows].copy()
    return Block(np.array(whole.X[rows], order="F"), tuple(ranges), weight, kept)
