"""A model in scikit-learn's form predicts what the model predicts."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

import dkmeans
from dkmeans.models.scaling import SCALES, Scaling
from tests.models.test_model import NAMES, make_model, rows

EVERY = [None, *SCALES]


def data_of(scale: str | None) -> np.ndarray:
    """Rows that nearly all clusters of `make_model` get some of."""
    if scale in ("standard", "minmax", "robust"):
        return rows()
    return np.random.default_rng(1).normal(size=(2000, 3)) * (
        [0.5, 4, 50] if scale == "maxabs" else 1
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", EVERY)
def test_the_pipeline_predicts_the_same_labels_on_arrays(dtype: str, scale: str | None) -> None:
    model, X = make_model(names=None, dtype=dtype, scale=scale), data_of(scale)
    pipeline = model.to_sklearn()
    assert isinstance(pipeline, Pipeline)
    expected = model.predict(X)
    assert len(np.unique(expected)) >= 5
    for given in (X, X.astype(np.float32), np.asfortranarray(X)):
        np.testing.assert_array_equal(pipeline.predict(given), model.predict(given))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", EVERY)
def test_the_pipeline_takes_a_frame_with_the_feature_names_without_warning(
    dtype: str, scale: str | None
) -> None:
    model, X = make_model(dtype=dtype, scale=scale), data_of(scale)
    frame = pd.DataFrame(X, columns=list(NAMES))
    pipeline = model.to_sklearn()
    np.testing.assert_array_equal(pipeline.predict(frame), model.predict(frame))
    assert list(pipeline.feature_names_in_) == list(NAMES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", EVERY)
def test_the_pipeline_agrees_on_data_far_from_the_origin(dtype: str, scale: str | None) -> None:
    rng = np.random.default_rng(7)
    X = (rng.normal(size=(4000, 3)) + 3e3).astype(dtype)
    model = dkmeans.KMeans(8, scale=scale, random_state=0, max_iter=5).fit(X).model_
    expected = model.predict(X)
    unit = model.scaling.factor if isinstance(model.scaling, Scaling) else 1.0
    wide = X.astype(float)
    if scale == "normalize":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    exact = (wide[:, None, :] - model.centers[None]) / unit
    both = np.sort(np.sqrt((exact**2).sum(axis=2)), axis=1)[:, :2]
    clear = both[:, 1] - both[:, 0] > 2e-3 * np.median(both[:, 1])
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(model.to_sklearn().predict(X)[clear], expected[clear])


def test_the_pipeline_gives_distances_and_counts_as_fitted() -> None:
    model, X = make_model(), rows(100)
    pipeline = model.to_sklearn()
    check_is_fitted(pipeline)
    frame = pd.DataFrame(X, columns=list(NAMES))
    np.testing.assert_allclose(pipeline.transform(frame), model.transform(X), rtol=1e-9)
    assert pipeline[-1].n_clusters == 6
    assert pipeline[-1].inertia_ == model.inertia


def test_the_pipeline_survives_pickling_and_cloning() -> None:
    model, X = make_model(names=None), rows(100)
    again = pickle.loads(pickle.dumps(model.to_sklearn()))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    refitted = clone(model.to_sklearn()).fit(X)
    assert len(np.unique(refitted.predict(X))) == 6


def test_a_single_cluster_is_exported_too() -> None:
    model = make_model(k=1)
    frame = pd.DataFrame(rows(5), columns=list(NAMES))
    assert model.to_sklearn().predict(frame).tolist() == [0] * 5
