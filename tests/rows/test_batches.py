"""Epochs: every source row once, in another order each time, however rows are cut and stored."""

from itertools import chain, pairwise
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.errors import BudgetSpent
from dkmeans.rows.batches import OPEN_LEAVES, Batching
from dkmeans.rows.store import close_process_store, process_store
from tests.conftest import write_parquet
from tests.rows.seen import Seen, see

N = 1203
STAGES = ["memory", "disk", "none"]


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Rows whose first feature is their number."""
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[:, 0] = np.arange(N)
    return X


@pytest.fixture(scope="module")
def folder(X, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(
        tmp_path_factory.mktemp("data") / "in", X, n_files=7, row_group_rows=90, w=np.arange(N) % 4
    )


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path):
    """A block store of this test alone."""
    close_process_store()
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield
        close_process_store()


def read(folder: Path, stage: str = "memory", **options: object) -> Rows:
    asked = {"dtype": "float64", "columns": ["f0", "f1", "f2"], "block_rows": 50, **options}
    rows = dkmeans.read_parquet(str(folder), stage=stage, **asked)
    assert rows.n_blocks > 20
    return rows


def steps_of(rows: Rows, batching: Batching, number: int = 1, first_step: int = 0) -> list[Seen]:
    return [batch.reduce(Seen.from_block) for batch in rows.batches(batching, number, first_step)]


def numbers_of(steps: list[Seen]) -> list[list[int]]:
    return [step.row_numbers.tolist() for step in steps]


def drawn_once(steps: list[Seen], X: np.ndarray, rows: object = None) -> None:
    """Assert that some rows of X, all by default, came once, with their own values."""
    found = np.concatenate([step.row_numbers for step in steps])
    expected = np.arange(len(X)) if rows is None else np.asarray(rows)
    np.testing.assert_array_equal(np.sort(found), expected)
    values = np.concatenate([step.X for step in steps])
    np.testing.assert_array_equal(values, X[found])


def stored_keys() -> list[tuple]:
    return [key for owner in process_store()._entries.values() for key in owner]


# every row once


@pytest.mark.parametrize("n_slots", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("batch_rows", [1, 37, 100, 640, 5000])
def test_every_row_is_drawn_once_and_batches_have_about_their_size(X, n_slots, batch_rows):
    rows = Rows.from_array(X[:400] if batch_rows == 1 else X, block_rows=61)
    assert rows.n_blocks > 6
    n = rows.shape[0]
    steps = steps_of(rows, Batching(batch_rows, n_slots, 0))
    drawn_once(steps, X[:n])
    sizes = [step.n_rows for step in steps]
    slot = -(-batch_rows // n_slots)
    assert all(abs(size - batch_rows) <= (slot + 1) // 2 for size in sizes[:-1])
    assert 0 < sizes[-1] <= batch_rows + (slot + 1) // 2
    assert rows.n_passes == 1
    assert rows.rows_read == n


@pytest.mark.parametrize("block_rows", [1, 2, 50, 599, 1203])
def test_blocks_may_be_smaller_or_larger_than_what_is_drawn_of_them(X, block_rows):
    rows = Rows.from_array(X, block_rows=block_rows)
    assert rows.n_blocks == -(-N // block_rows)
    for batch_rows, n_slots in ((90, 3), (20, 1), (700, 2)):
        steps = steps_of(rows, Batching(batch_rows, n_slots, 1))
        drawn_once(steps, X)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("block_rows", [13, 90, 200])
def test_every_row_of_parquet_is_drawn_once_whatever_the_row_groups(X, folder, stage, block_rows):
    rows = dkmeans.read_parquet(
        str(folder), columns=["f0", "f1", "f2"], dtype="float64", weight="w", stage=stage,
        block_rows=block_rows,
    )  # fmt: skip
    # with leaves of several blocks, and blocks of several row groups, of several sizes
    sizes = {leaf.source.block_rows(i) for leaf in rows.layout.leaves for i in leaf.blocks}
    assert len(sizes) > 1
    for number in (1, 2):
        steps = steps_of(rows, Batching(64, 3, 0), number)
        drawn_once(steps, X)
        for step in steps:
            np.testing.assert_array_equal(step.weights, step.row_numbers % 4)
    assert (rows.n_passes, rows.rows_read) == (2, 2 * N)


def test_leaves_of_many_blocks_are_drawn_once(tmp_path):
    X = np.random.default_rng(1).normal(size=(6000, 3))
    folder = write_parquet(tmp_path / "in", X, n_files=2, row_group_rows=3000)
    rows = read(folder, "none", block_rows=10)
    assert max(len(leaf.blocks) for leaf in rows.layout.leaves) >= 8
    drawn_once(steps_of(rows, Batching(100, 4, 0)), X)
    assert rows.bytes_read == rows.parquet.n_bytes
    assert stored_keys() == []


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "lengths",
    [(1,) * 40 + (1163,), (0, 600, 0, 0, 603), (3, 0, 1000, 200), (1203,)],
)
@pytest.mark.parametrize("known", [True, False])
def test_chunks_of_dask_may_be_tiny_empty_or_of_unknown_length(X, stage, lengths, known):
    array = da.concatenate(
        [da.from_array(part, chunks=(max(1, len(part)), 3)) for part in cut(X, lengths)]
    )
    if not known:
        array = array.map_blocks(lambda block: block, dtype=float)
        array._chunks = ((np.nan,) * len(array.chunks[0]), (3,))
    rows = Rows.from_dask(array, stage=stage)
    for number in (1, 2, 3):
        drawn_once(steps_of(rows, Batching(100, 3, 0), number), X)
    assert rows.n_passes == 3 + (not known)


def cut(X, lengths):
    edges = np.cumsum([0, *lengths])
    return [X[a:b] for a, b in pairwise(edges)]


def test_a_data_frame_of_dask_is_drawn_once(X):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    rows = Rows.from_dask(dd.from_pandas(frame, npartitions=9))
    drawn_once(steps_of(rows, Batching(70, 4, 0)), X)


def test_a_sample_is_drawn_once():
    X = np.random.default_rng(2).normal(size=(4000, 3))
    rows = Rows.from_dask(da.from_array(X, chunks=(50, 3))).sample(0.1)
    assert 0 < len(rows.layout.leaves) < 80
    kept = np.sort(see(rows).row_numbers)
    assert 100 < len(kept) < 1000
    drawn_once(steps_of(rows, Batching(64, 4, 0)), X, kept)


def test_a_subset_is_drawn_once(X):
    rows = Rows.from_array(X, block_rows=50).subset(0.3)
    kept = np.sort(see(rows).row_numbers)
    assert 0 < len(kept) < N / 2
    drawn_once(steps_of(rows, Batching(64, 4, 0)), X, kept)


# filters and missing values


@pytest.mark.parametrize("stage", STAGES)
def test_rows_that_a_filter_keeps_are_drawn_once_and_as_without_it(X, folder, stage):
    # not by a range: no row group may be left out
    kept = np.flatnonzero(X[:, 1] > 0.3)
    filtered = read(folder, stage, filters=("f1", ">", 0.3))
    assert filtered.n_source_rows == N
    batching = Batching(100, 4, 5)
    steps, unfiltered = steps_of(filtered, batching), steps_of(read(folder, stage), batching)
    drawn_once(steps, X, kept)
    among = set(kept.tolist())
    assert [[n for n in numbers if n in among] for numbers in numbers_of(unfiltered)] == numbers_of(
        steps
    )
    assert filtered.rows_read == N


@pytest.mark.parametrize("stage", STAGES)
def test_rows_without_a_value_that_are_dropped_are_never_drawn(X, stage, tmp_path):
    holed = X.copy()
    holed[np.random.default_rng(1).random(N) < 0.4, 2] = np.nan
    kept = np.flatnonzero(~np.isnan(holed[:, 2]))
    parquet = read(write_parquet(tmp_path / "in", holed, n_files=3), stage, missing="drop")
    chunks = Rows.from_dask(da.from_array(holed, chunks=(77, 3)), stage=stage, missing="drop")
    for rows in (parquet, chunks):
        drawn_once(steps_of(rows, Batching(100, 4, 5)), X, kept)
        # of rows that are stored
        assert rows.rows_read == N


def test_a_step_may_find_no_row_that_passes(X, folder):
    rows = read(folder, filters=("f1", ">", 2.0))
    steps = steps_of(rows, Batching(10, 1, 0))
    assert 0 in [step.n_rows for step in steps]
    drawn_once(steps, X, np.flatnonzero(X[:, 1] > 2))


# order


def test_each_epoch_and_seed_has_an_order_of_its_own_and_the_same_one_again(X):
    rows = Rows.from_array(X, block_rows=100)
    batching = Batching(100, 4, 0)
    first = numbers_of(steps_of(rows, batching, 1))
    assert numbers_of(steps_of(rows, batching, 1)) == first
    others = [
        numbers_of(steps_of(rows, batching, 2)),
        numbers_of(steps_of(rows, Batching(100, 4, 1), 1)),
    ]
    for other in others:
        shared = [len(set(a) & set(b)) for a, b in zip(first, other)]
        # of 1 203 rows, two draws of 100 share 8.3 in the mean
        assert np.mean(shared) < 20
        assert other != first


def test_rows_that_were_drawn_together_are_apart_in_the_next_epoch_and_in_other_blocks(X):
    rows = Rows.from_array(X[:400], block_rows=200)
    # a step is one of four parts of a block
    together = [
        {frozenset(step.row_numbers % 200) for step in steps if block in step.row_numbers // 200}
        for steps in (steps_of(rows, Batching(50, 1, 0), number) for number in (1, 2))
        for block in (0, 1)
    ]
    assert [len(of_block) for of_block in together] == [4] * 4
    parts = [part for of_block in together for part in of_block]
    assert [len(part) for part in parts] == [50] * 16
    # of a block of 200, two draws of 50 share 12.5 in the mean
    shared = [len(a & b) for i, a in enumerate(parts) for b in parts[: i // 4 * 4]]
    assert max(shared) < 30


def test_the_rows_of_a_batch_come_from_all_over_the_data(X):
    rows = Rows.from_array(X, block_rows=25)
    steps = steps_of(rows, Batching(120, 8, 0))
    for step in steps[:-1]:
        assert len(np.unique(step.row_numbers // 25)) >= 4
    # means of 120 numbers of rows, of blocks that are drawn at random
    means = [step.row_numbers.mean() for step in steps[:-1]]
    assert np.std(means) < 350 / np.sqrt(8) * 1.6


@pytest.mark.parametrize("stage", STAGES)
def test_the_draw_is_the_same_whatever_the_stage_and_scheduler(X, folder, stage):
    expected = numbers_of(steps_of(read(folder, "memory"), Batching(100, 3, 4), 2))
    with dask.config.set(scheduler="synchronous"):
        assert numbers_of(steps_of(read(folder, stage), Batching(100, 3, 4), 2)) == expected
    rows = Rows.from_array(X, block_rows=50)
    found = numbers_of(steps_of(rows, Batching(100, 3, 4), 2))
    assert sorted(chain(*found)) == list(range(N))


# going on


@pytest.mark.parametrize("stage", STAGES)
def test_an_epoch_goes_on_from_any_step_with_the_same_rows(folder, stage):
    batching = Batching(100, 3, 0)
    expected = numbers_of(steps_of(read(folder, stage), batching, 3))
    for first_step in (1, 5, len(expected) - 1, len(expected)):
        rows = read(folder, stage)
        rest = numbers_of(steps_of(rows, batching, 3, first_step))
        assert rest == expected[first_step:]
        # who begins again has counted the pass before
        assert rows.n_passes == 0
        assert rows.rows_read == sum(map(len, rest))


def test_an_epoch_that_was_left_begins_anew(X, folder):
    rows = read(folder, "none")
    for batch in rows.batches(Batching(100, 3, 0), 1):
        batch.reduce(Seen.from_block)
        break
    drawn_once(steps_of(rows, Batching(100, 3, 0), 1), X)


def test_the_record_adds_up_what_the_steps_cost(folder):
    rows = read(folder, "none")
    epoch = rows.batches(Batching(100, 3, 0), 4, cost={"seconds": 5.0, "rows_read": 1})
    for batch in epoch:
        batch.reduce(Seen.from_block)
    assert epoch.record["kind"] == "epoch 4"
    assert epoch.record["rows_read"] == N + 1
    assert epoch.record["bytes_read"] == rows.bytes_read == rows.parquet.n_bytes
    assert 5 < epoch.record["seconds"] < 60


def test_no_epoch_is_begun_beyond_the_budget(folder):
    rows = read(folder, "none").limit(max_passes=1)
    steps_of(rows, Batching(500, 3, 0), 1)
    with pytest.raises(BudgetSpent, match="max_passes=1"):
        steps_of(rows, Batching(500, 3, 0), 2)
    assert rows.n_passes == 1


# what is read and kept


def test_what_is_not_staged_is_read_once_an_epoch_and_kept_only_while_it_is_needed(X, folder):
    rows = read(folder, "none")
    one = rows.parquet.n_bytes
    for number in (1, 2, 3):
        most = 0
        for batch in rows.batches(Batching(30, 1, 0), number):
            batch.reduce(Seen.from_block)
            leaf_of = {i: leaf.number for leaf in rows.layout.leaves for i in leaf.blocks}
            most = max(most, len({leaf_of[key[-1]] for key in stored_keys()}))
        assert rows.bytes_read == number * one
        assert 2 < most <= OPEN_LEAVES < len(rows.layout.leaves)
        assert stored_keys() == []
        assert process_store().held_bytes == 0


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_what_is_staged_is_read_once(folder, stage):
    rows = read(folder, stage)
    for number in (1, 2, 3):
        steps_of(rows, Batching(60, 2, 0), number)
        assert rows.bytes_read == rows.parquet.n_bytes
    see(rows)
    assert rows.bytes_read == rows.parquet.n_bytes
    rows.close()
    assert stored_keys() == []


def test_what_finds_no_room_is_read_again_and_drawn_once(X, folder):
    rows = read(folder, "memory")
    process_store().limit_bytes = 3 * 50 * 3 * 8
    drawn_once(steps_of(rows, Batching(100, 3, 0)), X)
    assert rows.bytes_read > rows.parquet.n_bytes


@pytest.mark.parametrize("stage", STAGES)
def test_each_part_of_dask_is_computed_once_an_epoch_at_most(X, stage):
    computed = []

    def load(number):
        computed.append(number)
        return X[number * 50 : number * 50 + 50]

    # fewer leaves are open than there are: some end in the step that others begin in
    parts = [da.from_delayed(dask.delayed(load)(number), (50, 3), float) for number in range(24)]
    rows = Rows.from_dask(da.concatenate(parts), stage=stage)
    with dask.config.set(scheduler="synchronous"):
        for number in (1, 2, 3):
            drawn_once(steps_of(rows, Batching(50, 2, 0), number), X[:1200])
            assert sorted(computed) == sorted(list(range(24)) * (number if stage == "none" else 1))
