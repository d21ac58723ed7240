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
    for ours, theirs in zip(one.parts, other.parts, strict=True):
        same(ours, theirs, but)


@pytest.fixture(scope="module", autouse=True)
def _parts_are_compared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(laws, "assert_same", same_parts)
        yield


class TestLaws(laws.PartialLaws):
    def build(self, block):
        d = block.n_features
        return Together(
            (
                ClusterSums.from_block(block, CENTERS[:, :d], np.zeros(d)),
                Farthest.from_block(block, CENTERS[:, :d], 3),
            )
        )

    def zero(self, block):
        d = block.n_features
        return Together((ClusterSums.zero(2, np.zeros(d)), Farthest.zero(3, d, block.X.dtype)))

    def finish(self, partial):
        assert partial.n_rows == partial.parts[0].n_rows == partial.parts[1].n_rows


def test_parts_that_count_rows_differently_are_refused():
    three = Block(np.ones((3, 2), order="F"), ((0, 3),))
    parts = (Moments.from_block(three, np.zeros(2)), Moments.zero(np.zeros(2)))
    with pytest.raises(DkmeansError, match=r"Moments 3, Moments 0.* run again"):
        _ = Together(parts).n_rows


def test_as_many_parts_merge_as_there_are():
    part = Moments.zero(np.zeros(2))
    with pytest.raises(ValueError, match="shorter"):
        Together((part, part)).merge(Together((part,)))
