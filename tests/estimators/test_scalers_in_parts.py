"""Scalers learn from any split what they learn from the whole, and merge; weights are copies."""

import pickle
import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from sklearn import preprocessing
from sklearn.base import clone

from dkmeans import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, Rows, StandardScaler
from dkmeans.errors import ArgumentError, ConstantFeature, FeaturesMismatch
from dkmeans.partials.quantiles import RANK_ERROR
from tests.laws import checked
from tests.strategies import CutRows, cut_rows, weighted_blocks

EACH = [StandardScaler(), MinMaxScaler((-1, 3)), MaxAbsScaler(), RobustScaler()]
by_class = pytest.mark.parametrize("scaler", EACH, ids=lambda scaler: type(scaler).__name__)


def learned(scaler: object) -> dict[str, object]:
    return {name: value for name, value in vars(scaler).items() if name.endswith("_")}


def assert_same_learned(found: object, expected: object, rtol: float = 0) -> None:
    """Assert that two scalers have the same attributes, to the bit if `rtol` is 0."""
    assert learned(found).keys() == learned(expected).keys()
    for name, value in learned(expected).items():
        if rtol and isinstance(value, np.ndarray) and value.dtype != object:
            np.testing.assert_allclose(learned(found)[name], value, rtol, atol=rtol, err_msg=name)
        else:
            np.testing.assert_array_equal(learned(found)[name], value, err_msg=name)


@pytest.fixture(autouse=True)
def few_rows_are_often_constant():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantFeature)
        yield


@by_class
@checked
@given(rows=cut_rows())
def test_any_split_of_integers_learns_to_the_bit_what_one_fit_learns(scaler, rows: CutRows):
    parts = [block for block in rows.blocks if block.total_weight > 0]
    if parts:
        scaler = clone(scaler)
        for part in parts:
            scaler.partial_fit(part.X, sample_weight=part.weight)
        X = np.concatenate([part.X for part in parts])
        weight = np.concatenate([part.weights for part in parts])
        whole = clone(scaler).fit(X, sample_weight=weight)
        if isinstance(scaler, RobustScaler | MinMaxScaler | MaxAbsScaler):
            assert_same_learned(scaler, whole)
        else:
            # the sums are exact, but their origin is the mean of the first rows
            assert_same_learned(scaler, whole, rtol=1e-13)


@by_class
@checked
@given(block=weighted_blocks())
def test_weights_are_copies_of_rows(scaler, block):
    copies = np.repeat(block.X, block.weight.astype(int), axis=0)
    if len(copies):
        weighted = clone(scaler).fit(block.X, sample_weight=block.weight)
        assert_same_learned(weighted, clone(scaler).fit(copies), rtol=1e-13)


@by_class
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("n_features", [1, 3])
def test_merging_gives_what_one_fit_gives(scaler, offset: float, n_features: int):
    rng = np.random.default_rng(0)
    X = offset + rng.integers(-900, 900, (3000, n_features)) / 16
    weight = rng.integers(0, 3, 3000).astype(float)
    cuts = np.split(np.arange(3000), [1200, 1300])
    parts = [clone(scaler).fit(X[cut], sample_weight=weight[cut]) for cut in cuts]
    whole = clone(scaler).fit(X, sample_weight=weight)
    before = [learned(part).copy() for part in parts]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    other = parts[2].merge(parts[0].merge(parts[1]))
    for found in (merged, other):
        assert_same_learned(found, whole, rtol=1e-9 if offset else 1e-12)
        assert found.get_params() == scaler.get_params()
    assert [learned(part).keys() for part in parts] == [one.keys() for one in before]
    assert parts[0].n_samples_seen_ == weight[cuts[0]].sum()
    np.testing.assert_allclose(merged.transform(X), whole.transform(X), rtol=1e-6, atol=1e-6)


@by_class
def test_a_merged_scaler_goes_on_learning(scaler):
    X = np.random.default_rng(1).normal(size=(900, 2))
    merged = clone(scaler).fit(X[:300]).merge(clone(scaler).fit(X[300:600]))
    merged.partial_fit(X[600:])
    assert_same_learned(merged, clone(scaler).fit(X), rtol=1e-12)


def test_parts_of_many_values_merge_within_the_rank_error():
    X = np.random.default_rng(2).lognormal(size=(60_000, 1))
    parts = [RobustScaler().fit(part) for part in np.split(X, 6)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    learning = RobustScaler()
    for part in np.split(X, [100, 7000, 50_000]):
        learning.partial_fit(part)
    for scaler in (merged, learning, RobustScaler().fit(Rows.from_array(X, block_rows=7000))):
        low, high = (np.quantile(X, 0.5 + side * RANK_ERROR) for side in (-1, 1))
        assert low <= scaler.center_[0] <= high
        least = np.quantile(X, 0.75 - RANK_ERROR) - np.quantile(X, 0.25 + RANK_ERROR)
        most = np.quantile(X, 0.75 + RANK_ERROR) - np.quantile(X, 0.25 - RANK_ERROR)
        assert least <= scaler.scale_[0] <= most


def test_all_schedulers_learn_the_same_bits(client):
    X = np.random.default_rng(3).lognormal(size=(30_000, 2))
    found = set()

    def fit() -> None:
        rows = Rows.from_dask(da.from_array(X, chunks=(2000, 2)))
        assert rows.n_blocks > 1
        scaler = RobustScaler().fit(rows)
        found.add(scaler.center_.tobytes() + scaler.scale_.tobytes())

    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            fit()
    with client.as_current():
        fit()
    assert len(found) == 1


def test_a_lazy_transform_carries_no_sketch_and_keeps_to_its_fit():
    X = np.random.default_rng(7).normal(size=(50_000, 4))
    scaler = RobustScaler().fit(X)
    lazy = scaler.transform(da.from_array(X, chunks=(10_000, 4)))
    expected = scaler.transform(X)
    scaler.fit(X * 100)
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), expected)
    assert len(pickle.dumps(lazy.dask)) < X.nbytes + scaler._seen.values.nbytes


def test_only_like_scalers_merge():
    X = np.random.default_rng(4).normal(size=(50, 2))
    scaler = RobustScaler().fit(X)
    with pytest.raises(ArgumentError, match="should be a RobustScaler"):
        scaler.merge(MaxAbsScaler().fit(X))
    with pytest.raises(ArgumentError, match="with_centering=False of other should be True"):
        scaler.merge(RobustScaler(with_centering=False).fit(X))
    with pytest.raises(FeaturesMismatch, match="3 features without names"):
        scaler.merge(RobustScaler().fit(np.ones((4, 3))))
    named = RobustScaler().fit(pd.DataFrame(X, columns=["a", "b"]))
    with pytest.raises(FeaturesMismatch, match=r"\['b', 'a'\]"):
        named.merge(RobustScaler().fit(pd.DataFrame(X, columns=["b", "a"])))
    assert named.merge(named).feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_normalizers_learn_nothing_and_merge(norm: str):
    X = np.random.default_rng(5).normal(size=(40, 3))
    rows = Rows.from_dask(da.from_array(X, chunks=(10, 3)))
    one, other = Normalizer(norm).fit(rows), Normalizer(norm).partial_fit(X[:1]).partial_fit(X)
    assert rows.n_passes == 0
    np.testing.assert_array_equal(one.merge(other).transform(X), one.transform(X))
    with pytest.raises(FeaturesMismatch, match="2 features"):
        one.partial_fit(X[:, :2])


EXPORTED = [
    *EACH,
    StandardScaler(with_mean=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(clip=True),
    RobustScaler(with_centering=False, quantile_range=(10.0, 80.0), unit_variance=True),
    Normalizer("max"),
]


@pytest.mark.parametrize("scaler", EXPORTED, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scikit_learns_scaler_has_the_attributes_and_transforms_alike(scaler, dtype: str):
    X = np.random.default_rng(6).lognormal(size=(500, 3)).astype(dtype)
    X[:, 2] = 5
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    ours = clone(scaler).fit(frame)
    theirs = ours.to_sklearn()
    assert type(theirs) is getattr(preprocessing, type(scaler).__name__)
    fitted = clone(theirs).fit(frame)
    assert learned(theirs).keys() >= learned(fitted).keys()
    for name, value in learned(fitted).items():
        if name == "feature_names_in_":
            assert theirs.feature_names_in_.tolist() == value.tolist()
        elif value is not None:
            np.testing.assert_allclose(getattr(theirs, name), value, rtol=1e-5, err_msg=name)
    new = frame.iloc[:50] * 3
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(theirs.transform(new), ours.transform(new), **close)
    assert theirs.get_feature_names_out().tolist() == ours.get_feature_names_out().tolist()
