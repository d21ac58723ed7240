"""Rows from Arrow IPC: what is taken, what is refused, and that little is allocated before."""

import struct
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from dkmeans.models.columns import FeatureColumn
from dkmeans.service.arrow_rows import ArrowRows, to_stream
from dkmeans.service.limits import Limits
from dkmeans.service.refusals import Refusal
from tests.service.stands import a_model


def stream(table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in table.to_batches() if isinstance(table, pa.Table) else [table]:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def read(body, columns=None, d=2, limits=None, ignores_extra=False, **more):
    model = a_model(2, d, columns=columns, **more)
    return ArrowRows(model, Limits() if limits is None else limits, ignores_extra).read(body)


def refused(body, *arguments, **more) -> Refusal:
    with pytest.raises(Refusal) as found:
        read(body, *arguments, **more)
    assert 400 <= found.value.status < 500
    return found.value


def test_columns_of_any_number_type_are_matched_by_name():
    batches = [
        pa.record_batch({
            "f1": pa.array([1, None, 3], pa.int8()),
            "customer": pa.array(["a", "b", "c"]),
            "f0": pa.array([0.5, 1.5, float("nan")], pa.float64()),
        })
    ] * 2  # fmt: skip
    found = read(stream(pa.Table.from_batches(batches)))
    expected = np.array([[0.5, 1], [1.5, np.nan], [np.nan, 3]] * 2, np.float32)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert found.flags.f_contiguous
    for kind in (pa.bool_(), pa.uint64(), pa.float16(), pa.decimal128(30, 2)):
        column = pa.array([1, 0]).cast(kind) if kind != pa.float16() else pa.array(
            np.array([1, 0], np.float16))  # fmt: skip
        found = read(stream(pa.table({"f0": column, "f1": pa.array([2.0, 3.0])})))
        np.testing.assert_array_equal(found, [[1, 2], [0, 3]])


def test_vector_columns_are_lists_of_one_length():
    columns = (FeatureColumn("v", 3), FeatureColumn("w"))
    rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.int32(), 3)):
        table = pa.table({"v": pa.array(rows).cast(kind), "w": pa.array([7, 8])})
        found = read(stream(table), columns, 4)
        np.testing.assert_array_equal(found, [[1, 2, 3, 7], [4, 5, 6, 8]])
    table = pa.table({"v": pa.array([[1.0, 2.0], [3.0]]), "w": pa.array([7, 8])})
    assert refused(stream(table), columns, 4).kind == "wrong_length"
    table = pa.table({"v": pa.array([1.0, 2.0]), "w": pa.array([7, 8])})
    assert "lists of 3 numbers" in refused(stream(table), columns, 4).message


def test_models_without_names_take_columns_in_order():
    table = pa.table({"b": pa.array([1.0]), "a": pa.array([2])})
    np.testing.assert_array_equal(read(stream(table), named=False), [[1, 2]])
    table = pa.table({"v": pa.array([[1.0, 2.0]]).cast(pa.list_(pa.float32(), 2))})
    np.testing.assert_array_equal(read(stream(table), named=False), [[1, 2]])
    assert refused(stream(table), d=3, named=False).kind == "wrong_length"


def test_what_is_wrong_is_named():
    good = pa.table({"f0": pa.array([1.0]), "f1": pa.array([1.0])})
    assert refused(stream(good.select(["f0"]))).details == {"column": "f1"}
    renamed = good.rename_columns(["f0", "f_1"])
    assert "did you mean 'f_1'?" in refused(stream(renamed)).message
    extra = good.append_column("segment", pa.array(["gold"]))
    assert refused(stream(extra)).kind == "unknown_column"
    np.testing.assert_array_equal(read(stream(extra), ignores_extra=True), [[1, 1]])
    twice = pa.Table.from_arrays([pa.array([1.0])] * 3, ["f0", "f1", "f1"])
    assert refused(stream(twice)).kind == "repeated_column"
    text = pa.table({"f0": pa.array(["1"]), "f1": pa.array([1.0])})
    assert "'f0' is of type 'string'" in refused(stream(text)).message
    for compression in ("lz4", "zstd"):
        assert refused(stream(good, compression=compression)).kind == "compressed"
    coded = pa.table({"f0": pa.array([1.0]).dictionary_encode(), "f1": pa.array([1.0])})
    assert refused(stream(coded)).kind == "encoded_column"
    many = pa.table({f"f{i}": pa.array([1.0]) for i in range(9)})
    assert refused(stream(many), limits=Limits(columns=8)).kind == "too_many_columns"
    long = pa.table({"f0": np.zeros(10), "f1": np.zeros(10)})
    error = refused(stream(long), limits=Limits(rows=9))
    assert (error.status, error.kind) == (413, "too_many_rows")
    assert read(stream(long), limits=Limits(rows=10)).shape == (10, 2)
    # beyond the model's type: infinite, which the caller refuses by row and column
    large = pa.table({"f0": pa.array([1e300]), "f1": pa.array([1.0])})
    assert np.isinf(read(stream(large))[0, 0])


def test_a_batch_of_a_trillion_rows_without_bytes_is_refused_before_anything_is_allocated():
    schema = pa.schema({"f0": pa.null(), "f1": pa.null()})
    batch = pa.record_batch([pa.nulls(5), pa.nulls(5)], schema=schema)
    body = stream(batch)
    assert body.count(struct.pack("<q", 5)) >= 3
    body = body.replace(struct.pack("<q", 5), struct.pack("<q", 10**12))
    tracemalloc.start()
    try:
        assert refused(body).status in (400, 413)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_every_cut_and_every_changed_byte_is_refused_or_read():
    rng = np.random.default_rng(0)
    columns = (FeatureColumn("v", 2), FeatureColumn("f"))
    table = pa.table({
        "v": pa.array(rng.normal(size=(6, 2)).tolist()),
        "f": pa.array([1.0, None, 2, 3, 4, 5]),
    })  # fmt: skip
    body = stream(table)
    reader = ArrowRows(a_model(2, 3, columns=columns), Limits())
    expected = reader.read(body)
    assert expected.shape == (6, 3)
    refusals = 0
    for n in range(0, len(body), 7):
        try:
            reader.read(body[:n])
        except Refusal:
            refusals += 1
    for place in range(len(body)):
        for value in (0, 255, body[place] ^ 1, body[place] ^ 128):
            changed = bytearray(body)
            changed[place] = value
            try:
                found = reader.read(bytes(changed))
            except Refusal:
                refusals += 1
            else:
                assert found.shape[1] == 3
                assert len(found) <= 6
    assert refusals > 500
    for junk in (b"", b"\0" * 100, b"ARROW1\0\0", b"\xff" * 64, rng.bytes(2000)):
        assert refused(junk).kind == "invalid_arrow"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tables_come_back_bit_for_bit(dtype):
    columns = {"cluster_id": np.array([3, 1], np.int32), "distance": np.array([0.1, 0.2], dtype)}
    table = pa.ipc.open_stream(to_stream(columns, None, {"a": "b"})).read_all()
    assert table.schema.metadata == {b"a": b"b"}
    assert table["cluster_id"].to_pylist() == [3, 1]
    assert table["distance"].to_pylist() == columns["distance"].tolist()
    kept = np.array([False, True, False, True] + [False] * 7)
    table = pa.ipc.open_stream(to_stream(columns, kept, {})).read_all()
    table.validate(full=True)
    assert table["cluster_id"].to_pylist() == [None, 3, None, 1] + [None] * 7
    empty = {"distance": np.empty(0, dtype)}
    assert pa.ipc.open_stream(to_stream(empty, None, {})).read_all().num_rows == 0


def test_a_file_of_arrow_is_told_from_a_stream():
    sink = pa.BufferOutputStream()
    table = pa.table({"a": [1.0]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert "pyarrow.ipc.new_stream" in refused(sink.getvalue().to_pybytes()).message


def test_truth_values_take_no_more_memory_than_others():
    model = a_model(3, 100)
    table = pa.table({f"f{i}": np.zeros(4000, bool) for i in range(100)})
    with pytest.raises(Refusal) as found:
        ArrowRows(model, Limits(body_bytes=399_999)).read(stream(table))
    assert (found.value.status, found.value.kind) == (413, "too_many_values")
    assert ArrowRows(model, Limits(body_bytes=400_000)).read(stream(table)).shape == (4000, 100)
