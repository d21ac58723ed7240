"""Damaged Parquet: good files, and for each kind of damage a function that spoils one of them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_ROWS = 120
"""Of each good file."""

GROUP_ROWS = 40

Spoil = Callable[[Path], object]


def values_of(number: int) -> np.ndarray:
    """The features of good file `number`: f0, f1 and two of v."""
    return np.random.default_rng(number).normal(size=(N_ROWS, 4))


def table_of(X: np.ndarray, **columns: pa.Array) -> pa.Table:
    """Rows as the columns f0, f1 and v, a list of two, with some replaced."""
    good = {"f0": pa.array(X[:, 0]), "f1": pa.array(X[:, 1]), "v": pa.array(X[:, 2:].tolist())}
    return pa.table({**good, **columns})


def write_good(folder: Path, n_files: int = 3) -> Path:
    """Write files a, b, c, ... of three row groups each, with page checksums."""
    folder.mkdir(parents=True)
    for number in range(n_files):
        _write(table_of(values_of(number)), folder / f"{'abcdefghij'[number]}.parquet")
    return folder


def _write(table: pa.Table, path: Path, **options: object) -> None:
    chosen = {"row_group_size": GROUP_ROWS, "write_page_checksum": True, "use_dictionary": False}
    pq.write_table(table, path, **{**chosen, **options})


def number_of(path: Path) -> int:
    """The number of a file that `write_good` wrote."""
    return ord(path.stem) - ord("a")


# not Parquet, or not all of it


def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


def a_few_bytes(path: Path) -> None:
    path.write_bytes(b"PAR1PAR1")


def text(path: Path) -> None:
    path.write_text("f0,f1,v\n1,2,3\n4,5,6\n")


def truncated_in_the_data(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def truncated_in_the_footer(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: -8 - _footer_bytes(content) // 2])


def without_the_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def wrong_magic_at_the_start(path: Path) -> None:
    path.write_bytes(b"XXXX" + path.read_bytes()[4:])


def wrong_magic_at_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4] + b"XXXX")


def wrong_magic_at_both_ends(path: Path) -> None:
    path.write_bytes(b"XXXX" + path.read_bytes()[4:-4] + b"XXXX")


def footer_longer_than_the_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + (2**31).to_bytes(4, "little") + b"PAR1")


def garbage_footer(path: Path) -> None:
    content = path.read_bytes()
    n_footer = _footer_bytes(content)
    path.write_bytes(content[: -8 - n_footer] + b"\xff" * n_footer + content[-8:])


def footer_of_zeros(path: Path) -> None:
    content = path.read_bytes()
    n_footer = _footer_bytes(content)
    path.write_bytes(content[: -8 - n_footer] + bytes(n_footer) + content[-8:])


def name_that_is_no_text(path: Path) -> None:
    content = path.read_bytes()
    n_footer = _footer_bytes(content)
    footer = content[-8 - n_footer :].replace(b"f1", b"\xcf\xff")
    path.write_bytes(content[: -8 - n_footer] + footer)


def _footer_bytes(content: bytes) -> int:
    return int.from_bytes(content[-8:-4], "little")


# a good footer, and damaged pages


def flip(path: Path, *, group: int = 1, column: int = 1, header: bool = False) -> None:
    """Flip bytes within a page, or its header, so that size and time of the file stay."""
    before = path.stat()
    chunk = pq.read_metadata(path).row_group(group).column(column)
    at = chunk.data_page_offset + (0 if header else chunk.total_compressed_size // 2)
    with path.open("r+b") as file:
        file.seek(at)
        content = file.read(16)
        file.seek(at)
        file.write(bytes(byte ^ 0xFF for byte in content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _page(compression: str, checksum: bool, header: bool = False) -> Spoil:
    def spoil(path: Path) -> None:
        # few different values, so that compression has something to do
        table = table_of(np.round(values_of(number_of(path)), 1))
        _write(table, path, compression=compression, write_page_checksum=checksum)
        flip(path, header=header)

    return spoil


page_none_checksum = _page("none", True)
page_snappy_checksum = _page("snappy", True)
page_zstd_checksum = _page("zstd", True)
page_none_unchecked = _page("none", False)
page_snappy_unchecked = _page("snappy", False)
page_zstd_unchecked = _page("zstd", False)
header_none_unchecked = _page("none", False, header=True)


# a footer that belongs to other pages


def with_footer_of(path: Path, body: pa.Table, footer: pa.Table) -> None:
    """Write the pages of one table under the footer of another, each chunk where it looks for
    it."""
    other = path.with_suffix(".other")
    options = {"use_dictionary": True, "compression": "none", "write_page_checksum": False}
    _write(body, path, row_group_size=N_ROWS, **options)
    _write(footer, other, row_group_size=N_ROWS, **options)
    (found,), (told,) = (_chunks(one) for one in (path, other))
    pages, end = path.read_bytes(), other.read_bytes()
    n_tail = _footer_bytes(end) + 8
    spoiled = bytearray(b"PAR1".ljust(len(end) - n_tail, b"\0"))
    for (start, n_bytes), (place, room) in zip(found, told, strict=True):
        chunk = pages[start : start + min(n_bytes, room)]
        spoiled[place : place + len(chunk)] = chunk
    path.write_bytes(bytes(spoiled) + end[-n_tail:])
    other.unlink()


def _chunks(path: Path) -> list[list[tuple[int, int]]]:
    """First byte and size of each column chunk, for each row group."""
    footer = pq.read_metadata(path)
    out = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        chunks = [group.column(i) for i in range(group.num_columns)]
        out.append(
            [
                (
                    chunk.dictionary_page_offset or chunk.data_page_offset,
                    chunk.total_compressed_size,
                )
                for chunk in chunks
            ]
        )
    return out


def _ones(n_rows: int) -> pa.Table:
    """Rows of which any number takes the same few bytes."""
    return table_of(np.ones((n_rows, 4)))


def footer_with_more_rows_than_pages(path: Path) -> None:
    with_footer_of(path, table_of(values_of(5)[:80]), table_of(values_of(5)))


def footer_with_more_rows_than_pages_of_the_same_size(path: Path) -> None:
    with_footer_of(path, _ones(80), _ones(N_ROWS))


def footer_with_fewer_rows_than_pages(path: Path) -> None:
    with_footer_of(path, table_of(values_of(5)), table_of(values_of(5)[:80]))


def _with_nulls(n_nulls: int) -> pa.Table:
    f0 = [None] * n_nulls + [1.0] * (N_ROWS - n_nulls)
    return table_of(np.ones((N_ROWS, 4)), f0=pa.array(f0, pa.float64()))


def pages_with_more_nulls_than_the_footer_says(path: Path) -> None:
    with_footer_of(path, _with_nulls(5), _with_nulls(3))


def pages_with_fewer_nulls_than_the_footer_says(path: Path) -> None:
    with_footer_of(path, _with_nulls(3), _with_nulls(5))


def pages_with_nulls_that_the_footer_denies(path: Path) -> None:
    X = values_of(5)
    f0 = pa.array([None] * 3 + X[3:, 0].tolist())
    with_footer_of(path, table_of(X, f0=f0), table_of(X))


# other columns


def _columns(**columns: Callable[[np.ndarray], pa.Array]) -> Spoil:
    """Write a whole file of the same rows in which some columns are another thing."""

    def spoil(path: Path) -> None:
        X = values_of(number_of(path))
        _write(table_of(X, **{name: make(X) for name, make in columns.items()}), path)

    return spoil


text_column = _columns(f0=lambda X: pa.array([f"{x:.3f}" for x in X[:, 0]]))
struct_column = _columns(f0=lambda X: pa.array([{"x": x} for x in X[:, 0]]))
date_column = _columns(f0=lambda X: pa.array(np.arange(len(X)), pa.int32()).cast(pa.date32()))
null_column = _columns(f0=lambda X: pa.nulls(len(X)))
list_for_number = _columns(f0=lambda X: pa.array(X[:, :1].tolist()))
number_for_list = _columns(v=lambda X: pa.array(X[:, 2]))
list_of_text = _columns(v=lambda X: pa.array([["a", "b"]] * len(X)))
wider_list = _columns(v=lambda X: pa.array(X[:, 1:].tolist()))
wider_fixed_list = _columns(v=lambda X: pa.array(X[:, 1:].tolist(), pa.list_(pa.float64(), 3)))


def missing_column(path: Path) -> None:
    _write(table_of(values_of(number_of(path))).drop_columns("f1"), path)


def column_twice(path: Path) -> None:
    table = table_of(values_of(number_of(path)))
    _write(table.append_column("f0", table.column("f1")), path)


# what looks odd and is fine


def rounded(X: np.ndarray) -> np.ndarray:
    """What the files hold, those of whole numbers aside."""
    return np.round(X, 2)


def _fine(**columns: Callable[[np.ndarray], pa.Array]) -> Spoil:
    def spoil(path: Path) -> None:
        X = rounded(values_of(number_of(path)))
        _write(table_of(X, **{name: make(X) for name, make in columns.items()}), path)

    return spoil


decimal_column = _fine(f0=lambda X: pa.array(X[:, 0]).cast(pa.decimal128(12, 2), safe=False))
float32_column = _fine(f0=lambda X: pa.array(X[:, 0], pa.float32()))
fixed_list = _fine(v=lambda X: pa.array(X[:, 2:].tolist(), pa.list_(pa.float64(), 2)))
float32_list = _fine(v=lambda X: pa.array(X[:, 2:].tolist(), pa.large_list(pa.float32())))
another_column = _fine(more=lambda X: pa.array(["x"] * len(X)))


def whole_numbers(path: Path) -> None:
    X = whole(values_of(number_of(path)))
    _write(table_of(X, f0=pa.array(X[:, 0], pa.int8())), path)


def truth_values(path: Path) -> None:
    X = whole(values_of(number_of(path)))
    _write(table_of(X, f0=pa.array(X[:, 0] == 1)), path)


def whole(X: np.ndarray) -> np.ndarray:
    """Rows of which f0 is 0 or 1."""
    return np.column_stack([(X[:, 0] > 0).astype(float), X[:, 1:]])


def reordered_columns(path: Path) -> None:
    _write(table_of(rounded(values_of(number_of(path)))).select(["v", "f1", "f0"]), path)


def no_rows(path: Path) -> None:
    _write(table_of(np.empty((0, 4)), v=pa.array([], pa.list_(pa.float64()))), path)


def empty_row_groups(path: Path) -> None:
    table = table_of(rounded(values_of(number_of(path))))
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, stop in ((0, 0), (0, 50), (50, 50), (50, N_ROWS), (N_ROWS, N_ROWS)):
            writer.write_table(table.slice(start, stop - start))
