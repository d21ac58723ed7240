"""Looking for a key: what is equal, which row groups are read, and what is refused."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dkmeans.errors import ArgumentError, InputChanged, MissingInput, UnreadableFile
from dkmeans.rows.key_search import look_for, parse_keys
from dkmeans.storage.listing import list_parquet

DAY = datetime.date(2026, 11, 20)


def write(folder, column, *, n_groups=1, name="part.parquet", **options):
    """A file with the column `key` beside one that is larger."""
    column = pa.array(column) if isinstance(column, list) else column
    table = pa.table({"key": column, "x": pa.array(range(len(column)), pa.float64())})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, row_group_size=len(column) // n_groups or 1, **options)
    (file,) = list_parquet(str(folder))
    return file


def holds(file, *values, column="key"):
    return look_for({column: values}, file, "").holds


@pytest.mark.parametrize(
    ("column", "there", "absent"),
    [
        (pa.array([1, None, 4711]), ["4711", "+4711", "04711"], ["471", "-4711", "1" * 40]),
        (pa.array([1, None, 47], pa.uint8()), ["47"], ["0", "-1", "256", "303"]),
        (pa.array([2**63 + 1, None], pa.uint64()), [str(2**63 + 1)], [str(2**63)]),
        (pa.array([4711.0, None, float("nan")]), ["4711"], ["4712", "1" + "0" * 400]),
        (pa.array([16777217.0], pa.float32()), ["16777217"], ["16777219"]),
        (pa.array([Decimal(4711), None], pa.decimal128(20, 0)), ["4711"], ["47", "9" * 30]),
        (pa.array([Decimal("47.50"), Decimal(3)]), ["3"], ["47", "475"]),
        (["4711", None, "Ann"], ["4711", "Ann"], ["04711", " 4711", "ann", "An", "None", "null"]),
        (["J\u00fcrgen", "a=b"], ["J\u00fcrgen", "a=b"], ["Ju\u0308rgen", "Jurgen"]),
        (pa.array(["Ann", None], pa.large_string()), ["Ann"], ["Anne"]),
        (pa.array([b"Ann", None, b"\xff\xfe"]), ["Ann"], ["ann"]),
        (pa.array(["Ann", None, "Bob"]).dictionary_encode(), ["Bob"], ["Cleo"]),
        (pa.array([DAY, None]), ["2026-11-20"], ["2026-11-21"]),
        (pa.array([None, None], pa.int64()), [], ["0"]),
        (pa.array([], pa.string()), [], ["Ann"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("has_statistics", [True, False])
def test_values_are_equal_as_the_column_has_them(tmp_path, column, there, absent, has_statistics):
    file = write(tmp_path, column, write_statistics=has_statistics)
    for value in there:
        assert holds(file, value), value
        # any of several is enough
        assert holds(file, *absent, value)
    for value in absent:
        assert not holds(file, value), value
    assert not holds(file, *absent)


def test_of_the_columns_only_row_groups_that_may_hold_it_are_read(tmp_path):
    file = write(tmp_path, list(range(10_000)), n_groups=10)
    footer = pq.read_metadata(file.url)
    sizes = [footer.row_group(i).column(0).total_compressed_size for i in range(10)]
    found = look_for({"key": ["4711"]}, file, "")
    assert found.holds
    assert found.n_bytes == sizes[4] < file.size / 10
    assert look_for({"key": ["10000", "-1"]}, file, "").n_bytes == 0
    # of several, all that may hold any, until one does
    found = look_for({"key": ["-1", "10000", "2500", "9000"]}, file, "")
    assert found.holds
    assert found.n_bytes == sizes[2]
    # where statistics do not tell
    blind = write(tmp_path / "blind", list(range(10_000)), n_groups=10, write_statistics=False)
    footer = pq.read_metadata(blind.url)
    sizes = [footer.row_group(i).column(0).total_compressed_size for i in range(10)]
    assert look_for({"key": ["10000"]}, blind, "").n_bytes == sum(sizes)


def test_bounds_of_texts_that_statistics_have_cut_lose_none(tmp_path):
    long = ["\u00e9" * 3000 + letter for letter in "abcz"]
    file = write(tmp_path, [*long, "\u00e9"])
    assert all(holds(file, text) for text in long)
    assert not holds(file, "\u00e9" * 3000)


def test_columns_of_folders_count(tmp_path):
    write(tmp_path / "dt=2026-11-20" / "shop=07", [1, 2])
    (file,) = list_parquet(str(tmp_path))
    assert holds(file, "2026-11-20", column="dt")
    assert holds(file, "7", column="shop")
    assert not holds(file, "8", column="shop")
    assert look_for({"dt": ["2026-11-20"]}, file, "").n_bytes == 0


def test_a_column_that_is_not_there_is_told(tmp_path):
    file = write(tmp_path, [1, 2])
    found = look_for({"nokey": ["1"], "key": ["3"]}, file, "")
    assert (found.holds, found.lacks, found.columns) == (False, ("nokey",), ("key", "x"))
    assert look_for({"nokey": ["1"], "key": ["2"]}, file, "").holds


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ([1, 2], "4711a", r"key key=4711a: the column is int64; write a whole number"),
        ([1, 2], "1.0", "write a whole number"),
        ([1, 2], "\u0661", "write a whole number"),
        ([DAY], "20 Nov", "the column has dates; write it as 2026-11-20"),
        ([datetime.datetime(2026, 11, 20)], "2026-11-20", r"key column 'key' is timestamp"),
        ([True], "true", "'key' is bool; keys are whole numbers, texts or dates"),
        ([[1], [2]], "1", "'key' is list"),
    ],
    ids=str,
)
def test_what_no_value_of_the_column_can_be_is_refused(tmp_path, column, value, message):
    with pytest.raises(ArgumentError, match=message):
        holds(write(tmp_path, column), value)


def test_files_that_are_gone_changed_or_damaged_are_told(tmp_path):
    file = write(tmp_path, list(range(100)))
    data = (tmp_path / "part.parquet").read_bytes()
    write(tmp_path, list(range(101)))
    with pytest.raises(InputChanged):
        holds(file, "5")
    (tmp_path / "part.parquet").unlink()
    with pytest.raises(MissingInput):
        holds(file, "5")
    (tmp_path / "part.parquet").write_bytes(data[:-50])
    (file,) = list_parquet(str(tmp_path))
    with pytest.raises(UnreadableFile):
        holds(file, "5")
    # its first page is no page
    (tmp_path / "part.parquet").write_bytes(data[:4] + b"\xff" * 40 + data[44:])
    (file,) = list_parquet(str(tmp_path))
    with pytest.raises(UnreadableFile, match="damaged column 'key'"):
        holds(file, "5")


def test_keys_are_columns_with_values():
    assert parse_keys(["a=1", "b=x=y", "a=2", "a=1"]) == {"a": ("1", "2"), "b": ("x=y",)}
    for text in ("a", "=1", "a=", ""):
        with pytest.raises(ArgumentError, match="should be COLUMN=VALUE"):
            parse_keys([text])
