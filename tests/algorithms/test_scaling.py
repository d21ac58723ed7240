"""Every `scale=` of a fit: the centers of rows that scikit-learn has scaled before."""

import dask
import numpy as np
import pandas as pd
import pytest
from sklearn import preprocessing

from dkmeans import KMeans, MiniBatchKMeans, Model, Rows, read_parquet
from dkmeans.algorithms.scaling import scaling_from, scaling_request
from dkmeans.errors import BudgetSpent
from dkmeans.models.scaling import SCALES
from dkmeans.partials.quantiles import MOST_EXACT
from tests.conftest import write_parquet

REFERENCES = {
    "standard": preprocessing.StandardScaler(),
    "minmax": preprocessing.MinMaxScaler(),
    "maxabs": preprocessing.MaxAbsScaler(),
    "robust": preprocessing.RobustScaler(),
    "normalize": preprocessing.Normalizer(),
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Skewed rows with outliers, few enough for exact quantiles, with one row of zeros."""
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(3000, 3)) * [1.0, 40.0, 1e-3] + [5.0, -30.0, 0.0]
    X[::500] *= 50
    X[7] = 0
    return X


def test_every_scale_has_a_reference():
    assert set(REFERENCES) == set(SCALES)


@pytest.mark.parametrize("scale", SCALES)
def test_a_fit_is_that_of_rows_scaled_before(scale: str, X):
    reference = REFERENCES[scale]
    scaled, start = reference.fit_transform(X), X[100:108]
    rows = Rows.from_array(X, block_rows=250)
    assert rows.n_blocks > 1
    found = KMeans(8, init=start, scale=scale, tol=0).fit(rows)
    expected = KMeans(8, init=reference.transform(start), tol=0).fit(scaled)
    assert found.n_iter_ == expected.n_iter_ > 1
    np.testing.assert_allclose(found.scaled_centers_, expected.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(found.labels_.compute(scheduler="threads"), expected.labels_)
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=1e-9)
    centers = expected.cluster_centers_
    if scale != "normalize":
        centers = reference.inverse_transform(centers)
    np.testing.assert_allclose(found.cluster_centers_, centers, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(found.predict(X), expected.labels_)
    np.testing.assert_array_equal(found.model_.to_sklearn().predict(X), expected.labels_)


@pytest.mark.parametrize("init", ["k-means||", "random", "k-means++"])
@pytest.mark.parametrize("scale", SCALES)
def test_seeds_are_drawn_and_scaled_alike(scale: str, init: str, X, tmp_path):
    rows = Rows.from_array(X, block_rows=250)
    model = KMeans(5, init=init, scale=scale, random_state=3, n_init=2).fit(rows).model_
    labels = model.predict(X)
    scaled = REFERENCES[scale].fit_transform(X)
    means = [scaled[labels == label].mean(axis=0) for label in range(5)]
    np.testing.assert_allclose(model.scaled_centers, means, rtol=0.1, atol=0.1)
    model.save(str(tmp_path))
    np.testing.assert_array_equal(Model.load(str(tmp_path)).predict(X), labels)


@pytest.mark.parametrize("scale", SCALES)
def test_the_first_pass_finds_the_scaling_whatever_else_it_is_asked_for(scale: str, X):
    rows = Rows.from_array(X, block_rows=250)
    [answer] = rows.run([scaling_request(rows, scale)])
    assert (answer.n_rows, answer.weight) == (3000, 3000)
    scaling = scaling_from(scale, answer, rows.feature_names)
    expected = REFERENCES[scale].fit_transform(X)
    np.testing.assert_allclose(scaling.transform(X), expected, rtol=1e-9, atol=1e-9)
    assert rows.n_passes == 1


def test_without_a_scale_rows_are_counted(X):
    rows = Rows.from_array(X, block_rows=250)
    [answer] = rows.run([scaling_request(rows, None)])
    assert answer.n_rows == 3000
    assert scaling_from(None, answer) is None


@pytest.mark.parametrize("scale", ["robust", "normalize"])
def test_all_schedulers_give_the_same_bits(scale: str, tmp_path, client):
    rng = np.random.default_rng(1)
    X = rng.lognormal(size=(20_000, 2))
    write_parquet(tmp_path / "in", X, n_files=4, w=rng.uniform(0, 2, len(X)))
    found = set()
    for engine in ("synchronous", "threads", client):
        with dask.config.set(scheduler=engine if isinstance(engine, str) else None):
            rows = read_parquet(
                str(tmp_path / "in"),
                weight="w",
                block_rows=900,
                client=None if isinstance(engine, str) else engine,
            )
            assert rows.n_blocks > 4
            model = KMeans(6, scale=scale, random_state=0, max_iter=3).fit(rows)
        found.add((model.scaled_centers_.tobytes(), model.cluster_centers_.tobytes()))
    assert len(found) == 1


@pytest.mark.parametrize("scale", SCALES)
def test_a_fit_goes_on_from_its_checkpoint(scale: str, X, tmp_path):
    folder = write_parquet(tmp_path / "in", X)
    asked = {"init": X[100:108], "scale": scale, "tol": 0, "max_iter": 4}
    whole = KMeans(8, **asked).fit(read_parquet(str(folder)))
    place = str(tmp_path / "checkpoint")
    with pytest.raises(BudgetSpent):
        KMeans(8, **asked, checkpoint=place).fit(read_parquet(str(folder)).limit(max_passes=3))
    again = KMeans(8, **asked, checkpoint=place).fit(read_parquet(str(folder)))
    assert again.cluster_centers_.tobytes() == whole.cluster_centers_.tobytes()
    assert again.model_.scaling.name == whole.model_.scaling.name


def test_frames_are_scaled_by_row_too(X):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    found = KMeans(4, init=X[:4], scale="normalize").fit(frame)
    assert found.model_.feature_names == ("a", "b", "c")
    expected = KMeans(4, init=X[:4], scale="normalize").fit(X)
    np.testing.assert_array_equal(found.predict(frame[["c", "a", "b"]]), expected.labels_)


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_a_plan_counts_what_quantiles_take_once_for_all_restarts(kind):
    plain, robust = (kind(2, scale=scale).demand(50, "float32") for scale in ("minmax", "robust"))
    assert plain.scaling_bytes == 0
    assert robust.scaling_bytes > 50 * 16 * MOST_EXACT / 2
    assert kind(2, scale="robust", n_init=10).demand(50, "float32").scaling_bytes == (
        robust.scaling_bytes
    )
    rows = Rows.from_array(np.zeros((1000, 50)))
    tasks = [rows.plan(kind(2, scale=scale)).task_bytes for scale in ("minmax", "robust")]
    assert tasks[1] - tasks[0] > robust.scaling_bytes / 2
