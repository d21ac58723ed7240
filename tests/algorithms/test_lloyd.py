"""Lloyd's iterations: hand-computed cases, scikit-learn's runs, and the rule that stops them."""

import numpy as np
import pytest
from sklearn.cluster import KMeans as SklearnKMeans

from dkmeans import Rows
from dkmeans.algorithms.lloyd import least, lloyd
from dkmeans.errors import BadValues, TooFewRows

FOUR = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [1.0, 1.0]])


def reference(X, start, weight=None, **parameters):
    parameters = {"tol": 0, "max_iter": 300, **parameters}
    model = SklearnKMeans(len(start), init=start, n_init=1, algorithm="lloyd", **parameters)
    return model.fit(X, sample_weight=weight)


def labels_under(X, centers):
    return ((X[:, None, :] - centers) ** 2).sum(axis=2).argmin(axis=1)


def sq_distances_under(X, centers):
    return ((X[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("block_rows", [1, 3, 4])
def test_four_weighted_points_end_where_they_do_by_hand(dtype, block_rows):
    rows = Rows.from_array(FOUR, [3.0, 1, 1, 3], dtype=dtype, block_rows=block_rows)
    fit, _ = lloyd(rows, np.array([[0.0, 0.0], [1.0, 1.0]]), tol=0)
    np.testing.assert_allclose(fit.centers, [[0.125, 0], [0.875, 1]], atol=1e-12)
    assert fit.inertia == pytest.approx(0.375, rel=1e-6)
    assert (fit.n_iter, fit.converged, fit.n_distinct) == (2, True, 2)
    np.testing.assert_array_equal(fit.ledger.weight, [4, 4])


@pytest.mark.parametrize("block_rows", [450, 2999])
@pytest.mark.parametrize("weighted", [False, True])
def test_float64_makes_the_iterations_of_scikit_learn(block_rows, weighted):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3000, 4)) + rng.uniform(-2, 2, size=(9, 4))[rng.integers(0, 9, 3000)]
    weight = rng.uniform(0.1, 5, 3000) if weighted else None
    start = X[rng.choice(3000, 9, replace=False)]
    rows = Rows.from_array(X, weight, block_rows=block_rows)
    assert rows.n_blocks > 1
    fit, history = lloyd(rows, start, tol=0)
    expected = reference(X, start, weight)
    assert expected.n_iter_ > 10
    assert fit.n_iter == expected.n_iter_ == len(history)
    np.testing.assert_allclose(fit.centers, expected.cluster_centers_, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(labels_under(X, fit.centers), expected.labels_)
    assert fit.inertia == pytest.approx(expected.inertia_, rel=1e-12)


def test_rows_far_from_zero_are_clustered_as_scikit_learn_does():
    rng = np.random.default_rng(2)
    X = 1e6 + rng.normal(size=(2000, 3))
    start = X[:6]
    fit, _ = lloyd(Rows.from_array(X, block_rows=300), start, tol=0)
    expected = reference(X, start)
    assert fit.n_iter == expected.n_iter_
    np.testing.assert_allclose(fit.centers, expected.cluster_centers_, rtol=0, atol=1e-8)


@pytest.mark.parametrize("block_rows", [61, 999])
def test_float32_agrees_with_float64_scikit_learn_on_separated_rows(blobs, block_rows):
    X32 = blobs[0].astype(np.float32)
    start = (blobs[1] + 3).astype(np.float32)
    rows = Rows.from_array(X32, block_rows=block_rows)
    assert rows.dtype == "float32"
    assert rows.n_blocks > 1
    fit, _ = lloyd(rows, start, tol=0)
    expected = reference(X32.astype(np.float64), start.astype(np.float64))
    np.testing.assert_allclose(fit.centers, expected.cluster_centers_, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(fit.ledger.weight, np.bincount(expected.labels_))


def test_block_sizes_give_the_same_centers_to_rounding():
    rng = np.random.default_rng(3)
    X = rng.uniform(size=(2500, 3))
    fits = [
        lloyd(Rows.from_array(X, block_rows=block_rows), X[:7], tol=0)[0]
        for block_rows in (1250, 240, 2500)
    ]
    for fit in fits[1:]:
        assert fit.n_iter == fits[0].n_iter
        np.testing.assert_allclose(fit.centers, fits[0].centers, rtol=0, atol=1e-12)


def test_gain_is_a_lower_bound_of_what_the_next_iteration_brings():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(2500, 5))
    _, history = lloyd(Rows.from_array(X, block_rows=500), X[:12], tol=0)
    inertias = np.array([record["inertia"] for record in history])
    gains = np.array([record["gain"] for record in history])
    assert len(history) > 20
    assert (gains[:-1] > 0).all()
    assert (inertias[:-1] - inertias[1:] >= gains[:-1] * (1 - 1e-6) - 1e-9).all()


def test_gain_and_inertia_are_those_of_the_returned_centers():
    rng = np.random.default_rng(5)
    X, weight = rng.normal(size=(1500, 3)), rng.uniform(0, 2, 1500)
    fit, _ = lloyd(Rows.from_array(X, weight, block_rows=400), X[:5], tol=1e-3)
    labels = labels_under(X, fit.centers)
    mass = np.bincount(labels, weight)
    means = np.array(
        [np.average(X[labels == j], axis=0, weights=weight[labels == j]) for j in range(5)]
    )
    gain = (mass[:, None] * (means - fit.centers) ** 2).sum()
    assert fit.gain == pytest.approx(gain, rel=1e-9)
    assert fit.inertia == pytest.approx(weight @ sq_distances_under(X, fit.centers), rel=1e-12)


def test_it_stops_at_the_first_iteration_whose_gain_is_within_tol():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(3000, 4))
    fit, history = lloyd(Rows.from_array(X, block_rows=700), X[:10], tol=1e-3)
    shares = [record["gain"] / record["inertia"] for record in history]
    assert fit.converged
    assert fit.n_iter == len(history) > 2
    assert shares[-1] <= 1e-3 < min(shares[:-1])
    assert fit.gain == history[-1]["gain"]
    strict, _ = lloyd(Rows.from_array(X, block_rows=700), X[:10], tol=0)
    assert strict.n_iter > fit.n_iter


def test_tol_zero_ends_on_centers_that_are_bitwise_the_means_of_their_rows():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(1000, 3))
    rows = Rows.from_array(X, block_rows=130)
    fit, history = lloyd(rows, X[:6], tol=0)
    again, more = lloyd(rows, fit.centers, tol=0)
    assert fit.converged
    assert history[-1]["shift"] == 0
    # another origin may round the last bit once more
    assert len(more) <= 2
    np.testing.assert_allclose(again.centers, fit.centers, rtol=0, atol=1e-14)


@pytest.mark.parametrize("tol", [0, 1e-12])
def test_a_run_ended_by_max_iter_makes_one_more_pass_so_that_results_agree(tol):
    rng = np.random.default_rng(8)
    X = rng.uniform(size=(2000, 2))
    rows = Rows.from_array(X, block_rows=300)
    fit, history = lloyd(rows, X[:8], max_iter=3, tol=tol)
    expected = reference(X, X[:8], max_iter=3)
    assert (fit.n_iter, fit.converged, rows.n_passes, len(history)) == (3, False, 4, 4)
    assert [record["kind"] for record in history][-1] == "final assignment"
    np.testing.assert_allclose(fit.centers, expected.cluster_centers_, rtol=0, atol=1e-12)
    labels = labels_under(X, fit.centers)
    np.testing.assert_array_equal(labels, expected.labels_)
    np.testing.assert_array_equal(fit.ledger.weight, np.bincount(labels))
    assert fit.inertia == pytest.approx(sq_distances_under(X, fit.centers).sum(), rel=1e-12)
    assert fit.inertia < history[-2]["inertia"]


def test_the_start_is_not_changed():
    X = np.random.default_rng(9).normal(size=(100, 2))
    start = X[:4].copy()
    lloyd(Rows.from_array(X, block_rows=30), start)
    np.testing.assert_array_equal(start, X[:4])


def test_one_cluster_is_the_mean_of_all_rows():
    X = np.random.default_rng(10).normal(size=(500, 3))
    fit, _ = lloyd(Rows.from_array(X, block_rows=99), np.zeros((1, 3)), tol=0)
    np.testing.assert_allclose(fit.centers[0], X.mean(axis=0), atol=1e-14)
    assert fit.inertia == pytest.approx(500 * X.var(axis=0).sum(), rel=1e-12)


def test_as_many_clusters_as_rows_have_inertia_zero():
    fit, _ = lloyd(Rows.from_array(FOUR, block_rows=2), FOUR[::-1] + 0.01, tol=0)
    assert fit.inertia == 0
    np.testing.assert_array_equal(fit.centers, FOUR[::-1])


def test_a_tie_goes_to_the_lowest_center():
    X = np.array([[0.0], [1.0], [2.0]])
    fit, _ = lloyd(Rows.from_array(X, block_rows=2), np.array([[0.0], [2.0]]), max_iter=1)
    np.testing.assert_array_equal(fit.centers, [[0.5], [2.0]])


def test_history_tells_of_each_pass():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(800, 3))
    fit, history = lloyd(Rows.from_array(X, block_rows=100), X[:4], tol=0)
    first = history[0]
    labels = labels_under(X, X[:4])
    means = np.array([X[labels == j].mean(axis=0) for j in range(4)])
    assert first["kind"] == "iteration 1"
    assert first["inertia"] == pytest.approx(sq_distances_under(X, X[:4]).sum(), rel=1e-12)
    assert first["shift"] == pytest.approx(np.linalg.norm(means - X[:4]), rel=1e-9)
    assert (first["empty_clusters"], first["rows_read"], first["bytes_read"]) == (0, 800, 0)
    assert all(record["seconds"] > 0 for record in history)
    assert [record["kind"] for record in history] == [
        f"iteration {i + 1}" for i in range(fit.n_iter)
    ]


def test_fewer_rows_than_centers_are_refused():
    with pytest.raises(TooFewRows, match=r"n_clusters=5 needs at least 5 rows; the data has 4"):
        lloyd(Rows.from_array(FOUR, block_rows=3), np.arange(10.0).reshape(5, 2))


def test_rows_without_any_weight_are_refused():
    with pytest.raises(BadValues, match="all sample weights are zero"):
        lloyd(Rows.from_array(FOUR, np.zeros(4), block_rows=3), FOUR[:2])


def test_of_inertias_that_differ_by_rounding_the_first_is_least():
    assert least([3.0, 2.0, 2.0 * (1 - 1e-12), 5.0]) == 1
    assert least([2.0 * (1 + 1e-6), 2.0]) == 1
    assert least([0.0, 0.0]) == 0
