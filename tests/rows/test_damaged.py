"""A corpus of damaged Parquet: the exact error that each kind gets, and what skipping leaves."""

import logging
import re
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans.errors import InputRefused, SchemaMismatch, TooFewRows, UnreadableFile
from tests.rows import damaged
from tests.rows.seen import see

read = partial(dkmeans.read_parquet, dtype="float64", block_rows=50)

AGAIN = "write it again or leave it out."
FILE_AGAIN = "write the file again or leave it out."
ARROW = "<what Arrow says>"
PAGE = f"{{b}} (row group 1) is damaged: {ARROW}; {FILE_AGAIN}"
BODY = f"{{b}} (row group 0) is damaged: {ARROW}; {FILE_AGAIN}"
LISTS = "an embedding column needs lists of one length without nulls"
WIDER = "; ".join(
    f"column 'v' of {{b}} (row group {number}) has 3 values a row, not 2; {LISTS}"
    for number in range(3)
)

BROKEN_FILES = [
    (damaged.zero_bytes, "{b} has 0 bytes, too few for Parquet."),
    (damaged.a_few_bytes, "{b} has 8 bytes, too few for Parquet."),
    (damaged.text, f"{{b}} is not a Parquet file; {AGAIN}"),
    (damaged.truncated_in_the_data, f"{{b}} is truncated; {AGAIN}"),
    (damaged.truncated_in_the_footer, f"{{b}} is truncated; {AGAIN}"),
    (damaged.without_the_last_byte, f"{{b}} is truncated; {AGAIN}"),
    (damaged.wrong_magic_at_the_end, f"{{b}} is truncated; {AGAIN}"),
    (damaged.wrong_magic_at_both_ends, f"{{b}} is not a Parquet file; {AGAIN}"),
    (
        damaged.footer_longer_than_the_file,
        "{b} is damaged: its footer is longer than the file.",
    ),
    (damaged.garbage_footer, f"{{b}} has a damaged footer: {ARROW}; {AGAIN}"),
    (damaged.name_that_is_no_text, f"{{b}} has a damaged footer: {ARROW}; {AGAIN}"),
    (damaged.footer_of_zeros, f"{{b}} has a damaged footer: {ARROW}; {AGAIN}"),
]
OTHER_COLUMNS = [
    (damaged.missing_column, "column 'f1' is missing from {b}."),
    (damaged.column_twice, "column 'f0' occurs 2 times in {b}."),
    (damaged.text_column, "column 'f0' is string in {b} but double in {a}."),
    (damaged.struct_column, "column 'f0' is struct<x: double> in {b} but double in {a}."),
    (damaged.date_column, "column 'f0' is date32[day] in {b} but double in {a}."),
    (damaged.null_column, "column 'f0' is null in {b} but double in {a}."),
    (damaged.list_for_number, "column 'f0' is list<element: double> in {b} but double in {a}."),
    (damaged.number_for_list, "column 'v' is double in {b} but list<element: double> in {a}."),
    (
        damaged.list_of_text,
        "column 'v' is list<element: string> in {b} but list<element: double> in {a}.",
    ),
    (damaged.wider_list, f"3 problems: {WIDER}."),
    (damaged.wider_fixed_list, f"3 problems: {WIDER}."),
]
AT_PLANNING = [(spoil, UnreadableFile, text) for spoil, text in BROKEN_FILES] + [
    (spoil, SchemaMismatch, text) for spoil, text in OTHER_COLUMNS
]
AT_READING = [
    (damaged.page_none_checksum, PAGE),
    (damaged.page_snappy_checksum, PAGE),
    (damaged.page_zstd_checksum, PAGE),
    (damaged.page_snappy_unchecked, PAGE),
    (damaged.page_zstd_unchecked, PAGE),
    (damaged.header_none_unchecked, PAGE),
    (damaged.footer_with_more_rows_than_pages, BODY),
    (damaged.footer_with_more_rows_than_pages_of_the_same_size, BODY),
    (damaged.footer_with_fewer_rows_than_pages, BODY),
    (
        damaged.pages_with_more_nulls_than_the_footer_says,
        f"{{b}} (row group 0) has 5 nulls in column 'f0' where its footer says 3; {FILE_AGAIN}",
    ),
    (
        damaged.pages_with_fewer_nulls_than_the_footer_says,
        f"{{b}} (row group 0) has 3 nulls in column 'f0' where its footer says 5; {FILE_AGAIN}",
    ),
    (
        damaged.pages_with_nulls_that_the_footer_denies,
        f"{{b}} (row group 0) has 3 nulls in column 'f0' where its footer says 0; {FILE_AGAIN}",
    ),
]
FINE = [
    (damaged.wrong_magic_at_the_start, None),
    (damaged.decimal_column, damaged.rounded),
    (damaged.float32_column, damaged.rounded),
    (damaged.whole_numbers, damaged.whole),
    (damaged.truth_values, damaged.whole),
    (damaged.fixed_list, damaged.rounded),
    (damaged.float32_list, damaged.rounded),
    (damaged.reordered_columns, damaged.rounded),
    (damaged.another_column, damaged.rounded),
    (damaged.empty_row_groups, damaged.rounded),
    (damaged.no_rows, lambda X: X[:0]),
]


def cases(table):
    names = {function: name for name, function in vars(damaged).items() if callable(function)}
    return [pytest.param(*case, id=names[case[0]]) for case in table]


@pytest.fixture
def folder(tmp_path):
    """Good files a, b and c."""
    return damaged.write_good(tmp_path / "data")


def assert_is(message, text, folder):
    """Assert that a message is a text to the letter, the words of Arrow aside."""
    expected = text.format(a=folder / "a.parquet", b=folder / "b.parquet")
    pattern = re.escape(expected).replace(re.escape(ARROW), ".+")
    assert re.fullmatch(pattern, message), message


def refusal(kind, action):
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert caught.value.exit_code == 3
    return str(caught.value)


def of_files(*numbers):
    return np.concatenate([damaged.values_of(number) for number in numbers])


def test_the_good_files_are_read(folder):
    seen = see(read(str(folder)))
    np.testing.assert_array_equal(seen.X, of_files(0, 1, 2))
    assert len(seen.block_rows) > 5


# what planning can know


@pytest.mark.parametrize(("spoil", "kind", "text"), cases(AT_PLANNING))
def test_planning_refuses_the_file_by_name(folder, spoil, kind, text):
    spoil(folder / "b.parquet")
    assert_is(refusal(kind, lambda: read(str(folder))), text, folder)


@pytest.mark.parametrize(("spoil", "kind", "text"), cases(AT_PLANNING))
def test_all_bad_files_are_named_together(folder, spoil, kind, text):
    spoil(folder / "b.parquet")
    damaged.zero_bytes(folder / "c.parquet")
    with pytest.raises(InputRefused) as caught:
        read(str(folder))
    n_problems = 4 if text.startswith("3 problems") else 2
    head, *problems = re.split(": |; (?=column|/)", str(caught.value), maxsplit=1)
    assert head == f"{n_problems} problems"
    alone = text.removeprefix("3 problems: ").rstrip(".")
    other = f"{folder}/c.parquet has 0 bytes, too few for Parquet"
    # footers are read before columns are compared
    both = f"{alone}; {other}." if kind is UnreadableFile else f"{other}; {alone}."
    assert_is(problems[0], both, folder)


@pytest.mark.parametrize(("spoil", "kind", "text"), cases(AT_PLANNING))
def test_skipping_leaves_the_file_out_whole_at_planning(folder, caplog, spoil, kind, text):
    spoil(folder / "b.parquet")
    with caplog.at_level(logging.WARNING, "dkmeans"):
        rows = read(str(folder), on_bad_file="skip")
    assert rows.shape == (240, 4)
    np.testing.assert_array_equal(see(rows).X, of_files(0, 2))
    ((url, reason),) = rows.parquet.skipped
    assert url == f"{folder}/b.parquet"
    if not text.startswith("3 problems"):
        assert_is(reason, text, folder)
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warned == [f"left out: {folder}/b.parquet ({reason})"]


@pytest.mark.parametrize(("spoil", "text"), cases(BROKEN_FILES))
def test_the_first_file_may_be_the_one_that_is_left_out(folder, spoil, text):
    spoil(folder / "a.parquet")
    rows = read(str(folder), on_bad_file="skip")
    np.testing.assert_array_equal(see(rows).X, of_files(1, 2))
    assert [url for url, _ in rows.parquet.skipped] == [f"{folder}/a.parquet"]


@pytest.mark.parametrize(
    "spoil", [damaged.missing_column, damaged.column_twice, damaged.text_column]
)
def test_a_first_file_without_the_columns_that_are_named_is_left_out_too(folder, spoil):
    spoil(folder / "a.parquet")
    rows = read(str(folder), columns=["f0", "f1"], on_bad_file="skip")
    np.testing.assert_array_equal(see(rows).X, of_files(1, 2)[:, :2])
    assert [url for url, _ in rows.parquet.skipped] == [f"{folder}/a.parquet"]


def test_a_column_that_is_named_and_is_there_twice_is_refused(folder):
    damaged.column_twice(folder / "a.parquet")
    message = refusal(SchemaMismatch, lambda: read(str(folder), columns=["f0", "f1"]))
    assert f"column 'f0' occurs 2 times in {folder}/a.parquet" in message


def test_more_bad_files_than_may_be_are_refused_at_planning(folder):
    damaged.zero_bytes(folder / "b.parquet")
    damaged.missing_column(folder / "c.parquet")
    skipping = partial(read, str(folder), on_bad_file="skip")
    assert skipping(max_bad_files=2).shape == (120, 4)
    message = refusal(UnreadableFile, lambda: skipping(max_bad_files=1))
    assert message.startswith("2 files cannot be read, more than max_bad_files=1: ")
    assert f"{folder}/b.parquet has 0 bytes, too few for Parquet." in message
    assert f"column 'f1' is missing from {folder}/c.parquet." in message


def test_if_no_file_is_left_all_are_named(folder):
    for part in folder.iterdir():
        damaged.text(part)
    message = refusal(UnreadableFile, lambda: read(str(folder), on_bad_file="skip"))
    for name in "abc":
        assert f"{folder}/{name}.parquet is not a Parquet file" in message


# what only reading can know


@pytest.mark.parametrize(("spoil", "text"), cases(AT_READING))
def test_reading_refuses_the_file_by_name(folder, spoil, text):
    spoil(folder / "b.parquet")
    assert_is(refusal(UnreadableFile, reading(folder)), text, folder)


def reading(folder, **options):
    """Read rows whose planning finds nothing wrong, nulls being dropped."""
    rows = read(str(folder), missing="drop", **options)
    assert rows.parquet.skipped == ()
    return lambda: see(rows)


@pytest.mark.parametrize(("spoil", "text"), cases(AT_READING))
@pytest.mark.parametrize("stage", ["none", "memory"])
def test_skipping_leaves_the_file_out_whole_in_a_pass(folder, spoil, text, stage):
    spoil(folder / "b.parquet")
    told = pq.read_metadata(folder / "b.parquet").num_rows
    rows = read(str(folder), missing="drop", on_bad_file="skip", stage=stage)
    for _ in range(2):
        seen = see(rows)
        np.testing.assert_array_equal(seen.X, of_files(0, 2))
        # the footer could be read: rows after it keep their numbers
        assert seen.row_numbers.tolist() == [*range(120), *range(120 + told, 240 + told)]
    ((url, reason),) = rows.parquet.skipped
    assert url == f"{folder}/b.parquet"
    assert_is(reason, text, folder)


def test_pages_that_end_before_the_rows_of_the_footer_are_counted(folder):
    damaged.footer_with_more_rows_than_pages_of_the_same_size(folder / "b.parquet")
    message = refusal(UnreadableFile, reading(folder, columns=["f0", "f1"]))
    text = f"{{b}} (row group 0) has 80 rows where its footer says 120; {FILE_AGAIN}"
    assert_is(message, text, folder)


def test_bad_files_of_planning_and_of_passes_count_together(folder):
    damaged.zero_bytes(folder / "a.parquet")
    damaged.flip(folder / "b.parquet")
    skipping = partial(read, str(folder), on_bad_file="skip")
    np.testing.assert_array_equal(see(skipping(max_bad_files=2)).X, of_files(2))
    rows = skipping(max_bad_files=1)
    message = refusal(UnreadableFile, lambda: see(rows))
    assert_is(
        message,
        f"2 files cannot be read, more than max_bad_files=1: {{a}} has 0 bytes, too few for "
        f"Parquet.; {PAGE}",
        folder,
    )


def test_if_no_file_is_left_in_a_pass_the_job_ends(folder):
    for part in folder.iterdir():
        damaged.flip(part, group=2)
    rows = read(str(folder), on_bad_file="skip")
    message = refusal(TooFewRows, lambda: see(rows))
    assert message == "no file is left: all 3 that hold rows cannot be read."


def test_a_column_that_is_not_read_may_be_damaged(folder):
    damaged.flip(folder / "b.parquet", column=1)
    seen = see(read(str(folder), columns=["v", "f0"]))
    np.testing.assert_array_equal(seen.X, of_files(0, 1, 2)[:, [2, 3, 0]])


def test_without_checksum_and_compression_nothing_tells_of_a_flipped_value(folder):
    damaged.page_none_unchecked(folder / "b.parquet")
    seen = see(read(str(folder), columns=["f1"]))
    stored = pq.read_table(folder / "b.parquet", columns=["f1"])["f1"].to_numpy()
    np.testing.assert_array_equal(seen.X[120:240, 0], stored)
    assert (stored != np.round(damaged.values_of(1)[:, 1], 1)).sum() in (2, 3)


# what is fine


@pytest.mark.parametrize(("spoil", "expected"), cases(FINE))
def test_what_only_looks_odd_is_read(folder, spoil, expected):
    spoil(folder / "b.parquet")
    X = [damaged.values_of(number) for number in range(3)]
    X[1] = X[1] if expected is None else expected(X[1])
    for policy in ("raise", "skip"):
        rows = read(str(folder), on_bad_file=policy)
        np.testing.assert_allclose(see(rows).X, np.concatenate(X), rtol=1e-7)
        assert rows.parquet.skipped == ()


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.float64()])
def test_a_partition_column_that_is_stored_too_is_what_the_folders_say(tmp_path, kind):
    for number in range(3):
        folder = tmp_path / "data" / f"day={number}"
        folder.mkdir(parents=True)
        stored = pa.array([7] * damaged.N_ROWS).cast(kind)
        table = damaged.table_of(damaged.values_of(number), day=stored)
        pq.write_table(table, folder / "part.parquet", row_group_size=50)
    url = str(tmp_path / "data")
    np.testing.assert_array_equal(see(read(url)).X, of_files(0, 1, 2))
    seen = see(read(url, columns=["f0", "day"], filters=("day", ">=", 1)))
    np.testing.assert_array_equal(seen.X[:, 0], of_files(1, 2)[:, 0])
    np.testing.assert_array_equal(seen.X[:, 1], np.repeat([1, 2], damaged.N_ROWS))
