"""Partitions: which files belong together, chosen without opening any."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans import list_partitions, read_parquet
from dkmeans.errors import ArgumentError, InputChanged, MissingInput, TooFewRows
from dkmeans.rows import footers
from dkmeans.storage.filesystem import remember


def write(path, first: int, n: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(first, first + n, dtype=float)
    pq.write_table(pa.table({"x": values, "y": -values}), path)


@pytest.fixture
def days(tmp_path) -> str:
    """Three days of two hours, one of which has two files."""
    for day in (9, 10, 11):
        for hour in (0, 12):
            write(tmp_path / "lake" / f"dt=2026-11-{day:02}" / f"hour={hour}" / "a.parquet", day)
    write(tmp_path / "lake" / "dt=2026-11-10" / "hour=0" / "b.parquet", 50)
    return str(tmp_path / "lake")


def names(partitions) -> list[str]:
    return [one.name for one in partitions]


def test_folders_are_partitions_by_all_their_columns_or_by_some(days):
    assert names(list_partitions(days)) == [
        f"dt=2026-11-{day:02}/hour={hour}" for day in (9, 10, 11) for hour in (0, 12)
    ]
    found = list_partitions(days, by="dt")
    assert names(found) == ["dt=2026-11-09", "dt=2026-11-10", "dt=2026-11-11"]
    assert [len(one.files) for one in found] == [2, 3, 2]
    assert found[1].n_bytes == sum(os.path.getsize(url) for url in found[1].urls)
    # integers are sorted as such
    assert names(list_partitions(days, by=["hour"])) == ["hour=0", "hour=12"]


def test_files_are_partitions_where_folders_have_no_names(tmp_path, days):
    write(tmp_path / "plain" / "b.parquet", 0)
    write(tmp_path / "plain" / "sub" / "a.parquet", 0)
    assert names(list_partitions(str(tmp_path / "plain"))) == ["b.parquet", "sub/a.parquet"]
    assert len(list_partitions(days, by="file")) == 7
    assert names(list_partitions(tmp_path / "plain" / "b.parquet")) == ["b.parquet"]


def test_filters_on_folders_choose_partitions_and_leave_their_names_alone(days):
    every = {one.name: one.fingerprint for one in list_partitions(days, by="dt")}
    for first in ("2026-11-10", "2026-11-09"):
        found = list_partitions(days, by="dt", filters=("dt", ">=", first))
        assert [one.fingerprint for one in found] == [
            mark for name, mark in every.items() if name >= f"dt={first}"
        ]
    with pytest.raises(TooFewRows, match="no partition passes"):
        list_partitions(days, filters=("dt", "==", "2026-12-01"))


def test_filters_on_rows_are_a_part_of_a_partition(days):
    filters = [("dt", ">", "2026-11-09"), ("x", "<", 52)]
    first, second = list_partitions(days, by="dt", filters=filters)
    assert first.fingerprint != list_partitions(days, by="dt")[1].fingerprint
    assert read_parquet(first).gather(10**6).n_rows == 22
    assert read_parquet(second).gather(10**6).n_rows == 20
    with pytest.raises(ArgumentError, match="pass them to list_partitions"):
        read_parquet(first, filters=filters)
    mixed = [[("dt", "==", "2026-11-09"), ("hour", "==", 0)], [("x", ">", 10)]]
    with pytest.raises(ArgumentError, match="dt=2026-11-09"):
        list_partitions(days, by="dt", filters=mixed)


def test_a_partition_that_was_rewritten_has_another_fingerprint(days):
    before = list_partitions(days, by="dt")
    changed = before[1].urls[0]
    os.utime(changed, (1, 1))
    after = list_partitions(days, by="dt")
    assert [a.fingerprint == b.fingerprint for a, b in zip(before, after, strict=True)] == [
        True,
        False,
        True,
    ]
    # what was listed is what is read, or nothing is
    with pytest.raises(InputChanged):
        read_parquet(before[1]).gather(10**6)


def test_listing_opens_no_file_and_reading_lists_none(days, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(footers, "read_footer", refuse)
        patch.setattr("dkmeans.rows.planning.read_footer", refuse)
        (partition,) = list_partitions(days, by="dt", filters=("dt", "==", "2026-11-10"))
    monkeypatch.setattr("dkmeans.rows.planning.list_parquet", refuse)
    rows = read_parquet(partition)
    assert rows.feature_names == ("x", "y")
    block = rows.gather(10**6)
    expected = [*range(10, 20), *range(50, 60), *range(10, 20)]
    np.testing.assert_array_equal(np.sort(block.X[:, 0]), np.sort(expected))


def test_what_cannot_be_is_refused(days, tmp_path):
    write(tmp_path / "mixed" / "dt=1" / "a.parquet", 0)
    write(tmp_path / "mixed" / "a.parquet", 0)
    with pytest.raises(ArgumentError, match=r"1 of 2 files.* lie in no folder dt="):
        list_partitions(str(tmp_path / "mixed"))
    assert len(list_partitions(str(tmp_path / "mixed"), by="file")) == 2
    with pytest.raises(ArgumentError, match="lie in no folder week="):
        list_partitions(days, by="week")
    with pytest.raises(ArgumentError, match=r"by=\[\]"):
        list_partitions(days, by=[])
    with pytest.raises(MissingInput):
        list_partitions(str(tmp_path / "nowhere"))


def test_partitions_of_a_store_are_pinned_by_their_etags(bucket, s3, tmp_path):
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    url = f"{bucket}/lake"
    for day in (1, 2):
        write(tmp_path / f"{day}.parquet", day)
        fs.put(str(tmp_path / f"{day}.parquet"), f"{url}/dt={day}/a.parquet")
    before = list_partitions(url, storage_options=s3)
    assert names(before) == ["dt=1", "dt=2"]
    rows = dkmeans.read_parquet(before[0], storage_options=s3)
    np.testing.assert_array_equal(rows.gather(10**6).X[:, 0], np.arange(1, 11))
    write(tmp_path / "other.parquet", 7)
    fs.put(str(tmp_path / "other.parquet"), f"{url}/dt=2/a.parquet")
    after = list_partitions(url, storage_options=s3)
    assert [a.fingerprint == b.fingerprint for a, b in zip(before, after, strict=True)] == [
        True,
        False,
    ]
    assert "test-secret" not in repr((before, remember(s3)))
