"""What bad input gets: one error that names the file, the place, the count and the remedy."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse

import dkmeans
from dkmeans.errors import (
    ArgumentError,
    BadValues,
    InputChanged,
    InputRefused,
    MissingInput,
    SchemaMismatch,
    StoreUnreachable,
    TooFewRows,
    TooLarge,
    UnreadableFile,
    UnsupportedType,
)
from tests.conftest import free_port, write_parquet
from tests.rows.seen import see


@pytest.fixture
def X():
    return np.random.default_rng(3).normal(size=(900, 2))


@pytest.fixture
def folder(tmp_path, X):
    """Three files of two row groups of at most 200 rows."""
    return write_parquet(tmp_path / "data", X, n_files=3, row_group_rows=200)


def refusal(kind, action, exit_code=3):
    """The message of the refusal of exactly this kind that `action` meets."""
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    message = str(caught.value)
    assert "\n" not in message
    return message


def planning(url, **options):
    return lambda: dkmeans.read_parquet(str(url), **options)


def reading(url, **options):
    """Read rows whose planning finds nothing wrong."""
    rows = dkmeans.read_parquet(str(url), **options)
    return lambda: see(rows)


def write(path, row_group_size=None, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    names, values = list(columns), list(columns.values())
    table = pa.Table.from_arrays([pa.array(value) for value in values], names=names)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


# nothing there


def test_a_missing_path_is_named(tmp_path):
    message = refusal(MissingInput, planning(tmp_path / "nowhere"))
    assert f"{tmp_path}/nowhere does not exist; check the path" in message
    with pytest.raises(FileNotFoundError):
        dkmeans.read_parquet(str(tmp_path / "nowhere.parquet"))


def test_a_missing_path_in_a_list_is_named(folder):
    urls = [str(folder / "part-0.parquet"), str(folder / "part-9.parquet")]
    message = refusal(MissingInput, lambda: dkmeans.read_parquet(urls))
    assert "part-9.parquet does not exist" in message


def test_a_missing_bucket_or_key_is_named(s3, bucket):
    message = refusal(MissingInput, planning(f"{bucket}/nothing", storage_options=s3))
    assert f"{bucket}/nothing" in message
    message = refusal(MissingInput, planning("s3://no-such-bucket-here/x", storage_options=s3))
    assert "s3://no-such-bucket-here/x" in message


def test_an_empty_list_is_refused():
    assert "name at least one" in refusal(MissingInput, lambda: dkmeans.read_parquet([]))


def test_a_folder_without_parquet_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no Parquet files at" in refusal(MissingInput, planning(tmp_path / "empty"))
    (tmp_path / "empty" / "table.csv").write_text("a,b\n1,2\n")
    message = refusal(MissingInput, planning(tmp_path / "empty"))
    assert "it holds other files, such as" in message
    assert "table.csv" in message
    message = refusal(MissingInput, planning(tmp_path / "empty" / "*.parquet"))
    assert "no Parquet files at" in message


# not Parquet


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "table.parquet").write_text("a,b\n1,2\n3,4\n5,6\n")
    message = refusal(UnreadableFile, planning(tmp_path / "table.parquet"))
    assert "table.parquet is not a Parquet file; write it again or leave it out" in message


@pytest.mark.parametrize("n_bytes", [0, 3, 11])
def test_a_file_of_a_few_bytes_is_refused(tmp_path, n_bytes):
    (tmp_path / "tiny.parquet").write_bytes(b"P" * n_bytes)
    message = refusal(UnreadableFile, planning(tmp_path / "tiny.parquet"))
    assert f"tiny.parquet has {n_bytes} bytes, too few for Parquet" in message


def test_every_bad_file_is_listed_at_planning(folder):
    parts = sorted(folder.iterdir())
    whole = parts[0].read_bytes()
    parts[0].write_bytes(whole[: len(whole) // 2])
    parts[2].write_text("this was never a Parquet file")
    message = refusal(UnreadableFile, planning(folder))
    assert "2 problems" in message
    assert "part-0.parquet is truncated" in message
    assert "part-2.parquet is not a Parquet file" in message
    assert "part-1.parquet" not in message


def test_if_all_files_are_bad_all_are_listed(folder):
    for part in folder.iterdir():
        part.write_bytes(b"PAR1 and then nothing that makes sense")
    message = refusal(UnreadableFile, planning(folder))
    assert all(f"part-{number}.parquet is truncated" in message for number in range(3))


def test_very_many_bad_files_are_counted(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.parquet").write_bytes(b"nonsense nonsense")
    message = refusal(UnreadableFile, planning(tmp_path))
    assert "30 problems" in message
    assert "and 20 more" in message


def test_a_damaged_footer_is_refused(folder):
    part = folder / "part-1.parquet"
    content = bytearray(part.read_bytes())
    n_footer = int.from_bytes(content[-8:-4], "little")
    content[-8 - n_footer : -8] = bytes(n_footer)
    part.write_bytes(content)
    assert "part-1.parquet has a damaged footer" in refusal(UnreadableFile, planning(folder))
    content[-8:-4] = (2**31).to_bytes(4, "little")
    part.write_bytes(content)
    message = refusal(UnreadableFile, planning(folder))
    assert "part-1.parquet is damaged: its footer is longer than the file" in message


# tables with a log


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("_delta_log/00000000000000000000.json", "is a Delta table.*deltalake"),
        ("metadata/00000-abc.metadata.json", "is an Iceberg table.*pyiceberg"),
    ],
)
def test_tables_whose_files_may_hold_deleted_rows_are_refused(folder, log, words):
    (folder / log).parent.mkdir()
    (folder / log).write_text("{}")
    message = refusal(InputRefused, planning(folder))
    assert re.search(words, message)
    assert str(folder) in message
    assert "pass the list of its current files" in message


def test_delta_tables_in_a_bucket_are_refused(folder, s3, bucket):
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    fs.put(str(folder), f"{bucket[5:]}/table", recursive=True)
    fs.pipe(f"{bucket[5:]}/table/_delta_log/00000000000000000000.json", b"{}")
    message = refusal(InputRefused, planning(f"{bucket}/table", storage_options=s3))
    assert f"{bucket}/table is a Delta table" in message


# columns


def test_a_column_that_some_files_lack_is_named_with_each_of_them(folder):
    for number in (1, 2):
        write(folder / f"part-{number}.parquet", f0=[1.0, 2.0])
    message = refusal(SchemaMismatch, planning(folder))
    assert "2 problems" in message
    for number in (1, 2):
        assert f"column 'f1' is missing from {folder}/part-{number}.parquet" in message
    assert dkmeans.read_parquet(str(folder), columns=["f0"]).shape == (304, 1)


def test_a_column_that_only_the_first_file_lacks_is_named_where_it_is_asked_for(folder):
    write(folder / "part-0.parquet", f0=[1.0, 2.0])
    message = refusal(SchemaMismatch, planning(folder, columns=["f0", "f1"]))
    assert f"column 'f1' is not in {folder}/part-0.parquet; it has f0" in message


def test_a_column_of_another_type_in_some_files_is_named_with_both_types(folder):
    write(folder / "part-2.parquet", f0=["a", "b"], f1=[1.0, 2.0])
    message = refusal(SchemaMismatch, planning(folder))
    assert f"column 'f0' is string in {folder}/part-2.parquet but double in" in message


def test_numbers_of_another_width_in_some_files_are_fine(folder, X):
    write(folder / "part-2.parquet", f0=pa.array([1, 2], pa.int16()), f1=[True, False])
    seen = see(dkmeans.read_parquet(str(folder), dtype="float64"))
    np.testing.assert_array_equal(seen.X, np.concatenate([X[:600], [[1, 1], [2, 0]]]))


def test_a_column_that_is_there_twice_is_refused(tmp_path, folder):
    table = pa.Table.from_arrays([pa.array([1.0, 2.0])] * 3, names=["f0", "f1", "f0"])
    pq.write_table(table, tmp_path / "twice.parquet")
    message = refusal(SchemaMismatch, planning(tmp_path / "twice.parquet"))
    assert "column 'f0' occurs 2 times in" in message
    assert "twice.parquet" in message
    pq.write_table(table, folder / "part-1.parquet")
    message = refusal(SchemaMismatch, planning(folder))
    assert f"column 'f0' occurs 2 times in {folder}/part-1.parquet" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["f0", "f9"]}, "column 'f9' is not in .*part-0.parquet; it has f0, f1, text"),
        ({"columns": ["text"]}, "column 'text' .* is string; features must be numbers"),
        ({"columns": []}, "names no column"),
        ({"keys": ["customer"]}, "key column 'customer' is not in"),
        ({"weight": "w"}, "weight column 'w' is not in"),
        ({"weight": "text"}, "weight column 'text' is string, not a number"),
    ],
)
def test_columns_that_cannot_be_what_they_are_named_for_are_refused(tmp_path, X, options, words):
    folder = write_parquet(tmp_path / "text", X, text=["a"] * 900)
    assert re.search(words, refusal(SchemaMismatch, planning(folder, **options)))


def test_a_table_without_numbers_is_refused(tmp_path):
    path = write(tmp_path / "words.parquet", a=["x"], b=[b"y"])
    message = refusal(SchemaMismatch, planning(path))
    assert "no column of" in message
    assert "a (string), b (binary)" in message


def test_lists_of_several_lengths_are_found_at_planning(tmp_path):
    path = write(tmp_path / "v.parquet", v=[[1.0, 2.0], [3.0, 4.0], [5.0]], row_group_size=2)
    message = refusal(SchemaMismatch, planning(path))
    assert "column 'v' of" in message
    assert "v.parquet (row group 1) has 1 values a row, not 2" in message


def test_lists_whose_lengths_only_average_out_are_found_at_reading(tmp_path):
    path = write(tmp_path / "v.parquet", v=[[1.0, 2.0], [3.0, 4.0], [5.0], [6.0, 7.0, 8.0]])
    message = refusal(SchemaMismatch, reading(path))
    assert "v.parquet (row group 0): column 'v' has 2 lists of another length than 2" in message


def test_null_lists_and_nulls_in_lists_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", v=[[1.0, 2.0], None, [5.0, 6.0]])
    assert "lists of one length without nulls" in refusal(SchemaMismatch, planning(path))
    path = write(tmp_path / "b.parquet", v=[[1.0, 2.0], [3.0, None], [None, 6.0]])
    message = refusal(BadValues, reading(path))
    assert "b.parquet (row group 0)" in message
    assert "column 'v[0]'" in message
    assert "has 1 " in message
    fixed = pa.array([[1.0, 2.0], None, [5.0, 6.0]], pa.list_(pa.float64(), 2))
    path = write(tmp_path / "c.parquet", v=fixed)
    assert "c.parquet (row group 0)" in refusal(SchemaMismatch, planning(path))


# values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([np.nan] * 3, "3 NaN"),
        ([np.inf, -np.inf], "2 infinite values"),
        ([np.nan, np.inf], "1 NaN and 1 infinite values"),
    ],
)
def test_values_that_are_no_numbers_are_counted_in_their_row_group(tmp_path, X, bad, words, dtype):
    X[[350, 351, 352][: len(bad)], 1] = bad
    folder = write_parquet(tmp_path / "bad", X, n_files=2, row_group_rows=200)
    message = refusal(BadValues, reading(folder, dtype=dtype, block_rows=90))
    assert f"column 'f1' of {folder}/part-0.parquet (row group 1) has {words};" in message
    assert "filter these rows out, or leave the column out" in message


def test_values_too_large_for_their_squares_are_refused(tmp_path, X):
    X[5, 0] = 1e17
    folder = write_parquet(tmp_path / "huge", X)
    message = refusal(BadValues, reading(folder))
    assert "column 'f0'" in message
    assert "1 huge values; use dtype='float64', or scale the column first" in message
    assert see(dkmeans.read_parquet(str(folder), dtype="float64")).X[5, 0] == 1e17


def test_nulls_are_found_at_planning_by_the_statistics(tmp_path, X):
    gaps = pa.array([None if i in (310, 320, 880) else 1.0 for i in range(900)])
    folder = write_parquet(tmp_path / "nulls", X, n_files=2, row_group_rows=300, gaps=gaps)
    message = refusal(BadValues, planning(folder))
    assert "2 problems" in message
    assert f"column 'gaps' of {folder}/part-0.parquet (row group 1) has 2 nulls" in message
    assert f"column 'gaps' of {folder}/part-1.parquet (row group 1) has 1 nulls" in message
    assert dkmeans.read_parquet(str(folder), columns=["f0"]).shape == (900, 1)


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.float16(), pa.int64(), pa.bool_(), pa.decimal128(6, 2)]
)
def test_nulls_without_statistics_are_found_at_reading(tmp_path, kind):
    values = pa.array([None if i in (7, 8) else i % 2 for i in range(20)]).cast(pa.float32())
    gaps = pa.array([1, 0] * 10, pa.int8())
    whole = values.cast(kind) if kind != pa.bool_() else values.cast(pa.int8()).cast(kind)
    table = pa.table({"a": gaps, "gaps": whole})
    path = tmp_path / "nulls.parquet"
    pq.write_table(table, path, row_group_size=5, write_statistics=False)
    message = refusal(BadValues, reading(path, block_rows=4))
    assert "column 'gaps' of" in message
    assert "nulls.parquet (row group 1) has 2 nulls; pass missing='drop' or 'mean'" in message


def test_a_filter_that_removes_the_bad_rows_makes_them_fine(tmp_path, X):
    X[[3, 500, 700], 0] = np.nan, np.inf, -np.inf
    gaps = pa.array([None if i % 100 == 1 else float(i) for i in range(900)])
    folder = write_parquet(tmp_path / "bad", X, gaps=gaps)
    filters = [("f0", "<", 1e6), ("f0", ">", -1e6), ("gaps", ">=", 0)]
    seen = see(dkmeans.read_parquet(str(folder), filters=filters, dtype="float64", block_rows=130))
    good = [i for i in range(900) if i not in (3, 500, 700) and i % 100 != 1]
    assert seen.row_numbers.tolist() == good
    np.testing.assert_array_equal(seen.X[:, :2], X[good])
    message = refusal(BadValues, reading(folder, filters=filters[:2]))
    assert re.search(r"column 'gaps' .* \(row group \d\) has 3 nulls", message)


def test_weights_that_are_negative_nan_null_or_infinite_are_refused(tmp_path, X):
    def weighted(name, values, at):
        w = np.ones(900)
        w[at] = values
        return write_parquet(
            tmp_path / name, X, n_files=2, row_group_rows=100, w=pa.array(w, from_pandas=False)
        )

    def refused(folder):
        return refusal(BadValues, reading(folder, weight="w", block_rows=40))

    message = refused(weighted("negative", [-1.0, -0.5], [211, 260]))
    assert f"weight column 'w' of {tmp_path}/negative/part-0.parquet (row group 2)" in message
    assert "has 2 negative values; filter these rows out" in message
    assert "(row group 1) has 1 NaN;" in refused(weighted("nan", np.nan, [555]))
    assert "(row group 4) has 1 infinite values;" in refused(weighted("inf", np.inf, [899]))

    w = pa.array([None if i in (1, 2, 3) else 1 for i in range(900)], pa.int64())
    folder = write_parquet(tmp_path / "null", X, n_files=2, row_group_rows=100, w=w)
    message = refusal(BadValues, lambda: see(dkmeans.read_parquet(str(folder), weight="w")))
    assert "'w'" in message
    assert "part-0.parquet (row group 0) has 3 nulls" in message


def test_weights_of_rows_that_a_filter_drops_may_be_bad(tmp_path, X):
    w = np.where(np.arange(900) < 50, -1.0, 2.0)
    folder = write_parquet(tmp_path / "w", X, w=w)
    seen = see(dkmeans.read_parquet(str(folder), weight="w", filters=("w", ">=", 0)))
    assert seen.weights.tolist() == [2.0] * 850


# no rows


def test_no_rows_at_all_are_refused(tmp_path):
    folder = write_parquet(tmp_path / "none", np.empty((0, 2)), n_files=2)
    assert f"the files at {folder} have no rows" in refusal(TooFewRows, planning(folder))


def test_files_and_row_groups_without_rows_among_good_ones_are_fine(tmp_path, X):
    empty = pa.table({"f0": pa.array([], pa.float64()), "f1": pa.array([], pa.float64())})
    folder = tmp_path / "some"
    folder.mkdir()
    for number, rows in enumerate([slice(0, 0), slice(0, 300), slice(0, 0), slice(300, 900)]):
        table = pa.table({"f0": X[rows, 0], "f1": X[rows, 1]})
        with pq.ParquetWriter(folder / f"{number}.parquet", table.schema) as writer:
            writer.write_table(empty)
            writer.write_table(table)
            writer.write_table(empty)
    footer = pq.read_metadata(folder / "1.parquet")
    sizes = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    assert 0 in sizes
    seen = see(dkmeans.read_parquet(str(folder), dtype="float64", block_rows=100))
    np.testing.assert_array_equal(seen.X, X)
    np.testing.assert_array_equal(seen.row_numbers, np.arange(900))


# damage


def damaged(path, X, place, **options):
    """Write a file with a good footer, and flip bytes of one chunk or of its header."""
    table = pa.table({"f0": X[:, 0], "f1": X[:, 1]})
    pq.write_table(table, path, row_group_size=300, use_dictionary=False, **options)
    chunk = pq.read_metadata(path).row_group(1).column(1)
    start, n_bytes = chunk.data_page_offset, chunk.total_compressed_size
    at = start + n_bytes // 2 if place == "middle" else start
    content = bytearray(path.read_bytes())
    content[at : at + 16] = bytes(byte ^ 0xFF for byte in content[at : at + 16])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("place", ["middle", "header"])
def test_a_damaged_page_is_named_with_its_row_group(tmp_path, X, compression, place):
    path = damaged(
        tmp_path / "d.parquet", X, place, compression=compression, write_page_checksum=True
    )
    message = refusal(UnreadableFile, reading(path, block_rows=100))
    assert f"{path} (row group 1) is damaged" in message
    assert "write the file again or leave it out" in message
    good = see(dkmeans.read_parquet(str(path), columns=["f0"], dtype="float64"))
    np.testing.assert_array_equal(good.X[:, 0], X[:, 0])


def test_a_damaged_page_of_another_store_is_refused_too(tmp_path, X, s3, bucket):
    import s3fs

    path = damaged(tmp_path / "d.parquet", X, "middle", write_page_checksum=True)
    s3fs.S3FileSystem(**s3).put(str(path), f"{bucket[5:]}/d.parquet")
    message = refusal(UnreadableFile, reading(f"{bucket}/d.parquet", storage_options=s3))
    assert f"{bucket}/d.parquet (row group 1) is damaged" in message


def test_a_file_that_changed_since_planning_is_refused(folder, X):
    rows = dkmeans.read_parquet(str(folder), stage="none")
    see(rows)
    size = (folder / "part-1.parquet").stat().st_size
    write_parquet(folder.parent / "other", X[:77], n_files=1)
    (folder.parent / "other" / "part-0.parquet").replace(folder / "part-1.parquet")
    now = (folder / "part-1.parquet").stat().st_size
    message = refusal(InputChanged, lambda: see(rows))
    assert f"part-1.parquet has changed since it was planned ({size} bytes then, {now} now)" in (
        message
    )
    assert "run again on data that do not change" in message


def test_a_file_of_a_bucket_that_changed_since_planning_is_refused(folder, s3, bucket):
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    fs.put(str(folder), f"{bucket[5:]}/data", recursive=True)
    rows = dkmeans.read_parquet(f"{bucket}/data", storage_options=s3, stage="none")
    see(rows)
    other = write_parquet(folder.parent / "other", np.ones((400, 2)), n_files=1)
    fs.put(str(other / "part-0.parquet"), f"{bucket[5:]}/data/part-1.parquet")
    message = refusal(InputChanged, lambda: see(rows))
    assert f"{bucket}/data/part-1.parquet has changed since it was planned" in message


def test_a_file_that_vanished_since_planning_is_named(folder):
    rows = dkmeans.read_parquet(str(folder), stage="none")
    (folder / "part-2.parquet").unlink()
    assert "part-2.parquet does not exist" in refusal(MissingInput, lambda: see(rows))


# stores


def test_an_unknown_protocol_is_refused():
    message = refusal(ArgumentError, planning("nosuchstore://bucket/x"), exit_code=2)
    assert "nosuchstore" in message


def test_an_endpoint_that_nobody_listens_at_is_an_error_without_secrets():
    options = {
        "key": "canary-key",
        "secret": "canary-secret",
        "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{free_port()}"},
        "dkmeans": {"retry_seconds": 1},
    }
    message = refusal(
        StoreUnreachable, planning("s3://bucket/x", storage_options=options), exit_code=7
    )
    assert message.startswith("the store of s3://bucket/x failed")
    assert "check the endpoint, the credentials and the network" in message
    assert "canary" not in message


def test_storage_options_that_the_store_does_not_know_are_refused():
    options = {"secret": "canary-secret", "nonsense_option": 1}
    with pytest.raises((ArgumentError, StoreUnreachable)) as caught:
        dkmeans.read_parquet("s3://bucket/x", storage_options=options)
    assert "canary" not in str(caught.value)


# on a cluster


def test_errors_of_workers_arrive_as_they_were_raised(tmp_path, X, client):
    X[350:353, 1] = np.nan
    folder = write_parquet(tmp_path / "bad", X, n_files=2, row_group_rows=200)
    message = refusal(BadValues, reading(folder, client=client))
    assert f"column 'f1' of {folder}/part-0.parquet (row group 1) has 3 NaN;" in message


def test_a_file_that_vanishes_before_a_worker_reads_it_is_named(folder, client):
    rows = dkmeans.read_parquet(str(folder), stage="none", client=client)
    (folder / "part-2.parquet").unlink()
    assert "part-2.parquet does not exist" in refusal(MissingInput, lambda: see(rows))


# in memory


@pytest.mark.parametrize(
    ("X", "kind", "words"),
    [
        (np.empty((0, 3)), TooFewRows, "X has 0 sample(s) (shape=(0, 3))"),
        (np.empty((3, 0)), TooFewRows, "X has 0 feature(s) (shape=(3, 0))"),
        (np.ones(3), SchemaMismatch, "is expected. Reshape your data: X.reshape(-1, 1)"),
        (np.ones((2, 2, 2)), SchemaMismatch, "X has 3 dimensions"),
        ([[1.0, 2.0], [3.0]], UnsupportedType, "X does not hold numbers"),
        ([["a", "b"]], UnsupportedType, "X does not hold numbers"),
        (np.ones((2, 2)) + 1j, UnsupportedType, "Complex data not supported"),
        (np.array([["2020-01-01"]], "M8[D]"), UnsupportedType, "dtype is datetime64"),
        (scipy.sparse.csr_array(np.eye(2)), UnsupportedType, "Pass X.toarray()"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), UnsupportedType, "dense columns"),
        (pd.DataFrame({"a": ["x", "y"]}), SchemaMismatch, "no column of X holds numbers"),
        (pd.DataFrame({"a": [1, "y"]}), SchemaMismatch, "X"),
        (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), SchemaMismatch, "'a'"),
        (pa.Table.from_arrays([pa.array([1.0])] * 2, ["a", "a"]), SchemaMismatch, "'a'"),
        (pa.table({"v": [[1.0, 2.0], [3.0]]}), SchemaMismatch, "'v' has 1 lists of another"),
        (pd.DataFrame({"v": [[1.0, 2.0], [3.0]]}), SchemaMismatch, "'v' has 1 lists of another"),
        (pd.DataFrame({"a": []}, dtype=float), TooFewRows, "X has 0 sample(s)"),
    ],
)  # fmt: skip
def test_what_in_memory_cannot_be_clustered_is_refused(X, kind, words):
    assert words in refusal(kind, lambda: dkmeans.Rows.from_array(X))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, np.nan, np.nan], "2 NaN or null"),
        ([1.0, np.inf, -np.inf], "2 infinite values"),
        (pd.array([1, None, 3], "Int64"), "1 NaN or null"),
        (pd.array([True, None, None], "boolean"), "2 NaN or null"),
    ],
)
def test_values_in_memory_that_are_no_numbers_are_counted(values, words):
    rows = dkmeans.Rows.from_array(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": values}))
    message = refusal(BadValues, lambda: see(rows))
    assert message == f"column 'b' of X has {words}; remove these rows."


def test_columns_of_arrays_are_named_by_their_numbers():
    X = np.ones((6, 3))
    X[[1, 5], 2] = np.nan
    rows = dkmeans.Rows.from_array(X)
    assert "column number 2 of X has 2 NaN" in refusal(BadValues, lambda: see(rows))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ([1.0, -1.0, -2.0], "2 negative, NaN or infinite values"),
        ([1.0, np.nan, 1.0], "1 negative, NaN or infinite values"),
        ([np.inf, 1.0, 1.0], "1 negative, NaN or infinite values"),
        ([1.0, 1.0], "have shape (2,); (3,) is expected"),
        ([[1.0], [1.0], [1.0]], "have shape (3, 1); (3,) is expected"),
    ],
)
def test_weights_in_memory_that_cannot_be_are_refused(weight, words):
    message = refusal(BadValues, lambda: dkmeans.Rows.from_array(np.ones((3, 2)), weight))
    assert words in message


def test_columns_need_a_table():
    message = refusal(
        ArgumentError, lambda: dkmeans.Rows.from_array(np.ones((3, 2)), columns=["a"]), exit_code=2
    )
    assert "columns= needs a table" in message


def test_rows_that_must_fit_in_one_process_are_refused_if_they_do_not():
    rows = dkmeans.Rows.from_array(np.ones((1000, 2)), block_rows=100)
    message = refusal(TooLarge, lambda: rows.gather(most_bytes=15_999))
    assert "more than one process may hold" in message
    assert rows.gather(most_bytes=30_000).n_rows == 1000
