"""Row filters: every operator on rows, on row-group statistics, and on partition folders."""

import datetime
import operator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dkmeans
from dkmeans.errors import ArgumentError, InputRefused, TooFewRows, UnreadableFile
from dkmeans.rows.filters import parse_comparison, parse_filters, passing
from tests.conftest import write_parquet
from tests.rows.seen import see

COMPARISONS = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, values: value in values,
    "not in": lambda value, values: value not in values,
    "IN": lambda value, values: value in values,
}


@pytest.fixture
def sales(tmp_path):
    """900 rows in row groups of 50, sorted by time; row number r has f0 = r."""
    n = 900
    X = np.arange(n, dtype=float)[:, None]
    amount = (np.arange(n) % 90 - 45) / 2
    kind = np.array(["book", "car", "toy"])[np.arange(n) % 3]
    start = pd.Timestamp("2024-01-01")
    at = pa.array(pd.date_range(start, periods=n, freq="h"))
    day = pa.array([(start + pd.Timedelta(hours=i)).date() for i in range(n)])
    gaps = pa.array([None if i % 5 == 0 else i % 7 for i in range(n)], pa.int32())
    return write_parquet(
        tmp_path / "sales",
        X,
        row_group_rows=50,
        amount=amount,
        kind=kind,
        at=at,
        day=day,
        gaps=gaps,
        even=np.arange(n) % 2 == 0,
    )


def numbers(folder, filters, **options):
    """The source row numbers of the rows that pass, checked against the rows themselves."""
    rows = dkmeans.read_parquet(
        str(folder), columns=["f0"], filters=filters, block_rows=40, dtype="float64", **options
    )
    seen = see(rows)
    np.testing.assert_array_equal(seen.X.ravel(), seen.row_numbers)
    return seen.row_numbers.tolist()


@pytest.mark.parametrize("op", COMPARISONS)
def test_every_operator_keeps_the_rows_that_python_would_keep(sales, op):
    value = [3.5, -22.5] if op.lower().endswith("in") else 3.5
    amounts = [(i % 90 - 45) / 2 for i in range(900)]
    expected = [i for i, amount in enumerate(amounts) if COMPARISONS[op](amount, value)]
    assert 0 < len(expected) < 900
    assert numbers(sales, ("amount", op, value)) == expected


@pytest.mark.parametrize("op", COMPARISONS)
def test_a_null_passes_no_operator(sales, op):
    value = [3, 4] if op.lower().endswith("in") else 3
    expected = [i for i in range(900) if i % 5 and COMPARISONS[op](i % 7, value)]
    assert 0 < len(expected) < 720
    assert numbers(sales, ("gaps", op, value)) == expected


def test_a_list_is_and_and_a_list_of_lists_is_or(sales):
    toys = ("kind", "==", "toy")
    assert numbers(sales, [toys, ("f0", "<", 10)]) == [2, 5, 8]
    assert numbers(sales, [[toys, ("f0", "<", 10)], [("f0", ">=", 898)]]) == [2, 5, 8, 898, 899]
    assert numbers(sales, [[("f0", "<", 3)], [("f0", "<", 5)]]) == [0, 1, 2, 3, 4]


def test_text_booleans_times_and_dates_are_compared_in_their_own_type(sales):
    assert numbers(sales, [("kind", "in", ["car", "boat"]), ("f0", "<", 5)]) == [1, 4]
    assert numbers(sales, [("even", "==", True), ("f0", "<", 4)]) == [0, 2]
    noon = [("at", ">=", "2024-01-02 22:00:00"), ("at", "<", datetime.datetime(2024, 1, 3))]
    assert numbers(sales, noon) == [46, 47]
    assert numbers(sales, ("day", "==", "2024-01-02")) == list(range(24, 48))
    assert numbers(sales, ("day", "<=", datetime.date(2024, 1, 1))) == list(range(24))
    assert numbers(sales, ("f0", "==", "17")) == [17]
    assert numbers(sales, ("gaps", ">", 5.5)) == [i for i in range(900) if i % 5 and i % 7 == 6]


def test_row_groups_whose_statistics_exclude_every_row_are_not_read(sales):
    def rows(*filters):
        return dkmeans.read_parquet(
            str(sales), columns=["f0"], filters=list(filters), block_rows=50, stage="none"
        )

    whole = rows(("f0", "!=", -1.0))
    some = rows(("f0", ">=", 420.0), ("f0", "<", 470.0))
    assert (whole.n_blocks, some.n_blocks) == (18, 2)
    seen = see(some)
    assert seen.row_numbers.tolist() == list(range(420, 470))
    assert some.rows_read == 100
    assert some.bytes_read == some.parquet.n_bytes
    see(whole)
    assert some.bytes_read < whole.bytes_read / 5
    assert rows(("at", "<", datetime.datetime(2024, 1, 1, 3))).n_blocks == 1
    assert rows(("day", "==", datetime.date(2024, 1, 20))).n_blocks == 1
    assert rows(("f0", "in", [3.0, 899.0])).n_blocks == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=30),
    st.sampled_from(sorted(COMPARISONS)),
    st.integers(-4, 4),
)
def test_pruning_by_statistics_never_loses_a_row(tmp_path_factory, values, op, value):
    wanted = [value, value + 2] if op.lower().endswith("in") else value
    path = tmp_path_factory.mktemp("pruned") / "a.parquet"
    table = pa.table({"x": np.arange(len(values)), "v": pa.array(values, pa.int64())})
    pq.write_table(table, path, row_group_size=3)
    expected = [
        i for i, one in enumerate(values) if one is not None and COMPARISONS[op](one, wanted)
    ]
    try:
        rows = dkmeans.read_parquet(str(path), columns=["x"], filters=("v", op, wanted))
    except TooFewRows:
        assert expected == []
        return
    assert see(rows).X.ravel().tolist() == expected


def test_the_number_of_samples_is_known_after_a_pass(sales):
    rows = dkmeans.read_parquet(str(sales), columns=["f0"], filters=("f0", "<", 70))
    assert np.isnan(rows.shape[0])
    assert rows.shape[1] == 1
    assert rows.n_source_rows == 900
    see(rows)
    assert rows.shape == (70, 1)


def test_a_filter_that_keeps_all_rows_changes_no_row_number(sales):
    assert numbers(sales, ("amount", ">", -1000)) == list(range(900))


def test_filters_that_leave_nothing_are_refused(sales):
    with pytest.raises(TooFewRows, match=r"no row at .* passes the filters"):
        numbers(sales, ("f0", ">", 1e6))


# partition folders


@pytest.fixture
def lake(tmp_path):
    """year=2022..2024 / kind=a|b: 10 rows each, f0 = row number."""
    first = 0
    for year in (2022, 2023, 2024):
        for kind in ("a", "b%2Fc"):
            X = np.arange(first, first + 10, dtype=float)[:, None]
            write_parquet(tmp_path / "lake" / f"year={year}" / f"kind={kind}", X, n_files=1)
            first += 10
    return tmp_path / "lake"


def values(lake, filters):
    rows = dkmeans.read_parquet(str(lake), filters=filters, dtype="float64", block_rows=7)
    assert len(rows.parquet.files) >= 6
    files_read = {group.file for group in rows.parquet.row_groups}
    return see(rows).X.ravel().astype(int).tolist(), len(files_read)


@pytest.mark.parametrize(
    ("filters", "expected", "n_files"),
    [
        (("year", "==", 2023), range(20, 40), 2),
        (("year", "==", "2023"), range(20, 40), 2),
        (("year", "!=", 2023), [*range(20), *range(40, 60)], 4),
        (("year", "<", 2023), range(20), 2),
        (("year", "<=", 2023), range(40), 4),
        (("year", ">", "2023"), range(40, 60), 2),
        (("year", ">=", 2022.5), range(20, 60), 4),
        (("year", "in", ["2022", "2024"]), [*range(20), *range(40, 60)], 4),
        (("year", "not in", [2022, 2024]), range(20, 40), 2),
        (("kind", "==", "b/c"), [*range(10, 20), *range(30, 40), *range(50, 60)], 3),
        ([("year", "==", 2022), ("kind", "==", "a"), ("f0", ">", 7)], [8, 9], 1),
        ([[("year", "==", 2022), ("f0", "<", 1)], [("kind", "==", "a"), ("year", ">", 2023)]],
         [0, *range(40, 50)], 2),
        ([[("year", "==", 2022)], [("f0", ">", 57)]], [*range(20), 58, 59], 3),
    ],
)  # fmt: skip
def test_files_and_row_groups_that_cannot_pass_are_not_read(lake, filters, expected, n_files):
    assert values(lake, filters) == (list(expected), n_files)


def test_a_null_partition_passes_no_comparison(lake):
    X = np.full((3, 1), 99.0)
    write_parquet(lake / "year=__HIVE_DEFAULT_PARTITION__" / "kind=a", X, n_files=1)
    assert values(lake, ("year", ">", 2023))[0] == list(range(40, 60))
    rows = dkmeans.read_parquet(str(lake), filters=("year", "!=", 2023))
    assert 99 not in see(rows).X
    assert see(dkmeans.read_parquet(str(lake))).X.tolist().count([99.0]) == 3


def test_a_bad_file_in_a_folder_that_is_filtered_away_is_named_too(lake):
    # its rows are numbered and written with nulls, so they must be known
    (lake / "year=2022" / "kind=a" / "part-0.parquet").write_bytes(b"no Parquet, but long enough")
    with pytest.raises(UnreadableFile, match="year=2022"):
        values(lake, ("year", ">", 2022))


def test_no_partition_left_is_refused(lake):
    with pytest.raises(TooFewRows, match="passes the filters on its partition columns"):
        values(lake, ("year", "==", 1999))


@pytest.mark.parametrize("value", ["last", datetime.date(2023, 1, 1), [2023]])
@pytest.mark.parametrize("op", ["<", ">="])
def test_a_value_that_no_partition_can_be_compared_with_is_refused(lake, value, op):
    with pytest.raises(ArgumentError, match="year"):
        values(lake, ("year", op, value))


@pytest.mark.parametrize("asked", [{"columns": ["year", "f0"]}, {"filters": ("year", ">", 2022)}])
def test_a_file_outside_of_the_partition_folders_that_are_asked_for_is_refused(lake, asked):
    write_parquet(lake, np.full((2, 1), 77.0), n_files=1)
    with pytest.raises(InputRefused, match=r"'year' is missing from .*lake/part-0\.parquet"):
        see(dkmeans.read_parquet(str(lake), **asked))


# forms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amount > 0", ("amount", ">", 0)),
        ("amount>=-1.5e3", ("amount", ">=", -1500.0)),
        ("kind == toy", ("kind", "==", "toy")),
        ("kind = 'a b'", ("kind", "==", "a b")),
        ('kind != "x > y"', ("kind", "!=", "x > y")),
        ("kind in ['a', 'b']", ("kind", "in", ["a", "b"])),
        ("kind not in ('a', 'b')", ("kind", "not in", ("a", "b"))),
        ("valid == true", ("valid", "==", True)),
        ("valid == False", ("valid", "==", False)),
        ("day < 2024-01-31", ("day", "<", "2024-01-31")),
        ("unit price <= 3", ("unit price", "<=", 3)),
        ("inside == 1", ("inside", "==", 1)),
        ("bin in [1]", ("bin", "in", [1])),
    ],
)
def test_comparisons_of_the_command_line_are_parsed(text, expected):
    parsed = parse_comparison(text)
    assert parsed == expected
    assert type(parsed[2]) is type(expected[2])


@pytest.mark.parametrize("text", ["amount", "amount >", "> 3", "", "amount ~ 3"])
def test_what_is_no_comparison_is_refused(text):
    with pytest.raises(ArgumentError, match="should look like 'amount > 0'"):
        parse_comparison(text)


def test_a_date_of_the_command_line_filters_a_date_column(sales):
    assert numbers(sales, parse_comparison("day < 2024-01-02")) == list(range(24))


def test_the_three_forms_of_filters_mean_the_same():
    one = ("a", ">", 1)
    assert parse_filters(one) == parse_filters([one]) == parse_filters([[one]])
    assert parse_filters(["a", ">", 1]) == parse_filters(one)
    assert parse_filters(None) == parse_filters([]) == ()


@pytest.mark.parametrize(
    "filters",
    ["a > 1", [("a", ">")], [[]], [[("a", ">", 1)], []], [("a", ">", 1), []], 5, {"a": 1}],
)
def test_filters_of_another_form_are_refused(filters):
    with pytest.raises(ArgumentError, match="filters="):
        parse_filters(filters)


@pytest.mark.parametrize(
    "comparison", [("a", "in", ["x", 1]), ("a", "==", object()), ("a", "<", 10**30)]
)
def test_values_that_no_column_can_hold_are_refused(comparison):
    with pytest.raises(ArgumentError, match=r"filter a (in|==|<) "):
        passing(parse_filters(comparison), pa.record_batch({"a": [1, 2]}))


def test_rows_pass_in_memory_as_they_do_in_files():
    batch = pa.record_batch({"a": [1, 2, None, 4], "b": ["x", None, "x", "y"]})
    filters = parse_filters([[("a", ">", 1), ("b", "==", "x")], [("b", "==", "y")]])
    assert passing(filters, batch).tolist() == [False, False, False, True]
    assert passing(parse_filters([("a", "<", 3)]), batch).tolist() == [True, True, False, False]
