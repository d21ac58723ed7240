"""Rows from JSON: the quick way and the walk find the same, or name what is wrong."""

import json
import math
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkmeans.models.columns import FeatureColumn
from dkmeans.service.json_rows import JsonRows
from dkmeans.service.limits import Limits
from dkmeans.service.refusals import Refusal
from tests.service.stands import a_model

VECTORS = (FeatureColumn("age"), FeatureColumn("taste", 3), FeatureColumn("in come"))


def reader(columns=VECTORS, limits=None, ignores_extra=False, d=5):
    model = a_model(2, d, columns=columns, named=columns is not None)
    return JsonRows(model, Limits() if limits is None else limits, ignores_extra)


def refused(body, **more) -> Refusal:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as found:
        reader(**more).read(data)
    assert 400 <= found.value.status < 500
    assert len(found.value.message) < 600
    return found.value


def test_objects_and_lists_give_the_same_rows_in_order():
    rows = [
        {"in come": 5, "taste": [2, 3.5, True], "age": 1},
        [1, 2, 3.5, 1, 5],
        {"age": None, "taste": None},
        {"taste": [1, None, -0.0]},
        [None, 1e38, 1e-320, 123456789012345678901234567890, False],
    ]
    found = reader().read(json.dumps({"rows": rows}).encode())
    nan = math.nan
    expected = [
        [1, 2, 3.5, 1, 5],
        [1, 2, 3.5, 1, 5],
        [nan] * 5,
        [nan, 1, nan, 0, nan],
        [nan, 1e38, 1e-320, 123456789012345678901234567890.0, 0],
    ]
    np.testing.assert_array_equal(found, expected)
    assert reader().read(b'{"rows": []}').shape == (0, 5)


names = st.sampled_from(["age", "taste", "in come", "customer", "agE", "x"])
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3), st.lists(st.integers(0, 3), max_size=4), st.just({}),
)  # fmt: skip
likely = st.fixed_dictionaries(
    {}, optional={"age": st.floats(-9, 9), "taste": st.lists(st.floats(0, 1), min_size=3,
                  max_size=3), "in come": st.none(), "customer": values}
)  # fmt: skip
rows = st.one_of(
    likely,
    st.lists(st.integers(-5, 5), min_size=5, max_size=5),
    st.dictionaries(names, values, max_size=4),
    st.lists(values, max_size=6),
    values,
)


@given(st.lists(st.one_of(likely, rows), max_size=4), st.booleans())
@settings(max_examples=250, deadline=None)
def test_the_quick_way_finds_what_the_walk_finds(given_rows, ignores_extra):
    body = json.dumps({"rows": given_rows}).encode()
    quick = reader(ignores_extra=ignores_extra)
    walk = JsonRows._walk

    def outcome(way):
        try:
            return way().tolist()
        except Refusal as error:
            return [error.args, error.details]

    assert str(outcome(lambda: quick.read(body))) == str(outcome(lambda: walk(quick, body)))
    # rows that are well formed do not need the walk, or the quick way would be tested nowhere
    quick._walk = None
    if all(isinstance(row, list) and len(row) == 5 for row in given_rows) and not any(
        isinstance(one, (str, list, dict)) for row in given_rows for one in row
    ):
        quick.read(body)


def test_long_bodies_are_read_in_pieces_with_the_same_result():
    values = np.random.default_rng(0).normal(size=(3000, 5)).round(9)
    objects = [
        {"age": row[0], "taste": row[1:4], "in come": row[4]} if i % 3 else row
        for i, row in enumerate(values.tolist())
    ]
    body = json.dumps({"rows": objects}).encode()
    assert len(body) > 64 * 1024
    found = reader()
    found._walk = None
    np.testing.assert_array_equal(found.read(body), values)
    # what is wrong far behind is still named
    objects[2999] = [1, 2, 3, "4", 5]
    error = refused({"rows": objects})
    assert error.details == {"row": 2999, "column": "taste[2]"}


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", "invalid_json", "truncated"),
        (b"\xff\xfe{}", "invalid_json", "byte 0"),
        (b'{"rows": [[1, 2, 3, 4, NaN]]}', "invalid_json", "send null"),
        (b'{"rows": [[1, 2, 3, 4, -Infinity]]}', "invalid_json", "send null"),
        (b"{'rows': []}", "invalid_json", "' is not JSON"),
        (b'{"rows": [[1, 2, 3, 4, True]]}', "invalid_json", "True is not JSON"),
        (b"PAR1 'NaN'", "invalid_json", "(byte 0)."),
        (b'{"instances": [[1]]}', "no_rows", "lacks 'rows'"),
        (b'{"rows": []} {"rows": []}', "invalid_json", "trailing"),
        (b'{"rows": [[1, 2, 3, 4, 05]]}', "invalid_json", "number"),
        (b'{"rows": [["\xff"]]}', "invalid_json", "JSON"),
        (b"[[1, 2, 3, 4, 5]]", "no_rows", 'send {"rows": [...]}'),
        (b"null", "no_rows", "null"),
        (b"{}", "no_rows", "lacks 'rows'"),
        (b'{"row": [[1]]}', "unknown_member", "did you mean 'rows'?"),
        (b'{"rows": [], "model": "x"}', "unknown_member", "'model' beside 'rows'"),
        (b'{"rows": {"age": [1]}}', "no_rows", "'rows': an object"),
        (b'{"rows": [7]}', "not_a_row", "row 0 is 7"),
        (b'{"rows": [null]}', "not_a_row", "row 0 is null"),
        (b'{"rows": [[1, 2]]}', "wrong_length", "2 values; the model has 5"),
        (b'{"rows": [{"taste": [1, 2]}]}', "wrong_length", "'taste' is a list of 2"),
        (b'{"rows": [{"taste": 3}]}', "wrong_length", "'taste' is 3; it should be a list of 3"),
        (b'{"rows": [{"age": "31"}]}', "not_a_number", "without quotes"),
        (b'{"rows": [{"age": [31]}]}', "not_a_number", "'age' is a list"),
        (b'{"rows": [{"taste": [1, 2, {}]}]}', "not_a_number", "'taste[2]' is an object"),
        (b'{"rows": [[1, 2, 3, 4, "5"]]}', "not_a_number", "'in come' is '5'"),
        (b'{"rows": [{"income": 1}]}', "unknown_column", "did you mean 'in come'?"),
        (b'{"rows": [{"zzz": 1}]}', "unknown_column", "?extra=ignore"),
        (b'{"rows": [[1, 2, 3, 4, 1e999]]}', "out_of_range", "row 0, column 'in come'"),
        (b'{"rows": [{"age": 1' + b"0" * 400 + b"}]}", "out_of_range", "more than 77 digits"),
        (b'{"rows": [{"age": 1' + b"0" * 9999 + b"}]}", "out_of_range", "digits"),
        (b'{"rows": [{"customer": ' + b"[" * 5000 + b"]" * 5000 + b"}]}", "too_deep", "nested"),
        (b'{"rows": ' + b"[" * 100_000, "too_deep", "nested"),
        (b'{"a":' * 50_000, "too_deep", "nested"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body, kind, words):
    error = refused(body)
    assert (error.kind, error.status) == (kind, 400 if kind == "invalid_json" else 422)
    assert words in error.message


def test_keys_of_the_fit_may_come_along_and_others_if_asked():
    row = {"age": 1, "taste": [1, 2, 3], "in come": 4, "customer": {"id": ["c1"]}}
    expected = [[1, 1, 2, 3, 4]]
    np.testing.assert_array_equal(reader().read(json.dumps({"rows": [row]}).encode()), expected)
    row["segment"] = "gold"
    assert refused({"rows": [row]}).details == {"row": 0, "column": "segment"}
    found = reader(ignores_extra=True).read(json.dumps({"rows": [row]}).encode())
    np.testing.assert_array_equal(found, expected)


def test_columns_may_have_any_name():
    columns = (FeatureColumn('a "b"\\'), FeatureColumn("\u00fc \n"), FeatureColumn("class"))
    found = reader(columns, d=3)
    row = {"class": 3, "\u00fc \n": 2, 'a "b"\\': 1}
    np.testing.assert_array_equal(found.read(json.dumps({"rows": [row]}).encode()), [[1, 2, 3]])
    assert refused({"rows": [{"klass": 1}]}, columns=columns, d=3).message.count("'class'") == 1


def test_lists_that_are_too_long_and_too_short_do_not_make_up_for_each_other():
    columns = (FeatureColumn("v", 2), FeatureColumn("w", 2))
    error = refused({"rows": [{"v": [1, 2, 3], "w": [4]}]}, columns=columns, d=4)
    assert (error.kind, error.details) == ("wrong_length", {"row": 0, "column": "v"})


def test_models_without_names_take_lists_only():
    np.testing.assert_array_equal(reader(None, d=2).read(b'{"rows": [[1, 2]]}'), [[1, 2]])
    assert refused({"rows": [{"a": 1, "b": 2}]}, columns=None, d=2).kind == "no_names"
    assert refused({"rows": [[1, "2"]]}, columns=None, d=2).details == {"row": 0, "column": "1"}


def test_rows_and_members_are_limited():
    limits = Limits(rows=3, columns=4)
    for n_rows in (4, 20_000):
        error = refused({"rows": [[0] * 5] * n_rows}, limits=limits)
        assert (error.status, error.kind) == (413, "too_many_rows")
        assert "at most 3" in error.message
    row = {f"x{i}": i for i in range(5)}
    assert refused({"rows": [row]}, limits=limits).kind == "too_many_columns"


def test_absent_values_take_no_more_memory_than_others():
    model = a_model(3, 500, missing="mean")
    for n_rows in (20_000, 200_000):
        body = b'{"rows":[' + b",".join([b"{}"] * n_rows) + b"]}"
        tracemalloc.start()
        with pytest.raises(Refusal) as found:
            JsonRows(model, Limits()).read(body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (found.value.status, found.value.kind) == (413, "too_many_values")
        assert "of 16777 rows" in found.value.message
        assert peak < 80 * len(body)
    assert JsonRows(model, Limits()).read(b'{"rows":[{},{}]}').shape == (2, 500)


def test_a_wrong_value_of_a_wide_model_is_found_at_once():
    reader = JsonRows(a_model(3, 1000), Limits())
    row = b"[" + b",".join([b"1"] * 1000) + b"]"
    began = time.perf_counter()
    with pytest.raises(Refusal, match="wrong_length"):
        reader.read(b'{"rows":[' + b",".join([row] * 200) + b",[1]]}")
    # each value in about a microsecond, however many there are beside it
    assert time.perf_counter() - began < 5
