"""Results are of the kind that X is, with its index, dtype, chunks and divisions, and as lazy."""

import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask.array.utils import assert_eq as assert_arrays_equal
from dask.dataframe.utils import assert_eq as assert_frames_equal
from sklearn.base import clone

from dkmeans import Normalizer, Rows
from dkmeans.errors import FeaturesMismatch
from tests.estimators.every import CLUSTERERS, ESTIMATORS, name_of

NAMES = ["a", "b", "c"]
METHODS = ("predict", "transform", "inverse_transform")
PAIRS = [(one, method) for one in ESTIMATORS for method in METHODS if hasattr(one, method)]

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
every_clusterer = pytest.mark.parametrize("estimator", CLUSTERERS, ids=name_of)
every_result = pytest.mark.parametrize(("estimator", "method"), PAIRS, ids=name_of)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.repeat([[0.0, 0, 0], [20, 0, 5], [0, 30, 9]], 100, axis=0) + rng.normal(size=(300, 3))


def frame_of(X, index=None):
    return pd.DataFrame(X, columns=NAMES, index=index)


def like(estimator, method, result, index):
    """A NumPy result as it should be for pandas input."""
    if result.ndim == 1:
        return pd.Series(result, index=index, name="label")
    names = NAMES if method == "inverse_transform" else estimator.get_feature_names_out().tolist()
    return pd.DataFrame(result, index=index, columns=names)


INDEXES = {
    "named times": pd.date_range("2020", periods=300, name="day"),
    "text": pd.Index([f"row {i:03}" for i in range(300)]),
    "twice": pd.Index(np.arange(300) // 2),
    "two levels": pd.MultiIndex.from_product([range(3), range(100)], names=["one", "two"]),
}


@dtypes
@every_result
def test_numpy_lists_and_arrow_give_numpy(estimator, method, dtype, X):
    X = X.astype(dtype)
    fitted = clone(estimator).fit(X)
    result = getattr(fitted, method)(X)
    assert type(result) is np.ndarray
    assert result.dtype == ("int32" if method == "predict" else dtype)
    assert len(result) == len(X)
    table = pa.Table.from_pandas(frame_of(X))
    np.testing.assert_array_equal(getattr(fitted, method)(table), result, strict=True)
    lists = getattr(fitted, method)(X.tolist())
    assert type(lists) is np.ndarray
    np.testing.assert_allclose(lists, result, rtol=1e-4, atol=1e-4)


@dtypes
@pytest.mark.parametrize("index", list(INDEXES))
@every_result
def test_pandas_keeps_its_index(estimator, method, index, dtype, X):
    X = X.astype(dtype)
    frame = frame_of(X, INDEXES[index])
    fitted = clone(estimator).fit(frame)
    expected = getattr(fitted, method)(X)
    result = getattr(fitted, method)(frame)
    shaped = like(fitted, method, expected, frame.index)
    if shaped.ndim == 1:
        pd.testing.assert_series_equal(result, shaped)
    else:
        pd.testing.assert_frame_equal(result, shaped)


@dtypes
@every_result
def test_dask_arrays_keep_their_chunks_and_tell_the_truth_of_themselves(
    estimator, method, dtype, X
):
    X = X.astype(dtype)
    fitted = clone(estimator).fit(X)
    expected = getattr(fitted, method)(X)
    lazy = da.from_array(X, chunks=((70, 0, 130, 99, 1), (2, 1)))
    result = getattr(fitted, method)(lazy)
    assert isinstance(result, da.Array)
    assert result.chunks[0] == lazy.chunks[0]
    assert_arrays_equal(result, expected, scheduler="synchronous")
    unknown = getattr(fitted, method)(lazy[lazy[:, 0] > 1])
    assert np.isnan(unknown.shape[0])
    assert_arrays_equal(unknown, expected[X[:, 0] > 1], scheduler="synchronous")


@dtypes
@pytest.mark.parametrize("index", ["named times", "text", "twice"])
@every_result
def test_dask_frames_keep_their_divisions_and_index(estimator, method, index, dtype, X):
    X = X.astype(dtype)
    frame = frame_of(X, INDEXES[index])
    lazy = dd.from_pandas(frame, npartitions=4)
    assert lazy.known_divisions
    fitted = clone(estimator).fit(frame)
    expected = like(fitted, method, getattr(fitted, method)(X), frame.index)
    result = getattr(fitted, method)(lazy)
    assert isinstance(result, dd.Series if method == "predict" else dd.DataFrame)
    assert result.divisions == lazy.divisions
    assert_frames_equal(result, expected, scheduler="synchronous")
    few = getattr(fitted, method)(lazy[lazy["a"] > 15])
    assert_frames_equal(few, expected[frame["a"] > 15], scheduler="synchronous")
    unordered = lazy.clear_divisions()
    assert_frames_equal(getattr(fitted, method)(unordered), expected, scheduler="synchronous")


class Calls:
    """Counts the parts that Dask computes."""

    def __init__(self):
        self.n = 0

    def __call__(self, part):
        self.n += 1
        return part


def noted(kind, X, calls):
    if kind == "array":
        chunks = da.from_array(X, chunks=(75, 3))
        return chunks.map_blocks(calls, dtype=X.dtype, meta=X[:0])
    lazy = dd.from_pandas(frame_of(X), npartitions=4)
    return lazy.map_partitions(calls, meta=lazy._meta)


@pytest.mark.parametrize(
    "columns", [[0, 1, 2], ["a", 7, None], [("x", 1), ("x", 2), ("y", 1)]], ids=str
)
@every_result
def test_columns_without_text_for_names_are_matched_by_their_text(estimator, method, columns, X):
    frame = pd.DataFrame(X, columns=columns)
    fitted = clone(estimator).fit(frame)
    assert fitted.feature_names_in_.tolist() == [str(name) for name in columns]
    expected = getattr(fitted, method)(X)
    for same in (frame, frame[columns[::-1]]):
        np.testing.assert_array_equal(getattr(fitted, method)(same), expected)
    if columns == [0, 1, 2]:
        lazy = dd.from_pandas(frame, npartitions=3)
        assert clone(estimator).fit(lazy).feature_names_in_.tolist() == ["0", "1", "2"]
        assert_frames_equal(
            getattr(fitted, method)(lazy), getattr(fitted, method)(frame), scheduler="synchronous"
        )


@pytest.mark.parametrize("kind", ["array", "frame"])
@every_result
def test_nothing_is_computed_before_it_is_asked_for(estimator, method, kind, X):
    fitted = clone(estimator).fit(frame_of(X))
    calls = Calls()
    result = getattr(fitted, method)(noted(kind, X, calls))
    assert calls.n == 0
    with dask.config.set(scheduler="synchronous"):
        result.compute()
    assert calls.n == 4


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (one, name)
        for one in ESTIMATORS
        for name in ("fit_predict", "fit_transform")
        if hasattr(one, name)
    ],
    ids=name_of,
)
def test_fitting_and_more_reads_no_more_than_fitting(estimator, method, kind, X):
    alone, more = Calls(), Calls()
    with dask.config.set(scheduler="synchronous"):
        fitted = clone(estimator).fit(noted(kind, X, alone))
        # a Normalizer learns nothing of lazy rows
        assert alone.n >= 4 or (isinstance(estimator, Normalizer) and alone.n == 0)
        lazy = noted(kind, X, more)
        result = getattr(clone(estimator), method)(lazy)
        assert more.n == alone.n
        if kind == "frame":
            assert result.divisions == lazy.divisions
        else:
            assert result.chunks[0] == lazy.chunks[0]
        expected = getattr(fitted, method.removeprefix("fit_"))(X)
        np.testing.assert_array_equal(np.asarray(result.compute()), expected)


@every_estimator
def test_fit_transform_is_of_the_kind_that_x_is(estimator, X):
    frame = frame_of(X, INDEXES["text"])
    result = clone(estimator).fit_transform(frame)
    expected = clone(estimator).fit(X).transform(X)
    pd.testing.assert_frame_equal(
        result, like(clone(estimator).fit(frame), "transform", expected, frame.index)
    )
    assert type(clone(estimator).fit_transform(X)) is np.ndarray


@every_clusterer
def test_fit_predict_gives_labels_with_the_index(estimator, X):
    frame = frame_of(X, INDEXES["two levels"])
    fitted = clone(estimator)
    labels = fitted.fit_predict(frame)
    assert type(fitted.labels_) is np.ndarray
    pd.testing.assert_series_equal(
        labels, pd.Series(fitted.labels_, index=frame.index, name="label")
    )
    pd.testing.assert_series_equal(labels, fitted.predict(frame))


@every_clusterer
def test_labels_of_lazy_rows_are_lazy_and_know_their_chunks(estimator, X):
    for kind in ("array", "frame"):
        calls = Calls()
        with dask.config.set(scheduler="synchronous"):
            fitted = clone(estimator).fit(noted(kind, X, calls))
            before = calls.n
            labels = fitted.labels_
            assert isinstance(labels, da.Array)
            assert labels.chunks == ((75, 75, 75, 75),)
            assert calls.n == before
            assert_arrays_equal(labels, fitted.predict(X), scheduler="synchronous")


@pytest.mark.parametrize("kind", ["array", "frame", "unknown chunks"])
@every_clusterer
def test_gaps_are_filled_lazily(estimator, kind, X):
    X[[5, 80], 1] = np.nan
    fitted = clone(estimator).fit(Rows.from_array(X, missing="mean"))
    calls = Calls()
    lazy = noted("array" if kind == "array" else "frame", X, calls)
    if kind == "unknown chunks":
        lazy = lazy.to_dask_array()
        assert np.isnan(lazy.shape[0])
    labels, score = fitted.predict(lazy), fitted.score(lazy)
    assert calls.n == 0
    with dask.config.set(scheduler="synchronous"):
        labels, score = labels.compute(), score.compute()
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    sq = ((filled[:, None] - fitted.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, sq.argmin(axis=1))
    assert float(score) == pytest.approx(-sq.min(axis=1).sum(), rel=1e-9)


@pytest.mark.parametrize("kind", ["array", "frame"])
@every_clusterer
def test_a_lazy_result_holds_the_centers_once(estimator, kind, X):
    fitted = clone(estimator).fit(X)
    centers = np.ascontiguousarray(fitted.scaled_centers_).tobytes()
    assert centers in pickle.dumps(fitted.model_)
    lazy = da.from_array(X, chunks=(75, 3)) if kind == "array" else dd.from_pandas(frame_of(X), 4)
    (result,) = dask.optimize(fitted.predict(lazy))
    tasks = list(result.__dask_graph__().values())
    assert len(tasks) > 4
    assert sum(centers in pickle.dumps(task) for task in tasks) == 1


@every_result
def test_lazy_frames_that_lack_a_column_are_refused_at_once(estimator, method, X):
    fitted = clone(estimator).fit(frame_of(X))
    lazy = dd.from_pandas(frame_of(X)[["a", "c"]], npartitions=3)
    with pytest.raises(FeaturesMismatch, match="lack column 'b'"):
        getattr(fitted, method)(lazy)
