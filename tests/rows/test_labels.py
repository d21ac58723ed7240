"""Labels beside rows: from Parquet, Dask and memory, in step with the rows, and what is refused."""

import datetime
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dkmeans
from dkmeans import KMeans, Rows
from dkmeans.errors import ArgumentError, BadValues, InputRefused, SchemaMismatch, TooFewRows
from dkmeans.kernels.block import Block, Labels
from dkmeans.partials.contingency import Contingency
from dkmeans.rows import labels as labels_module
from dkmeans.rows.batches import Batching
from dkmeans.rows.disk import folder_of_process
from dkmeans.rows.gathered import Gathered
from dkmeans.rows.labels import LabelCodes
from dkmeans.rows.reading import as_rows
from dkmeans.rows.sample import Sample
from dkmeans.rows.store import BlockStore, bytes_of, process_store
from tests.conftest import write_parquet

N = 3000
SPECIES = np.array(["setosa", "versicolor", "virginica"])


@dataclass(frozen=True, eq=False)
class SeenLabels:
    """The values of the labels of all rows, beside the rows' numbers and first features."""

    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def from_block(cls, block: Block) -> Self:
        assert all(one.codes.dtype == np.int32 for one in block.labels)
        values = [[one.values[code] for code in one.codes.tolist()] for one in block.labels]
        first = block.X[:, 0].tolist() if block.n_features else [None] * block.n_rows
        numbers = block.row_numbers.tolist()
        return cls(tuple(zip(numbers, first, *values, strict=True)))

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def merge(self, other: Self) -> Self:
        return type(self)(self.rows + other.rows)


def seen(rows):
    """The row number, first feature and labels of each row of one pass."""
    return list(rows.reduce(SeenLabels.from_block).rows)


@pytest.fixture
def X():
    return np.random.default_rng(1).normal(size=(N, 3)).astype("f4").astype("f8")


@pytest.fixture
def species():
    return SPECIES[np.random.default_rng(2).integers(0, 3, N)]


@pytest.fixture
def grade():
    return np.random.default_rng(3).integers(-2, 5, N)


@pytest.fixture
def folder(tmp_path, X, species, grade):
    return write_parquet(
        tmp_path / "data",
        X,
        row_group_rows=170,
        species=species,
        grade=grade,
        good=grade > 0,
        half=grade / 2,
        coded=pa.array(species).dictionary_encode(),
        large=pa.array(species, pa.large_string()),
        at=pa.array([datetime.datetime(2024, 1, 1)] * N),
    )


def expected(X, *labels, keep=None):
    """What `seen` should say."""
    keep = np.ones(len(X), bool) if keep is None else keep
    columns = [np.asarray(one, object)[keep].tolist() for one in labels]
    numbers = np.flatnonzero(keep).tolist()
    return list(zip(numbers, np.asarray(X)[keep, 0].tolist(), *columns, strict=True))


# Parquet


def test_columns_of_every_kind_come_along(folder, X, species, grade):
    names = ["species", "grade", "good", "half", "coded", "large"]
    rows = dkmeans.read_parquet(str(folder), labels=names, block_rows=400)
    assert rows.n_blocks > 5
    assert rows.label_names == tuple(names)
    # none of them is a feature
    assert rows.feature_names == ("f0", "f1", "f2")
    told = seen(rows)
    assert told == expected(X, species, grade, grade > 0, grade / 2, species, species)
    assert [type(value) for value in told[0][2:]] == [str, int, bool, float, str, str]


def test_rows_without_labels_have_none(folder):
    rows = dkmeans.read_parquet(str(folder), columns=["f0"])
    assert rows.label_names == ()
    assert rows.reduce(Gathered.from_block).block().labels == ()


def test_a_label_is_a_feature_too_where_it_is_named(folder, X, grade):
    rows = dkmeans.read_parquet(str(folder), columns=["grade", "f1"], labels=["grade"])
    assert rows.feature_names == ("grade", "f1")
    assert seen(rows) == expected(grade[:, None], grade)
    assert dkmeans.read_parquet(str(folder)).feature_names[3:] == ("grade", "good", "half")


def test_names_of_folders_are_labels(tmp_path, X, species):
    for name in SPECIES:
        for day in (1, 2):
            rows = np.flatnonzero(species == name)[day - 1 :: 2]
            write_parquet(
                tmp_path / f"day={day}" / f"species={name}", X[rows], n_files=1, kind=species[rows]
            )
    rows = dkmeans.read_parquet(str(tmp_path), labels=["species", "kind", "day"], block_rows=900)
    told = seen(rows)
    assert len(told) == N
    assert all(a == b and a in SPECIES for _, _, a, b, _ in told)
    assert {day for *_, day in told} == {1, 2}
    part = dkmeans.read_parquet(str(tmp_path), labels=["day"], filters=[("day", "==", 2)])
    assert {day for *_, day in seen(part)} == {2}


def test_text_of_different_encodings_is_one_label(tmp_path, X):
    write_parquet(tmp_path / "a", X[:50], n_files=1, kind=["u", "v"] * 25)
    coded = pa.array(["v", "w"] * 25).dictionary_encode()
    write_parquet(tmp_path / "b", X[50:100], n_files=1, kind=coded)
    rows = dkmeans.read_parquet([f"{tmp_path}/a", f"{tmp_path}/b"], labels=["kind"], block_rows=99)
    assert [row[2] for row in seen(rows)] == ["u", "v"] * 25 + ["v", "w"] * 25
    write_parquet(tmp_path / "c", X[:50], n_files=1, kind=np.arange(50))
    with pytest.raises(SchemaMismatch, match=r"column 'kind' is int64 in .*c/.* but string in"):
        dkmeans.read_parquet([f"{tmp_path}/a", f"{tmp_path}/c"], labels=["kind"])


@pytest.mark.parametrize("block_rows", [100, 1000])
def test_filters_keep_labels_in_step(folder, X, species, grade, block_rows):
    rows = dkmeans.read_parquet(
        str(folder),
        labels=["species", "grade"],
        filters=[("grade", ">", 1), ("species", "!=", "setosa")],
        block_rows=block_rows,
    )
    keep = (grade > 1) & (species != "setosa")
    assert 0 < keep.sum() < N
    assert seen(rows) == expected(X, species, grade, keep=keep)


@pytest.mark.parametrize("filters", [None, [("grade", ">", 0)]])
def test_rows_that_are_dropped_take_their_labels_along(tmp_path, X, species, grade, filters):
    lacking = np.random.default_rng(4).random(N) < 0.2
    values = X.copy()
    values[lacking, 1] = np.nan
    folder = write_parquet(tmp_path, values, species=species, grade=grade)
    rows = dkmeans.read_parquet(
        str(folder), missing="drop", labels=["species"], columns=["f0", "f1"], filters=filters
    )
    keep = ~lacking & ((grade > 0) | (filters is None))
    assert seen(rows) == expected(X, species, keep=keep)
    filled = dkmeans.read_parquet(
        str(folder), missing="mean", labels=["species"], columns=["f0", "f1"], filters=filters
    )
    keep = (grade > 0) | np.full(N, filters is None)
    assert seen(filled) == expected(X, species, keep=keep)


@pytest.mark.parametrize("stage", ["memory", "disk", "none"])
def test_staging_changes_no_label(folder, X, species, grade, stage):
    rows = dkmeans.read_parquet(
        str(folder),
        labels=["species", "grade"],
        filters=[("f0", "<", 1)],
        stage=stage,
        block_rows=300,
    )
    first = seen(rows)
    assert first == expected(X, species, grade, keep=X[:, 0] < 1)
    n_bytes = rows.bytes_read
    assert seen(rows) == first
    assert rows.bytes_read == (2 * n_bytes if stage == "none" else n_bytes)
    rows.close()


def test_the_store_counts_the_codes_and_gives_back_labels_from_disk():
    labels = (
        Labels(np.array([0, 1, 0], np.int32), ("a", "b")),
        Labels(np.array([1, 1, 0], np.int32), (2.5, True)),
    )
    block = Block(np.ones((3, 2), order="F"), ((0, 3),), labels=labels)
    assert bytes_of(block) == block.n_bytes == 3 * 2 * 8 + 2 * 3 * 4
    store = BlockStore(10**6, folder_of_process)
    for place in ("disk", "memory"):
        store.put(("owner", place), block, place)
        found = store.get(("owner", place))
        assert [one.codes.tolist() for one in found.labels] == [[0, 1, 0], [1, 1, 0]]
        assert [one.values for one in found.labels] == [("a", "b"), (2.5, True)]
        assert all(one.codes.dtype == np.int32 for one in found.labels)
        assert found.X.tolist() == block.X.tolist()
    store.close()


def test_samples_and_mini_batches_keep_labels_in_step(folder, X, species):
    rows = dkmeans.read_parquet(
        str(folder), labels=["species"], filters=[("f1", ">", -0.5)], block_rows=250
    )
    all_rows = set(seen(rows))
    some = seen(rows.sample(0.3, seed=1))
    assert 0 < len(some) < len(all_rows)
    assert set(some) < all_rows
    drawn = [
        row
        for batch in rows.batches(Batching(200, 4, seed=0), 0)
        for row in batch.reduce(SeenLabels.from_block).rows
    ]
    assert len(drawn) == len(all_rows)
    assert set(drawn) == all_rows


def test_gathered_blocks_have_one_numbering(folder, X, species, grade):
    rows = dkmeans.read_parquet(str(folder), labels=["species", "grade"], block_rows=100)
    block = rows.gather(10**8)
    assert [np.array(one.values)[one.codes].tolist() for one in block.labels] == [
        species.tolist(),
        grade.tolist(),
    ]
    assert sorted(block.labels[0].values) == sorted(SPECIES)


def test_tiles_and_samples_of_a_block_keep_labels_in_step():
    n = 1000
    X = np.asfortranarray(np.arange(2.0 * n).reshape(n, 2))
    block = Block(X, ((0, n),), labels=(Labels(np.arange(n, dtype=np.int32), tuple(range(n))),))
    some = Sample(0.3, 0).of(block)
    assert 0 < some.n_rows < n
    for one in (some, *(tile for _, tile in some.tiles(77))):
        (labels,) = one.labels
        assert [2.0 * labels.values[code] for code in labels.codes] == one.X[:, 0].tolist()


def test_labels_are_scaled_with_their_rows_and_fits_ignore_them(folder, X, species):
    rows = dkmeans.read_parquet(str(folder), labels=["species"], columns=["f0", "f1", "f2"])
    plain = dkmeans.read_parquet(str(folder), columns=["f0", "f1", "f2"])
    made = [KMeans(3, random_state=0).fit(one) for one in (rows, plain)]
    np.testing.assert_allclose(made[0].cluster_centers_, made[1].cluster_centers_, rtol=1e-5)
    assert [row[2] for row in seen(rows)] == species.tolist()


def test_the_plan_counts_what_labels_take(folder):
    plain = dkmeans.read_parquet(str(folder), columns=["f0", "f1"])
    rows = dkmeans.read_parquet(str(folder), columns=["f0", "f1"], labels=["species", "grade"])
    assert rows.decoded_bytes == N * (2 * 4 + 2 * 4) == plain.decoded_bytes + N * 2 * 4
    plan, without = (one.plan(KMeans(3)) for one in (rows, plain))
    assert plan.decoded_bytes == rows.decoded_bytes
    footers = [pq.read_metadata(path) for path in folder.glob("*.parquet")]
    stored = sum(
        group.column(i).total_compressed_size
        for footer in footers
        for group in map(footer.row_group, range(footer.num_row_groups))
        for i in range(footer.num_columns)
        if group.column(i).path_in_schema in ("species", "grade")
    )
    assert plan.source_bytes == without.source_bytes + stored
    seen(rows)
    assert rows.bytes_read == plan.source_bytes
    assert rows.parquet.columns_read == ("f0", "f1", "species", "grade")
    assert ("species", "label") in rows.parquet.choice.left_out
    # no fit looks at them: a checkpoint, or the statistics of a fit, serve with and without
    assert rows.identity() == plain.identity()
    prints = {one.parquet.fingerprint for one in (rows, plain)}
    assert len(prints) == 2


def test_a_task_takes_four_bytes_a_row_and_label(folder):
    one, three = (
        dkmeans.read_parquet(str(folder), columns=["f0"], labels=names, block_rows=N, stage="none")
        for names in (["grade"], ["grade", "good", "half"])
    )
    more = three.plan(KMeans(3)).task_bytes - one.plan(KMeans(3)).task_bytes
    stored = [max(group.n_bytes for group in rows.parquet.row_groups) for rows in (one, three)]
    assert more >= 2 * 4 * N
    # the rest is what is read of the two columns
    assert more < 2 * 2 * 4 * N + 20 * (stored[1] - stored[0]) + 4 * 28 * 1024


# what is refused


def test_a_label_column_that_is_not_there_is_refused(folder):
    with pytest.raises(SchemaMismatch, match=r"label column 'kind' is not in .*part-0"):
        dkmeans.read_parquet(str(folder), labels=["kind"])


def test_a_label_column_is_checked_in_every_file(folder, X, species):
    write_parquet(folder / "z", X[:10], n_files=1, grade=np.arange(10))
    with pytest.raises(SchemaMismatch, match=r"column 'species' is missing from .*z/part-0"):
        dkmeans.read_parquet(str(folder), columns=["f0"], labels=["species"])


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.list_(pa.int64()), pa.decimal128(9, 2)])
def test_other_types_are_no_labels(tmp_path, X, kind):
    folder = write_parquet(tmp_path, X[:10], n_files=1, odd=pa.nulls(10, kind))
    with pytest.raises(SchemaMismatch) as caught:
        dkmeans.read_parquet(str(folder), columns=["f0"], labels=["odd"])
    stored = pq.read_schema(folder / "part-0.parquet").field("odd").type
    assert str(caught.value) == (
        f"label column 'odd' of {folder}/part-0.parquet is {stored}; labels are text, integers, "
        "floats or booleans."
    )


@pytest.mark.parametrize("labels", ["species", [3], ["species", "species"], {"species": 1}])
def test_what_names_no_columns_once_is_refused(folder, labels):
    with pytest.raises(ArgumentError, match=r"^labels="):
        dkmeans.read_parquet(str(folder), labels=labels)


def with_nulls(values, where):
    values = np.asarray(values, object).copy()
    values[where] = None
    return values.tolist()


def test_nulls_in_labels_are_refused_at_planning(tmp_path, X, species):
    folder = write_parquet(
        tmp_path, X, n_files=1, row_group_rows=1000, species=with_nulls(species, [1500, 1700])
    )
    message = (
        f"label column 'species' of {folder}/part-0.parquet (row group 1) has 2 nulls; filter "
        "these rows out."
    )
    for missing in ("raise", "drop", "mean"):
        with pytest.raises(BadValues) as caught:
            dkmeans.read_parquet(str(folder), labels=["species"], missing=missing)
        assert str(caught.value) == message
    rows = dkmeans.read_parquet(
        str(folder), labels=["species"], filters=[("species", "in", SPECIES.tolist())]
    )
    keep = np.ones(N, bool)
    keep[[1500, 1700]] = False
    assert seen(rows) == expected(X, species, keep=keep)


def test_nulls_that_filters_leave_are_refused_as_they_are_read(tmp_path, X, species, grade):
    nulls = np.flatnonzero(grade == 3)
    folder = write_parquet(
        tmp_path,
        X,
        n_files=1,
        row_group_rows=1000,
        species=with_nulls(species, nulls),
        grade=grade,
    )
    rows = dkmeans.read_parquet(str(folder), labels=["species"], filters=[("grade", ">", 1)])
    with pytest.raises(BadValues) as caught:
        seen(rows)
    assert str(caught.value) == (
        f"label column 'species' of {folder}/part-0.parquet (row group 0) has "
        f"{(nulls < 1000).sum()} nulls; filter these rows out."
    )
    rows = dkmeans.read_parquet(str(folder), labels=["species"], filters=[("grade", "<", 3)])
    assert seen(rows) == expected(X, species, keep=grade < 3)


def test_nan_is_no_label(tmp_path, X):
    half = np.arange(N) / 2
    half[[1200, 1300]] = np.nan
    folder = write_parquet(tmp_path, X, n_files=1, row_group_rows=1000, half=half)
    rows = dkmeans.read_parquet(str(folder), labels=["half"], block_rows=500)
    with pytest.raises(BadValues) as caught:
        seen(rows)
    assert str(caught.value) == (
        f"label column 'half' of {folder}/part-0.parquet (row group 1) has 2 NaN; filter these "
        "rows out."
    )


def test_a_folder_without_a_name_is_no_label(tmp_path, X):
    write_parquet(tmp_path / "kind=a", X[:10], n_files=1)
    write_parquet(tmp_path / "kind=__HIVE_DEFAULT_PARTITION__", X[10:20], n_files=1)
    with pytest.raises(BadValues, match=r"label column 'kind' of .* is null, by the name of"):
        dkmeans.read_parquet(str(tmp_path), labels=["kind"])
    rows = dkmeans.read_parquet(str(tmp_path), labels=["kind"], filters=[("kind", "==", "a")])
    assert [row[2] for row in seen(rows)] == ["a"] * 10


def test_a_column_that_tells_rows_apart_is_no_label(folder, monkeypatch):
    monkeypatch.setattr(labels_module, "MOST_LABELS", 150)
    rows = dkmeans.read_parquet(str(folder), labels=["f0"], columns=["f1"], block_rows=200)
    message = (
        r"part-\d\.parquet \(row group \d\): column 'f0' has more than 150 different values and is "
        "no label; name a column with fewer values, or put its values into groups"
    )
    with pytest.raises(BadValues, match=message):
        seen(rows)
    seen(dkmeans.read_parquet(str(folder), labels=["species"], columns=["f1"]))
    with pytest.raises(BadValues, match="more than 150 different values and is no label"):
        Rows.from_array(np.ones((N, 1)), labels=[np.arange(N)])


def test_codes_are_those_of_the_rows_however_batches_are_cut():
    table = pa.table({"a": ["x", "y", "x", "z", "y"], "b": [3, 1, 3, 3, 2]})
    for cuts in ([0, 5], [0, 2, 5], [0, 0, 1, 2, 3, 4, 5]):
        codes = LabelCodes(["a", "b"], 5)
        for start, stop in pairwise(cuts):
            codes.add(table.slice(start, stop - start))
        a, b = codes.labels()
        assert (a.values, a.codes.tolist()) == (("x", "y", "z"), [0, 1, 0, 2, 1])
        assert (b.values, b.codes.tolist()) == ((3, 1, 2), [0, 1, 0, 0, 2])


# memory


def test_arrays_of_every_kind_are_labels(X, species, grade):
    given = [
        species,
        species.astype(object),
        pd.Series(species),
        pd.Series(species, dtype="category"),
        pd.Series(species, dtype="string"),
        pa.array(species),
        pa.chunked_array([pa.array(species[:7]), pa.array(species[7:])]),
        species.tolist(),
        grade,
        pd.Series(grade, dtype="Int64"),
        grade > 0,
        grade / 2,
        grade.astype("f4") / 2,
        [1, "a", 2.5] * 1000,
    ]
    rows = Rows.from_array(X, labels=given, block_rows=400)
    assert rows.n_blocks == 8
    assert rows.label_names == ("",) * len(given)
    halves = (grade / 2).tolist()
    numbers = [grade.tolist()] * 2 + [(grade > 0).tolist(), halves, halves, [1, "a", 2.5] * 1000]
    assert seen(rows) == expected(X, *[species.tolist()] * 8, *numbers)


@pytest.mark.parametrize("kind", ["pandas", "arrow"])
def test_columns_of_tables_are_labels(X, species, grade, kind):
    columns = {"f0": X[:, 0], "f1": X[:, 1], "species": species, "grade": grade}
    table = pd.DataFrame(columns) if kind == "pandas" else pa.table(columns)
    rows = Rows.from_array(table, labels=["species", "grade", grade > 0], block_rows=900)
    assert rows.feature_names == ("f0", "f1")
    assert rows.label_names == ("species", "grade", "")
    assert seen(rows) == expected(X, species, grade, grade > 0)
    rows = Rows.from_array(table, labels=["grade"], columns=["f0", "grade"])
    assert rows.feature_names == ("f0", "grade")
    assert seen(rows) == expected(X, grade)
    with pytest.raises(SchemaMismatch, match="label column 'kind' is not in X"):
        Rows.from_array(table, labels=["kind"])


def test_a_label_column_may_hold_what_no_feature_may(X):
    frame = pd.DataFrame({"f": X[:3, 0], "mixed": [1, "a", 2.5], 7: [1, 2, 3]})
    rows = Rows.from_array(frame, labels=["mixed", "7"])
    assert rows.feature_names == ("f",)
    assert seen(rows) == expected(X[:3], [1, "a", 2.5], [1, 2, 3])


def test_dropped_and_sampled_rows_of_arrays_keep_labels_in_step(X, species):
    values = X.copy()
    values[::3, 2] = np.nan
    rows = Rows.from_array(values, labels=[species], missing="drop", block_rows=200)
    told = expected(X, species, keep=np.arange(N) % 3 != 0)
    assert seen(rows) == told
    some = seen(rows.sample(0.2))
    assert 0 < len(some) < len(told)
    assert set(some) < set(told)


def test_labels_do_not_change_what_rows_are(X, species, grade):
    named = [Rows.from_array(X, labels=labels).identity() for labels in ([], [species], [grade])]
    assert named[0] == named[1] == named[2]
    assert named[0] != Rows.from_array(X[::-1], labels=[species]).identity()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 2]], r"labels\[0\] of X has shape \(2,\); \(4,\) is expected"),
        ([np.ones((4, 1))], r"labels\[0\] of X has shape \(4, 1\); \(4,\) is expected"),
        (["abcd", ["a", None, "b", None]], "names a column, and X has none"),
        ([["a"] * 4, ["a", None, "b", None]], r"labels\[1\] of X has 2 null or NaN; leave"),
        ([np.array([1, np.nan, 2, 3])], r"labels\[0\] of X has 1 null or NaN; leave these rows"),
        ([pd.Series([1, None, 2, 3], dtype="Int64")], r"labels\[0\] of X has 1 null or NaN"),
        ([pa.array([1.0, None, float("nan"), 3])], r"labels\[0\] of X has 2 null or NaN"),
        ([np.array(["2020"] * 4, "M8[D]")], r"labels\[0\] of X is datetime64\[D\]; labels are"),
        ([pd.Series(pd.date_range("2020", periods=4))], r"has the value .*Timestamp\); labels are"),
        ([pa.array([[1]] * 4)], r"labels\[0\] of X is list<.*>; labels are text, integers"),
        ([[[1], [2], [3], [4]]], r"labels\[0\] of X has values that are no labels"),
        ([[1, 2, 3, (4,)]], r"labels\[0\] of X has the value \(4,\) \(tuple\); labels are"),
        ("abcd", "labels should be a list"),
    ],
)
def test_what_is_no_label_of_each_row_is_refused(labels, message):
    with pytest.raises((InputRefused, ArgumentError), match=message):
        Rows.from_array(np.ones((4, 2)), labels=labels)


# Dask


@pytest.fixture(params=["threads", "workers"])
def where(request):
    return request.getfixturevalue("client") if request.param == "workers" else None


def test_dask_arrays_and_what_is_beside_them(X, species, grade, where):
    lazy = da.from_array(X, chunks=(700, 2))
    labels = [
        da.from_array(species, chunks=1000),
        grade,
        da.from_array(species.astype(object), chunks=700),
    ]
    rows = Rows.from_dask(lazy, np.ones(N), labels=labels, client=where)
    assert rows.label_names == ("",) * 3
    first = seen(rows)
    assert first == expected(X, species, grade, species)
    assert seen(rows) == first


def test_dask_arrays_of_unknown_length_take_labels_of_the_same_partitions(X, species, where):
    lazy = da.from_array(X, chunks=(700, 3))
    keep = X[:, 1] > 0
    which = da.from_array(keep, chunks=700)
    labels = da.from_array(species, chunks=700)[which]
    rows = Rows.from_dask(lazy[which], labels=[labels], client=where)
    told = [row[1:] for row in seen(rows)]
    assert told == [row[1:] for row in expected(X, species, keep=keep)]
    with pytest.raises(ArgumentError, match=r"labels\[0\] is an array while X has unknown"):
        Rows.from_dask(lazy[which], labels=[species[keep]])
    with pytest.raises(ArgumentError, match=r"labels\[0\] has 1 partitions, X has 5; cut them"):
        Rows.from_dask(lazy[which], labels=[da.from_array(species, chunks=N)[keep]])


def test_dask_frames_have_label_columns_and_series_beside(X, species, grade, where):
    frame = pd.DataFrame({"f0": X[:, 0], "f1": X[:, 1], "species": species, "grade": grade})
    frame["kind"] = frame["species"].astype("category")
    lazy = dd.from_pandas(frame, npartitions=4)
    rows = Rows.from_dask(
        lazy, labels=["species", lazy["grade"] > 0, "grade", "kind"], client=where
    )
    assert rows.feature_names == ("f0", "f1")
    assert rows.label_names == ("species", "", "grade", "kind")
    assert seen(rows) == expected(X, species, grade > 0, grade, species)
    with pytest.raises(SchemaMismatch, match="label column 'place' is not in X"):
        Rows.from_dask(lazy, labels=["place"])
    timed = lazy.assign(at=pd.Timestamp("2024-01-01"))
    with pytest.raises(SchemaMismatch, match="label column 'at' of X is timestamp"):
        Rows.from_dask(timed, labels=["at"])


def test_nulls_in_dask_labels_are_refused_as_they_are_read(X, species):
    frame = pd.DataFrame({"f0": X[:, 0], "species": with_nulls(species, [2900])})
    rows = Rows.from_dask(dd.from_pandas(frame, npartitions=3), labels=["species"])
    message = r"^label column 'species' of partition 2 of X has 1 null or NaN; leave these rows out"
    with pytest.raises(BadValues, match=message):
        seen(rows)
    short = Rows.from_dask(
        da.from_array(X, chunks=1000)[da.from_array(X[:, 0] > 0, chunks=1000)],
        labels=[da.from_array(species, chunks=1000)],
    )
    with pytest.raises(BadValues, match=r"labels\[0\] of chunk \d of X has shape \(1000,\)"):
        seen(short)


# labels alone


def test_rows_of_labels_in_memory(species, grade):
    weight = np.arange(N) % 4 / 2
    rows = Rows.of_labels(species, grade.tolist(), sample_weight=weight, block_rows=700)
    assert (rows.n_blocks, rows.shape, rows.label_names) == (5, (N, 0), ("", ""))
    assert seen(rows) == [
        (i, None, a, b)
        for i, (a, b) in enumerate(zip(species.tolist(), grade.tolist(), strict=True))
    ]
    table = rows.reduce(Contingency.from_block)
    frame = pd.crosstab(species, grade, values=weight, aggfunc="sum").fillna(0)
    dense = np.zeros(frame.shape)
    dense[tuple(table.pairs.T)] = table.weight
    np.testing.assert_array_equal(dense, frame.to_numpy())
    assert table.values_true == tuple(sorted(SPECIES))


def test_rows_of_labels_of_dask(species, grade, where):
    n = (grade > 0).sum()
    which = da.from_array(grade > 0, chunks=800)
    a, b = da.from_array(species, chunks=800), da.from_array(grade, chunks=1000)
    rows = Rows.of_labels(a, b, grade, sample_weight=np.ones(N), client=where)
    told = zip(species.tolist(), grade.tolist(), grade.tolist(), strict=True)
    assert [row[2:] for row in seen(rows)] == list(told)
    rows = Rows.of_labels(a[which], b.rechunk(800)[which], client=where)
    assert rows.reduce(Contingency.from_block).total_weight == n
    assert rows.shape == (n, 0)
    series = dd.from_pandas(pd.DataFrame({"a": species, "b": grade}), npartitions=3)
    rows = Rows.of_labels(series["a"], series["b"], client=where)
    assert [row[2:] for row in seen(rows)] == list(
        zip(species.tolist(), grade.tolist(), strict=True)
    )


@pytest.mark.parametrize("stage", ["memory", "disk"])
def test_labels_alone_can_be_staged(species, grade, stage):
    lazy = [da.from_array(one, chunks=500) for one in (species, grade)]
    rows = Rows.of_labels(*lazy, stage=stage)
    first = seen(rows)
    assert seen(rows) == first
    assert [row[2:] for row in first] == list(zip(species.tolist(), grade.tolist(), strict=True))
    assert rows.decoded_bytes == N * (8 + 2 * 4)
    rows.close()


def test_rows_of_labels_refuse_what_cannot_be():
    with pytest.raises(ArgumentError, match="got no labels"):
        Rows.of_labels()
    with pytest.raises(BadValues, match=r"labels\[1\] has shape \(2,\); \(3,\) is expected"):
        Rows.of_labels([1, 2, 3], [1, 2])
    with pytest.raises(TooFewRows, match="0 rows"):
        Rows.of_labels([], [])
    with pytest.raises(BadValues, match="weights of the labels have shape"):
        Rows.of_labels([1, 2, 3], sample_weight=[1, 2])
    with pytest.raises(ArgumentError, match="names a column, and X has none"):
        Rows.of_labels("species")


# whatever a user may pass


def test_as_rows_passes_labels_on(folder, X, species, grade):
    told = expected(X, species)
    frame = pd.DataFrame({"f0": X[:, 0], "species": species})
    for one, labels in (
        (str(folder), ["species"]),
        (X, [species]),
        (frame, ["species"]),
        (da.from_array(X, chunks=(500, 3)), [species]),
        (dd.from_pandas(frame, npartitions=2), ["species"]),
    ):
        columns = ["f0"] if isinstance(one, str) else None
        assert seen(as_rows(one, labels=labels, columns=columns)) == told


def test_rows_have_the_labels_that_they_were_opened_with(folder):
    rows = dkmeans.read_parquet(str(folder), labels=["species", "grade"], columns=["f0"])
    assert as_rows(rows) is rows
    assert as_rows(rows, labels=["species", "grade"]) is rows
    for labels in (["species"], ["grade", "species"]):
        with pytest.raises(ArgumentError, match=r"are not those of the Rows, \['species', 'grade'"):
            as_rows(rows, labels=labels)
    with pytest.raises(ArgumentError, match="should be a list of names"):
        as_rows(rows, labels=[np.ones(N)])


def test_views_of_rows_keep_the_names_of_labels(folder):
    rows = dkmeans.read_parquet(str(folder), labels=["species"], columns=["f0"])
    for view in (rows.subset(0.5), rows.sample(0.5), replace(rows)):
        assert view.label_names == ("species",)
        assert {row[2] for row in seen(view)} <= set(SPECIES.tolist())
    assert process_store() is not None


def test_workers_read_labels_without_pandas(folder, tmp_path, X):
    write_parquet(tmp_path / "hive" / "kind=a" / "day=3", X[:50], n_files=1)
    code = f"""
import sys
from dkmeans.rows.planning import plan_parquet
from dkmeans.rows.parquet_plan import BadData
from dkmeans.rows.parquet_source import GroupPiece, ParquetSource

def block(url, labels):
    plan = plan_parquet(url, columns=["f0"], filters=None, weight=None, keys=(), labels=labels,
                        dtype="float32", options="", policy=BadData())
    group = plan.row_groups[0]
    source = ParquetSource.of(plan, [(0, (GroupPiece(group, 0, group.n_rows),))])
    assert "pandas" not in sys.modules, "planning"
    return source.open(None, [0]).read(0)[0]

made = block({str(folder)!r}, ("species", "grade", "good", "half", "coded", "large"))
print(*(len(one.values) for one in made.labels))
made = block({str(tmp_path / "hive")!r}, ("kind", "day"))
print(*(one.values for one in made.labels))
print("pandas" in sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["3 7 2 7 3 3", "('a',) (3,)", "False"]
