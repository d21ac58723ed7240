"""Columns of a few rows: the right ones, read from their row groups alone."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.errors import ArgumentError, UnreadableFile
from dkmeans.rows.row_lookup import lookup
from dkmeans.storage import parquet_file
from tests.conftest import write_parquet

N = 3000


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 2))


@pytest.fixture
def folder(tmp_path: Path, X: np.ndarray) -> Path:
    """Three files of ten row groups each, with an id and a text, sometimes null, beside."""
    texts = [None if i % 7 == 0 else f"row {i}" for i in range(N)]
    return write_parquet(
        tmp_path / "in", X, n_files=3, row_group_rows=100, id=np.arange(N) * 7, text=texts
    )


def rows_of(folder: Path | str, **options: object) -> Rows:
    return dkmeans.read_parquet(
        str(folder), **{"columns": ["f0", "f1"], "keys": ["id", "text"], **options}
    )


def test_rows_have_their_keys_in_the_order_in_which_they_are_asked_for(folder: Path) -> None:
    rows = rows_of(folder)
    numbers = [2999, 14, 15, 0, 1000, 15, 1999, 1234]
    found = lookup(rows, numbers, ("text", "id"))
    assert list(found) == ["text", "id"]
    assert found["id"] == [7 * number for number in numbers]
    assert found["text"] == [None if n % 7 == 0 else f"row {n}" for n in numbers]
    assert lookup(rows, np.arange(N).tolist(), ["id"])["id"] == (np.arange(N) * 7).tolist()
    assert lookup(rows, [], ["id"]) == {"id": []}
    assert lookup(rows, numbers, []) == {}


def test_only_the_row_groups_and_columns_that_are_asked_for_are_read(folder: Path) -> None:
    rows = rows_of(folder)
    lookup(rows, [5, 99, 2001], ["id"])
    expected = 0
    for name in ("part-0", "part-2"):
        group = pq.read_metadata(folder / f"{name}.parquet").row_group(0)
        columns = [group.column(i) for i in range(group.num_columns)]
        expected += sum(c.total_compressed_size for c in columns if c.path_in_schema == "id")
    assert rows.bytes_read == expected > 0
    assert (rows.n_passes, rows.rows_read) == (0, 0)


def test_row_numbers_are_those_of_blocks_whatever_filters_leave_out(folder: Path) -> None:
    rows = rows_of(folder, filters=[("id", ">=", 7 * 1500)], block_rows=50)
    block = rows.gather(2**30)
    numbers = block.row_numbers
    assert numbers[0] == 1500
    assert lookup(rows, numbers.tolist(), ["id"])["id"] == (numbers * 7).tolist()
    with pytest.raises(ArgumentError, match="row 3 is in none of the row groups"):
        lookup(rows, [1600, 3], ["id"])


def test_columns_of_folders_have_their_value(tmp_path: Path, X: np.ndarray) -> None:
    for year in (2019, 2024):
        part = tmp_path / "in" / f"year={year}"
        write_parquet(part, X[:30], n_files=1, row_group_rows=10, id=np.arange(30) + year)
    rows = rows_of(tmp_path / "in", keys=["year", "id"])
    assert rows.parquet is not None
    found = lookup(rows, [59, 3, 30], rows.parquet.keys)
    assert found == {"year": [2024, 2019, 2024], "id": [2053, 2022, 2024]}
    assert lookup(rows, [59, 3], ["year"]) == {"year": [2024, 2019]}


def test_nested_and_dated_columns_come_as_python_values(tmp_path: Path, X: np.ndarray) -> None:
    days = pa.array(range(N), pa.date32())
    tags = pa.array([[i, i + 1] for i in range(N)])
    folder = write_parquet(tmp_path / "in", X, row_group_rows=100, tags=tags, day=days)
    found = lookup(rows_of(folder, keys=["day"]), [1, 2500], ["tags", "day"])
    assert found["tags"] == [[1, 2], [2500, 2501]]
    assert [day.isoformat() for day in found["day"]] == ["1970-01-02", "1976-11-05"]


def test_other_rows_have_no_columns(X: np.ndarray) -> None:
    assert lookup(Rows.from_array(X), [1, 2], ["id"]) == {}


@pytest.mark.parametrize("number", [-1, N])
def test_rows_that_are_not_there_are_refused(folder: Path, number: int) -> None:
    with pytest.raises(ArgumentError, match=f"row {number} is in none"):
        lookup(rows_of(folder), [4, number], ["id"])


def test_unknown_columns_are_refused(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="column 'name' is not in the files; they have 'f0'"):
        lookup(rows_of(folder), [4], ["name"])


@pytest.mark.parametrize("skips", [False, True])
def test_a_damaged_row_group_is_refused_or_gives_no_values(folder: Path, skips: bool) -> None:
    rows = rows_of(folder, on_bad_file="skip" if skips else "raise")
    path = folder / "part-1.parquet"
    column = pq.read_metadata(path).row_group(2).column(2)
    assert column.path_in_schema == "id"
    stored = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    stored[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    changed = path.stat()
    path.write_bytes(bytes(stored))
    os.utime(path, ns=(changed.st_atime_ns, changed.st_mtime_ns))
    if skips:
        assert lookup(rows, [1250, 1350, 1], ["id"])["id"] == [None, 9450, 7]
    else:
        with pytest.raises(UnreadableFile, match=r"part-1.parquet \(row group 2\)"):
            lookup(rows, [1250], ["id"])


def test_other_stores_are_asked_once_for_each_row_group(
    X: np.ndarray, folder: Path, bucket: str, s3: dict
) -> None:
    fs = fsspec.filesystem("s3", **s3)
    for path in folder.iterdir():
        fs.put(str(path), f"{bucket}/in/{path.name}")
    rows = rows_of(f"{bucket}/in", storage_options=s3)
    found = lookup(rows, [1, 120, 2900], ["id"])
    assert found["id"] == [7, 840, 20300]
    # their footers were read when the rows were planned
    assert rows.known.n_requests == 3
    parquet_file._footers.clear()
    lookup(rows, [1, 120, 2900], ["id"])
    # two of the row groups are of one file, whose footer both may read at the same time
    assert 3 + 3 + 2 <= rows.known.n_requests <= 3 + 3 + 3


def test_workers_read_where_only_they_reach_the_files(client, folder: Path) -> None:
    rows = rows_of(folder, client=client)
    numbers = [2999, 14, 1500]
    found = lookup(rows, numbers, ["id", "text"])
    assert found == lookup(rows_of(folder), numbers, ["id", "text"])
