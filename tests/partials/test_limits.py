"""Limits: they leave out no row that the sample keeps, whatever this process has seen of it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.partials import WeightedSample, limits, merge_all
from dkmeans.partials.limits import Limit, limit_of
from tests.laws import assert_same, checked
from tests.strategies import CutRows, blocks_of, cut_rows

PURPOSE = ("test", 1)


def limited(block, limit, size, seed=0):
    """The sample of a block, without what the limit knows to be too large; the limit learns."""
    importance = block.weights
    sample = WeightedSample.from_block(block, size, seed, PURPOSE, importance, limit.key)
    limit.add(sample.keys)
    return sample


def unlimited(blocks, size, seed=0):
    return merge_all(WeightedSample.from_block(block, size, seed, PURPOSE) for block in blocks)


@checked
@given(cut_rows(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_blocks_in_any_order_give_the_sample_without_limits(rows: CutRows, size, order):
    blocks = list(rows.blocks)
    order.shuffle(blocks)
    limit = Limit(size)
    found = merge_all(limited(block, limit, size) for block in blocks)
    assert_same(found, unlimited(rows.blocks, size))


@checked
@given(cut_rows(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_blocks_that_are_walked_twice_count_once(rows: CutRows, size, order):
    walks = [*range(len(rows.blocks)), *range(len(rows.blocks))]
    order.shuffle(walks)
    limit = Limit(size)
    # what the walk before has given is lost
    last = {i: limited(rows.blocks[i], limit, size) for i in walks}
    found = merge_all(last.values())
    assert_same(found, unlimited(rows.blocks, size))


def test_most_rows_are_left_out_of_the_blocks_that_come_late():
    rng = np.random.default_rng(0)
    blocks = blocks_of(rng.normal(size=(20_000, 2)), 40, rng.integers(1, 9, 20_000).astype(float))
    size, limit = 50, Limit(50)
    samples = [limited(block, limit, size) for block in blocks]
    assert_same(merge_all(samples), unlimited(blocks, size))
    assert len(samples[0].keys) == size + 1
    assert all(len(sample.keys) < size // 3 for sample in samples[-5:])


def test_several_threads_give_the_sample_without_limits():
    rng = np.random.default_rng(1)
    blocks = blocks_of(rng.normal(size=(20_000, 2)), 200, rng.integers(1, 9, 20_000).astype(float))
    for seed in range(5):
        limit, start = Limit(20), threading.Barrier(4)

        def walk(blocks, limit=limit, start=start, seed=seed):
            start.wait(30)
            return [limited(block, limit, 20, seed) for block in blocks]

        with ThreadPoolExecutor(4) as pool:
            # each block by two threads
            walks = list(pool.map(walk, [blocks[::2], blocks[1::2], blocks[::2], blocks[1::2]]))
        assert_same(merge_all([*walks[0], *walks[3]]), unlimited(blocks, 20, seed))
        assert_same(merge_all([*walks[2], *walks[1]]), unlimited(blocks, 20, seed))


def test_nothing_is_known_before_there_are_more_keys_than_are_sampled():
    limit = Limit(2)
    assert limit.key == np.inf
    limit.add(np.array([]))
    limit.add(np.array([1.0, 3.0]))
    limit.add(np.array([1.0, 2.0, 3.0]))
    # two rows and their threshold are sampled: any other key may still be among them
    assert limit.key == np.inf
    limit.add(np.array([7.0]))
    assert limit.key == 7.0
    limit.add(np.array([9.0, 11.0]))
    assert limit.key == 7.0
    limit.add(np.array([0.5]))
    assert limit.key == 3.0


def test_rows_with_equal_keys_are_all_kept():
    # a key may repeat by chance: it is no sign of a walk that was made before
    limit = Limit(1)
    for keys in ([4.0], [4.0], [4.0, 5.0]):
        limit.add(np.array(keys))
    assert limit.key == np.inf


def test_the_limit_of_a_name_is_one_and_that_of_an_unknown_name_is_new():
    one = limit_of("test one", 1)
    one.add(np.array([1.0, 2.0, 3.0]))
    assert limit_of("test one", 1).key == 3.0
    assert limit_of("test another", 1).key == np.inf


def test_of_many_samples_at_a_time_some_are_forgotten_and_all_are_right():
    rng = np.random.default_rng(2)
    blocks = blocks_of(rng.normal(size=(3000, 2)), 10, rng.integers(1, 9, 3000).astype(float))
    seeds = range(2 * limits._MOST_LIMITS)
    samples = {
        seed: merge_all(limited(block, limit_of(f"test {seed}", 9), 9, seed) for block in blocks)
        for seed in seeds
    }
    interleaved = [
        [limited(block, limit_of(f"test at a time {seed}", 9), 9, seed) for seed in seeds]
        for block in blocks
    ]
    assert len(limits._limits) == limits._MOST_LIMITS
    for seed in seeds:
        expected = unlimited(blocks, 9, seed)
        assert_same(samples[seed], expected)
        assert_same(merge_all(some[seed] for some in interleaved), expected)
