"""Models of every kind, and rows for them, for the tests of all exports."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from dkmeans.models.columns import FeatureColumn
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import NORMS, Normalization, Scaling
from tests.models.test_model import make_model, rows

SCALINGS = ("none", "standard", "minmax", "maxabs", "robust", *(f"normalize-{n}" for n in NORMS))
IDS = (7, 3, 11, 40, 5, 2)

each_scaling = pytest.mark.parametrize("scaling", SCALINGS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model_of(scaling: str, dtype: str, *, names: bool = False, fills: bool = False) -> Model:
    """A model of three features and six clusters, whose ids are not its labels."""
    kind, _, norm = scaling.partition("-")
    model = make_model(
        names=("a", "b", "c") if names else None,
        scale=None if kind == "none" else kind,
        dtype=dtype,
        cluster_ids=np.array(IDS),
    )
    if norm:
        model = dataclasses.replace(model, scaling=Normalization(norm))
    if fills:
        model = dataclasses.replace(model, filling=Filling(np.array([0.25, -0.5, 0.125])))
    return model


def rows_of(scaling: str, n: int = 2000, seed: int = 1) -> np.ndarray:
    """Rows that all clusters of `model_of` get some of."""
    if scaling in ("standard", "minmax", "robust"):
        return rows(n, seed)
    unit = [0.5, 4, 50] if scaling == "maxabs" else [1, 1, 1]
    return np.random.default_rng(seed).normal(size=(n, 3)) * unit


def with_gaps(X: np.ndarray, seed: int = 2) -> np.ndarray:
    """Rows of which one value in ten is missing."""
    gaps = np.random.default_rng(seed).uniform(size=X.shape) < 0.1
    assert gaps.any(axis=1).mean() > 0.2
    return np.where(gaps, np.nan, X)


def offset_model(dtype: str, scaling: str, offset: float = 1e6) -> tuple[Model, np.ndarray]:
    """Eight clusters of 4 000 rows far from the origin, and the rows, in the model's dtype.

    They lie on eighths, so that float32 holds them at that offset.
    """
    rng = np.random.default_rng(3)
    X = (np.round(rng.normal(size=(4000, 3)) * 40) / 8 + offset).astype(dtype)
    wide = X.astype(np.float64)
    scaled = {
        "none": None,
        "standard": Scaling("standard", wide.mean(axis=0), wide.std(axis=0)),
        "maxabs": Scaling("maxabs", np.zeros(3), np.abs(wide).max(axis=0)),
    }[scaling]
    centers = wide[:8] if scaled is None else scaled.transform(wide[:8])
    assert len(np.unique(centers, axis=0)) == 8
    model = make_model(k=8, names=None, scale=None, dtype=dtype)
    return dataclasses.replace(model, scaling=scaled, scaled_centers=centers), X


def tied_model(dtype: str) -> tuple[Model, np.ndarray]:
    """Centers on a grid, one of them twice, and rows of which most are as near to several.

    All that is computed of them is exact.
    """
    grid = np.array(np.meshgrid([0, 4, 8], [0, 4], [0, 4])).reshape(3, -1).T.astype(float)
    centers = np.vstack([grid[[5, 0, 7, 3]], grid[[0]], grid])
    k = len(centers)
    model = dataclasses.replace(
        make_model(names=None, scale=None, dtype=dtype, k=k),
        scaled_centers=centers,
        cluster_ids=np.arange(100, 100 + k)[::-1].copy(),
        next_cluster_id=0,
    )
    X = np.array(np.meshgrid(*[np.arange(-2, 11.0)] * 3)).reshape(3, -1).T
    sq = np.square(X[:, None] - centers).sum(axis=2)
    tied = (sq == sq.min(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.mean() > 0.5
    np.testing.assert_array_equal(model.predict(X), sq.argmin(axis=1))
    return model, X


def vector_model(dtype: str) -> Model:
    """A number, a vector of three, and a number, scaled."""
    columns = (FeatureColumn("age"), FeatureColumn("emb", 3), FeatureColumn("pay"))
    rng = np.random.default_rng(4)
    return dataclasses.replace(
        make_model(dtype=dtype, scale=None, k=6),
        columns=columns,
        scaled_centers=rng.normal(size=(6, 5)),
        scaled_means=rng.normal(size=(6, 5)),
        scaling=Scaling("standard", np.arange(5.0), np.arange(1, 6.0)),
        cluster_ids=np.array(IDS),
        next_cluster_id=0,
    )


def clear_rows(model: Model, X: np.ndarray) -> np.ndarray:
    """Which rows are nearer to one center than to the next by more than rounding, bool."""
    found = model.assign(X)
    assert found.second_distances is not None
    near, second = found.distances.astype(float), found.second_distances.astype(float)
    return second - near > 1e-5 * (second + 1e-30)


Predict = Callable[[Model, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Exports a model, loads it, and returns labels, cluster ids and distances of rows."""


class ExportLaws:
    """What every export keeps of a model; a test class inherits them and gives `predict`."""

    predict: Predict

    def check(self, model: Model, X: np.ndarray, tolerance: float | None = None) -> None:
        """Compare an exported model with the model itself."""
        labels, ids, distances = type(self).predict(model, X)
        expected = model.assign(X)
        np.testing.assert_array_equal(labels, expected.labels)
        np.testing.assert_array_equal(ids, expected.cluster_ids)
        if tolerance is None:
            tolerance = 1e-5 if model.dtype == "float32" else 1e-9
        np.testing.assert_allclose(distances, expected.distances, rtol=tolerance, atol=tolerance)

    @each_dtype
    @each_scaling
    def test_labels_ids_and_distances_are_the_models(self, scaling: str, dtype: str) -> None:
        model, X = model_of(scaling, dtype), rows_of(scaling)
        assert len(np.unique(model.predict(X))) >= 3
        self.check(model, X.astype(dtype))

    @each_dtype
    @pytest.mark.parametrize("scaling", ["none", "standard", "maxabs", "normalize-l2"])
    def test_missing_values_are_filled(self, scaling: str, dtype: str) -> None:
        model, X = model_of(scaling, dtype, fills=True), with_gaps(rows_of(scaling))
        self.check(model, X.astype(dtype))

    @each_dtype
    @pytest.mark.parametrize("scaling", ["none", "standard", "maxabs"])
    def test_no_offset_of_the_data_costs_labels(self, scaling: str, dtype: str) -> None:
        model, X = offset_model(dtype, scaling)
        clear = clear_rows(model, X)
        assert clear.mean() > 0.8
        self.check(model, X[clear], 1e-4 if dtype == "float32" else 1e-6)

    @each_dtype
    def test_ties_go_to_the_lowest_index(self, dtype: str) -> None:
        model, X = tied_model(dtype)
        self.check(model, X.astype(dtype), 1e-6)

    @each_dtype
    def test_vector_columns_are_features_beside_each_other(self, dtype: str) -> None:
        model = vector_model(dtype)
        X = np.random.default_rng(5).normal(size=(500, 5)) * np.arange(1, 6) + np.arange(5)
        assert len(np.unique(model.predict(X))) == 6
        self.check(model, X.astype(dtype))

    @each_dtype
    @pytest.mark.parametrize("scaling", ["none", "standard"])
    def test_one_cluster_is_exported_too(self, scaling: str, dtype: str) -> None:
        model = make_model(k=1, names=None, scale=None if scaling == "none" else scaling)
        model = dataclasses.replace(
            model, dtype=dtype, cluster_ids=np.array([9]), next_cluster_id=0
        )
        self.check(model, rows_of(scaling, 50).astype(dtype))

    @each_dtype
    def test_a_hundred_thousand_rows_get_the_same_labels(self, dtype: str) -> None:
        rng = np.random.default_rng(6)
        model = dataclasses.replace(
            make_model(k=40, names=None, scale=None, dtype=dtype),
            scaled_centers=rng.normal(size=(40, 8)),
            scaled_means=rng.normal(size=(40, 8)),
            scaling=Scaling("standard", rng.normal(size=8) * 100, rng.uniform(1, 50, 8)),
        )
        assert model.scaling is not None
        X = model.scaling.inverse_transform(rng.normal(size=(100_000, 8))).astype(dtype)
        clear = clear_rows(model, X)
        assert clear.mean() > 0.999
        assert len(np.unique(model.predict(X))) == 40
        self.check(model, X[clear])
