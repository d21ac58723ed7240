"""Partials that travel as one: each merges with its like, and all must have seen the same rows."""

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.partials.moments import Moments
from dkmeans.partials.together import Together


def moments(n_rows: int) -> Moments:
    X = np.arange(float(n_rows))[:, None]
    return Moments.from_block(Block(X, ((0, n_rows),)), np.zeros(1))


def test_each_merges_with_its_like() -> None:
    one, other = (
        Together({"a": moments(2), "b": moments(2)}),
        Together({"b": moments(5), "a": moments(5)}),
    )
    both = one.merge(other)
    assert both["a"].sums.tolist() == both["b"].sums.tolist() == [11.0]
    assert both.n_rows == 7
    assert "a" in both
    assert "c" not in both


def test_partials_that_saw_other_rows_are_noticed() -> None:
    assert Together({"a": moments(2), "b": moments(3)}).n_rows == -1
