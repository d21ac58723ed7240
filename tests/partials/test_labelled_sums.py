"""Sums of rows by labels that are met as they come: laws, and NumPy's own sums."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dkmeans.kernels.block import Block, Labels
from dkmeans.partials.labelled_sums import LabelledSums
from tests.laws import PartialLaws

NAMES = ("setosa", 3, "a", 2.5)


def labelled(block: Block) -> Block:
    """The same rows, with labels that depend on their values, numbered as this block likes."""
    numbers = np.abs(block.X.astype(np.int64)).sum(axis=1) % len(NAMES)
    seen = list(dict.fromkeys(numbers.tolist()))
    codes = np.array([seen.index(number) for number in numbers.tolist()], np.int32)
    return replace(block, labels=(Labels(codes, tuple(NAMES[number] for number in seen)),))


class TestLaws(PartialLaws):
    def build(self, block: Block) -> LabelledSums:
        return LabelledSums.from_block(labelled(block), np.full(block.n_features, 2.0))

    def zero(self, block: Block) -> LabelledSums:
        return LabelledSums.zero(np.full(block.n_features, 2.0))

    def finish(self, partial: Any) -> None:
        assert len(partial.weight) == len(partial.values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_those_of_the_rows_of_each_label(dtype: str) -> None:
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(500, 3)).astype(dtype))
    codes, weight = rng.integers(0, 4, 500).astype(np.int32), rng.integers(0, 3, 500).astype(float)
    block = Block(X, ((0, 500),), weight, labels=(Labels(codes, NAMES),))
    origin = np.array([1.0, -1.0, 0.5])
    found = LabelledSums.from_block(block, origin)
    assert found.values == (2.5, 3, "a", "setosa")
    for value, total, sums, sq_sum in zip(
        found.values, found.weight, found.sums, found.sq_sums, strict=True
    ):
        rows = codes == NAMES.index(value)
        moved = X[rows].astype(float) - origin
        assert total == weight[rows].sum()
        np.testing.assert_allclose(sums, weight[rows] @ moved, rtol=1e-12)
        np.testing.assert_allclose(sq_sum, (weight[rows] @ moved**2).sum(), rtol=1e-12)
