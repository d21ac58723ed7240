"""Columns of tables become a matrix, by name, whatever holds their numbers."""

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dkmeans.errors import FeaturesMismatch
from dkmeans.models.columns import FeatureColumn, feature_names, matrix, numbers_from_arrow

EMBEDDING = FeatureColumn("e", 2)


def test_a_column_of_lists_gives_a_feature_for_each_place() -> None:
    assert FeatureColumn("a").features == ("a",)
    assert feature_names([FeatureColumn("a"), EMBEDDING]) == ("a", "e[0]", "e[1]")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2, 3], pa.int8()), [1, 2, 3]),
        (pa.array([1, 2, 2**63], pa.uint64()), [1, 2, 2.0**63]),
        (pa.array([True, False, True]), [1, 0, 1]),
        (pa.array([0.5, 1.5, 2.5], pa.float16()), [0.5, 1.5, 2.5]),
        (pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-3.50")]), [1.25, np.nan, -3.5]),
        (pa.array([1, None, 3]), [1, np.nan, 3]),
        (pa.array([True, None, False]), [1, np.nan, 0]),
        (pa.array([7, 8, 7]).dictionary_encode(), [7, 8, 7]),
    ],
    ids=["int8", "uint64", "bool", "float16", "decimal", "null", "null bool", "dictionary"],
)
def test_every_kind_of_number_is_cast(column: pa.Array, expected: list[float]) -> None:
    np.testing.assert_array_equal(numbers_from_arrow(column).astype(float), expected)
    chunked = pa.chunked_array([column.slice(0, 1), column.slice(1)])
    np.testing.assert_array_equal(numbers_from_arrow(chunked).astype(float), expected)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int32()), pa.large_list(pa.float32()), pa.list_(pa.uint8(), 2)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_lists_of_one_length_fill_several_columns(kind: pa.DataType, dtype: str) -> None:
    table = pa.table({"e": pa.array([[1, 2], [3, 4], [5, 6]], kind), "a": [9.0, 8.0, 7.0]})
    columns = [FeatureColumn("a"), EMBEDDING]
    expected = [[9, 1, 2], [8, 3, 4], [7, 5, 6]]
    for shape in (table, pa.concat_tables([table.slice(0, 1), table.slice(1)])):
        found = matrix(shape, columns, 3, dtype)
        assert found.dtype == dtype
        assert found.tolist() == expected
    assert matrix(table.slice(1), columns, 3, dtype).tolist() == expected[1:]


def test_lists_in_a_data_frame_are_matched_too() -> None:
    frame = pd.DataFrame({"e": [[1, 2], np.array([3, 4])], "a": [9, 8]})
    found = matrix(frame, [FeatureColumn("a"), EMBEDDING], 3, "float64")
    assert found.tolist() == [[9, 1, 2], [8, 3, 4]]


@pytest.mark.parametrize("values", [[[1, 2], [3]], [[1, 2], [3, 4, 5]], [[1], [3, 4, 5]]])
def test_lists_of_another_length_are_refused(values: list[list[int]]) -> None:
    with pytest.raises(FeaturesMismatch, match="'e'"):
        matrix(pa.table({"e": values}), [EMBEDDING], 2, "float64")
    with pytest.raises(FeaturesMismatch, match="'e'"):
        matrix(pd.DataFrame({"e": values}), [EMBEDDING], 2, "float64")


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float64(), 2)])
def test_a_null_list_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(FeaturesMismatch):
        matrix(pa.table({"e": pa.array([[1, 2], None], kind)}), [EMBEDDING], 2, "float64")


def test_nullable_and_mixed_columns_of_a_data_frame_are_cast() -> None:
    frame = pd.DataFrame(
        {"a": pd.array([1, 2], "Int64"), "b": [True, False], "c": np.array([1, 2], np.int16)}
    )
    found = matrix(frame, [FeatureColumn(name) for name in "abc"], 3, "float32")
    assert found.tolist() == [[1, 1, 1], [2, 0, 2]]


def test_a_missing_value_of_a_nullable_column_is_refused() -> None:
    frame = pd.DataFrame({"a": pd.array([1, None], "Int64")})
    with pytest.raises(FeaturesMismatch, match="1 values"):
        matrix(frame, [FeatureColumn("a")], 1, "float32")


def test_a_frame_without_names_goes_by_position() -> None:
    frame = pd.DataFrame({"p": [1, 2], "q": [3, 4]})
    assert matrix(frame, None, 2, "float64").tolist() == [[1, 3], [2, 4]]
    assert matrix(pa.table({"p": [1, 2], "q": [3, 4]}), None, 2, "float64").tolist() == [
        [1, 3],
        [2, 4],
    ]


def test_an_array_goes_by_position_where_the_model_has_names() -> None:
    columns = [FeatureColumn("a"), FeatureColumn("b")]
    assert matrix([[1, 2]], columns, 2, "float64").tolist() == [[1, 2]]
