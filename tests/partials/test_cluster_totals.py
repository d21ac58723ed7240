"""Weighted sums of values of rows, by cluster: laws, and the definition row by row."""

from typing import Any

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.partials.cluster_totals import ClusterTotals
from tests.laws import PartialLaws

K = 4


def labels_of(block: Block) -> np.ndarray:
    return (block.X[:, 0].astype(np.int64) % K).astype(np.int32)


class TestLaws(PartialLaws):
    def build(self, block: Block) -> ClusterTotals:
        values = block.X.astype(np.float64)[:, 0]
        return ClusterTotals.of([values, values**2], labels_of(block), block.weight, K)

    def zero(self, block: Block) -> ClusterTotals:
        return ClusterTotals.zero(2, K)

    def finish(self, partial: Any) -> None:
        assert partial.totals.shape == (2, K)


def test_each_row_counts_by_its_weight() -> None:
    values = [np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0])]
    labels, weight = np.array([2, 0, 2]), np.array([1.0, 3.0, 0.5])
    totals = ClusterTotals.of(values, labels, weight, 3)
    assert totals.totals.tolist() == [[6.0, 0.0, 3.0], [60.0, 0.0, 30.0]]
    assert totals.n_rows == 3
