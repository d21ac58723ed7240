"""The contract of scikit-learn's estimators: its own checks, and the company they keep."""

import pickle

import dask.array as da
import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from dkmeans import KMeans, StandardScaler
from dkmeans.errors import ArgumentError, BadValues
from tests.estimators.every import CLUSTERERS, ESTIMATORS, WEIGHTED, name_of

NAMES = ["a", "b", "c"]

EXPECTED_FAILURES = {
    "MiniBatchKMeans": {
        "check_sample_weight_equivalence_on_dense_data": (
            "seeding draws rows by their number in the data, so copies of a row draw other numbers "
            "than its weight does: the first centers are alike in distribution only, as in "
            "scikit-learn. From given centers weights equal copies."
        )
    }
}
"""By the name of an estimator: the check, and why it cannot pass."""

MORE_CHECKS = [
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_inplace_ensure_writeable",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]
"""Checks of scikit-learn's own estimators that `parametrize_with_checks` leaves out."""

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
every_clusterer = pytest.mark.parametrize("estimator", CLUSTERERS, ids=name_of)
every_weighted = pytest.mark.parametrize("estimator", WEIGHTED, ids=name_of)


@parametrize_with_checks(
    ESTIMATORS,
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(name_of(estimator), {}),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", MORE_CHECKS)
@every_estimator
def test_checks_of_scikit_learns_own_estimators(estimator, check):
    getattr(estimator_checks, check)(name_of(estimator), estimator)


def test_every_kind_of_estimator_is_found():
    assert {"KMeans", "StandardScaler", "MinMaxScaler"} <= {name_of(one) for one in ESTIMATORS}
    assert "KMeans" in {name_of(one) for one in CLUSTERERS}
    assert {"KMeans", "StandardScaler"} <= {name_of(one) for one in WEIGHTED}


def test_weights_equal_copies_from_given_centers(X):
    copies = np.random.default_rng(2).integers(0, 4, len(X))
    start = X[[0, 1, 200]]
    weighted = KMeans(3, init=start, tol=0).fit(X, sample_weight=copies)
    repeated = KMeans(3, init=start, tol=0).fit(np.repeat(X, copies, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(np.repeat(weighted.labels_, copies), repeated.labels_)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_, rel=1e-9)
    assert weighted.n_iter_ == repeated.n_iter_ > 1


@pytest.fixture
def X():
    """Three groups of 100 rows, far apart."""
    rng = np.random.default_rng(0)
    return np.repeat([[0.0, 0, 0], [20, 0, 5], [0, 30, 9]], 100, axis=0) + rng.normal(size=(300, 3))


@pytest.fixture
def weight():
    return np.random.default_rng(1).uniform(0.1, 3, 300)


def learned(estimator):
    """The attributes of a fit that are numbers."""
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_")
        and not name.startswith("_")
        and isinstance(value, (int, float, np.ndarray))
    }


def assert_learned_alike(one, other):
    assert learned(one).keys() == learned(other).keys() != set()
    for name, value in learned(one).items():
        np.testing.assert_array_equal(value, learned(other)[name], err_msg=name)


def outputs(estimator, X):
    return {
        method: getattr(estimator, method)(X)
        for method in ("predict", "transform", "inverse_transform")
        if hasattr(estimator, method)
    }


# clone, pickle, joblib, HTML


@every_estimator
def test_clones_have_the_parameters_and_nothing_learned(estimator, X):
    fitted = clone(estimator).fit(X)
    copy = clone(fitted)
    assert copy.get_params() == estimator.get_params()
    assert learned(fitted)
    assert not learned(copy)
    assert_learned_alike(copy.fit(X), fitted)


def given_as(kind, X):
    if kind == "numpy":
        return X
    if kind == "pandas":
        return pd.DataFrame(X, columns=NAMES)
    if kind == "dask array":
        return da.from_array(X, chunks=(70, 3))
    return dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=4)


@pytest.mark.parametrize("way", ["pickle", "joblib"])
@pytest.mark.parametrize("kind", ["numpy", "pandas", "dask array", "dask frame"])
@every_estimator
def test_fitted_estimators_come_back_from_files(way, kind, estimator, X, tmp_path):
    fitted = clone(estimator).fit(given_as(kind, X))
    if way == "pickle":
        back = pickle.loads(pickle.dumps(fitted))
    else:
        joblib.dump(fitted, tmp_path / "estimator")
        back = joblib.load(tmp_path / "estimator")
    assert type(back) is type(fitted)
    assert_learned_alike(back, fitted)
    expected = outputs(fitted, X)
    for method, result in outputs(back, X).items():
        np.testing.assert_array_equal(result, expected[method])


@pytest.mark.parametrize("persisted", [False, True])
@every_estimator
def test_nothing_of_a_cluster_or_of_lazy_data_is_in_a_pickle(estimator, persisted, X, client):
    lazy = da.from_array(X, chunks=(70, 3))
    with client.as_current():
        fitted = clone(estimator).fit(client.persist(lazy) if persisted else lazy)
        stored = pickle.dumps(fitted)
    assert b"distributed" not in stored
    assert X[:5].tobytes() not in stored
    back = pickle.loads(stored)
    assert hasattr(fitted, "labels_") == hasattr(fitted, "predict")
    assert not hasattr(back, "labels_")
    for method, result in outputs(back, X).items():
        np.testing.assert_array_equal(result, outputs(fitted, X)[method])


@every_estimator
def test_notebooks_show_the_diagram(estimator, X):
    before, after = estimator._repr_html_(), clone(estimator).fit(X)._repr_html_()
    for html in (before, after):
        assert f">{name_of(estimator)}<" in html
    assert "<span>Not fitted</span>" in before
    assert "<span>Fitted</span>" in after


# pipelines and searches


def test_a_pipeline_of_scaler_and_clusters_is_the_fit_that_scales(X):
    pipeline = make_pipeline(StandardScaler(), KMeans(3, init=[[-1, -1, -1], [1, 0, 0], [0, 1, 1]]))
    pipeline.fit(X)
    start = pipeline[0].inverse_transform(np.array(pipeline[-1].init, float))
    scaling = KMeans(3, init=start, scale="standard").fit(X)
    np.testing.assert_array_equal(pipeline.predict(X), scaling.labels_)
    np.testing.assert_allclose(pipeline.transform(X), scaling.transform(X), rtol=1e-9)
    assert pipeline.score(X) == pytest.approx(-scaling.inertia_, rel=1e-9)


@every_clusterer
def test_a_pipeline_is_lazy_for_lazy_rows_and_keeps_their_divisions(estimator, X):
    lazy = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=4)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(lazy)
    labels = pipeline.predict(lazy)
    assert isinstance(labels, dd.Series)
    assert labels.divisions == lazy.divisions
    labels = labels.compute(scheduler="threads")
    assert len(set(zip(labels, np.repeat([0, 1, 2], 100), strict=True))) == len(set(labels)) == 3


@pytest.mark.parametrize("kind", ["numpy", "pandas"])
@every_clusterer
def test_a_search_for_the_number_of_clusters_scores_by_minus_the_inertia(kind, estimator, X):
    rows = given_as(kind, X)
    folds = KFold(3, shuffle=True, random_state=0)
    asked = [1, 2, 3]
    search = GridSearchCV(estimator, {"n_clusters": asked}, cv=folds).fit(rows)
    for n_clusters, found in zip(asked, search.cv_results_["mean_test_score"], strict=True):
        scores = []
        for train, test in folds.split(X):
            centers = clone(estimator).set_params(n_clusters=n_clusters).fit(X[train])
            sq = ((X[test][:, None] - centers.cluster_centers_) ** 2).sum(axis=2)
            scores.append(-sq.min(axis=1).sum())
        assert found == pytest.approx(np.mean(scores), rel=1e-9)
    assert search.best_params_ == {"n_clusters": 3}
    assert search.best_estimator_.cluster_centers_.shape == (3, 3)


# routing of weights


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@every_weighted
def test_weights_are_routed_to_those_who_ask_for_them(estimator, X, weight, routing):
    asking = clone(estimator).set_fit_request(sample_weight=True)
    routed = make_pipeline(asking).fit(X, sample_weight=weight)
    assert_learned_alike(routed[0], clone(estimator).fit(X, sample_weight=weight))
    refusing = clone(estimator).set_fit_request(sample_weight=False)
    with pytest.raises(TypeError, match="sample_weight"):
        make_pipeline(refusing).fit(X, sample_weight=weight)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        make_pipeline(clone(estimator)).fit(X, sample_weight=weight)


@every_clusterer
def test_weights_of_fit_predict_are_those_of_the_fit(estimator, X, weight, routing):
    by_hand = clone(estimator).fit(X, sample_weight=weight)
    assert by_hand.inertia_ != clone(estimator).fit(X).inertia_
    alone = clone(estimator)
    labels = alone.fit_predict(X, sample_weight=weight)
    assert_learned_alike(alone, by_hand)
    asking = make_pipeline(clone(estimator).set_fit_request(sample_weight=True))
    np.testing.assert_array_equal(asking.fit_predict(X, sample_weight=weight), labels)
    assert_learned_alike(asking[0], by_hand)


@pytest.mark.parametrize("weighted_scaler", [True, False])
@every_clusterer
def test_weights_reach_each_step_of_a_pipeline(estimator, weighted_scaler, X, weight, routing):
    scaler = StandardScaler().set_fit_request(sample_weight=weighted_scaler)
    last = clone(estimator).set_fit_request(sample_weight=True)
    last.set_score_request(sample_weight=True)
    pipeline = make_pipeline(scaler, last).fit(X, sample_weight=weight)
    alone = StandardScaler().fit(X, sample_weight=weight if weighted_scaler else None)
    np.testing.assert_array_equal(pipeline[0].mean_, alone.mean_)
    scaled = alone.transform(X)
    by_hand = clone(estimator).fit(scaled, sample_weight=weight)
    np.testing.assert_array_equal(pipeline[-1].cluster_centers_, by_hand.cluster_centers_)
    sq = ((scaled[:, None] - by_hand.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    assert pipeline.score(X, sample_weight=weight) == pytest.approx(-(weight @ sq), rel=1e-9)


@every_clusterer
def test_weights_reach_fit_and_score_of_a_search(estimator, X, weight, routing):
    asking = clone(estimator).set_fit_request(sample_weight=True)
    asking.set_score_request(sample_weight=True)
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(asking, {"n_clusters": [2]}, cv=folds).fit(X, sample_weight=weight)
    scores = []
    for train, test in folds.split(X):
        found = clone(estimator).set_params(n_clusters=2)
        found.fit(X[train], sample_weight=weight[train])
        sq = ((X[test][:, None] - found.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
        scores.append(-(weight[test] @ sq))
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(np.mean(scores), rel=1e-9)


@pytest.mark.parametrize(
    "weight",
    [np.ones(299), np.ones((300, 1)), np.full(300, -1.0), np.full(300, np.nan), ["heavy"] * 300],
)
@every_clusterer
def test_weights_that_cannot_be_are_refused(estimator, weight, X):
    with pytest.raises(BadValues, match="the weights of X"):
        clone(estimator).fit(X, sample_weight=weight)
    with pytest.raises(BadValues, match="the weights of X"):
        clone(estimator).fit(X).score(X, sample_weight=weight)


# set_output


@pytest.mark.parametrize("globally", [False, True])
@every_estimator
def test_set_output_gives_frames(estimator, globally, X):
    if globally:
        with sklearn.config_context(transform_output="pandas"):
            check_frames(clone(estimator), X)
    else:
        check_frames(clone(estimator).set_output(transform="pandas"), X)


def check_frames(estimator, X):
    expected = clone(estimator).set_output(transform="default").fit(X).transform(X)
    names = estimator.fit(X).get_feature_names_out()
    for result in (estimator.transform(X), estimator.fit_transform(X)):
        pd.testing.assert_frame_equal(result, pd.DataFrame(expected, columns=names))
    lazy = estimator.transform(da.from_array(X, chunks=(70, 3)))
    assert isinstance(lazy, dd.DataFrame)
    assert lazy.divisions == (0, 70, 140, 210, 280, 299)
    pd.testing.assert_frame_equal(lazy.compute(scheduler="threads"), result)
    frame = pd.DataFrame(X, index=pd.date_range("2020", periods=300))
    pd.testing.assert_index_equal(estimator.transform(frame).index, frame.index)


@every_estimator
def test_clones_keep_the_container_and_pipelines_pass_it_on(estimator, X):
    chosen = clone(estimator).set_output(transform="pandas")
    assert isinstance(clone(chosen).fit_transform(X), pd.DataFrame)
    assert isinstance(chosen.set_output().fit_transform(X), pd.DataFrame)
    assert isinstance(chosen.set_output(transform="default").fit_transform(X), np.ndarray)
    pipeline = make_pipeline(StandardScaler(), clone(estimator)).set_output(transform="pandas")
    assert isinstance(pipeline.fit_transform(X), pd.DataFrame)
    assert pipeline[-1].feature_names_in_.tolist() == ["x0", "x1", "x2"]


@every_estimator
def test_other_containers_are_refused(estimator, X):
    with pytest.raises(ArgumentError, match="transform='polars'"):
        clone(estimator).set_output(transform="polars")
    with (
        sklearn.config_context(transform_output="polars"),
        pytest.raises(ArgumentError, match="transform='polars'"),
    ):
        clone(estimator).fit_transform(X)
