"""Policies for bad data: missing values are refused, dropped or filled; bad files left out whole,
wherever in a job they are found, and all of it is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler as SklearnMinMaxScaler
from sklearn.preprocessing import StandardScaler as SklearnStandardScaler

import dkmeans
from dkmeans.errors import (
    ArgumentError,
    BadValues,
    BudgetSpent,
    InputChanged,
    MissingInput,
    TooFewRows,
    UnreadableFile,
)
from dkmeans.models.model import Model
from dkmeans.rows.clusters_out import read_manifest, write_clusters
from tests.cli.command import run
from tests.rows.damaged import flip, zero_bytes
from tests.rows.seen import see

N = 900
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def X() -> np.ndarray:
    """Three features; the last two lack values, some rows lack both."""
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N, 3)) + rng.integers(0, 4, size=(N, 1)) * 6
    X[rng.uniform(size=N) < 0.2, 1] = np.nan
    X[rng.uniform(size=N) < 0.1, 2] = np.nan
    assert np.isnan(X[:, 1:]).all(axis=1).any()
    return X


@pytest.fixture
def weight() -> np.ndarray:
    return np.random.default_rng(12).integers(0, 4, N).astype(float)


def store(
    folder: Path, X: np.ndarray, *, as_nulls: bool = True, n_files: int = 3, **columns: object
) -> str:
    """Write rows as f0, f1, ..., what is missing as nulls or as NaN, with page checksums."""
    folder.mkdir(parents=True)
    table = pa.table(
        {
            **{f"f{i}": pa.array(X[:, i], from_pandas=as_nulls) for i in range(X.shape[1])},
            "id": np.arange(len(X)),
            **columns,
        }
    )
    for number, part in enumerate(np.array_split(np.arange(len(X)), n_files)):
        pq.write_table(
            table.slice(int(part[0]), len(part)),
            folder / f"{number}.parquet",
            row_group_size=150,
            write_page_checksum=True,
            use_dictionary=False,
        )
    return str(folder)


def read(url: object, **options: object) -> dkmeans.Rows:
    """Rows of f0, f1, f2 in blocks that cut row groups."""
    chosen = {"columns": ["f0", "f1", "f2"], "dtype": "float64", "block_rows": 70, "keys": ["id"]}
    rows = dkmeans.read_parquet(str(url), **{**chosen, **options})
    assert rows.n_blocks > 3
    return rows


def complete(X: np.ndarray) -> np.ndarray:
    return ~np.isnan(X).any(axis=1)


def filled(X: np.ndarray, weight: np.ndarray | None = None, among: object = slice(None)):
    """Rows with the weighted means of what is there, of the rows `among`, for what is not."""
    means = [
        np.average(
            X[among][here := ~np.isnan(X[among][:, j]), j],
            weights=None if weight is None else weight[among][here],
        )
        for j in range(X.shape[1])
    ]
    return np.where(np.isnan(X), means, X)


def message_of(kind: type, action: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    return str(caught.value)


# rows that lack values


@DTYPES
@pytest.mark.parametrize("as_nulls", [True, False], ids=["nulls", "nan"])
def test_rows_of_parquet_that_lack_a_value_are_dropped_or_filled(tmp_path, X, dtype, as_nulls):
    url = store(tmp_path / "in", X, as_nulls=as_nulls)
    kept = complete(X)
    rows = read(url, missing="drop", dtype=dtype)
    seen = see(rows)
    np.testing.assert_array_equal(seen.X, X[kept].astype(dtype), strict=True)
    assert seen.row_numbers.tolist() == np.flatnonzero(kept).tolist()
    assert rows.shape == (kept.sum(), 3)
    assert rows.n_source_rows == N
    seen = see(read(url, missing="mean", dtype=dtype))
    expected = filled(X.astype(dtype).astype(float))
    np.testing.assert_allclose(seen.X, expected, rtol=1e-6 if dtype == "float32" else 1e-13)
    assert seen.X.dtype == dtype
    assert seen.row_numbers.tolist() == list(range(N))
    with pytest.raises(BadValues, match=r"pass missing='drop' or 'mean' \(--missing\)"):
        see(read(url, dtype=dtype))


def test_filters_come_before_policies_and_weights_count_in_means(tmp_path, X, weight):
    url = store(tmp_path / "in", X, w=weight)
    options = {"filters": [("f0", ">", 6), ("id", "<", 800)], "weight": "w"}
    passed = (X[:, 0] > 6) & (np.arange(N) < 800)
    kept = passed & complete(X)
    assert 50 < kept.sum() < passed.sum()
    rows = read(url, missing="drop", **options)
    seen = see(rows)
    np.testing.assert_array_equal(seen.X, X[kept])
    np.testing.assert_array_equal(seen.weights, weight[kept])
    assert seen.row_numbers.tolist() == np.flatnonzero(kept).tolist()
    assert rows.known.n_missing_rows == passed.sum() - kept.sum()
    seen = see(read(url, missing="mean", **options))
    np.testing.assert_allclose(seen.X, filled(X, weight, passed)[passed], rtol=1e-13)
    np.testing.assert_array_equal(seen.weights, weight[passed])


def test_a_filter_on_the_column_that_lacks_values_drops_them_itself(tmp_path, X):
    url = store(tmp_path / "in", X)
    passed = X[:, 1] > 5
    rows = read(url, missing="drop", filters=("f1", ">", 5))
    np.testing.assert_array_equal(see(rows).X, X[passed & complete(X)])
    assert rows.known.n_missing_rows == (passed & ~complete(X)).sum()


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float64(), 2)], ids=str)
@pytest.mark.parametrize("whole", [False, True], ids=["values", "lists"])
def test_lists_may_lack_values_or_be_missing(tmp_path, kind, whole):
    values = [[float(i), float(i % 7)] for i in range(100)]
    X = np.array(values)
    for i in range(0, 100, 9):
        values[i] = None if whole else [None, float(i % 7)]
        X[i, : 2 if whole else 1] = np.nan
    table = pa.table({"v": pa.array(values, kind), "f": np.arange(100.0)})
    pq.write_table(table, tmp_path / "v.parquet", row_group_size=30)
    X = np.column_stack([X, np.arange(100.0)])

    def seen(missing):
        rows = dkmeans.read_parquet(
            str(tmp_path / "v.parquet"), dtype="float64", block_rows=17, missing=missing
        )
        assert rows.n_blocks > 3
        return see(rows)

    np.testing.assert_array_equal(seen("drop").X, X[complete(X)])
    np.testing.assert_allclose(seen("mean").X, filled(X), rtol=1e-13)


def in_memory(X: np.ndarray, weight: np.ndarray) -> dict[str, tuple[Callable, bool]]:
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"])
    cut = dd.from_pandas(frame, npartitions=4)
    unknown = cut.to_dask_array()
    return {
        "array": lambda **o: dkmeans.Rows.from_array(X, weight, block_rows=70, **o),
        "lists": lambda **o: dkmeans.Rows.from_array(X.tolist(), weight, block_rows=70, **o),
        "frame": lambda **o: dkmeans.Rows.from_array(frame, weight, block_rows=70, **o),
        "nullable": lambda **o: dkmeans.Rows.from_array(
            frame.astype("Float64"), weight, block_rows=70, **o
        ),
        "arrow": lambda **o: dkmeans.Rows.from_array(
            pa.Table.from_pandas(frame), weight, block_rows=70, **o
        ),
        "dask array": lambda **o: dkmeans.Rows.from_dask(
            da.from_array(X, chunks=(130, 3)), weight, **o
        ),
        "dask array of unknown length": lambda **o: dkmeans.Rows.from_dask(
            unknown, dd.from_pandas(pd.Series(weight), npartitions=4), **o
        ),
        "dask frame": lambda **o: dkmeans.Rows.from_dask(
            dd.from_pandas(frame.assign(w=weight), npartitions=4),
            columns=["f0", "f1", "f2"],
            weight="w",
            **o,
        ),
    }


@pytest.mark.parametrize("name", list(in_memory(np.ones((4, 3)), np.ones(4))))
def test_rows_in_memory_that_lack_a_value_are_dropped_or_filled(X, weight, name):
    make, kept = in_memory(X, weight)[name], complete(X)
    rows = make(missing="drop")
    assert rows.n_blocks > 3
    for _ in range(2):
        seen = see(rows)
        np.testing.assert_array_equal(seen.X, X[kept])
        np.testing.assert_array_equal(seen.weights, weight[kept])
        assert seen.row_numbers.tolist() == np.flatnonzero(kept).tolist()
    assert rows.shape == (kept.sum(), 3)
    assert rows.n_source_rows == N
    assert rows.known.n_missing_rows == N - kept.sum()
    seen = see(make(missing="mean"))
    np.testing.assert_allclose(seen.X, filled(X, weight), rtol=1e-13)
    np.testing.assert_array_equal(seen.weights, weight)
    assert seen.row_numbers.tolist() == list(range(N))
    with pytest.raises(BadValues, match="NaN or null"):
        see(make())


@pytest.mark.parametrize("missing", ["raise", "drop", "mean"])
def test_infinity_never_passes(tmp_path, X, weight, missing):
    X[[40, 500], 2] = np.inf, -np.inf
    X[[40, 500], 1] = 0.0
    makers = {
        "parquet": lambda **o: read(store(tmp_path / "in", X, as_nulls=False), **o),
        **in_memory(X, weight),
    }
    for make in makers.values():
        rows = make(missing=missing)
        message = message_of(BadValues, lambda rows=rows: see(rows))
        if missing != "raise":
            assert "1 infinite values" in message


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_weights_may_lack_nothing_whatever_the_policy(tmp_path, X, weight, missing):
    gaps = pa.array([None if i == 77 else w for i, w in enumerate(weight)])
    rows = read(store(tmp_path / "in", X, w=gaps), weight="w", missing=missing)
    message = message_of(BadValues, lambda: see(rows))
    assert "weight column 'w'" in message
    assert "0.parquet (row group 0) has 1 nulls; filter these rows out" in message


def test_a_column_without_values_cannot_be_filled_and_leaves_no_rows(tmp_path, X):
    X[:, 1] = np.nan
    url = store(tmp_path / "in", X)
    message = message_of(BadValues, lambda: see(read(url, missing="mean")))
    assert message == "column 'f1' has no values to fill others with; leave it out."
    for init in ("k-means||", np.zeros((2, 3))):
        estimator = dkmeans.KMeans(2, init=init)
        message = message_of(TooFewRows, lambda e=estimator: e.fit(read(url, missing="drop")))
        assert message == "n_clusters=2 needs at least 2 rows; the data has 0."


def test_options_that_do_not_exist_are_refused(tmp_path, X):
    url = store(tmp_path / "in", X)
    with pytest.raises(ArgumentError, match="missing='median' should be 'raise', 'drop' or 'mean'"):
        read(url, missing="median")
    with pytest.raises(ArgumentError, match="on_bad_file='ignore' should be 'raise' or 'skip'"):
        read(url, on_bad_file="ignore")


# fits over them


def assert_fits_like_sklearn(fit, X, weight, start, dtype):
    """Assert that a fit is scikit-learn's on the rows X from the same start."""
    reference = SklearnKMeans(len(start), init=start, n_init=1, tol=0, max_iter=100).fit(
        X, sample_weight=weight
    )
    rtol = 1e-4 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(fit.cluster_centers_, reference.cluster_centers_, rtol=rtol)
    np.testing.assert_allclose(fit.inertia_, reference.inertia_, rtol=rtol)
    assert fit.n_iter_ > 2
    if dtype == "float64":
        assert fit.n_iter_ == reference.n_iter_
    np.testing.assert_array_equal(np.asarray(fit.labels_), reference.labels_)


@DTYPES
@pytest.mark.parametrize("missing", ["drop", "mean"])
@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_a_fit_is_that_of_the_rows_dropped_or_filled_by_hand(
    tmp_path, X, weight, dtype, missing, stage
):
    url = store(tmp_path / "in", X, w=weight)
    left = complete(X) if missing == "drop" else np.ones(N, bool)
    by_hand = (X if missing == "drop" else filled(X, weight))[left]
    start = by_hand[weight[left] > 0][[3, 100, 200, 300]] + 0.5
    rows = read(url, missing=missing, weight="w", dtype=dtype, stage=stage)
    fit = dkmeans.KMeans(4, init=start, tol=0, max_iter=100).fit(rows)
    assert_fits_like_sklearn(fit, by_hand, weight[left], start, dtype)
    provenance = fit.model_.provenance
    n_missing = N - left.sum()
    assert (provenance["rows"], provenance["rows_missing"]) == (left.sum(), n_missing)
    assert provenance["rows_dropped"] == n_missing
    assert provenance["missing"] == missing
    assert provenance["skipped_files"] == []
    assert provenance["weight"] == weight[left].sum()
    assert (fit.model_.filling is not None) == (missing == "mean")


def test_scaling_learns_from_the_filled_rows(tmp_path, X):
    rows = read(store(tmp_path / "in", X), missing="mean")
    whole = SimpleImputer().fit_transform(X)
    scaler = SklearnStandardScaler().fit(whole)
    start = whole[[3, 100, 200, 300]]
    fit = dkmeans.KMeans(4, init=start, tol=0, scale="standard").fit(rows)
    reference = SklearnKMeans(4, init=scaler.transform(start), n_init=1, tol=0).fit(
        scaler.transform(whole)
    )
    np.testing.assert_allclose(fit.scaled_centers_, reference.cluster_centers_, rtol=1e-9)
    np.testing.assert_allclose(fit.model_.filling.values, SimpleImputer().fit(X).statistics_)
    np.testing.assert_array_equal(np.asarray(fit.labels_), reference.labels_)


@pytest.mark.parametrize("init", ["k-means||", "random", "array"])
def test_filling_takes_one_more_pass_that_history_tells_of(tmp_path, X, init):
    init = X[complete(X)][:3] if init == "array" else init
    options = {"init": init, "random_state": 1, "max_iter": 5, "tol": 0}
    gaps = dkmeans.KMeans(3, **options).fit(read(store(tmp_path / "in", X), missing="mean"))
    whole = filled(X)
    plain = dkmeans.KMeans(3, **options).fit(read(store(tmp_path / "whole", whole)))
    assert gaps.n_passes_ == plain.n_passes_ + 1 == len(gaps.history_)
    assert gaps.history_[0]["kind"] == "column means"
    np.testing.assert_allclose(gaps.cluster_centers_, plain.cluster_centers_, rtol=1e-9)


def test_dropped_rows_keep_their_numbers_so_that_blocks_change_no_draw(tmp_path, X):
    url = store(tmp_path / "in", X)
    drawn = [
        dkmeans.KMeans(3, init="random", random_state=5, max_iter=1, tol=1e9).fit(
            read(url, missing="drop", block_rows=block_rows)
        )
        for block_rows in (50, 220)
    ]
    np.testing.assert_allclose(drawn[0].inertia_, drawn[1].inertia_, rtol=1e-12)


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_scalers_learn_from_the_rows_dropped_or_filled(tmp_path, X, weight, missing):
    rows = read(store(tmp_path / "in", X, w=weight), weight="w", missing=missing)
    left = complete(X) if missing == "drop" else np.ones(N, bool)
    by_hand = (X if missing == "drop" else filled(X, weight))[left]
    scaler = dkmeans.StandardScaler().fit(rows)
    reference = SklearnStandardScaler().fit(by_hand, sample_weight=weight[left])
    np.testing.assert_allclose(scaler.mean_, reference.mean_, rtol=1e-12)
    np.testing.assert_allclose(scaler.var_, reference.var_, rtol=1e-12)
    np.testing.assert_allclose(
        scaler.transform(rows).compute(), reference.transform(by_hand), atol=1e-12
    )
    heavy = weight[left] > 0
    ranges = SklearnMinMaxScaler().fit(by_hand[heavy])
    found = dkmeans.MinMaxScaler().fit(rows)
    np.testing.assert_allclose(found.data_min_, ranges.data_min_, rtol=1e-12)
    np.testing.assert_allclose(found.data_max_, ranges.data_max_, rtol=1e-12)


# models that fill


@pytest.fixture
def filling_model(tmp_path, X) -> tuple[dkmeans.KMeans, np.ndarray]:
    """A fit that fills, and new rows with gaps whose own means are far from those of the fit."""
    fit = dkmeans.KMeans(4, random_state=0).fit(read(store(tmp_path / "fit", X), missing="mean"))
    new = X[::-1] * [1, 3, 1] + [0, 30, 0]
    return fit, new


def labels_by_hand(fit: dkmeans.KMeans, X: np.ndarray) -> np.ndarray:
    whole = np.where(np.isnan(X), fit.model_.filling.values, X)
    return ((whole[:, None] - fit.cluster_centers_[None]) ** 2).sum(axis=2).argmin(axis=1)


def test_a_loaded_model_fills_with_the_means_of_the_fit(tmp_path, filling_model):
    fit, new = filling_model
    fit.model_.save(str(tmp_path / "model"))
    model = Model.load(str(tmp_path / "model"))
    expected = labels_by_hand(fit, new)
    assert (expected != labels_by_hand(fit, filled(new))).any()
    np.testing.assert_array_equal(model.predict(new), expected)
    np.testing.assert_array_equal(model.to_sklearn().predict(new), expected)


KINDS = ["array", "frame", "dask array", "dask frame", "url", "rows", "rows that fill"]


@pytest.mark.parametrize("kind", KINDS)
def test_predict_fills_with_the_means_of_the_fit_whatever_holds_the_rows(
    tmp_path, filling_model, kind
):
    fit, new = filling_model
    frame = pd.DataFrame(new, columns=["f0", "f1", "f2"])
    url = store(tmp_path / "new", new)
    X = {
        "array": lambda: new,
        "frame": lambda: frame,
        "dask array": lambda: da.from_array(new, chunks=(200, 3)),
        "dask frame": lambda: dd.from_pandas(frame, npartitions=3),
        "url": lambda: url,
        "rows": lambda: read(url, missing="mean"),
        "rows that fill": lambda: dkmeans.Rows.from_array(frame, missing="mean"),
    }[kind]()
    np.testing.assert_array_equal(np.asarray(fit.predict(X)), labels_by_hand(fit, new))
    whole = np.where(np.isnan(new), fit.model_.filling.values, new)
    sq_distances = ((whole[:, None] - fit.cluster_centers_[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(np.asarray(fit.transform(X)) ** 2, sq_distances, rtol=1e-8)
    np.testing.assert_allclose(-float(fit.score(X)), sq_distances.min(axis=1).sum(), rtol=1e-9)


def test_written_clusters_fill_with_the_means_of_the_fit(tmp_path, filling_model):
    fit, new = filling_model
    rows = read(store(tmp_path / "new", new), missing="mean")
    manifest = write_clusters(fit.model_, rows, str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out")
    assert (manifest["rows"], manifest["rows_assigned"]) == (N, N)
    np.testing.assert_array_equal(table["cluster_id"].to_numpy(), labels_by_hand(fit, new))


def test_rows_that_are_dropped_have_null_clusters_in_their_place(tmp_path, X):
    rows = read(store(tmp_path / "in", X), missing="drop")
    fit = dkmeans.KMeans(4, random_state=0).fit(rows)
    manifest = write_clusters(fit.model_, rows, str(tmp_path / "out"))
    table, kept = pq.read_table(tmp_path / "out"), complete(X)
    assert table["id"].to_pylist() == list(range(N))
    for name in ("cluster_id", "distance", "second_distance"):
        np.testing.assert_array_equal(table[name].is_valid().to_numpy(), kept)
    np.testing.assert_array_equal(
        table["cluster_id"].drop_null().to_numpy(), fit.model_.predict(X[kept])
    )
    assert (manifest["rows"], manifest["rows_assigned"]) == (N, kept.sum())


# files that are bad in the middle of a job


@pytest.fixture
def whole(tmp_path) -> tuple[Path, np.ndarray]:
    """Six files of 150 rows of four blobs: one row group, but the last has two."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, 3)) + 4 * rng.integers(0, 4, size=(N, 1))
    url = store(tmp_path / "whole", X, n_files=6)
    return Path(url), X


def copy_of(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


def fit_of(folder: Path, init: object = "k-means||", **options: object) -> dkmeans.KMeans:
    rows = read(folder, on_bad_file="skip", stage="none", **options)
    return dkmeans.KMeans(4, init=init, random_state=3, tol=0, max_iter=30).fit(rows)


def assert_same_fit(found: dkmeans.KMeans, expected: dkmeans.KMeans) -> None:
    np.testing.assert_array_equal(found.cluster_centers_, expected.cluster_centers_)
    assert found.inertia_ == expected.inertia_
    assert found.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(np.asarray(found.labels_), np.asarray(expected.labels_))
    for name in ("rows", "rows_dropped", "weight"):
        assert found.model_.provenance[name] == expected.model_.provenance[name]


def names_left_out(fit: dkmeans.KMeans) -> list[str]:
    return [Path(one["url"]).name for one in fit.model_.provenance["skipped_files"]]


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", "array"])
@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_is_found_bad_by_the_first_pass_is_left_out_of_the_fit(whole, init, number):
    folder, X = whole
    start = X[[1, 400, 600, 800]]
    flip(folder / f"{number}.parquet", group=0, column=2)
    fit = fit_of(folder, start if init == "array" else init)
    assert names_left_out(fit) == [f"{number}.parquet"]
    (one,) = fit.model_.provenance["skipped_files"]
    assert one["reason"].startswith(f"{folder}/{number}.parquet (row group 0) is damaged: ")
    left = np.arange(N) // 150 != number
    assert (fit.model_.provenance["rows"], len(fit.labels_.compute())) == (750, 750)
    assert f"{number}.parquet" not in [
        Path(file["url"]).name for file in fit.model_.provenance["files"]
    ]
    if init == "array":
        assert_fits_like_sklearn(fit, X[left], None, start, "float64")


@pytest.mark.parametrize("init", ["k-means||", "array"])
@pytest.mark.parametrize("n_good", [1, 2, 3])
def test_damage_during_a_job_gives_the_bits_of_a_job_that_found_it_at_once(
    whole, monkeypatch, init, n_good
):
    folder, X = whole
    init = X[[1, 400, 600, 800]] if init == "array" else init
    late = copy_of(folder, "late")
    flip(folder / "4.parquet", group=0)
    at_once = fit_of(folder, init)
    run_pass, made = dkmeans.Rows.run, []

    def spoiling(self, *arguments):
        partials = run_pass(self, *arguments)
        made.append(1)
        if len(made) == n_good:
            flip(late / "4.parquet", group=0)
        return partials

    monkeypatch.setattr(dkmeans.Rows, "run", spoiling)
    found = fit_of(late, init)
    assert names_left_out(found) == ["4.parquet"]
    assert found.model_.provenance["rows"] == 750
    assert_same_fit(found, at_once)
    # what was made before the damage is not in vain: it is counted
    assert found.n_passes_ == at_once.n_passes_ + n_good


def test_a_fit_that_leaves_a_file_out_is_the_fit_of_the_others(whole):
    folder, X = whole
    start = X[[1, 400, 600, 800]]
    others = copy_of(folder, "others")
    (others / "2.parquet").unlink()
    flip(folder / "2.parquet", group=0)
    found, expected = fit_of(folder, start), fit_of(others, start)
    assert_same_fit(found, expected)


def test_files_that_go_bad_one_after_the_other_are_all_left_out(whole, monkeypatch):
    folder, X = whole
    start = X[[1, 400, 600, 800]]
    run_pass, made = dkmeans.Rows.run, []

    def spoiling(self, *arguments):
        partials = run_pass(self, *arguments)
        made.append(1)
        if len(made) in (1, 2):
            flip(folder / f"{len(made)}.parquet", group=0)
        return partials

    monkeypatch.setattr(dkmeans.Rows, "run", spoiling)
    fit = fit_of(folder, start)
    assert sorted(names_left_out(fit)) == ["1.parquet", "2.parquet"]
    left = ~np.isin(np.arange(N) // 150, (1, 2))
    assert_fits_like_sklearn(fit, X[left], None, start, "float64")


def test_more_damage_than_may_be_ends_the_job_with_all_files_named(whole):
    folder, _ = whole
    flip(folder / "1.parquet", group=0)
    flip(folder / "5.parquet", group=0)
    assert fit_of(folder, max_bad_files=2).model_.provenance["rows"] == 600
    message = message_of(UnreadableFile, lambda: fit_of(folder, max_bad_files=1))
    assert message.startswith("2 files cannot be read, more than max_bad_files=1: ")
    assert "1.parquet (row group 0) is damaged" in message
    assert "5.parquet (row group 0) is damaged" in message


def test_workers_leave_out_the_same_files_with_the_same_bits(whole, client):
    folder, _ = whole
    flip(folder / "1.parquet", group=0)
    here, there = fit_of(folder), fit_of(folder, client=client)
    assert names_left_out(there) == ["1.parquet"]
    assert there.inertia_ == here.inertia_
    np.testing.assert_array_equal(there.cluster_centers_, here.cluster_centers_)


def test_a_fit_that_left_a_file_out_is_resumed_with_its_bits(whole, tmp_path):
    folder, _ = whole
    flip(folder / "1.parquet", group=0)

    def estimator(place):
        return dkmeans.KMeans(
            4, init="k-means||", random_state=3, tol=0, max_iter=30, checkpoint=place
        )

    def rows():
        return read(folder, on_bad_file="skip", stage="none")

    place = str(tmp_path / "checkpoint")
    with pytest.raises(BudgetSpent):
        estimator(place).fit(rows().limit(max_passes=5))
    resumed = estimator(place).fit(rows())
    assert names_left_out(resumed) == ["1.parquet"]
    assert_same_fit(resumed, estimator(None).fit(rows()))


def test_missing_values_and_bad_files_are_counted_apart(tmp_path, X):
    url = store(tmp_path / "in", X, n_files=6)
    zero_bytes(Path(url) / "5.parquet")
    flip(Path(url) / "0.parquet", group=0, column=0)
    left = (np.arange(N) >= 150) & (np.arange(N) < 750)
    kept = left & complete(X)
    start = X[kept][[1, 100, 200]]
    fit = dkmeans.KMeans(3, init=start, tol=0, max_iter=100).fit(
        read(url, missing="drop", on_bad_file="skip")
    )
    assert sorted(names_left_out(fit)) == ["0.parquet", "5.parquet"]
    assert fit.model_.provenance["rows_missing"] == left.sum() - kept.sum()
    assert_fits_like_sklearn(fit, X[kept], None, start, "float64")
    fit = dkmeans.KMeans(3, init=start, tol=0, max_iter=100).fit(
        read(url, missing="mean", on_bad_file="skip")
    )
    # the means are those of the files that are left
    assert_fits_like_sklearn(fit, filled(X, None, left)[left], None, start, "float64")


ACTIONS = {
    "scaler": lambda rows: dkmeans.StandardScaler().fit(rows).n_samples_seen_,
    "sample": lambda rows: see(rows.sample(1.0)).n_rows,
    "subset": lambda rows: see(rows.subset(1.0)).n_rows,
    "labels of a sample": lambda rows: len(
        dkmeans.KMeans(2, random_state=0).fit(rows, sample=1.0).labels_.compute()
    ),
    "pilot": lambda rows: 750 if np.isfinite(rows.pilot_mean()).all() else 0,
}


@pytest.mark.parametrize("missing", ["raise", "mean"])
@pytest.mark.parametrize("name", list(ACTIONS))
def test_whatever_reads_rows_leaves_bad_files_out(whole, name, missing):
    folder, _ = whole
    flip(folder / "0.parquet", group=0)
    assert ACTIONS[name](read(folder, on_bad_file="skip", missing=missing)) == 750


def test_a_lazy_array_names_a_file_that_is_found_bad_too_late_to_leave_out(whole):
    folder, _ = whole
    flip(folder / "0.parquet", group=0)
    array = read(folder, on_bad_file="skip").to_dask_array()
    assert array.shape == (N, 3)
    with pytest.raises(UnreadableFile, match=r"0\.parquet \(row group 0\) is damaged"):
        array.compute()
    rows = read(folder, on_bad_file="skip")
    see(rows)
    assert rows.to_dask_array().compute().shape == (750, 3)
    # means take a pass, which finds it in time
    assert read(folder, on_bad_file="skip", missing="mean").to_dask_array().shape == (750, 3)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_files_that_change_or_vanish_stop_the_job_whatever_the_policy(whole, policy):
    folder, _ = whole
    rows = read(folder, on_bad_file=policy, stage="none")
    see(rows)
    shutil.copyfile(folder / "1.parquet", folder / "2.parquet")
    message = message_of(InputChanged, lambda: see(rows))
    assert f"{folder}/2.parquet has changed since it was planned" in message
    rows = read(folder, on_bad_file=policy, stage="none")
    see(rows)
    (folder / "3.parquet").unlink()
    message = message_of(MissingInput, lambda: see(rows))
    assert f"{folder}/3.parquet does not exist" in message
    shutil.copyfile(folder / "1.parquet", folder / "3.parquet")
    rows = read(folder, on_bad_file=policy, stage="none")
    (folder / "3.parquet").unlink()
    message = message_of(MissingInput, lambda: see(rows))
    assert f"{folder}/3.parquet does not exist" in message


# written clusters


@pytest.mark.parametrize("column", ["f1", "id"])
def test_a_damaged_file_has_no_clusters_and_all_others_have(whole, tmp_path, column):
    folder, X = whole
    model = dkmeans.KMeans(4, random_state=0).fit(read(folder)).model_
    flip(folder / "5.parquet", group=0, column={"f1": 1, "id": 3}[column])
    rows = read(folder, on_bad_file="skip")
    manifest = write_clusters(model, rows, str(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out")
    assert table["id"].to_pylist() == list(range(750))
    np.testing.assert_array_equal(table["cluster_id"].to_numpy(), model.predict(X[:750]))
    assert (manifest["rows"], len(manifest["files"])) == (750, 5)
    assert [Path(one["url"]).name for one in manifest["skipped_files"]] == ["5.parquet"]
    assert read_manifest(str(tmp_path / "out")) == manifest
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 5


def test_damage_in_the_last_row_group_leaves_nothing_of_the_file(tmp_path, X):
    whole = filled(X)
    folder = Path(store(tmp_path / "in", whole, n_files=2))
    assert pq.read_metadata(folder / "1.parquet").num_row_groups == 3
    model = dkmeans.KMeans(4, random_state=0).fit(read(folder)).model_
    flip(folder / "1.parquet", group=2)
    with pytest.raises(UnreadableFile, match=r"1\.parquet \(row group 2\) is damaged"):
        write_clusters(model, read(folder), str(tmp_path / "refused"))
    assert not (tmp_path / "refused" / "_dkmeans.json").exists()
    manifest = write_clusters(model, read(folder, on_bad_file="skip"), str(tmp_path / "out"))
    assert manifest["rows"] == 450
    assert pq.read_table(tmp_path / "out")["id"].to_pylist() == list(range(450))


# the command line


def fit_by_command(folder: object, place: Path, *more: object):
    return run(
        "fit", folder, "--k", 3, "--model", place, "--columns", "f0,f1,f2", "--workers", 0,
        "--seed", 0, *more,
    )  # fmt: skip


def test_a_fit_that_drops_rows_says_so_and_exits_with_4(tmp_path, X):
    url = store(tmp_path / "in", X)
    n_missing = N - complete(X).sum()
    ran = fit_by_command(url, tmp_path / "model", "--missing", "drop")
    assert ran.code == 4
    assert f"left out: {n_missing} rows with missing values" in ran.out
    ran = fit_by_command(url, tmp_path / "again", "--missing", "drop", "--json")
    assert ran.code == 4
    assert json.loads(ran.out)["rows_missing"] == n_missing
    assert Model.load(str(tmp_path / "again")).provenance["rows_missing"] == n_missing


def test_a_fit_that_fills_is_simply_done_and_one_that_refuses_exits_with_3(tmp_path, X):
    url = store(tmp_path / "in", X)
    ran = fit_by_command(url, tmp_path / "model", "--missing", "mean", "--json")
    assert ran.code == 0
    assert ran.json["rows_missing"] == 0
    model = Model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(
        model.filling.values, SimpleImputer().fit(X.astype(np.float32)).statistics_, rtol=1e-5
    )
    ran = fit_by_command(url, tmp_path / "refused")
    assert ran.code == 3
    assert "pass missing='drop' or 'mean' (--missing)" in ran.error
    assert not (tmp_path / "refused").exists()


def test_a_fit_that_leaves_files_out_lists_them_and_exits_with_4(whole, tmp_path):
    folder, _ = whole
    zero_bytes(folder / "1.parquet")
    flip(folder / "0.parquet", group=0)
    options = ("--on-bad-file", "skip", "--keys", "id", "--output", tmp_path / "out")
    ran = fit_by_command(folder, tmp_path / "model", *options)
    assert ran.code == 4, ran.err
    for text in (
        f"left out: {folder}/1.parquet ({folder}/1.parquet has 0 bytes",
        f"left out: {folder}/0.parquet ({folder}/0.parquet (row group 0) is damaged",
    ):
        assert text in ran.out
    assert f"left out: {folder}/0.parquet" in ran.err
    ids = pq.read_table(tmp_path / "out")["id"].to_pylist()
    assert ids == list(range(300, 900))
    skipped = Model.load(str(tmp_path / "model")).provenance["skipped_files"]
    assert sorted(Path(one["url"]).name for one in skipped) == ["0.parquet", "1.parquet"]
    ran = fit_by_command(
        folder, tmp_path / "refused", "--on-bad-file", "skip", "--max-bad-files", 1
    )
    assert ran.code == 3
    assert "2 files cannot be read, more than max_bad_files=1" in ran.error
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("where", ["footer", "page"])
def test_a_prediction_that_leaves_files_out_lists_them_and_exits_with_4(whole, tmp_path, where):
    folder, _ = whole
    assert fit_by_command(folder, tmp_path / "model").code == 0
    if where == "footer":
        zero_bytes(folder / "1.parquet")
    else:
        flip(folder / "1.parquet", group=0)
    command = ("predict", tmp_path / "model", folder)
    options = ("--keys", "id", "--workers", 0)
    assert run(*command, tmp_path / "refused", *options).code == 3
    ran = run(*command, tmp_path / "out", *options, "--on-bad-file", "skip")
    assert ran.code == 4, ran.err
    assert f"left out: {folder}/1.parquet" in ran.out
    ids = pq.read_table(tmp_path / "out")["id"].to_pylist()
    assert ids == [i for i in range(900) if i // 150 != 1]
    ran = run(*command, tmp_path / "again", *options, "--on-bad-file", "skip", "--json")
    assert ran.code == 4
    (skipped,) = json.loads(ran.out)["skipped_files"]
    assert skipped["url"] == f"{folder}/1.parquet"


def test_a_prediction_that_drops_rows_exits_with_4_and_one_that_filters_with_0(whole, tmp_path, X):
    folder, _ = whole
    assert fit_by_command(folder, tmp_path / "model").code == 0
    url = store(tmp_path / "gaps", X)
    command = ("predict", tmp_path / "model", url)
    options = ("--keys", "id", "--workers", 0, "--json")
    ran = run(*command, tmp_path / "out", *options, "--missing", "drop")
    assert ran.code == 4, ran.err
    found = json.loads(ran.out)
    assert found["rows_assigned"] == complete(X).sum()
    assert found["rows_missing"] == N - complete(X).sum()
    ran = run(
        "predict", tmp_path / "model", folder, tmp_path / "few", *options, "--filter", "f0 > 5"
    )
    assert ran.code == 0, ran.err


def test_the_plan_counts_the_files_that_are_left_out(whole):
    folder, _ = whole
    zero_bytes(folder / "1.parquet")
    options = ("--k", 3, "--columns", "f0,f1,f2", "--workers", 0, "--json")
    assert run("plan", folder, *options).code == 3
    found = json.loads(run("plan", folder, *options, "--on-bad-file", "skip").out)
    assert (found["files"], found["skipped_files"], found["rows"]) == (5, 1, 750)
