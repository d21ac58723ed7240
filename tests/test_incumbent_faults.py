"""Six faults of dask-ml's `KMeans` that users of it know, none of which may appear here."""

import dask.array as da
import numpy as np
import pytest

from dkmeans import KMeans, Rows
from dkmeans.algorithms.drive import drive
from dkmeans.algorithms.seeding import Drawn, scalable_passes


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(4000, 4)) + rng.uniform(-9, 9, size=(30, 4))[rng.integers(0, 30, 4000)]


def number_of_candidates(X, n_clusters):
    """Candidates that k-means|| weighs in its last pass."""
    found = []

    def watched(passes):
        request = next(passes)
        while True:
            answer = yield request
            found.append(answer.partial)
            try:
                request = passes.send(answer)
            except StopIteration as stop:
                return stop.value

    passes = scalable_passes(
        Drawn((X[:1],)), n_clusters, seed=0, oversampling_factor=2.0, n_rounds=5
    )
    drive(Rows.from_array(X, block_rows=500), [watched(passes)])
    return found[-1].n_clusters


def test_the_number_of_candidates_grows_with_k(X):
    assert [number_of_candidates(X, k) for k in (4, 20, 100)] == [41, 201, 1001]


@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_inertia_is_of_squared_distances_when_max_iter_ends_the_fit(max_iter, X):
    rows = Rows.from_array(X, block_rows=500)
    model = KMeans(30, init="random", random_state=0, max_iter=max_iter, tol=0).fit(rows)
    sq_distances = ((X[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    assert not model.converged_
    assert model.inertia_ == pytest.approx(sq_distances.sum(), rel=1e-10)
    assert model.inertia_ != pytest.approx(np.sqrt(sq_distances).sum(), rel=0.1)


@pytest.mark.parametrize("scale", [None, "standard"])
def test_an_empty_cluster_never_goes_to_the_origin(scale, X):
    far = X + 500
    start = np.concatenate([far[:10], np.full((3, 4), 1e4)])
    rows = Rows.from_array(far, block_rows=500)
    model = KMeans(13, init=start, scale=scale).fit(rows)
    assert model.history_[int(scale is not None)]["empty_clusters"] == 3
    assert (model.model_.weights > 0).all()
    assert model.cluster_centers_.min() > 400
    assert model.cluster_centers_.max() < 600


def test_ten_iterations_take_eighteen_passes_and_one_reading():
    X = np.random.default_rng(2).uniform(size=(4000, 4))
    asked = []

    def part(block):
        asked.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(500, 4)).map_blocks(part, dtype=X.dtype, meta=X[:0])
    model = KMeans(
        30,
        init="k-means||",
        init_rounds=5,
        max_iter=10,
        tol=0,
        random_state=1,
        stage="memory",
    ).fit(lazy)
    assert (model.n_iter_, model.converged_, model.n_passes_) == (10, False, 18)
    assert len(asked) == 8


def test_three_ways_of_cutting_draw_the_same_candidates_and_end_at_the_same_inertia(X):
    cut = [
        Rows.from_array(X, block_rows=4000),
        Rows.from_array(X, block_rows=333),
        Rows.from_dask(da.from_array(X, chunks=((1, 999, 2500, 500), 4))),
    ]
    assert [rows.n_blocks for rows in cut] == [1, 13, 4]
    asked = {"init": "k-means||", "scale": "standard", "random_state": 6}
    models = [KMeans(30, **asked).fit(rows) for rows in cut]
    # the cost of each round follows from all candidates before it
    costs = [
        [r["cost"] for r in model.history_ if r["kind"].startswith("k-means||")] for model in models
    ]
    assert len(costs[0]) == 6
    for other in (1, 2):
        np.testing.assert_allclose(costs[other], costs[0], rtol=1e-9)
        assert models[other].inertia_ == pytest.approx(models[0].inertia_, rel=1e-6)
        np.testing.assert_allclose(
            models[other].cluster_centers_, models[0].cluster_centers_, rtol=0, atol=1e-6
        )


def test_weights_equal_copies(X):
    copies = np.random.default_rng(1).integers(0, 4, len(X))
    repeated = np.repeat(X, copies, axis=0)
    start = repeated[:: len(repeated) // 30][:30]
    weighted = KMeans(30, init=start, tol=0).fit(
        da.from_array(X, chunks=(600, 4)), sample_weight=copies
    )
    expected = KMeans(30, init=start, tol=0).fit(repeated)
    np.testing.assert_allclose(
        weighted.cluster_centers_, expected.cluster_centers_, rtol=0, atol=1e-10
    )
    assert weighted.inertia_ == pytest.approx(expected.inertia_, rel=1e-10)
