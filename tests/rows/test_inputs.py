"""Rows from what a user holds: NumPy, pandas, Arrow, and Dask on threads and on a cluster."""

import os
from decimal import Decimal

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

import dkmeans
from dkmeans import Rows
from dkmeans.errors import ArgumentError, BadValues, InputRefused, SchemaMismatch
from dkmeans.partials import Moments
from dkmeans.rows.gathered import Gathered
from tests.rows.seen import see


@pytest.fixture
def X():
    return np.random.default_rng(6).normal(size=(1000, 3))


@pytest.fixture
def weights():
    return np.random.default_rng(7).integers(0, 5, 1000) / 2


# memory


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("kind", "decoded"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int8", "float64"),
        ("uint64", "float64"),
        ("bool", "float64"),
        (">f8", "float64"),
    ],
)
def test_arrays_of_any_kind_and_layout_are_rows(X, order, kind, decoded):
    values = (np.abs(X) * 100 % 90).astype(kind)
    rows = Rows.from_array(np.array(values, order=order), block_rows=70)
    blocks = rows.reduce(Gathered.from_block).blocks
    assert len(blocks) == 15
    assert all(block.X.dtype == decoded and block.X.flags.f_contiguous for block in blocks)
    seen = see(rows)
    np.testing.assert_array_equal(seen.X, values.astype(decoded))
    np.testing.assert_array_equal(seen.row_numbers, np.arange(1000))
    assert (rows.shape, rows.feature_names, rows.bytes_read) == ((1000, 3), None, 0)


def test_the_size_of_blocks_in_memory_is_known_and_kept(X):
    rows = Rows.from_array(X, block_rows=70)
    assert rows.most_block_rows == 70
    assert max(see(Rows.from_array(X, block_bytes=24 * 33)).block_rows) == 33


def test_the_dtype_can_be_chosen(X):
    rows = Rows.from_array(X, dtype="float32", block_rows=100)
    np.testing.assert_array_equal(see(rows).X, X.astype(np.float32))
    wide = see(Rows.from_array(X.astype(np.float32), dtype="float64")).X
    assert wide.dtype == np.float64


def test_views_and_nested_lists_are_rows(X):
    np.testing.assert_array_equal(see(Rows.from_array(X[::-3, ::2])).X, X[::-3, ::2])
    assert see(Rows.from_array([[1, 2], [3, 4.5]])).X.tolist() == [[1, 2], [3, 4.5]]


def test_the_input_is_not_changed(X, weights):
    X.flags.writeable = weights.flags.writeable = False
    before = X.copy()
    see(Rows.from_array(X, weights, block_rows=70))
    np.testing.assert_array_equal(X, before)


def test_weights_go_with_their_rows(X, weights):
    seen = see(Rows.from_array(X, weights, block_rows=70))
    np.testing.assert_array_equal(seen.weights, weights)
    assert see(Rows.from_array(X, weights.tolist())).weights.tolist() == weights.tolist()
    assert see(Rows.from_array(X, 2.5)).weights.tolist() == [2.5] * 1000
    assert see(Rows.from_array(X, pd.Series(weights))).weights.tolist() == weights.tolist()


def test_frames_of_pandas_are_rows():
    n = 40
    i = np.arange(n)
    frame = pd.DataFrame(
        {
            "x": i / 4,
            "n": pd.array(i - 3, "Int64"),
            "f": pd.array(i / 8, "Float32"),
            "b": pd.array(i % 3 == 0, "boolean"),
            "arrow": pd.array(i * 2, "int64[pyarrow]"),
            "text": [f"t{j}" for j in i],
            "kind": pd.Categorical(["u", "v"] * 20),
            "at": pd.date_range("2024-01-01", periods=n),
            "price": [Decimal(int(j)) / 2 for j in i],
            "v": [[j, j + 1] for j in i],
            7: i + 100,
        },
        index=pd.Index([f"row{j}" for j in i], name="key"),
    )
    rows = Rows.from_array(frame, block_rows=7)
    assert rows.feature_names == ("x", "n", "f", "b", "arrow", "price", "v[0]", "v[1]", "7")
    expected = np.column_stack(
        [i / 4, i - 3, i / 8, i % 3 == 0, i * 2, i / 2, i, i + 1, i + 100]
    ).astype(float)
    seen = see(rows)
    assert len(seen.block_rows) == 6
    np.testing.assert_array_equal(seen.X, expected)
    named = Rows.from_array(frame, columns=["b", "x"])
    np.testing.assert_array_equal(see(named).X, expected[:, [3, 0]])
    assert 7 in frame.columns


def test_tables_of_arrow_are_rows(X):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.astype(np.float32).ravel()), 3)
    table = pa.table({"v": vectors, "name": ["a"] * 1000, "n": pa.array(range(1000), pa.int32())})
    table = pa.concat_tables([table.slice(3, 400), table.slice(403)])
    rows = Rows.from_array(table, block_rows=90)
    assert rows.feature_names == ("v[0]", "v[1]", "v[2]", "n")
    expected = np.column_stack([X.astype(np.float32)[3:], np.arange(3, 1000)])
    np.testing.assert_array_equal(see(rows).X, expected)
    assert see(Rows.from_array(table, columns=["v"])).X.dtype == np.float32
    lists = pa.table({"v": pa.array(X.tolist(), pa.large_list(pa.float64()))}).slice(10)
    np.testing.assert_array_equal(see(Rows.from_array(lists)).X, X[10:])


def test_arrays_on_a_cluster_give_the_same_bits(X, weights, client):
    here = Rows.from_array(X, weights, block_rows=70)
    there = Rows.from_array(X, weights, block_rows=70, client=client)
    for _ in range(2):
        np.testing.assert_array_equal(see(there).X, X)
    np.testing.assert_array_equal(see(there).weights, weights)
    np.testing.assert_array_equal(see(there).row_numbers, np.arange(1000))
    ours, theirs = (rows.reduce(Moments.from_block, X[0]) for rows in (here, there))
    assert ours.sums.tobytes() == theirs.sums.tobytes()
    assert ours.sq_sums.tobytes() == theirs.sq_sums.tobytes()


# Dask arrays


def test_chunks_of_a_dask_array_are_blocks(X, weights):
    lazy = da.from_array(X, chunks=((300, 0, 1, 699), (2, 1)))
    rows = Rows.from_dask(lazy, weights)
    assert rows.shape == (1000, 3)
    seen = see(rows)
    assert seen.block_rows == (300, 0, 1, 699)
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(seen.weights, weights)
    np.testing.assert_array_equal(seen.row_numbers, np.arange(1000))
    assert rows.n_passes == 1


def test_the_dtype_of_a_dask_array_is_kept_or_chosen(X):
    lazy = da.from_array(X.astype(np.float32), chunks=(300, 3))
    assert see(Rows.from_dask(lazy)).X.dtype == np.float32
    assert see(Rows.from_dask(lazy, dtype="float64")).X.dtype == np.float64
    integers = da.from_array((X * 10).astype(int), chunks=(300, 3))
    np.testing.assert_array_equal(see(Rows.from_dask(integers)).X, (X * 10).astype(int))


def unknown_chunks(X):
    """A Dask Array that keeps the rows of X whose first value is positive."""
    lazy = da.from_array(X, chunks=(90, 3))
    return lazy[lazy[:, 0] > 0]


def test_unknown_chunk_sizes_are_counted_by_one_pass(X):
    rows = Rows.from_dask(unknown_chunks(X))
    assert np.isnan(rows.shape[0])
    assert rows.n_source_rows is None
    expected = X[X[:, 0] > 0]
    seen = see(rows)
    assert len(seen.block_rows) == 12
    np.testing.assert_array_equal(seen.X, expected)
    np.testing.assert_array_equal(seen.row_numbers, np.arange(len(expected)))
    assert rows.shape == expected.shape
    assert rows.n_passes == 2
    see(rows)
    assert (rows.n_passes, rows.rows_read) == (3, 3 * len(expected))


def test_weights_of_dask_are_cut_as_the_rows_are(X, weights):
    lazy = da.from_array(X, chunks=(300, 3))
    other = da.from_array(weights, chunks=110)
    np.testing.assert_array_equal(see(Rows.from_dask(lazy, other)).weights, weights)
    first = da.from_array(X, chunks=(90, 3))
    kept = first[:, 0] > 0
    cut = da.from_array(weights, chunks=90)[kept]
    seen = see(Rows.from_dask(first[kept], cut))
    np.testing.assert_array_equal(seen.weights, weights[X[:, 0] > 0])
    np.testing.assert_array_equal(seen.X, X[X[:, 0] > 0])


@pytest.mark.parametrize(
    "weight", [np.ones(7), da.ones(7, chunks=7), da.ones(1001, chunks=(300, 300, 300, 101))]
)
def test_weights_that_do_not_fit_a_dask_array_are_refused(X, weight):
    with pytest.raises((ArgumentError, BadValues), match=r"7|1001"):
        see(Rows.from_dask(da.from_array(X, chunks=(300, 3)), weight))


def test_weights_that_cannot_be_cut_as_the_rows_are_refused(X, weights):
    unknown = unknown_chunks(X)
    with pytest.raises(ArgumentError, match="unknown chunk sizes; pass a Dask collection"):
        Rows.from_dask(unknown, weights)
    with pytest.raises(ArgumentError, match="sample_weight has 2 partitions, X has 12"):
        Rows.from_dask(unknown, da.ones(1000, chunks=500))
    with pytest.raises(BadValues, match=r"the weights of chunk \d+ of X have shape \(90,\)"):
        see(Rows.from_dask(unknown, da.ones(1000, chunks=90)))


@pytest.mark.parametrize(
    ("lazy", "words"),
    [
        (da.ones(5), "X has 1 dimensions"),
        (da.ones((2, 2, 2)), "X has 3 dimensions"),
        (da.from_array(np.array([["a", "b"]] * 3), chunks=2), "number"),
        (da.ones((5, 2)).map_blocks(scipy.sparse.csr_array), "X is sparse"),
    ],
)
def test_dask_arrays_that_are_no_table_of_numbers_are_refused(lazy, words):
    with pytest.raises(SchemaMismatch, match=words):
        see(Rows.from_dask(lazy))


def test_columns_and_weight_need_a_frame():
    for options in ({"columns": ["a"]}, {"weight": "a"}):
        with pytest.raises(ArgumentError, match="need a DataFrame"):
            Rows.from_dask(da.ones((5, 2)), **options)


def test_bad_values_of_a_chunk_are_counted(X):
    X[[400, 401], 1] = np.nan
    rows = Rows.from_dask(da.from_array(X, chunks=(300, 3)))
    with pytest.raises(BadValues, match="column number 1 of chunk 1 of X has 2 NaN"):
        see(rows)


# Dask frames


@pytest.fixture
def frame(X, weights):
    return pd.DataFrame(
        {
            "a": X[:, 0],
            "n": pd.array(np.arange(1000), "Int64"),
            "text": ["t"] * 1000,
            "b": X[:, 1].astype(np.float32),
            "w": weights,
            "at": pd.Timestamp("2024-01-01"),
        },
        index=np.arange(1000) * 10,
    )


def expected_of(frame):
    return np.column_stack([frame[name].to_numpy(np.float64) for name in ("a", "n", "b")])


def test_partitions_of_a_dask_frame_are_blocks(frame):
    lazy = dd.from_pandas(frame, npartitions=7)
    rows = Rows.from_dask(lazy, weight="w")
    assert rows.feature_names == ("a", "n", "b")
    assert np.isnan(rows.shape[0])
    seen = see(rows)
    assert len(seen.block_rows) == 7
    np.testing.assert_array_equal(seen.X, expected_of(frame))
    np.testing.assert_array_equal(seen.weights, frame["w"])
    np.testing.assert_array_equal(seen.row_numbers, np.arange(1000))
    assert rows.shape == (1000, 3)


def test_a_filtered_frame_with_empty_partitions_is_read(frame):
    lazy = dd.from_pandas(frame, npartitions=7)
    rows = Rows.from_dask(lazy[lazy.n >= 700], columns=["b", "a"])
    seen = see(rows)
    assert 0 in seen.block_rows
    assert seen.X.shape == (300, 2)
    np.testing.assert_array_equal(seen.X[:, 1], frame["a"][700:])


def test_weights_of_a_frame_may_be_a_series(frame):
    lazy = dd.from_pandas(frame, npartitions=7)
    seen = see(Rows.from_dask(lazy[["a", "b"]], lazy["w"]))
    np.testing.assert_array_equal(seen.weights, frame["w"])
    assert seen.X.shape == (1000, 2)


def test_frames_that_cannot_be_clustered_are_refused(frame):
    lazy = dd.from_pandas(frame, npartitions=3)
    for options, words in [
        ({"columns": ["nope"]}, "column 'nope' is not in X"),
        ({"columns": ["text"]}, "features must be numbers"),
        ({"weight": "nope"}, "weight column 'nope' is not in X"),
    ]:
        with pytest.raises(SchemaMismatch, match=words):
            Rows.from_dask(lazy, **options)
    with pytest.raises(InputRefused, match="no column of X holds numbers"):
        Rows.from_dask(lazy[["text"]])


def test_nulls_of_a_partition_are_counted(frame):
    frame.loc[frame.index[[500, 501]], "n"] = pd.NA
    rows = Rows.from_dask(dd.from_pandas(frame, npartitions=4))
    with pytest.raises(BadValues, match="column 'n' of partition 2 of X has 2 NaN or null"):
        see(rows)


def test_negative_weights_of_a_frame_are_counted(frame):
    frame.loc[frame.index[:3], "w"] = -1.0
    rows = Rows.from_dask(dd.from_pandas(frame, npartitions=4), weight="w")
    with pytest.raises(BadValues, match="the weights of partition 0 of X have 3 negative"):
        see(rows)


# how often Dask computes


def note(x, path):
    """Add a line to a file: one computation of one part."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, b"x\n")
    os.close(handle)
    return x


def noted_array(X, path, known=True):
    lazy = da.from_array(X, chunks=(100, 3)).map_blocks(note, str(path), meta=np.empty((0, 3)))
    return lazy if known else lazy[lazy[:, 0] > 0]


def noted_frame(frame, path):
    lazy = dd.from_pandas(frame, npartitions=10)
    return lazy.map_partitions(note, str(path), meta=lazy._meta)


def computations(path):
    return len(path.read_bytes().split()) if path.exists() else 0


@pytest.fixture(params=["threads", "cluster"])
def engine(request):
    """The client to pass, None for Dask's threads."""
    return None if request.param == "threads" else request.getfixturevalue("client")


@pytest.mark.parametrize("known", [True, False])
def test_lazy_chunks_are_computed_once_if_blocks_are_kept(X, tmp_path, engine, known):
    lazy = noted_array(X, tmp_path / "calls", known)
    rows = Rows.from_dask(lazy, stage="memory", client=engine)
    for _ in range(3):
        np.testing.assert_array_equal(see(rows).X, X if known else X[X[:, 0] > 0])
    assert rows.staging.stage == "memory"
    assert computations(tmp_path / "calls") == 10


@pytest.mark.parametrize("known", [True, False])
def test_lazy_chunks_are_computed_in_every_pass_if_not(X, tmp_path, engine, known):
    lazy = noted_array(X, tmp_path / "calls", known)
    rows = Rows.from_dask(lazy, stage="none", client=engine)
    for _ in range(3):
        np.testing.assert_array_equal(see(rows).X, X if known else X[X[:, 0] > 0])
    assert rows.staging.stage == "none"
    assert rows.n_passes == (3 if known else 4)
    assert computations(tmp_path / "calls") == 10 * rows.n_passes


def test_lazy_partitions_are_computed_once_if_blocks_are_kept(frame, tmp_path, engine):
    rows = Rows.from_dask(
        noted_frame(frame, tmp_path / "calls"), weight="w", stage="memory", client=engine
    )
    for _ in range(2):
        seen = see(rows)
        np.testing.assert_array_equal(seen.X, expected_of(frame))
        np.testing.assert_array_equal(seen.weights, frame["w"])
    assert computations(tmp_path / "calls") == 10


def test_persisted_chunks_are_used_where_they_lie(X, tmp_path, engine):
    lazy = noted_array(X, tmp_path / "calls")
    persisted = lazy.persist(scheduler="threads") if engine is None else engine.persist(lazy)
    rows = Rows.from_dask(persisted, client=engine)
    # in this process, turned feature by feature once; on a cluster as they lie
    assert rows.staging.stage == ("memory" if engine is None else "none")
    for _ in range(3):
        np.testing.assert_array_equal(see(rows).X, X)
    assert computations(tmp_path / "calls") == 10


def test_persisted_partitions_are_used_where_they_lie(frame, tmp_path, engine):
    lazy = noted_frame(frame, tmp_path / "calls")
    persisted = lazy.persist(scheduler="threads") if engine is None else engine.persist(lazy)
    rows = Rows.from_dask(persisted, weight="w", client=engine)
    assert rows.staging.stage == "none"
    for _ in range(3):
        np.testing.assert_array_equal(see(rows).X, expected_of(frame))
    assert computations(tmp_path / "calls") == 10


def test_blocks_that_a_store_lost_are_computed_again(X, tmp_path, engine):
    rows = Rows.from_dask(noted_array(X, tmp_path / "calls"), stage="memory", client=engine)
    first = rows.reduce(Moments.from_block, X[0])
    owner = rows.layout.leaves[0].owner
    if engine is None:
        lose(owner)
    else:
        engine.run(lose, owner)
    again = rows.reduce(Moments.from_block, X[0])
    assert first.sums.tobytes() == again.sums.tobytes()
    np.testing.assert_array_equal(see(rows).X, X)
    assert computations(tmp_path / "calls") == 20


def lose(owner):
    from dkmeans.rows.store import release

    release(owner)


def test_dask_gives_the_same_bits_on_threads_one_thread_and_a_cluster(X, weights, client):
    lazy = unknown_chunks(X)
    first = da.from_array(X, chunks=(90, 3))
    weight = da.from_array(weights, chunks=90)[first[:, 0] > 0]

    def bits(client=None, stage="memory"):
        rows = Rows.from_dask(lazy, weight, client=client, stage=stage)
        moments = rows.reduce(Moments.from_block, X[0])
        assert rows.n_blocks == 12
        return moments.sums.tobytes() + moments.sq_sums.tobytes()

    threads = bits()
    with dask.config.set(scheduler="synchronous"):
        assert bits(stage="none") == threads
    assert bits(client) == bits(client, "none") == threads


def test_the_client_in_scope_is_used(X, client, tmp_path):
    with client.as_current():
        rows = Rows.from_array(X, block_rows=100)
        assert set(rows.map(worker_of, dtype="U64").compute()) <= set(
            client.scheduler_info()["workers"]
        )
        places = rows.reduce(Places.from_block).places
    assert places <= set(client.scheduler_info()["workers"])
    assert Rows.from_array(X).reduce(Places.from_block).places == {""}


def worker_of(block):
    from distributed.worker import get_worker

    return np.full(block.n_rows, get_worker().address)


class Places:
    """The workers that blocks were on."""

    def __init__(self, places, n_rows):
        self.places, self.n_rows = places, n_rows

    @classmethod
    def from_block(cls, block):
        try:
            return cls({str(worker_of(block)[0])}, block.n_rows)
        except ValueError:
            return cls({""}, block.n_rows)

    def merge(self, other):
        return Places(self.places | other.places, self.n_rows + other.n_rows)


def test_to_dask_array_gives_dask_chunks_back(X):
    rows = Rows.from_dask(unknown_chunks(X))
    np.testing.assert_array_equal(rows.to_dask_array().compute(), X[X[:, 0] > 0])
    see(rows)
    after = rows.to_dask_array()
    assert after.shape == (int((X[:, 0] > 0).sum()), 3)
    np.testing.assert_array_equal(after.compute(), X[X[:, 0] > 0])
    cut = dkmeans.Rows.from_array(X, block_rows=300).to_dask_array()
    assert cut.chunks == ((300, 300, 300, 100), (3,))
    np.testing.assert_array_equal(cut.compute(), X)
