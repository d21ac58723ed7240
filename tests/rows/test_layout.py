"""Cutting row groups into blocks and leaves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dkmeans.rows.layout import BLOCK_BYTES, LEAF_BLOCKS, cut_blocks, cut_leaves, rows_per_block

row_groups = st.lists(st.integers(0, 40), max_size=60)
limits = st.integers(1, 50)


@given(row_groups, limits)
def test_every_row_is_in_one_block_in_order(sizes, limit):
    pieces = [piece for block in cut_blocks(sizes, limit) for piece in block]
    rows = [(p.row_group, row) for p in pieces for row in range(p.start, p.stop)]
    assert rows == [(number, row) for number, size in enumerate(sizes) for row in range(size)]


@given(row_groups, limits)
def test_no_block_is_empty_or_larger_than_the_limit(sizes, limit):
    held = [sum(p.stop - p.start for p in block) for block in cut_blocks(sizes, limit)]
    assert all(0 < n_rows <= limit for n_rows in held)


@given(row_groups, limits)
def test_row_groups_that_fit_a_block_are_not_split(sizes, limit):
    pieces = [piece for block in cut_blocks(sizes, limit) for piece in block]
    whole = {p.row_group for p in pieces if (p.start, p.stop) == (0, sizes[p.row_group])}
    assert whole == {number for number, size in enumerate(sizes) if 0 < size <= limit}


@given(st.integers(1, 10_000), limits)
def test_a_large_row_group_is_cut_into_even_parts(size, limit):
    held = [p.stop - p.start for block in cut_blocks([size], limit) for p in block]
    assert max(held) - min(held) <= 1
    assert len(held) == -(-size // limit)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=1500), limits)
def test_leaves_hold_each_block_once_in_order(sizes, limit):
    blocks = cut_blocks(sizes, limit)
    leaves = cut_leaves(blocks)
    assert [number for leaf in leaves for number in leaf] == list(range(len(blocks)))
    assert all(len(leaf) > 0 for leaf in leaves)


@given(st.integers(1, 2000))
def test_a_leaf_holds_at_most_eight_blocks_of_whole_row_groups(n_blocks):
    leaves = cut_leaves(cut_blocks([10] * n_blocks, 10))
    assert max(map(len, leaves)) <= LEAF_BLOCKS
    assert len(leaves) >= min(n_blocks, 64)


@given(st.integers(1, 60), st.integers(2, 9))
def test_the_blocks_of_a_row_group_share_a_leaf(n_groups, n_parts):
    blocks = cut_blocks([10 * n_parts] * n_groups, 10)
    leaf_of = {}
    for number, leaf in enumerate(cut_leaves(blocks)):
        for block in leaf:
            for piece in blocks[block]:
                leaf_of.setdefault(piece.row_group, set()).add(number)
    assert len(blocks) == n_groups * n_parts
    assert all(len(numbers) == 1 for numbers in leaf_of.values())


def test_no_rows_give_no_blocks():
    assert cut_blocks([], 5) == cut_blocks([0, 0], 5) == []


def test_what_the_caller_asks_for_decides_the_size_of_a_block():
    assert rows_per_block(10**9, 8, 10**6, 123) == 123
    assert rows_per_block(10**9, 8, 10**6, None) == 125_000
    assert rows_per_block(10**9, 8, 3, None) == 1


@pytest.mark.parametrize("row_bytes", [4, 64, 3000, 10**9])
def test_blocks_of_large_data_have_a_constant_size(row_bytes):
    n_rows = rows_per_block(10**12, row_bytes, None, None)
    most = max(1, BLOCK_BYTES // row_bytes)
    assert n_rows == rows_per_block(10**11, row_bytes, None, None)
    assert most - 64 < n_rows <= most


@pytest.mark.parametrize("n_features", [8, 16, 100, 768])
@pytest.mark.parametrize("n_rows", [10**5, 2**20, 10**9])
def test_the_features_of_a_block_do_not_begin_a_power_of_two_apart(n_rows, n_features):
    held = rows_per_block(n_rows, 4 * n_features, None, None)
    assert held % 32 == 0
    assert held // 32 % 2 == 1


@given(st.integers(1, 10**8), st.integers(4, 4000))
def test_a_block_without_a_given_size_never_exceeds_the_constant(n_rows, row_bytes):
    held = rows_per_block(n_rows, row_bytes, None, None)
    assert 1 <= held <= max(1, BLOCK_BYTES // row_bytes)


def test_data_of_a_few_blocks_are_cut_finer_so_that_workers_can_share_them():
    n_rows, row_bytes = 1_000_000, 64
    assert n_rows * row_bytes < 2 * BLOCK_BYTES
    held = rows_per_block(n_rows, row_bytes, None, None)
    assert np.ceil(n_rows / held) >= 8
