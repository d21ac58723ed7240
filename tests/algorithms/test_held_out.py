"""Held-out rows: what they estimate, and where starved centers are seeded again."""

from dataclasses import replace

import numpy as np
import pytest

from dkmeans.algorithms.held_out import Held
from dkmeans.algorithms.stream import GRACE, PATIENCE, Pace, Stream
from dkmeans.kernels.block import Block
from dkmeans.partials import ClusterSums, WeightedSample
from tests.strategies import blocks_of

N = 20_000
K = 8


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(K, 3)) * 6
    return means[rng.integers(0, K, N)] + rng.normal(size=(N, 3)), means


def whole(X, weight=None):
    return blocks_of(X, 1, weight)[0]


def gain_of(X, centers, weight=None):
    """What moving centers brings, labels fixed, in float64 NumPy."""
    weight = np.ones(len(X)) if weight is None else weight
    labels = ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    total = 0.0
    for j in range(len(centers)):
        mine = labels == j
        if weight[mine].sum() > 0:
            mean = np.average(X[mine], axis=0, weights=weight[mine])
            total += weight[mine].sum() * ((mean - centers[j]) ** 2).sum()
    return total


def estimates_of(X, centers, size, n_samples, weight=None):
    """Gain and inertia as samples estimate them, and the gain as samples have it themselves."""
    found, block = [], whole(X, weight)
    for seed in range(n_samples):
        sample = WeightedSample.from_block(block, size, seed, ("test",))
        stands_for = sample.expanded_weight
        stands_for *= sample.total / stands_for.sum()
        drawn = Block(np.asfortranarray(sample.X), ((0, size),), stands_for)
        held = Held(drawn, size / len(X))
        sums, _ = held.sums(centers, centers.mean(axis=0))
        found.append((held.gain(sums, centers), sums.inertia, sums.gain(centers)))
    return np.array(found)


@pytest.mark.parametrize("size", [400, 2000])
@pytest.mark.parametrize("away", [0.1, 0.3])
def test_gain_and_inertia_are_estimated_without_bias(mixture, away, size):
    X, means = mixture
    centers = means + away
    truth = gain_of(X, centers)
    found = estimates_of(X, centers, size, 300)
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(300)
    assert error[0] < 0.05 * truth
    assert abs(mean[0] - truth) < 4 * error[0]
    inertia = ((X[:, None] - centers) ** 2).sum(axis=2).min(axis=1).sum()
    assert abs(mean[1] - inertia) < 4 * error[1]
    # a sample's own gain has the errors of its means in it
    assert mean[2] - truth > 5 * error[2]


def test_gain_is_estimated_without_bias_where_rows_have_weights(mixture):
    X, means = mixture
    weight = np.random.default_rng(1).choice([0.0, 1.0, 3.0], N)
    centers = means + 0.3
    truth = gain_of(X, centers, weight)
    found = estimates_of(X, centers, 400, 300, weight)
    error = found[:, 0].std(ddof=1) / np.sqrt(300)
    assert abs(found[:, 0].mean() - truth) < 4 * error
    assert found[:, 2].mean() - truth > 8 * error


def test_of_centers_that_are_their_rows_means_next_to_nothing_is_to_be_gained(mixture):
    X, means = mixture
    labels = ((X[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    centers = np.array([X[labels == j].mean(axis=0) for j in range(K)])
    found = estimates_of(X, centers, 400, 100)
    assert (found[:, 0] >= 0).all()
    # the estimate is cut off at zero: half of its noise is left
    assert found[:, 0].mean() < 0.25 * found[:, 2].mean()


@pytest.mark.parametrize("weighted", [False, True])
def test_all_rows_have_their_own_gain_exactly(mixture, weighted):
    X, means = mixture
    weight = np.random.default_rng(2).integers(0, 4, N).astype(float) if weighted else None
    held = Held(whole(X, weight), share=1.0)
    centers = means + 0.2
    sums, importance = held.sums(centers, centers[0])
    direct = ClusterSums.from_block(whole(X, weight), centers, centers[0])
    assert held.gain(sums, centers) == direct.gain(centers)
    assert held.gain(sums, centers) == pytest.approx(gain_of(X, centers, weight), rel=1e-10)
    assert sums.inertia == direct.inertia
    assert importance.sum() == pytest.approx(sums.inertia, rel=1e-12)


def test_one_row_of_a_cluster_says_nothing_of_its_noise():
    held = Held(Block(np.array([[0.0], [9.0]], order="F"), ((0, 2),), np.full(2, 5.0)), True)
    centers = np.array([[1.0], [9.0]])
    sums, _ = held.sums(centers, centers[0])
    assert held.gain(sums, centers) == 5.0


# starved centers

BLOBS = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])


def held_blobs(weight=None):
    rng = np.random.default_rng(3)
    X = np.repeat(BLOBS, 100, axis=0) + rng.normal(size=(400, 2))
    return Held(whole(X, np.ones(400) if weight is None else weight), share=1.0)


def looks(held, stream, n_looks, ratio=0.01, tol=1e-3):
    for _ in range(n_looks):
        stream, sums = held.look(stream, ratio, tol, seed=0)
    return stream, sums


def started(held, centers):
    """A stream that has followed the rows once, with its centers as they were."""
    stream = Stream.start(centers)
    sums = ClusterSums.from_block(held.block, stream.centers, stream.ledger.origin)
    return replace(stream.after(sums, Pace()), centers=stream.centers)


@pytest.mark.parametrize("n_away", [1, 2])
def test_centers_far_from_all_rows_are_seeded_where_rows_are_far_from_centers(n_away):
    held = held_blobs()
    centers = BLOBS.copy()
    centers[:n_away] = [[1e4, 1e4], [-1e5, 3.0]][:n_away]
    stream, before = looks(held, started(held, centers), PATIENCE - 1)
    assert before.empty.sum() == n_away
    stream, after = looks(held, stream, 1)
    assert not after.empty.any()
    assert after.inertia < before.inertia / 20
    # each is one of the rows
    for j in range(n_away):
        assert (stream.centers[j] == held.block.X).all(axis=1).any()
        assert stream.ledger.weight[j] == 0
    assert (stream.starving[:n_away] == -GRACE).all()
    # what is told is of the centers as they are now
    direct, _ = held.sums(stream.centers, stream.ledger.origin)
    assert after.inertia == direct.inertia


def test_a_ratio_of_zero_leaves_centers_where_they_are():
    held = held_blobs()
    centers = BLOBS.copy()
    centers[0] = 1e4
    start = started(held, centers)
    stream, sums = looks(held, start, 3 * PATIENCE, ratio=0.0)
    np.testing.assert_array_equal(stream.centers, start.centers)
    assert sums.empty.sum() == 1


def test_a_center_is_left_alone_where_seeding_it_again_brings_too_little():
    held = held_blobs()
    centers = np.concatenate([BLOBS, [[1e4, 1e4]]])
    start = started(held, centers)
    # a fifth center in a blob lowers the inertia by some percent
    stream, _ = looks(held, start, PATIENCE, tol=0.9)
    np.testing.assert_array_equal(stream.centers, start.centers)
    assert stream.starving[4] == 0
    stream, _ = looks(held, start, PATIENCE, tol=1e-6)
    assert np.abs(stream.centers[4]).max() < 30


def test_rows_without_weight_never_become_centers():
    weight = np.ones(400)
    # the last blob has no weight, though it is farthest from all centers
    weight[300:] = 0
    held = held_blobs(weight)
    for away in range(20):
        centers = np.concatenate([BLOBS[:3], [[1e4 + away, 1e4]]])
        stream, _ = looks(held, started(held, centers), PATIENCE, tol=0.0)
        where = (stream.centers[3] == held.block.X).all(axis=1)
        assert not where[300:].any()


def test_where_every_row_is_a_center_nothing_moves():
    X = np.repeat(BLOBS[:2], 5, axis=0)
    held = Held(whole(X), share=1.0)
    centers = np.concatenate([BLOBS[:2], BLOBS[:2], [[7.0, 7.0]]])
    stream, sums = looks(held, started(held, centers), 5 * PATIENCE)
    np.testing.assert_array_equal(stream.centers, centers)
    assert sums.inertia == 0


def test_many_starved_centers_are_seeded_a_few_at_a_look():
    rng = np.random.default_rng(5)
    means = rng.uniform(-1000, 1000, size=(30, 2))
    X = np.repeat(means, 20, axis=0) + rng.normal(size=(600, 2))
    held = Held(whole(X), share=1.0)
    centers = np.concatenate([means[:5], 1e6 + rng.normal(size=(25, 2))])
    stream, sums = looks(held, started(held, centers), PATIENCE)
    assert sums.empty.sum() == 25 - 8
    # some are drawn where others are already, and wait for their next turn
    stream, sums = looks(held, stream, 12)
    assert sums.empty.sum() == 0
