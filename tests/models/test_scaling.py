"""The scaling of a model is scikit-learn's, feature by feature."""

import itertools

import numpy as np
import pytest
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
    normalize,
)

from dkmeans.errors import ArgumentError, ConstantFeature
from dkmeans.kernels.block import Block
from dkmeans.models.scaling import NORMS, Normalization, Scaling
from dkmeans.partials import Moments, Quantiles, merge_all
from tests.strategies import blocks_of


def moments_of(X: np.ndarray, weight: np.ndarray | None = None, n_blocks: int = 3) -> Moments:
    """Moments of rows that come in several blocks."""
    cuts = [len(X) * i // n_blocks for i in range(n_blocks + 1)]
    found = [
        Moments.from_block(
            Block(X[a:b], ((a, b),), None if weight is None else weight[a:b]), X[0].astype(float)
        )
        for a, b in itertools.pairwise(cuts)
    ]
    assert len(found) > 1
    total = found[0]
    for one in found[1:]:
        total = total.merge(one)
    return total


@pytest.fixture
def X() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(999, 4)) * [1e-3, 1.0, 1e4, 7.0] + [1e3, 0.0, -5.0, 1e6]


@pytest.mark.parametrize(
    ("kind", "reference"),
    [("standard", StandardScaler()), ("minmax", MinMaxScaler()), ("maxabs", MaxAbsScaler())],
)
def test_rows_are_scaled_as_scikit_learn_scales_them(X, kind: str, reference) -> None:
    scaling = Scaling.from_moments(kind, moments_of(X))
    expected = reference.fit_transform(X)
    np.testing.assert_allclose(scaling.transform(X), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(scaling.inverse_transform(expected), X, rtol=1e-9)
    assert scaling.kind == kind


def test_a_weight_counts_as_copies_of_the_row(X) -> None:
    weight = (np.arange(len(X)) % 4).astype(float)
    found = Scaling.from_moments("standard", moments_of(X, weight))
    copies = np.repeat(X, weight.astype(int), axis=0)
    np.testing.assert_allclose(found.shift, copies.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.factor, copies.std(axis=0), rtol=1e-9)


def test_rows_of_weight_zero_do_not_stretch_the_range(X) -> None:
    weight = np.ones(len(X))
    X[5] = 1e9
    weight[5] = 0
    found = Scaling.from_moments("minmax", moments_of(X, weight))
    others = np.delete(X, 5, axis=0)
    np.testing.assert_array_equal(found.shift, others.min(axis=0))
    np.testing.assert_allclose(found.factor, np.ptp(others, axis=0), rtol=1e-15)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_feature_gets_scale_one_and_a_warning(X, kind: str, dtype: str) -> None:
    # 0.1 has no exact float: a variance computed carelessly comes out tiny, not zero
    X[:, 1] = 0.1
    X = X.astype(dtype)
    with pytest.warns(ConstantFeature, match=r"1 of 4 features are constant \('height'\)"):
        scaling = Scaling.from_moments(kind, moments_of(X), ["a", "height", "c", "d"])
    assert scaling.factor[1] == 1
    np.testing.assert_allclose(scaling.transform(X)[:, 1], 0, atol=1e-7)


@pytest.mark.parametrize("kind", ["standard", "minmax", "maxabs"])
def test_float32_rows_stay_float32_and_are_rounded_once(X, kind: str) -> None:
    narrow = X.astype(np.float32)
    scaling = Scaling.from_moments(kind, moments_of(narrow))
    found = scaling.transform(narrow)
    assert found.dtype == np.float32
    exact = (narrow.astype(np.float64) - scaling.shift) / scaling.factor
    np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_scalings_are_named_by_what_they_do() -> None:
    one = Scaling("standard", np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    same = Scaling("standard", np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    other = Scaling("standard", np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    assert one.name == same.name != other.name


def test_an_unknown_kind_of_scaling_is_refused(X) -> None:
    with pytest.raises(ArgumentError, match="scale='cubic'"):
        Scaling.from_moments("cubic", moments_of(X))


def quantiles_of(X: np.ndarray) -> Quantiles:
    return merge_all(Quantiles.from_block(block) for block in blocks_of(X, 3))


@pytest.mark.parametrize("percents", [(25.0, 75.0), (0.0, 100.0), (5.0, 40.0)])
def test_percentiles_scale_as_scikit_learn_scales(X, percents: tuple[float, float]) -> None:
    scaling = Scaling.from_quantiles(quantiles_of(X), percents=percents)
    reference = RobustScaler(quantile_range=percents).fit(X)
    np.testing.assert_array_equal(scaling.factor, reference.scale_)
    np.testing.assert_allclose(scaling.shift, reference.center_, rtol=1e-15)
    assert scaling.kind == "robust"


def test_a_feature_that_is_zero_throughout_has_no_greatest_value(X) -> None:
    X[:, 1], X[:, 2] = 0, 7
    with pytest.warns(ConstantFeature, match=r"1 of 4 features are zero \(number 1\)"):
        scaling = Scaling.from_moments("maxabs", moments_of(X))
    assert scaling.factor[1:3].tolist() == [1, 7]


def test_a_feature_with_equal_percentiles_keeps_its_unit(X) -> None:
    X[:800, 1] = 3
    with pytest.warns(ConstantFeature, match=r"one value at percentiles 25 and 75 \(number 1\)"):
        scaling = Scaling.from_quantiles(quantiles_of(X))
    assert (scaling.shift[1], scaling.factor[1]) == (3, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", NORMS)
def test_rows_are_normalized_as_scikit_learn_normalizes_them(X, norm: str, dtype: str) -> None:
    X = np.asfortranarray(np.concatenate([X / 1e3, np.zeros((2, 4)), X[:9] * 1e-20]), dtype)
    found = Normalization(norm).transform(X)
    np.testing.assert_allclose(
        found, normalize(X, norm), rtol=1e-5 if dtype == "float32" else 1e-13
    )
    assert found.dtype == dtype
    assert not found[999:1001].any()
    assert Normalization(norm).inverse_transform(found) is found


def test_long_blocks_are_normalized_tile_by_tile() -> None:
    X = np.asfortranarray(np.random.default_rng(0).normal(size=(300_000, 2)))
    lengths = np.linalg.norm(Normalization().transform(X), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-14)


def test_norms_have_names_of_their_own() -> None:
    assert len({Normalization(norm).name for norm in NORMS}) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_few_rows_are_scaled_to_the_same_bits_as_many(dtype: str, order: str) -> None:
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(5000, 7)) * 10.0 ** rng.integers(-3, 6, 7)).astype(dtype)
    scaling = Scaling("standard", rng.normal(size=7) * 100, rng.uniform(1e-3, 1e3, 7))
    whole = scaling.transform(X)
    for n_rows in (0, 1, 2, 256, 257):
        given = np.array(X[:n_rows], order=order)
        few = scaling.transform(given)
        assert few.tobytes("F") == whole[:n_rows].tobytes("F")
        assert (few.dtype, few.shape) == (X.dtype, (n_rows, 7))
        assert few.flags.f_contiguous
        np.testing.assert_array_equal(given, X[:n_rows])
