"""A pilot: the same rows however they are cut and kept, and only what it needs is read."""

import os
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.errors import UnreadableFile
from tests.conftest import write_parquet
from tests.rows.seen import see

N = 24_000
"""In 240 row groups, of which a pilot reads 2."""

GROUP = 100
MARKED = [100, 5050, 23_000]
"""Some rows of other row groups."""


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    # what a row is says where it lies
    rng = np.random.default_rng(0)
    return np.column_stack([np.arange(N), rng.normal(size=N), rng.integers(0, 9, N)]).astype(float)


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(1).choice([0.0, 0.5, 1.0, 4.0], N)


@pytest.fixture(scope="module")
def folder(X, weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "in"
    mark = np.where(np.arange(N) % 2, 0.0, 2.0)
    mark[MARKED] = 1.0
    return write_parquet(place, X, n_files=4, row_group_rows=GROUP, w=weights, mark=mark)


def read(folder: Path, **options: object) -> Rows:
    asked = {"columns": ["f0", "f1", "f2"], "dtype": "float64", "block_rows": GROUP, **options}
    return dkmeans.read_parquet(str(folder), **asked)


def assert_same_pilots(one: object, other: object) -> None:
    np.testing.assert_array_equal(one.X, other.X)
    np.testing.assert_array_equal(one.expanded, other.expanded)


def row_group_bytes(folder: Path, first_rows: set[int], columns: set[str]) -> int:
    """Stored bytes of some columns of the row groups that begin with some rows."""
    total, first = 0, 0
    for path in sorted(folder.glob("*.parquet")):
        footer = pq.read_metadata(path)
        for i in range(footer.num_row_groups):
            chunks = [footer.row_group(i).column(j) for j in range(footer.num_columns)]
            if first in first_rows:
                total += sum(c.total_compressed_size for c in chunks if c.path_in_schema in columns)
            first += footer.row_group(i).num_rows
    return total


# which rows


def test_rows_come_from_row_groups_that_are_spread_over_the_data(folder, X):
    pilot = read(folder).pilot(1000, 0)
    numbers = pilot.X[:, 0].astype(int)
    assert (np.diff(numbers) > 0).all()
    # 2 of 240 row groups: those in the middle of each half
    assert set(numbers // GROUP) == {60, 180}
    assert len(numbers) == 2 * GROUP
    np.testing.assert_array_equal(pilot.X, X[numbers])
    assert pilot.X.flags.f_contiguous
    np.testing.assert_array_equal(pilot.expanded, np.full(200, N / 200))


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("size", [30, 1000])
def test_blocks_stages_and_schedulers_give_the_same_rows(folder, size, weight):
    expected = read(folder, weight=weight).pilot(size, 3)
    assert 0 < len(expected.X) <= size
    for block_rows in (7, GROUP, 130, 1000, N):
        for stage in ("none", "memory", "disk"):
            with (
                dask.config.set(scheduler="synchronous"),
                read(folder, weight=weight, block_rows=block_rows, stage=stage) as rows,
            ):
                assert_same_pilots(rows.pilot(size, 3), expected)
    assert_same_pilots(read(folder, weight=weight).pilot(size, 3), expected)


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_workers_give_the_same_rows(folder, client, stage):
    expected = read(folder, weight="w").pilot(80, 3)
    with read(folder, weight="w", client=client, stage=stage) as rows:
        assert_same_pilots(rows.pilot(80, 3), expected)


def test_another_seed_draws_other_rows(folder):
    drawn = [set(read(folder).pilot(30, seed).X[:, 0]) for seed in (0, 1)]
    assert [len(one) for one in drawn] == [30, 30]
    assert len(drawn[0] & drawn[1]) < 15


@pytest.mark.parametrize("n_groups", [1, 3])
def test_of_few_row_groups_one_is_read(X, tmp_path, n_groups):
    few = write_parquet(tmp_path / "in", X, n_files=1, row_group_rows=N // n_groups)
    pilots = []
    for block_rows in (50, N):
        rows = read(few, block_rows=block_rows, stage="none")
        pilots.append(rows.pilot(500, 0))
        assert pilots[-1].record["bytes_read"] == (
            rows.parquet.n_bytes
            if n_groups == 1
            else row_group_bytes(few, {N // 3}, {"f0", "f1", "f2"})
        )
    assert_same_pilots(*pilots)
    assert len(pilots[0].X) == 500
    inside = (pilots[0].X[:, 0] >= N // 3) & (pilots[0].X[:, 0] < 2 * N // 3)
    assert inside.all() == (n_groups == 3)


def test_of_what_lies_in_memory_rows_are_drawn_from_all(X, weights):
    expected = Rows.from_array(X, weights, block_rows=300).pilot(2000, 3)
    assert len(expected.X) == 2000
    # about as many from each quarter
    counts = np.histogram(expected.X[:, 0], bins=4, range=(0, N))[0]
    assert (np.abs(counts - 500) < 100).all()
    for block_rows in (77, N):
        assert_same_pilots(
            Rows.from_array(X, weights, block_rows=block_rows).pilot(2000, 3), expected
        )
    assert expected.record["bytes_read"] == 0


def test_chunks_of_dask_of_any_size_give_the_same_rows(X, weights):
    def pilot(chunk):
        lazy = da.from_array(X, chunks=(chunk, 3))
        rows = Rows.from_dask(lazy, da.from_array(weights, chunks=chunk))
        return rows.pilot(1000, 3)

    expected = pilot(500)
    # 16 stretches of one row in a hundred each
    places = expected.X[:, 0] % (N // 16)
    assert (places < N // 1600).all()
    assert len(np.unique(expected.X[:, 0] // (N // 16))) == 16
    for chunk in (77, 1500, N):
        assert_same_pilots(pilot(chunk), expected)


def test_chunks_without_a_stretch_are_not_computed(X):
    computed = []

    def part(block):
        computed.append(int(block[0, 0]) // 100)
        return block

    lazy = da.from_array(X, chunks=(100, 3)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    rows = Rows.from_dask(lazy, stage="none")
    rows.pilot(1000, 0)
    assert sorted(computed) == list(range(0, 240, 15))


def test_unknown_chunk_sizes_are_counted_first(X):
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=20)
    known = Rows.from_dask(da.from_array(X, chunks=(1200, 3))).pilot(100, 0)
    rows = Rows.from_dask(frame.to_dask_array())
    assert_same_pilots(rows.pilot(100, 0), known)
    assert rows.n_passes == 1


# what is read


def test_without_a_stage_the_chosen_row_groups_alone_are_read(folder):
    for block_rows in (30, GROUP, 1000, N):
        rows = read(folder, weight="w", block_rows=block_rows, stage="none")
        record = rows.pilot(50, 0).record
        expected = row_group_bytes(folder, {6000, 18_000}, {"f0", "f1", "f2", "w"})
        assert record["bytes_read"] == rows.bytes_read == expected
        assert record["rows_read"] == rows.rows_read == 2 * GROUP
        assert record["kind"] == "pilot"
        assert rows.n_passes == 0
        see(rows)
        assert rows.bytes_read == expected + rows.parquet.n_bytes


@pytest.mark.parametrize("block_rows", [30, GROUP, 1000])
@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_blocks_that_are_kept_are_not_read_again(folder, stage, block_rows):
    with read(folder, stage=stage, block_rows=block_rows) as rows:
        first = rows.pilot(50, 0).record
        # whole blocks, as these are kept
        assert first["rows_read"] <= 2 * max(2 * GROUP, 2 * block_rows)
        assert 0 < first["bytes_read"] < rows.parquet.n_bytes / 4
        again = rows.pilot(50, 1).record
        assert (again["bytes_read"], again["rows_read"]) == (0, first["rows_read"])
        see(rows)
        see(rows)
        assert rows.bytes_read == rows.parquet.n_bytes


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_blocks_that_workers_keep_are_not_read_again(folder, stage, client):
    with read(folder, stage=stage, client=client, block_rows=2 * GROUP) as rows:
        rows.pilot(50, 0)
        see(rows)
        assert rows.bytes_read == rows.parquet.n_bytes


# filters, missing values, weights, samples, bad files


def test_where_filters_leave_nothing_more_is_read(X, folder):
    # statistics do not tell which row groups hold these, and those that are looked at first do not
    pilots = []
    for block_rows, stage in ((70, "none"), (1000, "memory")):
        options = {"filters": [("mark", "==", 1)], "block_rows": block_rows, "stage": stage}
        with read(folder, **options) as rows:
            pilots.append(rows.pilot(50, 0))
            assert pilots[-1].record["rows_read"] > 2 * GROUP
            assert rows.n_passes == 0
    assert_same_pilots(*pilots)
    numbers = set(pilots[0].X[:, 0])
    assert numbers
    assert numbers <= set(MARKED)
    np.testing.assert_array_equal(pilots[0].X, X[sorted(map(int, numbers))])


def test_a_filter_that_leaves_nothing_leaves_nothing(folder):
    for stage in ("none", "memory"):
        with read(folder, filters=[("mark", "==", 1.5)], stage=stage) as rows:
            pilot = rows.pilot(50, 0)
            assert pilot.X.shape == (0, 3)
            assert pilot.expanded.shape == (0,)
            assert pilot.record["rows_read"] >= N


def test_filters_leave_the_same_rows_for_any_blocks(folder):
    pilots = []
    for block_rows, stage in ((7, "none"), (GROUP, "memory"), (1000, "none"), (N, "disk")):
        options = {"filters": [("f2", "==", 3)], "block_rows": block_rows, "stage": stage}
        with read(folder, **options) as rows:
            pilots.append(rows.pilot(15, 0))
    assert len(pilots[0].X) == 15
    assert (pilots[0].X[:, 2] == 3).all()
    for pilot in pilots[1:]:
        assert_same_pilots(pilot, pilots[0])


def test_rows_without_weight_are_not_drawn_and_the_others_stand_for_all(folder, weights):
    everything = read(folder, weight="w").pilot(1000, 0)
    numbers = everything.X[:, 0].astype(int)
    looked_at = np.r_[6000:6100, 18_000:18_100]
    np.testing.assert_array_equal(numbers, looked_at[weights[looked_at] > 0])
    np.testing.assert_allclose(everything.expanded, weights[numbers] * N / 200)


def test_expanded_weights_add_up_to_about_the_total(X, weights):
    rows = Rows.from_array(X, weights, block_rows=1000)
    totals, sums = [], []
    for seed in range(60):
        pilot = rows.pilot(400, seed)
        totals.append(pilot.expanded.sum())
        sums.append(pilot.expanded @ pilot.X[:, 1] ** 2)
    for estimates, truth in ((totals, weights.sum()), (sums, weights @ X[:, 1] ** 2)):
        error = np.std(estimates, ddof=1) / np.sqrt(60)
        assert error < 0.02 * truth
        assert abs(np.mean(estimates) - truth) < 4 * error


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_missing_values_are_dropped_or_filled(X, tmp_path, missing):
    holes = X.copy()
    holes[::2, 1] = np.nan
    place = write_parquet(tmp_path / "in", holes, n_files=4, row_group_rows=GROUP)
    pilots = []
    for block_rows, stage in ((60, "none"), (1000, "memory")):
        with read(place, missing=missing, block_rows=block_rows, stage=stage) as rows:
            pilots.append(rows.pilot(1000, 0))
    # means are rounded as blocks are added up
    np.testing.assert_allclose(pilots[0].X, pilots[1].X, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(pilots[0].expanded, pilots[1].expanded)
    if missing == "drop":
        assert (pilots[0].X[:, 0] % 2 == 1).all()
        assert len(pilots[0].X) == GROUP
    else:
        assert len(pilots[0].X) == 2 * GROUP
        filled = pilots[0].X[pilots[0].X[:, 0] % 2 == 0, 1]
        assert filled == pytest.approx(np.full(GROUP, X[1::2, 1].mean()))


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_a_pilot_of_a_sample_has_rows_of_the_sample(folder, stage):
    with read(folder, stage=stage).sample(0.3) as sample:
        members = set(see(sample).row_numbers)
        numbers = sample.pilot(500, 0).X[:, 0]
        assert 10 < len(numbers) <= 500
        assert set(numbers) <= members
        with read(folder, stage="none", block_rows=33).sample(0.3) as other:
            np.testing.assert_array_equal(other.pilot(500, 0).X[:, 0], numbers)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = os.urandom(len(data) // 2 - 100)
    path.write_bytes(data)


@pytest.mark.parametrize("stage", ["none", "memory"])
def test_a_bad_file_in_the_pilot_is_left_out(X, tmp_path, stage):
    place = write_parquet(tmp_path / "in", X, n_files=24, row_group_rows=GROUP)
    # its row group 1 is one of the two that are looked at
    bad = sorted(place.glob("*.parquet"))[6]
    spoil(bad)
    options = {"on_bad_file": "skip", "stage": stage, "block_rows": 130}
    with read(place, **options) as rows:
        pilot = rows.pilot(1000, 0)
        assert rows.n_source_rows == N - 1000
        assert [bad.name in url for url, _ in rows.parquet.skipped] == [True]
    with read(place, on_bad_file="skip", stage="none") as rows:
        see(rows)
        # a pilot of what is left, which knows nothing of the file that it met
        assert_same_pilots(rows.pilot(1000, 0), pilot)
    with read(place, stage=stage) as rows, pytest.raises(UnreadableFile, match=bad.name):
        rows.pilot(1000, 0)
