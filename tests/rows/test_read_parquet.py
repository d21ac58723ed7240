"""Reading Parquet: where it may lie, which columns become features, how it is cut and counted."""

import datetime
import pickle
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dkmeans
from dkmeans.errors import ArgumentError, DkmeansWarning, SuspectColumn
from dkmeans.rows.engine import LocalEngine
from dkmeans.rows.staging import Room
from dkmeans.rows.store import process_store
from tests.conftest import write_parquet
from tests.rows.seen import see


@pytest.fixture
def X():
    return np.random.default_rng(1).normal(size=(2300, 3))


@pytest.fixture
def folder(tmp_path, X):
    return write_parquet(tmp_path / "data", X, n_files=3, row_group_rows=200)


def footers(folder):
    return [pq.read_metadata(path) for path in sorted(folder.rglob("*.parquet"))]


def stored_bytes(folder, columns):
    """Compressed bytes of the chunks of some top-level columns, by the footers."""
    return sum(
        group.column(i).total_compressed_size
        for footer in footers(folder)
        for group in (footer.row_group(n) for n in range(footer.num_row_groups))
        for i in range(footer.num_columns)
        if group.column(i).path_in_schema.split(".")[0] in columns
    )


def hive(folder, X, name="day"):
    """Write X as day=1, day=2, ..., five equal parts, each of two files."""
    for number, rows in enumerate(np.array_split(np.arange(len(X)), 5)):
        write_parquet(folder / f"{name}={number + 1}", X[rows], n_files=2, row_group_rows=100)
    return folder


# places


def test_a_folder_is_read_in_the_order_of_its_files(folder, X):
    rows = dkmeans.read_parquet(str(folder), dtype="float64", block_rows=150)
    seen = see(rows)
    assert len(seen.block_rows) > 3
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(seen.row_numbers, np.arange(2300))
    assert rows.shape == (2300, 3)
    assert rows.feature_names == ("f0", "f1", "f2")


def test_one_file_is_read(folder, X):
    assert see(dkmeans.read_parquet(str(folder / "part-0.parquet"))).X.shape == (767, 3)


def test_a_glob_and_a_list_read_the_files_they_name(folder, X):
    second = X[767:1534].astype(np.float32)
    glob = dkmeans.read_parquet(f"{folder}/part-[1].parq*")
    np.testing.assert_array_equal(see(glob).X, second)
    names = [f"{folder}/part-1.parquet", f"{folder}/part-0.parquet", f"{folder}/part-1.parquet"]
    listed = dkmeans.read_parquet(names)
    np.testing.assert_array_equal(see(listed).X, np.concatenate([second, X[:767]], dtype="f4"))


def test_paths_of_pathlib_are_paths(folder, X):
    assert dkmeans.read_parquet(folder).shape == (2300, 3)
    assert dkmeans.read_parquet([folder / "part-0.parquet"]).shape == (767, 3)


def test_a_relative_path_is_found_from_here(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert dkmeans.read_parquet("data").shape == (2300, 3)


def test_hive_partitions_are_columns_but_no_features(tmp_path, X):
    rows = dkmeans.read_parquet(str(hive(tmp_path / "lake", X)), dtype="float64", block_rows=90)
    assert rows.feature_names == ("f0", "f1", "f2")
    assert ("day", "partition") in rows.parquet.choice.left_out
    np.testing.assert_array_equal(see(rows).X, X)


def test_a_partition_column_is_a_feature_if_it_is_named(tmp_path, X):
    lake = hive(tmp_path / "lake", X)
    seen = see(dkmeans.read_parquet(str(lake), columns=["day", "f1"], dtype="float64"))
    np.testing.assert_array_equal(
        seen.X, np.column_stack([np.repeat(np.arange(1, 6), 460), X[:, 1]])
    )


def test_a_listed_file_keeps_the_partition_of_its_folder(tmp_path, X):
    lake = hive(tmp_path / "lake", X)
    files = [f"{lake}/day=4/part-0.parquet", f"{lake}/day=2/part-1.parquet"]
    seen = see(dkmeans.read_parquet(files, columns=["day"]))
    np.testing.assert_array_equal(seen.X.ravel(), np.repeat([4.0, 2.0], 230))


def test_a_filesystem_of_fsspec_is_read(folder, X):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/read-parquet-test", recursive=True)
    try:
        rows = dkmeans.read_parquet("memory://read-parquet-test", dtype="float64", block_rows=100)
        np.testing.assert_array_equal(see(rows).X, X)
        one = dkmeans.read_parquet("memory://read-parquet-test/part-2.parquet", dtype="float64")
        np.testing.assert_array_equal(see(one).X, X[1534:])
    finally:
        memory.rm("/read-parquet-test", recursive=True)


def test_a_bucket_is_read_with_keys_weights_and_partitions(tmp_path, X, s3, bucket):
    import s3fs

    weight = np.arange(len(X)) % 4 / 2
    lake = tmp_path / "lake"
    for year, rows in ((2023, slice(0, 1000)), (2024, slice(1000, 2300))):
        table = {f"f{i}": X[rows, i] for i in range(3)}
        table |= {"customer": np.arange(2300)[rows], "w": weight[rows]}
        (lake / f"year={year}").mkdir(parents=True)
        pq.write_table(pa.table(table), lake / f"year={year}" / "a.parquet", row_group_size=300)
    fs = s3fs.S3FileSystem(**s3)
    fs.put(str(lake), f"{bucket.removeprefix('s3://')}/lake", recursive=True)

    def read(url, **options):
        return dkmeans.read_parquet(
            url, weight="w", keys=["customer"], dtype="float64", storage_options=s3, **options
        )

    rows = read(f"{bucket}/lake", block_rows=300)
    seen = see(rows)
    assert len(seen.block_rows) > 4
    assert rows.feature_names == ("f0", "f1", "f2")
    assert dict(rows.parquet.choice.left_out) == {
        "customer": "key",
        "w": "weight",
        "year": "partition",
    }
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(seen.weights, weight)
    assert rows.bytes_read == stored_bytes(lake, {"f0", "f1", "f2", "w"})
    assert all(file.url.startswith(f"{bucket}/lake/year=") for file in rows.parquet.files)
    assert all(file.version for file in rows.parquet.files)

    newer = see(read(f"{bucket}/lake", filters=("year", "==", 2024)))
    np.testing.assert_array_equal(newer.X, X[1000:])
    one = see(read(f"{bucket}/lake/year=2024/a.parquet"))
    np.testing.assert_array_equal(one.X, X[1000:])
    glob = see(read(f"{bucket}/lake/year=*/*.parquet"))
    np.testing.assert_array_equal(glob.X, X)


def test_storage_options_are_in_no_leaf_and_in_no_text(tmp_path, X, folder):
    rows = dkmeans.read_parquet(str(folder), storage_options={"secret": "canary-4711"})
    assert rows.parquet.options
    assert b"canary-4711" not in pickle.dumps(rows.layout.leaves)
    assert b"canary-4711" not in pickle.dumps(rows.parquet)
    assert "canary-4711" not in repr(rows) + repr(rows.parquet) + repr(rows.layout)


# which columns


def one_file(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_numbers_of_every_kind_and_lists_of_one_length_are_features(tmp_path):
    n = 20
    rng = np.random.default_rng(2)
    fixed = rng.normal(size=(n, 3)).astype(np.float32)
    lists = rng.integers(0, 255, size=(n, 2)).astype(np.uint8)
    columns = {
        "i8": pa.array(np.arange(n) - 10, pa.int8()),
        "u64": pa.array(np.arange(n) + 10, pa.uint64()),
        "flag": pa.array(np.arange(n) % 3 == 0),
        "half": pa.array((np.arange(n) / 4).astype(np.float16)),
        "single": pa.array((np.arange(n) / 8).astype(np.float32)),
        "double": pa.array(np.arange(n) / 16),
        "price": pa.array([Decimal(i) / 4 - 2 for i in range(n)], pa.decimal128(12, 2)),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array(fixed.ravel()), 3),
        "lists": pa.array(lists.tolist(), pa.list_(pa.uint8())),
    }
    path = one_file(tmp_path / "kinds.parquet", **columns)
    rows = dkmeans.read_parquet(path, dtype="float64", block_rows=7)
    seen = see(rows)
    i = np.arange(n)
    expected = [i - 10, i + 10, i % 3 == 0, i / 4, i / 8, i / 16, i / 4 - 2, *fixed.T, *lists.T]
    assert len(seen.block_rows) == 3
    np.testing.assert_array_equal(seen.X, np.column_stack(expected))
    assert rows.feature_names == (
        *("i8", "u64", "flag", "half", "single", "double", "price"),
        *("fixed[0]", "fixed[1]", "fixed[2]", "lists[0]", "lists[1]"),
    )


def test_what_is_no_number_is_left_out_and_the_choice_can_be_printed(tmp_path):
    path = one_file(
        tmp_path / "mixed.parquet",
        name=["a", "b"],
        amount=[1.0, 2.0],
        at=pa.array([datetime.datetime(2024, 1, 1)] * 2),
        day=pa.array([datetime.date(2024, 1, 1)] * 2),
        kind=pa.array(["x", "y"]).dictionary_encode(),
        tags=pa.array([["p"], ["q"]]),
        where=pa.array([{"lat": 1.0, "lon": 2.0}] * 2),
        nothing=pa.nulls(2),
        raw=pa.array([b"1", b"2"]),
        embedding=pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2)),
        customer=[1, 2],
        w=[1.0, 2.0],
        count=[5, 6],
    )
    rows = dkmeans.read_parquet(path, keys=["customer"], weight="w", dtype="float64")
    assert rows.feature_names == ("amount", "embedding[0]", "embedding[1]", "count")
    np.testing.assert_array_equal(see(rows).X, [[1, 1, 2, 5], [2, 3, 4, 6]])
    text = str(rows.parquet.choice)
    assert text.startswith("features: amount, embedding (2 wide), count; not used: name (string), ")
    for words in ("at (timestamp[us])", "tags (list<", "customer (key)", "w (weight)"):
        assert words in text


def test_columns_are_used_in_the_order_given(folder, X):
    rows = dkmeans.read_parquet(str(folder), columns=["f2", "f0"], dtype="float64")
    assert rows.feature_names == ("f2", "f0")
    np.testing.assert_array_equal(see(rows).X, X[:, [2, 0]])


def test_the_order_of_columns_in_each_file_does_not_matter(tmp_path):
    first = one_file(tmp_path / "a.parquet", x=[1.0, 2.0], y=[3.0, 4.0])
    second = one_file(tmp_path / "b.parquet", y=[30, 40], extra=["s", "t"], x=[10, 20])
    seen = see(dkmeans.read_parquet([first, second]))
    np.testing.assert_array_equal(seen.X, [[1, 3], [2, 4], [10, 30], [20, 40]])


def test_a_key_or_weight_is_a_feature_only_if_it_is_named(tmp_path):
    path = one_file(tmp_path / "a.parquet", customer=[1, 2], w=[3.0, 4.0], x=[5.0, 6.0])
    left = dkmeans.read_parquet(path, keys=["customer"], weight="w")
    assert left.feature_names == ("x",)
    named = dkmeans.read_parquet(path, columns=["w", "customer"], keys=["customer"], weight="w")
    seen = see(named)
    np.testing.assert_array_equal(seen.X, [[3, 1], [4, 2]])
    np.testing.assert_array_equal(seen.weights, [3, 4])


@pytest.mark.parametrize("name", ["id", "customer_id", "userId", "session_key", "ID"])
def test_an_integer_named_like_an_identifier_gets_a_warning(tmp_path, name):
    path = one_file(tmp_path / "a.parquet", **{name: [7, 3, 9], "x": [1.0, 2.0, 3.0]})
    with pytest.warns(
        SuspectColumn, match=rf"'{name}' looks like an identifier.*keys=\['{name}'\]"
    ):
        dkmeans.read_parquet(path)
    assert issubclass(SuspectColumn, DkmeansWarning)


def test_an_integer_that_counts_the_rows_gets_a_warning(tmp_path, X):
    folder = write_parquet(tmp_path / "d", X, number=np.arange(5, 2305))
    with pytest.warns(SuspectColumn, match="'number' looks like an identifier"):
        dkmeans.read_parquet(str(folder))


def test_named_columns_keys_and_other_integers_get_no_warning(tmp_path, X):
    folder = write_parquet(
        tmp_path / "d", X, user_id=np.arange(2300), width=np.arange(2300) % 7, valid=X[:, 0] > 0
    )
    assert dkmeans.read_parquet(str(folder), columns=["user_id", "f0"]).shape == (2300, 2)
    assert dkmeans.read_parquet(str(folder), keys=["user_id"]).shape == (2300, 5)


# blocks


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(sum),
    row_group_rows=st.integers(1, 20),
    block_rows=st.integers(1, 100),
    keep=st.sampled_from([None, 0.3, 0.9]),
)
def test_blocks_of_any_size_hold_the_same_rows(
    tmp_path_factory, sizes, row_group_rows, block_rows, keep
):
    folder = tmp_path_factory.mktemp("any")
    n_rows = sum(sizes)
    X = np.arange(2 * n_rows).reshape(-1, 2) % 97 / 1.0
    first = 0
    for number, size in enumerate(sizes):
        part = X[first : first + size]
        table = pa.table({"a": part[:, 0], "b": part[:, 1], "w": part[:, 0] + 1})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=row_group_rows)
        first += size
    filters = None if keep is None else ("a", "<", float(np.quantile(X[:, 0], keep)) + 0.5)
    passes = np.ones(n_rows, bool) if keep is None else X[:, 0] < filters[2]
    rows = dkmeans.read_parquet(
        str(folder), weight="w", dtype="float64", block_rows=block_rows, filters=filters
    )
    seen = see(rows)
    assert max(seen.block_rows) <= block_rows
    np.testing.assert_array_equal(seen.X, X[passes])
    np.testing.assert_array_equal(seen.weights, X[passes, 0] + 1)
    np.testing.assert_array_equal(seen.row_numbers, np.flatnonzero(passes))
    np.testing.assert_array_equal(rows.to_dask_array().compute(), X[passes])


def test_block_bytes_limits_the_decoded_size_of_a_block(folder, X):
    rows = dkmeans.read_parquet(str(folder), block_bytes=12 * 130)
    assert rows.n_blocks > 2300 // 130
    assert max(see(rows).block_rows) <= 130
    with_weight = dkmeans.read_parquet(str(folder), block_bytes=16 * 100, weight="f2")
    assert with_weight.most_block_rows <= 100


def test_blocks_are_feature_major_and_of_the_dtype_asked_for(folder):
    from dkmeans.rows.gathered import Gathered

    for dtype in ("float32", "float64"):
        rows = dkmeans.read_parquet(str(folder), dtype=dtype, block_rows=300)
        blocks = rows.reduce(Gathered.from_block).blocks
        assert len(blocks) > 1
        assert all(block.X.flags.f_contiguous and block.X.dtype == dtype for block in blocks)


# what passes cost


def test_with_stage_memory_the_bytes_are_read_once(folder):
    rows = dkmeans.read_parquet(str(folder), block_rows=250, stage="memory")
    assert rows.n_blocks > 1
    assert (rows.n_passes, rows.rows_read, rows.bytes_read) == (0, 0, 0)
    for n in (1, 2, 3):
        see(rows)
        assert (rows.n_passes, rows.rows_read) == (n, 2300 * n)
        assert rows.bytes_read == stored_bytes(folder, {"f0", "f1", "f2"})
    assert rows.staging.stage == "memory"


def test_with_stage_none_the_bytes_are_read_in_every_pass(folder):
    rows = dkmeans.read_parquet(str(folder), stage="none")
    for n in (1, 2, 3):
        see(rows)
        assert (rows.n_passes, rows.rows_read) == (n, 2300 * n)
        assert rows.bytes_read == n * stored_bytes(folder, {"f0", "f1", "f2"})
    assert rows.staging.stage == "none"


def test_only_the_columns_that_are_needed_are_read(tmp_path, X):
    n = len(X)
    folder = write_parquet(
        tmp_path / "wide",
        X,
        text=[f"a long text number {i}" for i in range(n)],
        nested=pa.array([{"a": 1.0, "b": [i]} for i in range(n)]),
        table=pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int64())),
        vector=pa.array(X.tolist(), pa.list_(pa.float64())),
        w=np.ones(n),
        limit=np.arange(n) / n,
    )
    rows = dkmeans.read_parquet(
        str(folder), columns=["vector", "f1"], weight="w", filters=("limit", ">=", 0), stage="none"
    )
    np.testing.assert_array_equal(see(rows).X, np.column_stack([X, X[:, 1]]).astype(np.float32))
    assert rows.bytes_read == stored_bytes(folder, {"vector", "f1", "w", "limit"})
    assert rows.bytes_read == rows.parquet.n_bytes


def test_a_row_group_of_several_blocks_is_read_once_where_there_are_many(tmp_path, X):
    folder = write_parquet(tmp_path / "d", X, n_files=2, row_group_rows=100)
    rows = dkmeans.read_parquet(str(folder), block_rows=30, stage="none")
    assert rows.n_blocks > 2 * 23
    see(rows)
    assert rows.bytes_read == stored_bytes(folder, {"f0", "f1", "f2"})


def test_a_pass_over_one_row_group_reads_the_bytes_that_were_planned(tmp_path, X):
    folder = write_parquet(tmp_path / "d", X, n_files=1, row_group_rows=len(X))
    rows = dkmeans.read_parquet(str(folder), dtype="float64", block_rows=300, stage="none")
    assert rows.n_blocks == 8
    np.testing.assert_array_equal(see(rows).X, X)
    assert rows.bytes_read == rows.parquet.n_bytes


def test_blocks_that_do_not_fit_the_store_are_read_again(folder, X, monkeypatch):
    rows = dkmeans.read_parquet(str(folder), dtype="float64", block_rows=200, stage="memory")
    monkeypatch.setattr(process_store(), "limit_bytes", 30_000)
    first, second = see(rows), see(rows)
    np.testing.assert_array_equal(first.X, X)
    np.testing.assert_array_equal(second.X, X)
    once = stored_bytes(folder, {"f0", "f1", "f2"})
    assert once < rows.bytes_read < 2 * once


def test_close_empties_the_store_and_the_rows_can_still_be_used(folder, X):
    before = process_store().held_bytes
    with dkmeans.read_parquet(str(folder), dtype="float64", stage="memory") as rows:
        see(rows)
        assert process_store().held_bytes >= before + 2300 * 3 * 8
    assert process_store().held_bytes <= before
    np.testing.assert_array_equal(see(rows).X, X)


def test_the_same_files_read_twice_do_not_share_blocks(folder):
    first = dkmeans.read_parquet(str(folder), stage="memory")
    second = dkmeans.read_parquet(str(folder), stage="memory")
    see(first)
    see(second)
    assert first.bytes_read == second.bytes_read > 0


def test_auto_keeps_rows_that_fit_and_says_so(folder, capsys):
    with dkmeans.reporting():
        rows = dkmeans.read_parquet(str(folder))
    assert rows.staging.stage == "memory"
    assert re.search(
        r"stage: memory \(decoded rows 0 MB; half of the free memory", capsys.readouterr().err
    )


def test_auto_reads_again_what_does_not_fit(folder, monkeypatch):
    def stage(memory_bytes, disk_bytes):
        monkeypatch.setattr(LocalEngine, "room", lambda self: Room(memory_bytes, disk_bytes))
        return dkmeans.read_parquet(str(folder)).staging.stage

    decoded = 2300 * 3 * 4
    assert stage(2 * decoded - 2, 0) == "none"
    assert stage(2 * decoded, 0) == "memory"
    assert stage(2 * decoded - 2, 10 * decoded) == "disk"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dtype": "int8"}, "dtype='int8' should be 'float32' or 'float64'"),
        ({"block_rows": 0}, "block_rows=0 should be at least 1"),
        ({"block_bytes": -1}, "block_bytes=-1 should be at least 1"),
        ({"stage": "disc"}, "stage='disc' should be"),
        ({"filters": [("f0", "~", 1)]}, "operator '~' is not known; use ==, !="),
        ({"filters": [("nope", ">", 1)]}, "filter column 'nope' is not in"),
        ({"filters": "f0 > 1"}, "should be a list of"),
        ({"filters": [("f0", "in", 3)]}, "needs a list of values"),
        ({"filters": [("f0", ">", "many")]}, "filter f0 > 'many' does not fit the column"),
    ],
)
def test_arguments_that_cannot_be_are_refused(folder, arguments, words):
    with pytest.raises(ArgumentError, match=re.escape(words)) as caught:
        see(dkmeans.read_parquet(str(folder), **arguments))
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 2


def test_a_frame_written_by_pandas_with_its_index_is_read(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0], "n": pd.array([3, 4], "Int64")}, index=["a", "b"])
    frame.to_parquet(tmp_path / "frame.parquet")
    rows = dkmeans.read_parquet(str(tmp_path / "frame.parquet"))
    assert rows.feature_names == ("x", "n")
    np.testing.assert_array_equal(see(rows).X, [[1, 3], [2, 4]])
