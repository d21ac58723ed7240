"""The whole of `KMeans`, on blocks of every origin, against scikit-learn from the same start."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from dkmeans import KMeans, Rows, read_parquet
from tests.conftest import write_parquet


def reference(X, start, weight=None, **parameters):
    parameters = {"tol": 0, "max_iter": 300, **parameters}
    model = SklearnKMeans(len(start), init=start, n_init=1, algorithm="lloyd", **parameters)
    return model.fit(X, sample_weight=weight)


def labels_of(model):
    return model.labels_.compute(scheduler="threads")


@pytest.fixture(scope="module")
def overlapping():
    """Rows of clusters that overlap, so that Lloyd takes many iterations; weights; a start."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 5)) + rng.uniform(-4, 4, size=(10, 5))[rng.integers(0, 10, 6000)]
    return X, rng.uniform(0.1, 4, 6000), X[rng.choice(6000, 10, replace=False)]


@pytest.mark.parametrize("origin", ["blocks", "dask array", "dask frame", "unknown", "parquet"])
@pytest.mark.parametrize("weighted", [False, True])
def test_float64_rows_of_any_origin_make_scikit_learns_iterations(
    origin, weighted, overlapping, tmp_path
):
    X, weight, start = overlapping
    if not weighted:
        weight = None
    frame = pd.DataFrame(X, columns=list("abcde"))
    if weighted:
        frame["w"] = weight
    name = "w" if weighted else None
    if origin == "blocks":
        rows = Rows.from_array(X, weight, block_rows=701)
    elif origin == "dask array":
        rows = Rows.from_dask(da.from_array(X, chunks=(907, 2)), weight)
    elif origin == "dask frame":
        rows = Rows.from_dask(dd.from_pandas(frame, npartitions=5), weight=name)
    elif origin == "unknown":
        lazy = dd.from_pandas(frame, npartitions=5)
        w = lazy["w"] if weighted else None
        rows = Rows.from_dask(lazy[list("abcde")].to_dask_array(), w)
    else:
        extra = {} if weight is None else {"w": weight}
        write_parquet(tmp_path / "rows", X, **extra)
        rows = read_parquet(str(tmp_path / "rows"), weight=name, dtype="float64", block_rows=900)
    assert rows.n_blocks > 1
    model = KMeans(10, init=start, tol=0).fit(rows)
    expected = reference(X, start, weight)
    assert model.n_iter_ == expected.n_iter_ > 15
    np.testing.assert_array_equal(labels_of(model), expected.labels_)
    np.testing.assert_allclose(
        model.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-10
    )
    assert model.inertia_ == pytest.approx(expected.inertia_, rel=1e-12)


@pytest.mark.parametrize("block_rows", [211, 5999])
def test_float64_blocks_of_any_size_end_at_the_same_labels(block_rows, overlapping):
    X, _, start = overlapping
    rows = Rows.from_array(X, block_rows=block_rows)
    assert rows.n_blocks > 1
    model = KMeans(10, init=start, tol=0).fit(rows)
    expected = reference(X, start)
    assert model.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(labels_of(model), expected.labels_)
    np.testing.assert_allclose(
        model.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_digits])
def test_real_sets_make_scikit_learns_iterations(load):
    X = load().data
    rows = Rows.from_array(X, block_rows=77)
    assert rows.n_blocks > 1
    # rows of whole numbers tie between starts of whole numbers
    start = X[:: len(X) // 7][:7] + np.random.default_rng(0).normal(size=(7, X.shape[1])) * 1e-3
    model = KMeans(7, init=start, tol=0).fit(rows)
    expected = reference(X, start)
    assert model.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(labels_of(model), expected.labels_)
    np.testing.assert_allclose(
        model.cluster_centers_, expected.cluster_centers_, rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_an_empty_cluster_is_relocated_to_where_scikit_learn_does(weighted, overlapping):
    X, weight, start = overlapping
    if not weighted:
        weight = None
    start = start.copy()
    start[4] = 1e3
    rows = Rows.from_array(X, weight, block_rows=701)
    model = KMeans(10, init=start, tol=0).fit(rows)
    expected = reference(X, start, weight)
    assert [r["kind"] for r in model.history_][:2] == ["iteration 1", "relocation"]
    assert model.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(labels_of(model), expected.labels_)
    np.testing.assert_allclose(
        model.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("block_rows", [53, 999])
@pytest.mark.parametrize("offset", [0, 1000])
def test_float32_rows_end_where_float64_scikit_learn_does_on_the_same_values(
    block_rows, offset, blobs
):
    X32 = (blobs[0] + offset).astype(np.float32)
    start = (blobs[1] + offset + 4).astype(np.float32)
    rows = Rows.from_array(X32, block_rows=block_rows)
    assert (rows.n_blocks > 1, rows.dtype) == (True, "float32")
    model = KMeans(10, init=start, tol=0).fit(rows)
    expected = reference(X32.astype(np.float64), start.astype(np.float64))
    np.testing.assert_array_equal(labels_of(model), expected.labels_)
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-5)
    assert model.inertia_ == pytest.approx(expected.inertia_, rel=1e-4 if offset else 1e-6)


@pytest.mark.parametrize(("offset", "slack"), [(0, 1e-5), (1000, 1e-3)])
@pytest.mark.parametrize("block_rows", [211, 2999])
def test_float32_labels_differ_from_float64_ones_only_on_ties(
    block_rows, offset, slack, overlapping
):
    X, _, start = overlapping
    X32, start = (X + offset).astype(np.float32), start + offset
    rows = Rows.from_array(X32, block_rows=block_rows)
    assert (rows.n_blocks > 1, rows.dtype) == (True, "float32")
    wide = X32.astype(np.float64)
    model = KMeans(10, init=start, max_iter=1, tol=0).fit(rows)
    expected = reference(wide, start, max_iter=1)
    ours, theirs = labels_of(model), expected.labels_
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-3)
    distances = np.linalg.norm(wide[:, None, :] - model.cluster_centers_, axis=2)
    differ = np.flatnonzero(ours != theirs)
    assert len(differ) < 8
    every = np.arange(len(X))
    assert (distances[every, ours] - distances.min(axis=1)).max() < slack


def test_predicting_new_rows_agrees_with_scikit_learn(overlapping):
    X, _, start = overlapping
    model = KMeans(10, init=start, tol=0).fit(X[:4000])
    expected = reference(X[:4000], start)
    np.testing.assert_array_equal(model.predict(X[4000:]), expected.predict(X[4000:]))
    np.testing.assert_allclose(
        model.transform(X[4000:]), expected.transform(X[4000:]), rtol=0, atol=1e-9
    )
    assert model.score(X[4000:]) == pytest.approx(expected.score(X[4000:]), rel=1e-10)


def test_the_default_ends_as_low_as_scikit_learns_best(overlapping):
    X = overlapping[0]
    ours = np.median([KMeans(10, random_state=seed).fit(X).inertia_ for seed in range(3)])
    theirs = SklearnKMeans(10, n_init=10, random_state=0).fit(X).inertia_
    assert ours < 1.02 * theirs
