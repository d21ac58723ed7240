"""The scaling of a model is scikit-learn's, feature by feature."""

import itertools

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from dkmeans.errors import ArgumentError, ConstantFeature
from dkmeans.kernels.block import Block
from dkmeans.models.scaling import Scaling
from dkmeans.partials.moments import Moments


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
    ("kind", "reference"), [("standard", StandardScaler()), ("minmax", MinMaxScaler())]
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


@pytest.mark.parametrize("kind", ["standard", "minmax"])
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
    with pytest.raises(ArgumentError, match="scale='robust'"):
        Scaling.from_moments("robust", moments_of(X))
