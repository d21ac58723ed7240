"""Together: the laws of its parts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dkmeans.errors import DkmeansError
from dkmeans.kernels.block import Block
from dkmeans.partials import ClusterSums, Farthest, Moments
from dkmeans.partials.together import Together
from tests import laws

CENTERS = np.array([[0, 2, -1, 0], [3, 0, 4, -7]], np.float64)
same = laws.assert_same


def same_parts(one: Any, other: Any, but: tuple[str, ...] = ()) -> None:
    """Compare each part, where `Together` has nothing else."""
    if not isinstance(one, Together):
        same(one, other, but)
        return
    assert type(other) is Together
    assert one.parts.keys() == other.parts.keys()
    for name, ours in one.parts.items():
        same(ours, other[name], but)


@pytest.fixture(scope="module", autouse=True)
def _parts_are_compared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "assert_same", same_parts)
        yield


class TestLaws(laws.PartialLaws):
    def build(self, block):
        d = block.n_features
        return Together(
            {
                "sums": ClusterSums.from_block(block, CENTERS[:, :d], np.zeros(d)),
                "farthest": Farthest.from_block(block, CENTERS[:, :d], 3),
            }
        )

    def zero(self, block):
        d = block.n_features
        sums, farthest = ClusterSums.zero(2, np.zeros(d)), Farthest.zero(3, d, block.X.dtype)
        return Together({"sums": sums, "farthest": farthest})

    def finish(self, partial):
        assert partial.n_rows == partial["sums"].n_rows == partial["farthest"].n_rows
        assert "sums" in partial
        assert "moments" not in partial


def test_parts_that_count_rows_differently_are_refused():
    three = Block(np.ones((3, 2), order="F"), ((0, 3),))
    parts = {"all": Moments.from_block(three, np.zeros(2)), "none": Moments.zero(np.zeros(2))}
    with pytest.raises(DkmeansError, match=r"all 3, none 0.* run again"):
        _ = Together(parts).n_rows


def test_parts_merge_with_their_likes_in_any_order():
    one, two = (
        Moments.from_block(Block(np.full((n, 1), 1.0), ((0, n),)), np.zeros(1)) for n in (1, 2)
    )
    both = Together({"a": one, "b": two}).merge(Together({"b": two, "a": one}))
    assert (both["a"].n_rows, both["b"].n_rows) == (2, 4)


def test_parts_without_their_like_do_not_merge():
    part = Moments.zero(np.zeros(2))
    with pytest.raises(KeyError):
        Together({"a": part, "b": part}).merge(Together({"a": part}))
