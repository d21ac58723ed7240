"""Passes over rows: reduce, scan with state beside each block, subset, map, and what they count."""

import threading
from dataclasses import dataclass

import dask
import numpy as np
import pytest

import dkmeans
from dkmeans.errors import ArgumentError
from dkmeans.partials import ClusterSums, Moments
from dkmeans.rows import disk
from dkmeans.rows.requests import Reduce
from dkmeans.rows.store import process_store
from tests.conftest import write_parquet
from tests.rows.seen import Seen, see


@pytest.fixture
def X():
    return np.random.default_rng(4).normal(size=(1000, 3))


@pytest.fixture(params=["memory", "none"])
def rows(request, tmp_path, X):
    """20 row groups, each a block and a leaf."""
    folder = write_parquet(tmp_path / "data", X, n_files=4, row_group_rows=50)
    return dkmeans.read_parquet(str(folder), dtype="float64", block_rows=50, stage=request.param)


@dataclass(frozen=True)
class Total:
    value: float
    n_rows: int

    def merge(self, other):
        return Total(self.value + other.value, self.n_rows + other.n_rows)


def nearest_so_far(block, state, points):
    """A scan: each row's squared distance to the nearest of all points that passes have brought."""
    distances = ((block.X[:, None, :] - points[None]) ** 2).sum(axis=2).min(axis=1)
    state = distances if state is None else np.minimum(state, distances)
    return Total(float(state.sum()), block.n_rows), state


class Calls:
    """Counts the calls of a step, which run on several threads."""

    def __init__(self, step):
        self.step, self.n, self.lock = step, 0, threading.Lock()

    def __call__(self, *arguments):
        with self.lock:
            self.n += 1
        return self.step(*arguments)


def test_a_pass_merges_what_all_blocks_contribute(rows, X):
    assert rows.n_blocks == 20
    moments = rows.reduce(Moments.from_block, np.zeros(3))
    np.testing.assert_allclose(moments.mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, X.var(axis=0), rtol=1e-12)
    assert moments.n_rows == 1000
    assert (rows.n_passes, rows.rows_read) == (1, 1000)


def test_several_requests_share_one_pass(rows, X):
    record = {}
    requests = [
        Reduce("first", Moments.from_block, (np.zeros(3),)),
        Reduce("second", Seen.from_block),
        Reduce("first", Seen.from_block),
    ]
    moments, seen, again = rows.run(requests, record)
    assert rows.n_passes == 1
    np.testing.assert_allclose(moments.mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(again.X, X)
    assert record["kind"] == "first + second"
    assert record["rows_read"] == 1000
    assert record["bytes_read"] == rows.bytes_read > 0


def test_a_failed_pass_counts_for_nothing_and_the_rows_stay_usable(rows, X):
    def fails(block):
        raise RuntimeError("in this block")

    with pytest.raises(RuntimeError, match="in this block"):
        rows.reduce(fails)
    assert (rows.n_passes, rows.rows_read) == (0, 0)
    np.testing.assert_array_equal(see(rows).X, X)


# scan


def expected_totals(X, rounds):
    so_far = [np.concatenate(rounds[: i + 1]) for i in range(len(rounds))]
    return [((X[:, None] - p[None]) ** 2).sum(axis=2).min(axis=1).sum() for p in so_far]


@pytest.fixture
def rounds():
    return [np.random.default_rng(i).normal(size=(2, 3)) for i in range(4)]


def test_a_scan_keeps_its_state_from_pass_to_pass(rows, X, rounds):
    step = Calls(nearest_so_far)
    scan = rows.scan(step, rounds[0])
    totals = [scan.partial.value] + [scan.next(points).value for points in rounds[1:]]
    np.testing.assert_allclose(totals, expected_totals(X, rounds), rtol=1e-12)
    assert step.n == 4 * 20
    assert rows.n_passes == 4


def bits_of_scan(rows, rounds, lose_after=()):
    step = Calls(nearest_so_far)
    scan = rows.scan(step, rounds[0])
    totals = [scan.partial.value]
    for number, points in enumerate(rounds[1:], 1):
        if number in lose_after:
            process_store().release(rows.layout.leaves[0].owner)
        totals.append(scan.next(points).value)
    return np.array(totals).tobytes(), step.n


def test_a_lost_state_is_computed_again_with_the_same_bits(rows, rounds):
    whole, calls = bits_of_scan(rows, rounds)
    once, calls_once = bits_of_scan(rows, rounds, lose_after=[3])
    always, calls_always = bits_of_scan(rows, rounds, lose_after=[1, 2, 3])
    assert whole == once == always
    assert (calls, calls_once, calls_always) == (20 * 4, 20 * (3 + 4), 20 * (1 + 2 + 3 + 4))


def stored_in(path):
    return sum(file.stat().st_size for file in path.glob("[0-9]*"))


def test_a_scan_whose_states_find_no_room_gives_the_same_bits(rows, rounds, monkeypatch):
    whole, _ = bits_of_scan(rows, rounds)
    rows.close()
    # rows that are not kept have their states on disk
    monkeypatch.setattr(disk, "free_bytes", lambda path: 7 * 400 - stored_in(path))
    monkeypatch.setattr(process_store(), "limit_bytes", 50 * 3 * 8 + 50 * 8 * 7)
    some, calls = bits_of_scan(rows, rounds)
    assert some == whole
    assert calls > 20 * 4
    monkeypatch.setattr(process_store(), "limit_bytes", 0)
    monkeypatch.setattr(disk, "free_bytes", lambda path: 0)
    none, calls = bits_of_scan(rows, rounds)
    assert none == whole
    assert calls == 20 * (1 + 2 + 3 + 4)


def test_two_scans_of_the_same_rows_do_not_mix(rows, X, rounds):
    first, second = rows.scan(nearest_so_far, rounds[0]), rows.scan(nearest_so_far, rounds[1])
    assert first.next(rounds[2]).value == pytest.approx(
        expected_totals(X, [rounds[0], rounds[2]])[1], rel=1e-12
    )
    assert second.next(rounds[3]).value == pytest.approx(
        expected_totals(X, [rounds[1], rounds[3]])[1], rel=1e-12
    )


# subset


def test_a_subset_is_whole_leaves_from_all_over_with_their_row_numbers(rows, X):
    part = rows.subset(0.25)
    seen = see(part)
    assert len(seen.block_rows) == 5
    np.testing.assert_array_equal(seen.X, X[seen.row_numbers])
    leaves = np.unique(seen.row_numbers // 50)
    assert leaves.tolist() == [2, 6, 10, 14, 18]
    assert part.shape == (250, 3)
    assert (part.n_passes, part.rows_read) == (1, 250)
    assert (rows.n_passes, rows.rows_read, rows.shape) == (0, 0, (1000, 3))


def test_a_subset_has_at_least_a_leaf_and_at_most_all(rows, X):
    assert see(rows.subset(1e-9)).block_rows == (50,)
    np.testing.assert_array_equal(see(rows.subset(1)).X, X)
    for share in (0, -1, 1.1):
        with pytest.raises(ArgumentError, match=f"share={share} should be above 0 and at most 1"):
            rows.subset(share)


def test_a_subset_of_rows_that_are_not_counted_keeps_their_numbers(X):
    import dask.array as da

    lazy = da.from_array(X, chunks=(100, 3)).map_blocks(lambda x: x)
    unknown = lazy[da.ones(1000, chunks=100) > 0]
    assert np.isnan(unknown.shape[0])
    seen = see(dkmeans.Rows.from_dask(unknown).subset(0.3))
    np.testing.assert_array_equal(seen.X, X[seen.row_numbers])


# map


def squares(block, factor):
    return factor * (block.X**2).sum(axis=1)


def numbers_of(block):
    return block.row_numbers


def test_map_is_lazy_and_gives_one_value_a_row(rows, X):
    out = rows.map(squares, 2.0)
    assert rows.rows_read == 0
    assert out.shape == (1000,)
    assert out.dtype == np.float64
    np.testing.assert_allclose(out.compute(), 2 * (X**2).sum(axis=1), rtol=1e-12)
    wide = rows.map(lambda block: block.X[:, :2], width=2, dtype="float64")
    assert wide.shape == (1000, 2)
    np.testing.assert_array_equal(wide[400:650].compute(), X[400:650, :2])


def test_map_works_before_and_after_a_pass_has_kept_the_blocks(rows, X):
    before = rows.to_dask_array().compute()
    see(rows)
    np.testing.assert_array_equal(before, X)
    np.testing.assert_array_equal(rows.to_dask_array().compute(), X)


def test_to_dask_array_has_the_chunks_of_the_blocks(rows, X):
    out = rows.to_dask_array()
    assert out.chunks == ((50,) * 20, (3,))
    assert out.dtype == np.float64
    np.testing.assert_allclose(out.mean(axis=0).compute(), X.mean(axis=0), rtol=1e-12)


def test_map_of_filtered_rows_has_unknown_chunk_sizes(tmp_path, X):
    folder = write_parquet(tmp_path / "data", X, n_files=4, row_group_rows=50)
    rows = dkmeans.read_parquet(str(folder), filters=("f0", ">", 0), dtype="float64")
    out = rows.to_dask_array()
    assert np.isnan(out.shape[0])
    np.testing.assert_array_equal(out.compute(), X[X[:, 0] > 0])
    np.testing.assert_array_equal(
        rows.map(numbers_of, dtype="int64").compute(), np.flatnonzero(X[:, 0] > 0)
    )


def test_blocks_of_arrays_know_their_row_numbers_in_a_map_too(X):
    rows = dkmeans.Rows.from_array(X, block_rows=130)
    assert rows.n_blocks == 8
    out = rows.map(numbers_of, dtype="int64").compute()
    np.testing.assert_array_equal(out, np.arange(1000))


def test_a_map_of_a_subset_has_the_rows_of_the_subset(X):
    part = dkmeans.Rows.from_array(X, block_rows=100).subset(0.3)
    out = part.to_dask_array()
    assert out.chunks == ((100, 100, 100), (3,))
    np.testing.assert_array_equal(out.compute(), see(part).X)
    np.testing.assert_array_equal(part.to_dask_array()[150:].compute(), see(part).X[150:])


# the same bits everywhere


def bits(rows, centers, rounds):
    sums = rows.reduce(ClusterSums.from_block, centers, centers[0])
    moments = rows.reduce(Moments.from_block, centers[0])
    scan = rows.scan(nearest_so_far, rounds[0])
    totals = [scan.partial.value] + [scan.next(points).value for points in rounds[1:]]
    parts = [sums.centers(otherwise=centers), sums.inertia, moments.sums, moments.sq_sums, totals]
    return b"".join(np.asarray(part, np.float64).tobytes() for part in parts)


def test_threads_one_thread_and_a_cluster_give_the_same_bits(tmp_path, client, rounds):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(1500, 3)) * 1e3
    folder = write_parquet(
        tmp_path / "data", X, n_files=3, row_group_rows=90, w=rng.exponential(size=1500)
    )
    centers = X[:7].copy()

    def open_rows(stage, client=None):
        return dkmeans.read_parquet(
            str(folder), weight="w", block_rows=70, stage=stage, client=client
        )

    def run(stage, client=None):
        rows = open_rows(stage, client)
        assert rows.n_blocks > 20
        return bits(rows, centers, rounds[:2])

    threads = run("memory")
    assert run("none") == threads
    with dask.config.set(scheduler="synchronous"):
        assert run("memory") == threads
    with dask.config.set(scheduler="threads", num_workers=7):
        assert run("none") == threads
    assert run("memory", client) == threads
    assert run("none", client) == threads


def test_a_cluster_keeps_blocks_and_states_between_passes(tmp_path, X, client, rounds):
    folder = write_parquet(tmp_path / "data", X, n_files=4, row_group_rows=50)
    rows = dkmeans.read_parquet(
        str(folder), dtype="float64", block_rows=50, stage="memory", client=client
    )
    np.testing.assert_array_equal(see(rows).X, X)
    once = rows.bytes_read
    assert once == rows.parquet.n_bytes
    scan = rows.scan(nearest_so_far, rounds[0])
    totals = [scan.partial.value] + [scan.next(points).value for points in rounds[1:]]
    np.testing.assert_allclose(totals, expected_totals(X, rounds), rtol=1e-12)
    assert rows.n_passes == 5
    assert rows.bytes_read == once

    again = dkmeans.read_parquet(str(folder), block_rows=50, stage="none", client=client)
    see(again)
    see(again)
    assert again.bytes_read == 2 * once


def test_closing_rows_empties_the_stores_of_the_workers(tmp_path, X, client):
    folder = write_parquet(tmp_path / "data", X, n_files=4, row_group_rows=50)
    rows = dkmeans.read_parquet(str(folder), stage="memory", client=client)
    before = sum(client.run(held_bytes).values())
    see(rows)
    assert sum(client.run(held_bytes).values()) >= before + X.size * 4
    rows.close()
    assert sum(client.run(held_bytes).values()) == before
    np.testing.assert_array_equal(see(rows).X, X.astype(np.float32))


def held_bytes():
    return process_store().held_bytes


def test_storage_options_reach_workers_outside_of_the_graph(X, tmp_path, client, s3, bucket):
    import s3fs

    folder = write_parquet(tmp_path / "data", X, n_files=4, row_group_rows=50)
    s3fs.S3FileSystem(**s3).put(str(folder), f"{bucket[5:]}/data", recursive=True)
    rows = dkmeans.read_parquet(
        f"{bucket}/data", dtype="float64", block_rows=100, storage_options=s3, client=client
    )
    np.testing.assert_array_equal(see(rows).X, X)
    assert rows.bytes_read == rows.parquet.n_bytes


def test_an_error_of_a_step_on_a_worker_is_raised_here(tmp_path, X, client):
    folder = write_parquet(tmp_path / "data", X)
    rows = dkmeans.read_parquet(str(folder), client=client)
    with pytest.raises(ZeroDivisionError):
        rows.reduce(divides_by_zero)
    assert see(rows).X.shape == (1000, 3)


def divides_by_zero(block):
    return Total(1 / 0, block.n_rows)
