"""Scalers: scikit-learn's results, from any input, in one pass and in any pieces."""

import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import preprocessing
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from dkmeans import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    Rows,
    StandardScaler,
    read_parquet,
)
from dkmeans.errors import ArgumentError, BadValues, ConstantFeature, FeaturesMismatch
from tests.conftest import write_parquet

NAMES = ["f0", "f1", "f2"]
PAIRS = [
    (StandardScaler(), preprocessing.StandardScaler()),
    (StandardScaler(with_mean=False), preprocessing.StandardScaler(with_mean=False)),
    (StandardScaler(with_std=False), preprocessing.StandardScaler(with_std=False)),
    (
        StandardScaler(with_mean=False, with_std=False),
        preprocessing.StandardScaler(with_mean=False, with_std=False),
    ),
    (MinMaxScaler(), preprocessing.MinMaxScaler()),
    (MinMaxScaler((-2, 5)), preprocessing.MinMaxScaler((-2, 5))),
    (MinMaxScaler(clip=True), preprocessing.MinMaxScaler(clip=True)),
    (MaxAbsScaler(), preprocessing.MaxAbsScaler()),
    (RobustScaler(), preprocessing.RobustScaler()),
    (RobustScaler(with_centering=False), preprocessing.RobustScaler(with_centering=False)),
    (RobustScaler(with_scaling=False), preprocessing.RobustScaler(with_scaling=False)),
    (
        RobustScaler(quantile_range=(5, 60), unit_variance=True),
        preprocessing.RobustScaler(quantile_range=(5, 60), unit_variance=True),
    ),
]
EACH = [StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()]
LEARNED = {
    "StandardScaler": ("mean_", "var_", "scale_"),
    "MinMaxScaler": ("min_", "scale_", "data_min_", "data_max_", "data_range_"),
    "MaxAbsScaler": ("max_abs_", "scale_"),
    "RobustScaler": ("center_", "scale_"),
}


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return np.column_stack(
        [rng.normal(5, 3, 4000), rng.exponential(1e4, 4000), rng.uniform(-1e-3, 1e-3, 4000)]
    )


def computed(result):
    return result.compute(scheduler="threads") if dask.is_dask_collection(result) else result


def assert_learned_alike(ours, theirs, rtol=1e-9):
    for name in LEARNED[type(ours).__name__]:
        expected = getattr(theirs, name)
        if expected is None:
            assert getattr(ours, name) is None
        else:
            unit = np.abs(expected).max() * 1e-12
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=rtol, atol=unit)


def given_as(kind, X, tmp_path):
    frame = pd.DataFrame(X, columns=NAMES, index=np.arange(len(X)) + 50)
    if kind == "url":
        write_parquet(tmp_path / "rows", X)
        return read_parquet(str(tmp_path / "rows"), dtype="float64")
    return {
        "numpy": lambda: X,
        "pandas": lambda: frame,
        "arrow": lambda: pa.Table.from_pandas(frame, preserve_index=False),
        "dask array": lambda: da.from_array(X, chunks=(700, 2)),
        "dask frame": lambda: dd.from_pandas(frame, npartitions=6),
        "unknown chunks": lambda: dd.from_pandas(frame, npartitions=6).to_dask_array(),
        "rows": lambda: Rows.from_array(X, block_rows=300),
    }[kind]()


@pytest.mark.parametrize(
    "kind",
    ["numpy", "pandas", "arrow", "dask array", "dask frame", "unknown chunks", "rows", "url"],
)
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda scaler: str(scaler))
def test_every_input_gives_what_scikit_learn_gives(kind, ours, theirs, X, tmp_path):
    given = given_as(kind, X, tmp_path)
    ours, theirs = clone(ours).fit(given), clone(theirs).fit(X)
    assert_learned_alike(ours, theirs)
    assert ours.n_samples_seen_ == 4000
    scaled = ours.transform(given)
    lazy = kind not in ("numpy", "pandas", "arrow")
    assert dask.is_dask_collection(scaled) == lazy
    expected = theirs.transform(X)
    unit = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(np.asarray(computed(scaled)) / unit, expected / unit, atol=1e-9)
    back = np.asarray(computed(ours.inverse_transform(scaled)))
    np.testing.assert_allclose(back / X.std(axis=0), X / X.std(axis=0), atol=1e-9)


@pytest.mark.parametrize(
    "kind",
    ["numpy", "pandas", "arrow", "dask array", "dask frame", "unknown chunks", "rows", "url"],
)
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_every_input_is_normalized_as_scikit_learn_does(kind, norm, X, tmp_path):
    X[::9] = 0
    given = given_as(kind, X, tmp_path)
    ours = Normalizer(norm).fit(given)
    scaled = ours.transform(given)
    assert dask.is_dask_collection(scaled) == (kind not in ("numpy", "pandas", "arrow"))
    expected = preprocessing.Normalizer(norm).fit_transform(X)
    np.testing.assert_allclose(np.asarray(computed(scaled)), expected, rtol=1e-13)
    assert not hasattr(ours, "inverse_transform")
    assert ours.get_feature_names_out().tolist() == (
        NAMES if kind in ("pandas", "arrow", "dask frame", "url") else ["x0", "x1", "x2"]
    )


def test_a_folder_of_parquet_is_scaled_in_one_pass(X, tmp_path):
    write_parquet(tmp_path / "rows", X)
    ours = StandardScaler().fit(str(tmp_path / "rows"))
    expected = preprocessing.StandardScaler().fit(X.astype(np.float32).astype(np.float64))
    assert_learned_alike(ours, expected)
    assert ours.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("scaler", EACH)
def test_a_fit_makes_one_pass(scaler, X):
    rows = Rows.from_array(X, block_rows=300)
    assert rows.n_blocks > 1
    clone(scaler).fit(rows)
    assert rows.n_passes == 1


def test_a_dataframe_comes_back_as_one_with_its_index(X, tmp_path):
    frame = given_as("pandas", X, tmp_path)
    scaled = StandardScaler().fit(frame).transform(frame)
    assert isinstance(scaled, pd.DataFrame)
    assert list(scaled.columns) == NAMES
    pd.testing.assert_index_equal(scaled.index, frame.index)
    lazy = StandardScaler().fit(frame).transform(dd.from_pandas(frame, npartitions=3))
    assert isinstance(lazy, dd.DataFrame)
    pd.testing.assert_frame_equal(lazy.compute(scheduler="threads"), scaled)


def test_columns_are_matched_by_name(X, tmp_path):
    frame = given_as("pandas", X, tmp_path)
    scaler = StandardScaler().fit(frame)
    shuffled = scaler.transform(frame[["f2", "f0", "f1"]])
    pd.testing.assert_frame_equal(shuffled, scaler.transform(frame))
    with pytest.raises(FeaturesMismatch, match="'f1'"):
        scaler.transform(frame[["f0", "f2"]])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda scaler: str(scaler))
def test_new_rows_are_scaled_and_scaled_back(ours, theirs, X):
    ours, theirs = clone(ours).fit(X[:3000]), clone(theirs).fit(X[:3000])
    rows = X[3000:] * 3
    expected = theirs.transform(rows)
    np.testing.assert_allclose(ours.transform(rows), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        ours.inverse_transform(expected), theirs.inverse_transform(expected), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), weighted=st.booleans())
@pytest.mark.parametrize(("ours", "theirs"), [PAIRS[0], PAIRS[3]], ids=["standard", "minmax"])
def test_any_split_into_parts_learns_what_one_fit_learns(ours, theirs, cuts, weighted):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 3)) * [1, 1e3, 1e-2] + [0, 5, 1e3]
    weight = rng.uniform(0.5, 3, 300) if weighted else None
    parts = [part for part in np.split(np.arange(300), sorted(cuts)) if len(part)]
    scaler = clone(ours)
    with warnings.catch_warnings():
        # a part of one row is constant
        warnings.simplefilter("ignore", ConstantFeature)
        for part in parts:
            scaler.partial_fit(X[part], sample_weight=None if weight is None else weight[part])
    if type(ours).__name__ == "StandardScaler":
        reference = clone(theirs).fit(X, sample_weight=weight)
    else:
        reference = clone(theirs).fit(X)
    assert_learned_alike(scaler, reference)
    assert scaler.n_samples_seen_ == pytest.approx(300 if weight is None else weight.sum())


def test_fit_forgets_what_was_learned_before(X):
    scaler = StandardScaler().fit(X * 100)
    scaler.fit(X)
    np.testing.assert_allclose(scaler.mean_, X.mean(axis=0), rtol=1e-12)
    assert scaler.n_samples_seen_ == 4000


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_equal_copies_and_zero_weights_hide_rows(X, lazy):
    copies = np.random.default_rng(2).integers(0, 4, len(X))
    X[copies == 0] *= 1e3
    given = da.from_array(X, chunks=(900, 3)) if lazy else X
    repeated = np.repeat(X, copies, axis=0)
    standard = StandardScaler().fit(given, sample_weight=copies.astype(float))
    assert_learned_alike(standard, preprocessing.StandardScaler().fit(repeated))
    assert standard.n_samples_seen_ == len(repeated)
    for ours in (MinMaxScaler(), MaxAbsScaler(), RobustScaler()):
        ours.fit(given, sample_weight=copies.astype(float))
        assert_learned_alike(ours, getattr(preprocessing, type(ours).__name__)().fit(repeated))


@pytest.mark.parametrize("ours", [StandardScaler(), MinMaxScaler(), RobustScaler()])
def test_constant_columns_get_scale_one_and_a_warning(ours, X):
    X[:, 1] = 0.1
    with pytest.warns(ConstantFeature, match="1 of 3 features"):
        scaler = clone(ours).fit(Rows.from_array(X, block_rows=700))
    assert scaler.scale_[1] == 1
    scaled = scaler.transform(X)
    np.testing.assert_allclose(scaled[:, 1], 0, atol=1e-12)
    np.testing.assert_allclose(scaler.inverse_transform(scaled)[:, 1], 0.1, rtol=1e-12)


@pytest.mark.parametrize("offset", [1e8, -1e8])
def test_a_large_offset_costs_no_digits_of_the_variance(offset):
    rng = np.random.default_rng(3)
    spread = rng.integers(-50, 50, size=(20_000, 2)) / 16
    X = offset + spread
    scaler = StandardScaler().fit(Rows.from_array(X, block_rows=900))
    np.testing.assert_allclose(scaler.var_, spread.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scaler.mean_ - offset, spread.mean(axis=0), rtol=0, atol=3e-8)
    scaled = scaler.transform(X)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-9)


def test_a_drift_away_from_the_first_rows_costs_no_digits():
    X = np.linspace(0, 1e6, 30_000)[:, None] ** 1.5
    scaler = StandardScaler().fit(Rows.from_array(X, block_rows=500))
    assert_learned_alike(scaler, preprocessing.StandardScaler().fit(X))


def test_float32_rows_are_learned_in_float64_and_stay_float32(X):
    X32 = X.astype(np.float32)
    rows = Rows.from_array(X32, block_rows=700)
    scaler = StandardScaler().fit(rows)
    expected = preprocessing.StandardScaler().fit(X32.astype(np.float64))
    assert_learned_alike(scaler, expected)
    for same in (X32, rows, da.from_array(X32, chunks=(700, 3))):
        scaled = computed(scaler.transform(same))
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled, expected.transform(X32.astype(float)), atol=1e-5)


def test_integers_and_lists_become_float64():
    scaled = MinMaxScaler().fit([[0, 5], [10, 15]]).transform([[5, 10]])
    np.testing.assert_array_equal(scaled, [[0.5, 0.5]])


def test_the_sets_that_scikit_learn_ships_scale_alike():
    from sklearn.datasets import load_breast_cancer, load_wine

    for load in (load_wine, load_breast_cancer):
        X = load().data
        rows = Rows.from_array(X, block_rows=50)
        assert rows.n_blocks > 1
        for ours in EACH:
            theirs = getattr(preprocessing, type(ours).__name__)()
            assert_learned_alike(clone(ours).fit(rows), theirs.fit(X))


def test_parts_have_the_same_features(X):
    scaler = StandardScaler().partial_fit(X)
    with pytest.raises(FeaturesMismatch, match="X has 2 features, but dkmeans is expecting 3"):
        scaler.partial_fit(X[:, :2])
    with pytest.raises(FeaturesMismatch):
        scaler.transform(X[:, :2])


def test_parts_have_the_same_columns(X):
    frame = pd.DataFrame(X, columns=NAMES)
    whole = StandardScaler().fit(frame)
    scaler = StandardScaler().partial_fit(frame[:1000])
    scaler.partial_fit(frame[1000:][["f2", "f1", "f0"]])
    assert scaler.feature_names_in_.tolist() == NAMES
    np.testing.assert_allclose(scaler.mean_, whole.mean_, rtol=1e-9)


@pytest.mark.parametrize("scaler", EACH)
def test_rows_without_any_weight_are_refused(scaler, X):
    with pytest.raises(BadValues, match="all sample weights are zero"):
        clone(scaler).fit(X, sample_weight=np.zeros(len(X)))


@pytest.mark.parametrize("scaler", EACH)
def test_values_that_are_not_finite_are_refused(scaler, X):
    X[7, 1] = np.nan
    with pytest.raises(BadValues, match="column number 1"):
        clone(scaler).fit(X)


def test_parameters_that_cannot_be_are_refused(X):
    for bounds in ((60, 40), (-1, 50), (0, 101), 3, None, ("a", "b"), (25, 50, 75)):
        with pytest.raises(ArgumentError, match=r"quantile_range=.* 0 <= low <= high <= 100"):
            RobustScaler(quantile_range=bounds).fit(X)
    for bounds in (3, ("a", "b"), (0,), (0, np.inf), (1, 0)):
        with pytest.raises(ArgumentError, match=r"feature_range=.* low < high"):
            MinMaxScaler(bounds).fit(X)
    with pytest.raises(ArgumentError, match="unit_variance=True needs"):
        RobustScaler(quantile_range=(0, 75), unit_variance=True).fit(X)
    with pytest.raises(ArgumentError, match="norm='l3' is not known"):
        Normalizer("l3").fit(X)


@pytest.mark.parametrize("bounds", [(1, 1), (2, 0)])
def test_an_empty_range_is_refused(bounds, X):
    with pytest.raises(ArgumentError, match="feature_range"):
        MinMaxScaler(bounds).fit(X)


def test_unfitted_scalers_say_so(X):
    for scaler in (*EACH, Normalizer()):
        with pytest.raises(NotFittedError):
            scaler.transform(X)
        with pytest.raises(NotFittedError):
            scaler.merge(clone(scaler).fit(X))
        with pytest.raises(NotFittedError):
            clone(scaler).fit(X).merge(scaler)
