"""Warm starts with forgetting: what they minimize, against plain arithmetic over all rows."""

import numpy as np
import pytest

from dkmeans import KMeans, Rows
from dkmeans.algorithms.carried import Carried
from dkmeans.algorithms.drive import drive
from dkmeans.algorithms.lloyd import Fit, LloydState, lloyd_passes
from dkmeans.errors import BadValues, TooFewRows
from dkmeans.models.model import Model

K = 6


def rows_around(seed: int, n: int, moved: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).uniform(-5, 5, size=(K, 3)) + moved
    return centers[rng.integers(0, K, n)] + rng.normal(size=(n, 3))


@pytest.fixture(scope="module")
def old() -> np.ndarray:
    return rows_around(1, 2000)


@pytest.fixture(scope="module")
def new() -> np.ndarray:
    return rows_around(2, 700, moved=0.8)


@pytest.fixture(scope="module")
def champion(old: np.ndarray) -> Model:
    # not converged: its centers are not the means of their rows
    return KMeans(K, init=old[:K], max_iter=2, tol=0).fit(old).model_


def nearest_of(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return ((X[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)


def objective(new, old, old_labels, centers, decay, weight=None) -> float:
    """Inertia of new rows at their nearest centers, and of old ones at those that they had."""
    weight = np.ones(len(new)) if weight is None else weight
    of_new = weight @ ((new[:, None] - centers) ** 2).sum(axis=2).min(axis=1)
    return float(of_new + decay * ((old - centers[old_labels]) ** 2).sum())


def by_hand(new, old, old_labels, centers, decay, n_iter, weight=None):
    """Lloyd's iterations over new rows, and old ones that stay in their clusters."""
    weight = np.ones(len(new)) if weight is None else weight
    for _ in range(n_iter):
        labels = nearest_of(new, centers)
        X, label = np.concatenate([new, old]), np.concatenate([labels, old_labels])
        w = np.concatenate([weight, np.full(len(old), decay)])
        centers = np.array([w[label == j] @ X[label == j] / w[label == j].sum() for j in range(K)])
    return centers


def follow(rows: Rows, champion: Model, decay: float, **rule) -> tuple[Fit, list[dict]]:
    at = LloydState.start(champion.scaled_centers, Carried.of(champion, decay))
    asked = {"max_iter": 300, "tol": 0.0, **rule}
    (result,) = drive(rows, [lloyd_passes(at, **asked)])
    return result


@pytest.mark.parametrize("decay", [1.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_iterations_are_those_over_new_rows_and_old_ones_in_their_clusters(
    old, new, champion, decay, weighted
):
    weight = np.random.default_rng(3).choice([0.0, 0.5, 2.0], len(new)) if weighted else None
    rows = Rows.from_array(new, weight, block_rows=100)
    assert rows.n_blocks == 7
    labels = nearest_of(old, champion.centers)
    for n_iter in (1, 4):
        fit, _ = follow(rows, champion, decay, max_iter=n_iter)
        expected = by_hand(new, old, labels, champion.centers, decay, n_iter, weight)
        np.testing.assert_allclose(fit.centers, expected, rtol=0, atol=1e-10)
        inertia = objective(new, old, labels, expected, decay, weight)
        assert fit.inertia == pytest.approx(inertia, rel=1e-10)
        own = objective(new, old[:0], labels[:0], expected, decay, weight)
        assert fit.of_rows.inertia == pytest.approx(own, rel=1e-10)
        assert fit.of_rows.n_rows == len(new)


def test_every_iteration_lowers_the_inertia_by_its_gain_at_least(new, champion):
    fit, history = follow(Rows.from_array(new, block_rows=90), champion, 0.5)
    inertias = np.array([record["inertia"] for record in history])
    gains = np.array([record["gain"] for record in history])
    assert len(history) > 5
    assert (inertias[:-1] - inertias[1:] >= gains[:-1] - 1e-9 * inertias[0]).all()
    assert fit.converged
    assert fit.gain == pytest.approx(0, abs=1e-9)


def test_iterations_end_when_the_gain_is_a_small_share_of_the_inertia_of_both(new, champion):
    rows = Rows.from_array(new, block_rows=90)
    fit, history = follow(rows, champion, 1.0, tol=1e-3)
    assert fit.gain <= 1e-3 * fit.inertia
    assert all(record["gain"] > 1e-3 * record["inertia"] for record in history[:-1])
    assert fit.converged


def test_old_rows_of_little_weight_hardly_matter(new, champion):
    fit, _ = follow(Rows.from_array(new), champion, 1e-12)
    alone = KMeans(K, init=champion.centers, tol=0).fit(new)
    np.testing.assert_allclose(fit.centers, alone.cluster_centers_, atol=1e-8)


def test_a_cluster_without_new_rows_keeps_the_mean_of_its_old_ones(old, champion):
    labels = nearest_of(old, champion.centers)
    new = old[labels == 2][:50]
    fit, _ = follow(Rows.from_array(new), champion, 0.5)
    others = np.arange(K) != 2
    np.testing.assert_allclose(fit.centers[others], champion.scaled_means[others], atol=1e-12)
    assert (fit.ledger.weight[others] == 0.5 * champion.weights[others]).all()


def test_a_cluster_without_any_rows_moves_to_the_farthest_new_one():
    champion = KMeans(2, init=[[0.0], [10.0]], tol=0).fit([[0.0], [2.0], [10.0], [10.0]]).model_
    without = np.array([1.0, 0.0])
    empty = Model(
        champion.scaled_centers,
        None,
        None,
        "float64",
        champion.cluster_ids,
        champion.weights * without,
        champion.inertias * without,
        champion.scaled_means,
    )
    fit, history = follow(Rows.from_array([[1.0], [1.0], [4.0]]), empty, 1.0)
    assert [record["kind"] for record in history][:2] == ["iteration 1", "relocation"]
    np.testing.assert_allclose(fit.centers.ravel(), [1.0, 4.0], atol=1e-12)
    # two old rows at 0 and 2, two new ones at 1, one at 4
    np.testing.assert_allclose(fit.ledger.weight, [4.0, 1.0])
    assert fit.inertia == pytest.approx(2.0)


def test_fewer_new_rows_than_clusters_are_enough_but_there_must_be_some(champion):
    fit, _ = follow(Rows.from_array(champion.centers[:1] + 0.1), champion, 1.0)
    assert fit.of_rows.n_rows == 1
    with pytest.raises(BadValues, match="all sample weights are zero"):
        follow(Rows.from_array(champion.centers, np.zeros(K)), champion, 1.0)
    nothing = Rows.from_array(np.full((3, 3), np.nan), missing="drop")
    with pytest.raises(TooFewRows, match="no new rows"):
        follow(nothing, champion, 1.0)
