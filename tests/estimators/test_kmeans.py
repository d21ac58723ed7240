"""`KMeans` as a user meets it: every kind of input, units, parameters, attributes, history."""

import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.exceptions import NotFittedError

from dkmeans import KMeans, Rows, read_parquet
from dkmeans.errors import (
    ArgumentError,
    BadValues,
    ConstantFeature,
    ConvergenceWarning,
    DkmeansError,
    FeaturesMismatch,
    SchemaMismatch,
    TooFewRows,
)
from tests.conftest import write_parquet

SIX = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
NAMES = ["f0", "f1", "f2", "f3"]
KINDS = ["numpy", "pandas", "arrow", "dask array", "dask frame", "rows", "url", "path"]


@pytest.fixture
def wide(blobs):
    """Blobs whose features have very different scales, their labels, and centers to start from."""
    X, centers = blobs
    factor = np.array([1.0, 1e-3, 1e2, 5.0])
    labels = ((X[:, None, :] - centers) ** 2).sum(axis=2).argmin(axis=1)
    return X * factor, labels, centers * factor


def given_as(kind, X, tmp_path):
    if kind == "numpy":
        return X
    frame = pd.DataFrame(X, columns=NAMES[: X.shape[1]], index=np.arange(len(X)) * 3 + 7)
    if kind == "pandas":
        return frame
    if kind == "arrow":
        return pa.Table.from_pandas(frame, preserve_index=False)
    if kind == "dask array":
        return da.from_array(X, chunks=(700, 2))
    if kind == "dask frame":
        return dd.from_pandas(frame, npartitions=7)
    if kind == "rows":
        return Rows.from_array(X, block_rows=600)
    folder = tmp_path / "rows"
    if not folder.exists():
        write_parquet(folder, X)
    return str(folder) if kind == "url" else folder


def computed(result):
    return result.compute(scheduler="threads") if dask.is_dask_collection(result) else result


def same_partition(labels, truth):
    pairs = set(zip(np.asarray(labels).tolist(), np.asarray(truth).tolist(), strict=True))
    return len(pairs) == len(set(truth.tolist())) == len({label for label, _ in pairs})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_gives_the_same_clusters(kind, wide, tmp_path):
    X, truth, start = wide
    model = KMeans(10, init=start, scale="standard").fit(given_as(kind, X, tmp_path))
    assert same_partition(computed(model.labels_), truth)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    expected = sum(
        ((scaled[truth == j] - scaled[truth == j].mean(axis=0)) ** 2).sum() for j in range(10)
    )
    # Parquet is decoded to float32 unless told otherwise
    rel = 1e-5 if kind in ("url", "path") else 1e-9
    assert model.inertia_ == pytest.approx(expected, rel=rel)
    named = kind not in ("numpy", "dask array", "rows")
    assert getattr(model, "feature_names_in_", np.array([])).tolist() == (NAMES if named else [])
    assert model.n_features_in_ == 4


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_of_the_kind_that_the_input_is(kind, wide, tmp_path):
    X, truth, start = wide
    given = given_as(kind, X, tmp_path)
    model = KMeans(10, init=start, scale="minmax").fit(given)
    labels, distances = model.predict(given), model.transform(given)
    lazy = kind not in ("numpy", "pandas", "arrow")
    assert dask.is_dask_collection(labels) == dask.is_dask_collection(distances) == lazy
    assert dask.is_dask_collection(model.labels_) == lazy
    if kind == "pandas":
        assert isinstance(labels, pd.Series)
        assert isinstance(distances, pd.DataFrame)
    elif kind == "dask frame":
        assert isinstance(labels, dd.Series)
        assert isinstance(distances, dd.DataFrame)
    elif lazy:
        assert isinstance(labels, da.Array)
        assert isinstance(distances, da.Array)
    else:
        assert isinstance(labels, np.ndarray)
    labels, distances = computed(labels), computed(distances)
    if "frame" in kind or kind == "pandas":
        np.testing.assert_array_equal(labels.index, np.arange(len(X)) * 3 + 7)
        np.testing.assert_array_equal(distances.index, labels.index)
        assert list(distances.columns) == [f"kmeans{i}" for i in range(10)]
    labels, distances = np.asarray(labels), np.asarray(distances)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, truth)
    scaled = (X - X.min(axis=0)) / np.ptp(X, axis=0)
    expected = np.sqrt(((scaled[:, None, :] - model.scaled_centers_) ** 2).sum(axis=2))
    single = kind in ("url", "path")
    assert distances.dtype == (np.float32 if single else np.float64)
    np.testing.assert_allclose(distances, expected, rtol=0, atol=1e-5 if single else 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_score_is_minus_the_inertia_of_the_given_rows(kind, wide, tmp_path):
    X, _, start = wide
    model = KMeans(10, init=start, scale="standard").fit(X)
    given = given_as(kind, X, tmp_path)
    score = model.score(given)
    assert dask.is_dask_collection(score) == (kind not in ("numpy", "pandas", "arrow"))
    assert float(computed(score)) == pytest.approx(-model.inertia_, rel=1e-5)


def test_score_weighs_rows(wide):
    X, _, start = wide
    model = KMeans(10, init=start).fit(X)
    weight = np.random.default_rng(0).uniform(0, 3, len(X))
    sq_distances = ((X[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    expected = -(weight @ sq_distances)
    assert model.score(X, sample_weight=weight) == pytest.approx(expected, rel=1e-9)
    lazy = model.score(da.from_array(X, chunks=(800, 4)), sample_weight=weight)
    assert float(lazy.compute(scheduler="threads")) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_predict_gives_what_predict_gives(kind, wide, tmp_path):
    X, truth, start = wide
    given = given_as(kind, X, tmp_path)
    model = KMeans(10, init=start, scale="standard")
    labels = model.fit_predict(given)
    assert type(labels) is type(model.predict(given))
    np.testing.assert_array_equal(np.asarray(computed(labels)), truth)


def test_predicting_lazily_reads_nothing_until_computed(wide, tmp_path):
    X, _, start = wide
    model = KMeans(10, init=start).fit(X)
    asked = []

    def part(block):
        asked.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(1000, 4)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    labels, distances, score = model.predict(lazy), model.transform(lazy), model.score(lazy)
    assert asked == []
    labels.compute(scheduler="synchronous")
    distances.compute(scheduler="synchronous")
    score.compute(scheduler="synchronous")
    assert asked == [1000] * 15


def test_unknown_chunk_sizes_are_predicted_as_they_come(wide):
    X, truth, start = wide
    frame = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=6)
    array = frame.to_dask_array()
    assert np.isnan(array.shape[0])
    model = KMeans(10, init=start, scale="standard").fit(array)
    np.testing.assert_array_equal(model.labels_.compute(scheduler="threads"), truth)
    np.testing.assert_array_equal(model.predict(array).compute(scheduler="threads"), truth)


def test_columns_are_matched_by_name_in_any_order(wide, tmp_path):
    X, truth, start = wide
    frame = pd.DataFrame(X, columns=NAMES)
    model = KMeans(10, init=start, scale="standard").fit(frame)
    other = frame.assign(extra=1.0, text="a")[["f3", "extra", "f1", "text", "f0", "f2"]]
    np.testing.assert_array_equal(model.predict(other), truth)
    table = pa.Table.from_pandas(other, preserve_index=False)
    np.testing.assert_array_equal(model.predict(table), truth)
    lazy = model.predict(dd.from_pandas(other, npartitions=4)).compute(scheduler="threads")
    np.testing.assert_array_equal(lazy, truth)
    url = str(tmp_path / "other.parquet")
    other.to_parquet(url)
    np.testing.assert_array_equal(model.predict(url).compute(scheduler="threads"), truth)
    score = float(computed(model.score(url)))
    assert score == pytest.approx(-model.inertia_, rel=1e-5)


@pytest.mark.parametrize(
    "kind", ["numpy", "pandas", "arrow", "dask array", "dask frame", "rows", "url"]
)
def test_rows_with_other_features_are_refused(kind, wide, tmp_path):
    X, _, start = wide
    model = KMeans(10, init=start).fit(pd.DataFrame(X, columns=NAMES))
    with pytest.raises(DkmeansError):
        computed(model.predict(given_as(kind, X[:, :3], tmp_path)))


def test_bad_values_are_refused_when_predicting():
    model = KMeans(2, init=SIX[[0, 3]]).fit(SIX)
    with pytest.raises(FeaturesMismatch, match="NaN"):
        model.predict([[1.0, np.nan]])


@pytest.mark.parametrize("scale", [None, "standard", "minmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_centers_are_in_the_units_of_the_data_and_distances_in_scaled_ones(wide, scale, dtype):
    X, truth, start = wide
    X = X.astype(dtype)
    rows = Rows.from_array(X, block_rows=700)
    assert rows.n_blocks > 1
    assert rows.dtype == dtype
    model = KMeans(10, init=start, scale=scale, tol=0).fit(rows)
    wide_X = X.astype(np.float64)
    shift, factor = {
        None: (0.0, 1.0),
        "standard": (wide_X.mean(axis=0), wide_X.std(axis=0)),
        "minmax": (wide_X.min(axis=0), np.ptp(wide_X, axis=0)),
    }[scale]
    labels = model.labels_.compute(scheduler="threads")
    assert scale is None or (labels == truth).all()
    means = np.array([wide_X[labels == j].mean(axis=0) for j in range(10)])
    single = dtype == "float32"
    unit = wide_X.std(axis=0)
    np.testing.assert_allclose(
        model.cluster_centers_ / unit, means / unit, rtol=0, atol=1e-6 if single else 1e-12
    )
    np.testing.assert_allclose(
        model.scaled_centers_ * factor + shift, model.cluster_centers_, rtol=1e-12, atol=1e-12
    )
    scaled = (wide_X - shift) / factor
    expected = ((scaled - model.scaled_centers_[labels]) ** 2).sum()
    assert model.inertia_ == pytest.approx(expected, rel=1e-5 if single else 1e-10)
    assert model.model_.inertia == model.inertia_


def test_scaling_equals_clustering_scaled_rows(wide):
    X, _, _ = wide
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    start = X[:10]
    inside = KMeans(10, init=start, scale="standard", tol=0).fit(X)
    outside = SklearnKMeans(10, init=scaled[:10], n_init=1, tol=0).fit(scaled)
    np.testing.assert_allclose(inside.scaled_centers_, outside.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(inside.labels_, outside.labels_)


@pytest.mark.parametrize("init", ["k-means||", "scalable", "k-means++"])
@pytest.mark.parametrize("scale", [None, "standard"])
def test_careful_seeding_separates_separated_clusters(init, scale, wide):
    X, truth, _ = wide
    if scale is None:
        X = X / np.abs(X).max(axis=0)
    model = KMeans(10, init=init, n_init=3, scale=scale, random_state=0).fit(X)
    assert same_partition(model.labels_, truth)


@pytest.mark.parametrize("scale", [None, "standard"])
def test_random_init_starts_from_distinct_rows(scale, wide):
    X = wide[0]
    model = KMeans(50, init="random", scale=scale, random_state=0, max_iter=1).fit(X)
    first = next(r for r in model.history_ if r["kind"] == "iteration 1")
    assert first["empty_clusters"] == 0
    assert model.n_passes_ == 3
    assert len(np.unique(model.cluster_centers_, axis=0)) == 50


def test_scalable_is_another_name_of_k_means_parallel(wide):
    one, other = (
        KMeans(10, init=init, scale="standard", random_state=3).fit(wide[0])
        for init in ("k-means||", "scalable")
    )
    np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)
    assert one.model_.parameters["init"] == other.model_.parameters["init"] == "k-means||"


def test_a_fit_with_array_init_restarts_nothing():
    model = KMeans(2, init=SIX[[1, 3]].tolist(), n_init=5, tol=0).fit(SIX)
    np.testing.assert_array_equal(model.cluster_centers_, [[1, 2], [10, 2]])
    np.testing.assert_array_equal(model.labels_, [0, 0, 0, 1, 1, 1])
    assert model.inertia_ == 16
    assert model.n_passes_ == model.n_iter_ == 2


def test_n_init_keeps_the_best_restart_and_shares_passes():
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(1500, 2))
    rows = Rows.from_array(X, block_rows=300)
    parameters = {"init": "random", "random_state": 5, "tol": 1e-4}
    one = KMeans(25, **parameters).fit(rows)
    many = KMeans(25, n_init=8, **parameters).fit(rows)
    assert many.inertia_ < one.inertia_
    sq_distances = ((X[:, None, :] - many.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    assert many.inertia_ == pytest.approx(sq_distances.sum(), rel=1e-9)
    # passes of the longest run: one run alone never needs twice as many here
    assert many.n_passes_ < 3 * one.n_passes_
    assert rows.n_passes == one.n_passes_ + many.n_passes_


def test_the_first_restart_is_the_single_fit(wide):
    X, _, _ = wide
    one = KMeans(4, scale="standard", random_state=0, init="random").fit(X)
    many = KMeans(4, scale="standard", random_state=0, init="random", n_init=6).fit(X)
    assert many.inertia_ <= one.inertia_


def test_seeds_of_every_kind(wide):
    def inertia(random_state):
        model = KMeans(12, init="random", random_state=random_state, max_iter=1)
        with warnings.catch_warnings():
            # one iteration from random rows may leave a cluster without rows
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(wide[0])
        return model.inertia_, model.model_.provenance["seed"]

    assert inertia(3) == inertia(np.int64(3)) == inertia(3)
    assert inertia(3)[0] != inertia(4)[0]
    assert inertia(np.random.default_rng(3)) == inertia(np.random.default_rng(3))
    assert inertia(np.random.RandomState(3)) == inertia(np.random.RandomState(3))
    fresh, other = inertia(None), inertia(None)
    assert fresh[1] != other[1]
    assert inertia(fresh[1]) == fresh


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 0}, "n_clusters=0 should be an integer of at least 1"),
        ({"n_clusters": -3}, "n_clusters=-3"),
        ({"n_clusters": 2.5}, r"n_clusters=2\.5"),
        ({"n_clusters": True}, "n_clusters=True"),
        ({"n_init": 0}, "n_init=0"),
        ({"n_init": "many"}, "n_init='many'"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"init_rounds": -1}, "init_rounds=-1"),
        ({"tol": -1e-9}, "tol=-1e-09"),
        ({"tol": float("nan")}, "tol=nan"),
        ({"tol": "small"}, "tol='small'"),
        ({"tol": None}, "tol=None"),
        ({"oversampling_factor": 0}, "oversampling_factor=0"),
        ({"oversampling_factor": float("inf")}, "oversampling_factor=inf"),
        ({"oversampling_factor": "2"}, "oversampling_factor='2'"),
        ({"scale": "cubic"}, "scale='cubic'"),
        ({"init": "kmeans"}, "init='kmeans'"),
        ({"init": [[1.0, 2.0]]}, r"init of shape \(1, 2\) should have shape \(2, 2\)"),
        ({"init": np.ones((2, 3))}, r"init of shape \(2, 3\)"),
        ({"init": np.ones(2)}, r"init of shape \(2,\)"),
        ({"init": [[0, 0], [np.nan, 1]]}, "init has values that are NaN"),
        ({"init": [["a", "b"], ["c", "d"]]}, "init"),
        ({"random_state": "seed"}, "random_state='seed'"),
        ({"random_state": True}, "random_state=True"),
        ({"stage": "disk?"}, "stage='disk"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(parameters, message):
    with pytest.raises(ArgumentError, match=message):
        KMeans(**{"n_clusters": 2, **parameters}).fit(SIX)


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", np.zeros((7, 2))])
def test_more_clusters_than_rows_are_refused(init):
    with pytest.raises(TooFewRows, match="n_clusters=7 needs at least 7 rows; the data has 6"):
        KMeans(7, init=init).fit(SIX)


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", SIX[:2]])
@pytest.mark.parametrize("scale", [None, "standard"])
def test_weights_that_are_all_zero_are_refused(init, scale):
    with pytest.raises(BadValues, match="all sample weights are zero"):
        KMeans(2, init=init, scale=scale).fit(SIX, sample_weight=np.zeros(6))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_are_finite_and_not_negative(bad):
    with pytest.raises(BadValues, match="1 negative, NaN or infinite"):
        KMeans(2).fit(SIX, sample_weight=[1, 1, bad, 1, 1, 1])


def test_weights_are_one_for_each_row():
    with pytest.raises(DkmeansError, match="weights"):
        KMeans(2).fit(SIX, sample_weight=np.ones(5))


def test_weights_of_rows_and_urls_are_named_where_they_are_read(tmp_path):
    with pytest.raises(ArgumentError, match="weight="):
        KMeans(2).fit(Rows.from_array(SIX), sample_weight=np.ones(6))
    write_parquet(tmp_path / "rows", SIX)
    with pytest.raises(ArgumentError, match="weight="):
        KMeans(2).fit(str(tmp_path / "rows"), sample_weight=np.ones(6))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("lazy", [False, True])
def test_values_that_are_not_finite_are_refused(bad, lazy):
    X = SIX.copy()
    X[4, 1] = bad
    with pytest.raises(BadValues, match="column number 1"):
        KMeans(2).fit(da.from_array(X, chunks=(2, 2)) if lazy else X)


@pytest.mark.parametrize(
    "X", [np.empty((0, 3)), np.empty((4, 0)), np.ones(5), np.ones((2, 2, 2)), [["a"], ["b"]]]
)
def test_what_is_no_matrix_of_numbers_is_refused(X):
    with pytest.raises((TooFewRows, SchemaMismatch)):
        KMeans(1).fit(X)


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
def test_fewer_distinct_rows_than_clusters_warn_with_their_count(init):
    X = np.array([[0.0, 0], [0, 1], [1, 0], [1, 0]])
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\) .* n_clusters \(4\)"):
        model = KMeans(4, init=init, random_state=0).fit(X)
    assert len(set(model.labels_)) == 3
    assert model.inertia_ == 0
    assert model.labels_[2] == model.labels_[3]


def test_constant_columns_warn_and_do_not_matter(wide):
    X, truth, start = wide
    X = np.column_stack([X, np.full(len(X), 3.7)])
    start = np.column_stack([start, np.full(10, 3.7)])
    with pytest.warns(ConstantFeature, match="1 of 5 features are constant"):
        model = KMeans(10, init=start, scale="standard").fit(X)
    np.testing.assert_array_equal(model.labels_, truth)
    np.testing.assert_allclose(model.cluster_centers_[:, 4], 3.7)


def test_history_has_one_record_for_each_pass_in_order(wide):
    rows = Rows.from_array(wide[0], block_rows=600)
    model = KMeans(10, init="k-means||", scale="standard", random_state=1, tol=0).fit(rows)
    kinds = [record["kind"] for record in model.history_]
    rounds = [f"k-means|| round {i}" for i in range(1, 6)]
    iterations = [f"iteration {i}" for i in range(1, model.n_iter_ + 1)]
    assert kinds[1:] == [*rounds, "k-means|| weights", *iterations]
    assert len(kinds) == model.n_passes_ == rows.n_passes
    assert all(record["rows_read"] == 5000 for record in model.history_)
    assert all(record["seconds"] > 0 and record["bytes_read"] == 0 for record in model.history_)
    found = [record for record in model.history_ if record["kind"].startswith("iteration")]
    assert all({"inertia", "gain", "shift", "empty_clusters"} <= record.keys() for record in found)
    assert found[-1]["inertia"] == model.inertia_
    assert found[-1]["gain"] == model.gain_


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random", "array"])
def test_history_leaves_out_no_pass_whatever_the_init(init, wide):
    X, _, start = wide
    frame = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=5)
    model = KMeans(10, init=start if init == "array" else init, random_state=0, max_iter=2).fit(
        frame
    )
    assert len(model.history_) == model.n_passes_


def test_history_counts_the_bytes_that_are_read_again_without_staging(wide, tmp_path):
    write_parquet(tmp_path / "rows", wide[0])
    kept = KMeans(10, init=wide[2], stage="memory").fit(str(tmp_path / "rows"))
    again = KMeans(10, init=wide[2], stage="none").fit(str(tmp_path / "rows"))
    np.testing.assert_array_equal(kept.cluster_centers_, again.cluster_centers_)
    first, *more = [record["bytes_read"] for record in again.history_]
    assert more
    assert first > 0
    assert set(more) == {first}
    assert [record["bytes_read"] for record in kept.history_] == [first] + [0] * len(more)


def test_max_iter_ends_a_fit_with_results_that_agree(wide):
    X = wide[0]
    model = KMeans(30, init=X[:30], max_iter=2, tol=0).fit(X)
    assert (model.n_iter_, model.converged_, model.n_passes_) == (2, False, 3)
    sq_distances = ((X[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, sq_distances.argmin(axis=1))
    assert model.inertia_ == pytest.approx(sq_distances.min(axis=1).sum(), rel=1e-9)


def test_models_weights_and_inertias_add_up(wide):
    X, truth, start = wide
    weight = np.random.default_rng(2).uniform(0, 2, len(X))
    model = KMeans(10, init=start, scale="standard").fit(X, sample_weight=weight).model_
    np.testing.assert_allclose(model.weights, np.bincount(truth, weight), rtol=1e-12)
    assert model.provenance["rows"] == len(X)
    assert model.provenance["weight"] == pytest.approx(weight.sum())


def test_scikit_learn_can_clone_and_configure_it():
    model = KMeans(3, init="random", n_init=4, tol=0.1, random_state=1, scale="minmax")
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert set(model.get_params()) >= {"n_clusters", "init", "n_init", "max_iter", "tol"}
    copy.set_params(n_clusters=2, init=SIX[[0, 3]]).fit(SIX)
    assert copy.cluster_centers_.shape == (2, 2)
    assert not hasattr(model, "cluster_centers_")


def test_it_works_in_a_pipeline_and_names_its_outputs():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), KMeans(2, random_state=0))
    X = [[0.0, 2], [0, 2], [0, 2], [9, 90], [9, 91], [9, 92]]
    assert same_partition(pipeline.fit_predict(X), np.array([0, 0, 0, 1, 1, 1]))
    assert pipeline.transform(X).shape == (6, 2)
    assert pipeline.get_feature_names_out().tolist() == ["kmeans0", "kmeans1"]


def test_unfitted_models_say_so():
    for method in ("predict", "transform", "score"):
        with pytest.raises(NotFittedError):
            getattr(KMeans(2), method)(SIX)


def test_a_second_fit_forgets_the_names_of_the_first():
    model = KMeans(2, random_state=0).fit(pd.DataFrame(SIX, columns=["a", "b"]))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    model.fit(SIX)
    assert not hasattr(model, "feature_names_in_")


def test_the_users_data_are_left_alone():
    X, weight, start = SIX.copy(), np.ones(6), SIX[[0, 3]].copy()
    KMeans(2, init=start, scale="standard").fit(X, sample_weight=weight)
    np.testing.assert_array_equal(X, SIX)
    np.testing.assert_array_equal(weight, 1)
    np.testing.assert_array_equal(start, SIX[[0, 3]])


def test_dtypes_are_kept_and_integers_are_widened():
    assert KMeans(2, random_state=0).fit(SIX.astype(np.float32)).model_.dtype == "float32"
    assert KMeans(2, random_state=0).fit(SIX.astype(np.int16)).model_.dtype == "float64"
    model = KMeans(2, random_state=0).fit(SIX.astype(np.float32))
    assert model.transform(SIX.astype(np.float32)).dtype == np.float32
    assert model.cluster_centers_.dtype == np.float64


def test_rows_given_by_the_user_can_be_fitted_again_and_a_filter_holds(wide, tmp_path):
    X, truth, start = wide
    write_parquet(tmp_path / "rows", X, kind=np.arange(len(X)) % 2)
    rows = read_parquet(
        str(tmp_path / "rows"), columns=NAMES, filters=[("kind", "==", 1)], dtype="float64"
    )
    model = KMeans(10, init=start, scale="standard")
    first = model.fit(rows).cluster_centers_
    second = model.fit(rows).cluster_centers_
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(model.labels_.compute(scheduler="threads"), truth[1::2])
    means = np.array([X[1::2][truth[1::2] == j].mean(axis=0) for j in range(10)])
    np.testing.assert_allclose(first, means, rtol=1e-9)
    rows.close()
