"""Opening Parquet files: how many requests they take, and which bytes."""

import threading

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import dkmeans
from dkmeans.errors import InputChanged
from dkmeans.storage.listing import list_parquet
from dkmeans.storage.parquet_file import fetch_row_group, read_footer
from tests.rows.seen import see


class Requests(list):
    """The byte ranges that were asked for, as (path, start, end)."""

    @property
    def n_bytes(self):
        return sum(end - start for _, start, end in self)


@pytest.fixture
def requests(monkeypatch):
    """Notes what is fetched from the memory filesystem, which stands for an object store."""
    noted, lock = Requests(), threading.Lock()

    def noting(self, path, start=None, end=None):
        content = self.store[self._strip_protocol(path)].getvalue()[start:end]
        with lock:
            noted.append((path, start or 0, (start or 0) + len(content)))
        return content

    opened = MemoryFileSystem._open

    def only_for_writing(self, path, mode="rb", **options):
        assert mode != "rb", "files are read by ranges, never opened as streams"
        return opened(self, path, mode, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", noting)
    monkeypatch.setattr(MemoryFileSystem, "_open", only_for_writing)
    return noted


@pytest.fixture
def put(tmp_path):
    """Write a table to the memory filesystem and return its URL."""
    memory = fsspec.filesystem("memory")

    def write(name, table, **options):
        pq.write_table(table, tmp_path / name, **options)
        memory.pipe(f"/{tmp_path.name}/{name}", (tmp_path / name).read_bytes())
        return f"memory://{tmp_path.name}/{name}"

    yield write
    if memory.exists(f"/{tmp_path.name}"):
        memory.rm(f"/{tmp_path.name}", recursive=True)


def table_of(n_rows, n_columns, **columns):
    rng = np.random.default_rng(n_columns)
    return pa.table({f"f{i}": rng.normal(size=n_rows) for i in range(n_columns)} | columns)


def test_a_small_footer_takes_one_request(put, requests):
    (file,) = list_parquet(put("small.parquet", table_of(50_000, 4)))
    footer = read_footer(file, "")
    assert (footer.num_rows, footer.num_columns) == (50_000, 4)
    assert len(requests) == 1
    assert requests.n_bytes <= 64 * 1024 < file.size


def test_a_footer_that_was_read_is_not_fetched_again(put, requests):
    (file,) = list_parquet(put("again.parquet", table_of(10, 2)))
    first = read_footer(file, "")
    assert read_footer(file, "") is first
    assert len(requests) == 1


def test_a_file_of_the_same_name_but_other_content_is_another_file(put):
    (file,) = list_parquet(put("same.parquet", table_of(10, 2)))
    assert read_footer(file, "").num_rows == 10
    (file,) = list_parquet(put("same.parquet", table_of(20, 2)))
    assert read_footer(file, "").num_rows == 20


def test_a_footer_larger_than_the_first_fetch_takes_a_second_request(put, requests):
    table = table_of(20, 1500)
    (file,) = list_parquet(put("wide.parquet", table, row_group_size=5))
    footer = read_footer(file, "")
    assert footer.serialized_size > 64 * 1024
    assert (footer.num_row_groups, footer.num_columns) == (4, 1500)
    assert len(requests) == 2
    assert footer.schema.to_arrow_schema().names == table.column_names


def with_note(path, n_letters):
    """Write a file whose footer holds a note, and return the bytes from the footer on."""
    with pq.ParquetWriter(path, table_of(3, 1).schema, store_schema=False) as writer:
        writer.write_table(table_of(3, 1))
        writer.add_key_value_metadata({"note": "n" * n_letters})
    return pq.read_metadata(path).serialized_size + 8


@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
def test_a_footer_just_as_long_as_the_first_fetch_is_read(tmp_path, beyond):
    n_letters = 65_000 + 65_536 + beyond - with_note(tmp_path / "edge.parquet", 65_000)
    assert with_note(tmp_path / "edge.parquet", n_letters) == 65_536 + beyond
    (file,) = list_parquet(str(tmp_path / "edge.parquet"))
    footer = read_footer(file, "")
    assert footer.metadata[b"note"] == b"n" * n_letters
    assert footer.num_rows == 3


def test_planning_reads_footers_and_a_pass_one_range_a_row_group(put, requests):
    table = table_of(60_000, 3)
    urls = [put(f"{i}.parquet", table, row_group_size=20_000) for i in range(4)]
    rows = dkmeans.read_parquet(urls, dtype="float64", block_rows=20_000, stage="none")
    assert len(requests) == 4
    assert requests.n_bytes <= 4 * 64 * 1024
    requests.clear()
    seen = see(rows)
    assert len(seen.block_rows) == len(requests) == 12
    assert requests.n_bytes == rows.bytes_read
    np.testing.assert_array_equal(seen.X[:60_000, 1], table["f1"])


def test_columns_that_lie_apart_are_fetched_apart_and_near_ones_together(put, requests):
    noise = np.random.default_rng(0).bytes(40 * 4096)
    gap = pa.array([noise[i : i + 4096] for i in range(0, len(noise), 4096)])
    columns = {name: np.arange(40.0) for name in "abcd"}
    table = pa.table(
        {"a": columns["a"], "b": columns["b"], "gap": gap, "c": columns["c"], "small": ["x"] * 40}
        | {"d": columns["d"]}
    )
    rows = dkmeans.read_parquet(put("gap.parquet", table))
    assert rows.feature_names == ("a", "b", "c", "d")
    requests.clear()
    np.testing.assert_array_equal(see(rows).X, np.column_stack([np.arange(40.0)] * 4))
    assert len(requests) == 2
    assert requests.n_bytes < 10_000


def test_the_bytes_of_a_row_group_are_those_of_its_column_chunks(put, requests):
    url = put("chunks.parquet", table_of(1000, 5), row_group_size=400)
    (file,) = list_parquet(url)
    footer = read_footer(file, "")
    requests.clear()
    fetched = fetch_row_group(file, "", 1, [1, 4])
    parquet = fetched.open()
    table = parquet.read_row_group(1, columns=["f1", "f4"])
    parquet.close()
    group = footer.row_group(1)
    assert fetched.n_bytes == sum(group.column(i).total_compressed_size for i in (1, 4))
    assert table.equals(table_of(1000, 5).select(["f1", "f4"]).slice(400, 400))
    assert len(requests) == fetched.n_requests == 1


def test_columns_with_dictionaries_are_fetched_with_their_dictionary(put, requests):
    table = pa.table({"f": np.arange(5000) % 7 / 1.0, "g": np.arange(5000) % 3})
    rows = dkmeans.read_parquet(put("dictionary.parquet", table, use_dictionary=True))
    requests.clear()
    np.testing.assert_array_equal(see(rows).X, np.column_stack([table["f"], table["g"]]))
    assert len(requests) == 1
    assert requests.n_bytes == rows.bytes_read


def test_a_file_of_another_size_than_planned_is_refused(put):
    rows = dkmeans.read_parquet(put("changed.parquet", table_of(5000, 2)), stage="none")
    see(rows)
    put("changed.parquet", table_of(700, 2))
    with pytest.raises(InputChanged, match=r"changed\.parquet"):
        see(rows)


def test_row_groups_of_a_bucket_are_read_by_ranges(s3, bucket, tmp_path):
    table = table_of(30_000, 3)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10_000)
    fsspec.filesystem("s3", **s3).put(str(tmp_path / "a.parquet"), f"{bucket}/a.parquet")
    rows = dkmeans.read_parquet(
        f"{bucket}/a.parquet", columns=["f2"], dtype="float64", storage_options=s3
    )
    np.testing.assert_array_equal(see(rows).X[:, 0], table["f2"])
