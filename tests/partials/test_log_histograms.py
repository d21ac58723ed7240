"""Histograms of fixed bins merge exactly."""

import numpy as np

from dkmeans.kernels.block import Block
from dkmeans.kernels.log_bins import DistanceBins
from dkmeans.partials.log_histograms import LogHistograms
from dkmeans.partials.missing_values import MissingValues
from dkmeans.partials.outside import Outside
from tests.laws import WeightsAsCopies

_BINS = DistanceBins.of(4.0, 3)


class TestOfFeatures(WeightsAsCopies):
    def build(self, block: Block) -> LogHistograms:
        return LogHistograms.of_features(block, np.full(block.n_features, 0.25), 3)

    def zero(self, block: Block) -> LogHistograms:
        return LogHistograms.zero()

    def finish(self, partial: LogHistograms) -> None:
        partial.dense(4, 2**15)


class TestOfDistances(WeightsAsCopies):
    def build(self, block: Block) -> LogHistograms:
        sq_distances = (block.X.astype(np.float64) ** 2).sum(axis=1).astype(block.X.dtype)
        labels = np.abs(block.X[:, 0]).astype(np.int32) % 3
        return LogHistograms.of_distances(sq_distances, labels, block.weight, 3, _BINS)

    def zero(self, block: Block) -> LogHistograms:
        return LogHistograms.zero()

    def finish(self, partial: LogHistograms) -> None:
        partial.dense(3, _BINS.n_cells)


class TestMissingValues(WeightsAsCopies):
    def build(self, block: Block) -> MissingValues:
        lacking = block.X > 1
        return MissingValues.from_lacking(lacking, block.weight, block.X.shape)

    def zero(self, block: Block) -> MissingValues:
        return MissingValues.zero(block.n_features)

    def finish(self, partial: MissingValues) -> None:
        assert partial.incomplete <= partial.weight


class TestOutside(WeightsAsCopies):
    def build(self, block: Block) -> Outside:
        d = block.n_features
        return Outside.from_block(block, np.full(d, -2.0), np.full(d, 1.0))

    def zero(self, block: Block) -> Outside:
        return Outside.zero(block.n_features)

    def finish(self, partial: Outside) -> None:
        assert partial.rows <= partial.below.sum() + partial.above.sum()


def test_what_is_missing_and_outside_is_counted_by_hand() -> None:
    X = np.array([[0.0, 5.0], [np.nan, 1.0], [np.nan, np.nan], [3.0, -4.0]], order="F")
    found = MissingValues.from_lacking(np.isnan(X), np.array([1.0, 2.0, 4.0, 8.0]), X.shape)
    assert (found.by_feature.tolist(), found.incomplete, found.weight) == ([6.0, 4.0], 6.0, 15.0)
    block = Block(np.asfortranarray(X[[0, 3]]), ((0, 2),), np.array([1.0, 8.0]))
    out = Outside.from_block(block, np.array([0.0, -3.0]), np.array([2.0, 5.0]))
    assert (out.below.tolist(), out.above.tolist(), out.rows) == ([0.0, 8.0], [8.0, 0.0], 8.0)
