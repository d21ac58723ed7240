"""Weight w means w copies of the row, and weight zero means no row at all."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dkmeans import KMeans, Rows, read_parquet
from dkmeans.models.scaling import SCALES
from tests.conftest import write_parquet


@pytest.fixture(scope="module")
def copied():
    """Rows, how many copies of each, the rows copied out, and a start."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 3)) * [1, 5, 0.2]
    copies = rng.integers(0, 5, 1200)
    # what is not there may not matter, wherever it lies
    X[copies == 0] *= 100
    repeated = np.repeat(X, copies, axis=0)
    return X, copies, repeated, repeated[:: len(repeated) // 6][:6]


def weighted_rows(kind, X, copies, tmp_path, dtype):
    X, weight = X.astype(dtype), copies.astype(float)
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"]).assign(w=weight)
    if kind == "array":
        return Rows.from_array(X, weight, block_rows=150)
    if kind == "dask array":
        return Rows.from_dask(da.from_array(X, chunks=(200, 3)), weight)
    if kind == "dask weights":
        return Rows.from_dask(da.from_array(X, chunks=(200, 3)), da.from_array(weight, chunks=170))
    if kind == "dask frame":
        return Rows.from_dask(dd.from_pandas(frame, npartitions=5), weight="w")
    write_parquet(tmp_path / "rows", X, w=weight)
    return read_parquet(str(tmp_path / "rows"), weight="w", dtype=dtype, block_rows=200)


@pytest.mark.parametrize("kind", ["array", "dask array", "dask weights", "dask frame", "parquet"])
@pytest.mark.parametrize("scale", [None, *SCALES])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_equal_copies(kind, scale, dtype, copied, tmp_path):
    X, copies, repeated, start = copied
    rows = weighted_rows(kind, X, copies, tmp_path, dtype)
    assert rows.n_blocks > 1
    weighted = KMeans(6, init=start, scale=scale, tol=0).fit(rows)
    expected = KMeans(6, init=start, scale=scale, tol=0).fit(repeated.astype(dtype))
    # in float32 a row between two centers may go either way
    close = {"rtol": 1e-10, "atol": 1e-10} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-2}
    np.testing.assert_allclose(weighted.cluster_centers_, expected.cluster_centers_, **close)
    assert weighted.inertia_ == pytest.approx(
        expected.inertia_, rel=1e-10 if dtype == "float64" else 1e-4
    )
    if dtype == "float64":
        assert weighted.n_iter_ == expected.n_iter_
        np.testing.assert_array_equal(weighted.model_.weights, expected.model_.weights)
        labels = weighted.labels_.compute(scheduler="threads")
        np.testing.assert_array_equal(np.repeat(labels, copies), expected.labels_)


def test_weights_equal_copies_in_score(copied):
    X, copies, repeated, start = copied
    model = KMeans(6, init=start).fit(repeated)
    assert model.score(X, sample_weight=copies) == pytest.approx(model.score(repeated), rel=1e-12)


@pytest.mark.parametrize("factor", [1e-3, 0.25, 1e6])
def test_a_common_factor_of_weights_only_scales_the_inertia(factor, copied):
    X, copies, _, start = copied
    one = KMeans(6, init=start, scale="standard").fit(X, sample_weight=copies)
    other = KMeans(6, init=start, scale="standard").fit(X, sample_weight=copies * factor)
    assert other.n_iter_ == one.n_iter_
    np.testing.assert_allclose(other.cluster_centers_, one.cluster_centers_, rtol=1e-9, atol=1e-9)
    assert other.inertia_ == pytest.approx(one.inertia_ * factor, rel=1e-9)
    assert other.gain_ == pytest.approx(one.gain_ * factor, rel=1e-6)


@pytest.mark.parametrize("weight", [None, 1.0, np.float64(1), "ones"])
def test_unit_weights_are_no_weights(weight, copied):
    X, _, _, start = copied
    weight = np.ones(len(X)) if weight == "ones" else weight
    plain = KMeans(6, init=start, scale="standard").fit(X)
    weighted = KMeans(6, init=start, scale="standard").fit(X, sample_weight=weight)
    np.testing.assert_allclose(weighted.cluster_centers_, plain.cluster_centers_, rtol=1e-12)


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
def test_rows_of_weight_zero_neither_seed_nor_pull(init):
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + 1e4])
    weight = np.repeat([1.0, 0.0], 400)
    for seed in range(3):
        model = KMeans(8, init=init, random_state=seed).fit(X, sample_weight=weight)
        assert np.abs(model.cluster_centers_).max() < 10
        assert model.model_.weights.sum() == 400


def test_an_empty_cluster_takes_the_whole_weight_of_its_row():
    # by hand: 10 is farthest from 0 and leaves with its weight 2; 0 and 4 stay
    X, weight = np.array([[0.0], [4], [10]]), [1.0, 3, 2]
    model = KMeans(2, init=[[0.0], [99]], tol=0, max_iter=1).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(model.cluster_centers_, [[3], [10]])
    np.testing.assert_array_equal(model.model_.weights, [4, 2])
    assert model.inertia_ == 9 + 3


@pytest.mark.parametrize("init", ["k-means||", "k-means++", "random"])
def test_fewer_weighted_rows_than_clusters_warn(init):
    X = np.arange(8.0)[:, None]
    weight = [1.0, 0, 0, 1, 0, 0, 1, 0]
    with pytest.warns(UserWarning, match=r"distinct clusters \(3\)"):
        model = KMeans(5, init=init, random_state=0).fit(X, sample_weight=weight)
    assert model.inertia_ == 0


def test_heavier_rows_draw_random_starts_more_often():
    X = np.repeat([[0.0], [1.0]], 100, axis=0) + np.linspace(0, 1e-6, 200)[:, None]
    weight = np.repeat([1.0, 4.0], 100)
    rows = Rows.from_array(X, weight, block_rows=100)
    firsts = [
        KMeans(1, init="random", random_state=seed, max_iter=1).fit(rows).history_[1]["inertia"]
        for seed in range(60)
    ]
    # starting from 1, the hundred rows at 0 are at distance 1; from 0, the weight of 400 is
    heavy = sum(inertia < 200 for inertia in firsts)
    # 48 of 60 in the mean
    assert 37 <= heavy <= 58
