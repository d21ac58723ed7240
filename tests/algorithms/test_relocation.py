"""Empty clusters: where they move to, whose weight that takes, and that it comes to an end."""

import numpy as np
import pytest

from dkmeans import Rows
from dkmeans.algorithms.lloyd import lloyd
from dkmeans.algorithms.relocation import relocate
from dkmeans.partials import ClusterSums, Farthest


def ledger_and_farthest(X, centers, weight=None, block_rows=2):
    rows = Rows.from_array(np.asarray(X, float), weight, block_rows=block_rows)
    assert rows.n_blocks > 1
    centers = np.asarray(centers, float)
    ledger = rows.reduce(ClusterSums.from_block, centers, np.zeros(centers.shape[1]))
    size = int(ledger.empty.sum()) + ledger.n_clusters
    return ledger, rows.reduce(Farthest.from_block, centers, size)


def kinds(history):
    return [record["kind"] for record in history]


def test_the_farthest_rows_leave_their_cluster_as_in_scikit_learn():
    X = np.array([-10.0, -9.5, -9, -8.5, -8, -1, 1, 9, 9.5, 10])[:, None]
    ledger, farthest = ledger_and_farthest(X, [[-10], [-10], [-10]])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [8, 1, 1])
    np.testing.assert_array_equal(moved.sums, [[-36], [10], [9.5]])
    centers = moved.centers(otherwise=np.full((3, 1), np.nan))
    np.testing.assert_array_equal(centers, [[-4.5], [10], [9.5]])


def test_the_whole_weight_of_a_row_goes_with_it():
    ledger, farthest = ledger_and_farthest([[0], [1], [10]], [[1], [100]], [1.0, 1, 3])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [2, 3])
    np.testing.assert_array_equal(moved.centers(otherwise=np.zeros((2, 1))), [[0.5], [10]])


def test_several_donors_give_the_farthest_rows_in_turn():
    X = [[0], [1], [8], [100], [101], [106]]
    ledger, farthest = ledger_and_farthest(X, [[0], [100], [500], [600]])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [2, 2, 1, 1])
    centers = moved.centers(otherwise=np.zeros((4, 1)))
    np.testing.assert_array_equal(centers, [[0.5], [100.5], [8], [106]])


def test_rows_of_weight_zero_are_passed_over():
    X, weight = [[0], [1], [5], [1000]], [1.0, 1, 1, 0]
    ledger, farthest = ledger_and_farthest(X, [[0], [3000]], weight)
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.centers(otherwise=np.zeros((2, 1))), [[0.5], [5]])


def test_a_cluster_keeps_its_last_row():
    # the row at 50 is the farthest, but alone in its cluster
    ledger, farthest = ledger_and_farthest([[0], [1], [3], [50]], [[0], [40], [900]])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [2, 1, 1])
    centers = moved.centers(otherwise=np.zeros((3, 1)))
    np.testing.assert_array_equal(centers, [[0.5], [50], [3]])


def test_a_cluster_of_two_far_rows_gives_one_of_them_only():
    ledger, farthest = ledger_and_farthest([[0], [1], [40], [60.5]], [[0], [50], [900], [901]])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [1, 1, 1, 1])
    centers = moved.centers(otherwise=np.zeros((4, 1)))
    np.testing.assert_array_equal(centers, [[0], [40], [60.5], [1]])


def test_copies_of_one_row_fill_one_cluster_only():
    ledger, farthest = ledger_and_farthest([[0], [0], [0], [9], [9], [9]], [[0], [77], [88]])
    moved = relocate(ledger, farthest)
    np.testing.assert_array_equal(moved.weight, [5, 1, 0])
    assert moved.centers(otherwise=np.zeros((3, 1)))[1, 0] == 9


def test_there_is_nowhere_to_go_when_all_rows_lie_on_centers():
    ledger, farthest = ledger_and_farthest([[3], [3], [3]], [[3], [8]])
    assert relocate(ledger, farthest) is None


def test_equally_far_rows_are_taken_in_stored_order_whatever_the_blocks():
    X = np.array([[0.0], [5]] + [[-5]] * 8)
    for block_rows in (1, 3, 7, 9):
        ledger, farthest = ledger_and_farthest(X, [[0], [99]], block_rows=block_rows)
        assert relocate(ledger, farthest).centers(otherwise=np.zeros((2, 1)))[1, 0] == 5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("block_rows", [1, 3])
def test_lloyd_recovers_from_an_empty_cluster_in_three_iterations(dtype, block_rows):
    X = np.array([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [1.0, 1.0]])
    rows = Rows.from_array(X, dtype=dtype, block_rows=block_rows)
    fit, history = lloyd(rows, np.array([[0.5, 0.5], [3.0, 3.0]]), tol=0)
    assert fit.n_iter == 3
    assert fit.inertia == pytest.approx(0.25)
    # two rows are equally far: which of them the empty cluster takes is free
    np.testing.assert_allclose(np.sort(fit.centers, axis=0), [[0.25, 0], [0.75, 1]])
    assert kinds(history) == ["iteration 1", "relocation", "iteration 2", "iteration 3"]
    assert [record.get("empty_clusters") for record in history] == [1, None, 0, 0]
    assert rows.n_passes == 4


def test_no_center_goes_to_the_origin_or_leaves_the_data():
    rng = np.random.default_rng(0)
    X = rng.uniform(1000, 1001, size=(600, 3))
    start = np.concatenate([X[:3], np.full((5, 3), 5000.0)])
    fit, history = lloyd(Rows.from_array(X, block_rows=100), start, tol=0)
    assert "relocation" in kinds(history)
    assert fit.n_distinct == 8
    assert ((fit.centers >= 1000) & (fit.centers <= 1001)).all()


def test_every_relocation_lowers_the_inertia():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 2))
    _, history = lloyd(Rows.from_array(X, block_rows=90), np.repeat(X[:1], 9, axis=0), tol=0)
    inertias = [record["inertia"] for record in history if record.get("inertia") is not None]
    assert "relocation" in kinds(history)
    assert (np.diff(inertias) < 1e-9).all()


@pytest.mark.parametrize("tol", [0, 1e-4])
def test_duplicates_end_with_one_cluster_for_each_distinct_row(tol):
    X = np.repeat(np.array([[7.0, 1.0], [-3.0, 4.0]]), 25, axis=0)
    fit, history = lloyd(Rows.from_array(X, block_rows=7), np.tile(X[:1], (5, 1)), tol=tol)
    assert (fit.n_distinct, fit.inertia, fit.converged) == (2, 0, True)
    assert len(history) < 10
    occupied = fit.centers[fit.ledger.weight > 0]
    assert {tuple(center) for center in occupied} == {(7.0, 1.0), (-3.0, 4.0)}


def test_a_relocation_in_the_last_iteration_leaves_fresh_labels():
    X = np.array([[0.0], [1], [10], [11], [30]])
    fit, history = lloyd(Rows.from_array(X, block_rows=2), [[5.0], [900.0]], max_iter=1, tol=0)
    assert kinds(history) == ["iteration 1", "relocation", "final assignment"]
    # 30 left the first cluster, whose mean is then 5.5
    np.testing.assert_array_equal(fit.centers, [[5.5], [30]])
    np.testing.assert_array_equal(fit.ledger.weight, [4, 1])
    assert fit.inertia == pytest.approx(5.5**2 * 2 + 4.5**2 * 2)
