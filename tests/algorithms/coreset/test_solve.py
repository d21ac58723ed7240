"""Solving a coreset: everywhere the same, and no worse with more starts."""

from itertools import pairwise

import dask
import numpy as np
import pytest

from dkmeans import KMeans, Rows
from dkmeans.algorithms.coreset import solve as solving
from dkmeans.algorithms.coreset.solve import solve
from dkmeans.algorithms.lloyd import lloyd
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.errors import ConvergenceWarning
from tests.algorithms.coreset.surveys import pilot_from, survey

N = 20_000


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    centers = rng.uniform(-20, 20, size=(15, 3))
    return centers[rng.integers(0, 15, N)] + rng.normal(size=(N, 3))


@pytest.fixture(scope="module")
def coreset(X):
    rows = Rows.from_array(X, block_rows=2000)
    return survey(rows, 3000, pilot=pilot_from(rows, 15))[0]


@pytest.fixture
def small_parts(monkeypatch):
    """Have starts made on a part of the coreset."""
    monkeypatch.setattr(solving, "_LEAST_ROWS", 64)
    monkeypatch.setattr(solving, "ROWS_BY_CLUSTER", 32)


def bits_of(solutions):
    return {
        k: [(one.centers.tobytes(), one.inertia, one.seed) for one in some]
        for k, some in solutions.items()
    }


def test_threads_and_workers_find_the_same(X, coreset, client):
    found = []
    for place in (None, client):
        rows = Rows.from_array(X[:10], client=place)
        for scheduler in ("synchronous", "threads"):
            with dask.config.set(scheduler=scheduler):
                found.append(bits_of(solve(rows, coreset, (3, 15), (1, 2, 3), 1e-4)))
    assert found[0] == found[1] == found[2] == found[3]
    assert list(found[0]) == [3, 15]


@pytest.mark.parametrize("parts", [False, True])
def test_a_start_is_the_same_alone_and_among_others(X, coreset, parts, request):
    if parts:
        request.getfixturevalue("small_parts")
    rows = Rows.from_array(X[:10])
    together = solve(rows, coreset, (3, 7), (1, 2, 3), 1e-4)
    for k in (3, 7):
        alone = solve(rows, coreset, (k,), (1, 2, 3), 1e-4)
        assert bits_of(alone)[k] == bits_of(together)[k]
        for one in together[k] if not parts else []:
            (single,) = solve(rows, coreset, (k,), (one.seed,), 1e-4)[k]
            assert (single.centers == one.centers).all()


def test_solutions_are_local_optima_of_the_coreset(X, coreset):
    Z, weight = coreset.part(1.0)
    for one in solve(Rows.from_array(X[:10]), coreset, (6,), (1, 2), 1e-4)[6]:
        sq_distances = ((Z[:, None] - one.centers) ** 2).sum(axis=2)
        assert one.inertia == pytest.approx(weight @ sq_distances.min(axis=1), rel=1e-9)
        label = sq_distances.argmin(axis=1)
        moved = np.array([np.average(Z[label == j], axis=0, weights=weight[label == j])
                          for j in range(6)])  # fmt: skip
        gain = np.bincount(label, weight, minlength=6) @ ((moved - one.centers) ** 2).sum(axis=1)
        # finer than asked of all rows, where what is left here would take passes
        assert gain <= 1e-5 * one.inertia


@pytest.mark.usefixtures("small_parts")
def test_the_best_of_a_part_go_on_to_all_of_the_coreset(X, coreset):
    rows = Rows.from_array(X[:10])
    some = solve(rows, coreset, (15,), range(6), 1e-4)[15]
    assert 1 <= len(some) <= 3
    assert [one.inertia for one in some] == sorted(one.inertia for one in some)
    Z, weight = coreset.part(1.0)
    for one in some:
        inertia = weight @ ((Z[:, None] - one.centers) ** 2).sum(axis=2).min(axis=1)
        assert one.inertia == pytest.approx(inertia, rel=1e-9)


def test_more_starts_are_no_worse(X, coreset):
    rows = Rows.from_array(X[:10])
    seeds = KMeansSettings(
        n_clusters=15, init="coreset", n_init=8, seed=4, scale=None, oversampling_factor=2.0,
        init_rounds=5, tol=1e-4, max_iter=300,
    ).seeds  # fmt: skip
    best = [
        solve(rows, coreset, (15,), seeds[:n], 1e-4)[15][0].inertia for n in (1, 2, 4, 8)
    ]  # fmt: skip
    assert all(later <= earlier for earlier, later in pairwise(best))
    assert best[-1] < best[0]


def fit(X, k, **options):
    asked = {"init": "coreset", "random_state": 0, **options}
    return KMeans(k, **asked).fit(Rows.from_array(X, block_rows=4000))


def test_a_heavy_tail_is_found_by_every_seed():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(100_000, 2))
    far = rng.choice(100_000, 10, replace=False)
    X[far] = 300.0 + rng.normal(size=(10, 2))
    for seed in range(8):
        model = fit(X, 8, coreset_size=2000, random_state=seed, n_init=1)
        assert ((model.cluster_centers_ - X[far].mean(axis=0)) ** 2).sum(axis=1).min() < 1e-6
        assert model.inertia_ < 100_000


def test_clusters_are_found_as_full_passes_find_them(X):
    reference, _ = min(
        (lloyd(Rows.from_array(X), X[np.random.default_rng(s).choice(N, 15)]) for s in range(5)),
        key=lambda found: found[0].inertia,
    )
    for seed in range(3):
        model = fit(X, 15, coreset_size=3000, random_state=seed)
        assert model.inertia_ <= 1.001 * reference.inertia


@pytest.mark.parametrize("size", [500, 5000])
def test_as_many_clusters_as_distinct_rows(size):
    values = np.random.default_rng(2).uniform(size=(12, 2))
    X = values[np.random.default_rng(3).integers(0, 12, 5000)]
    model = fit(X, 12, coreset_size=size)
    assert model.inertia_ == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(
        sorted(model.cluster_centers_.tolist()), sorted(values.tolist()), rtol=1e-12
    )
    assert model.coreset_error_ == pytest.approx(0, abs=1e-9) or model.inertia_ < 1e-20


@pytest.mark.parametrize("size", [500, 5000])
def test_fewer_distinct_rows_than_clusters_warn(size):
    X = np.repeat([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]], 1500, axis=0)
    with pytest.warns(ConvergenceWarning, match="3"):
        model = fit(X, 5, coreset_size=size)
    assert model.inertia_ == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("size", [50, 5000])
@pytest.mark.parametrize("n_weighty", [3, 60])
def test_few_rows_with_weight(size, n_weighty):
    rng = np.random.default_rng(4)
    X, weight = rng.normal(size=(4000, 2)), np.zeros(4000)
    weight[:: 4000 // n_weighty][:n_weighty] = 2.0
    model = KMeans(3, init="coreset", coreset_size=size, random_state=0)
    model.fit(Rows.from_array(X, weight, block_rows=500))
    sq_distances = ((X[:, None] - model.cluster_centers_) ** 2).sum(axis=2).min(axis=1)
    assert model.inertia_ == pytest.approx(weight @ sq_distances, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("size", [50, 5000])
def test_fewer_rows_with_weight_than_clusters_warn(size):
    X, weight = np.random.default_rng(4).normal(size=(4000, 2)), np.zeros(4000)
    weight[[5, 900]] = 2.0
    model = KMeans(4, init="coreset", coreset_size=size, random_state=0)
    with pytest.warns(ConvergenceWarning, match="2"):
        model.fit(Rows.from_array(X, weight, block_rows=500))
    assert model.inertia_ == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("size", [200, N])
def test_one_cluster_is_the_mean(X, size):
    model = fit(X, 1, coreset_size=size, tol=0)
    np.testing.assert_allclose(model.cluster_centers_, X.mean(axis=0)[None], rtol=1e-9)
    truth = ((X - X.mean(axis=0)) ** 2).sum()
    assert model.inertia_ == pytest.approx(truth)
    estimate = next(r["inertia"] for r in model.history_ if r["kind"] == "solve")
    first = next(r["inertia"] for r in model.history_ if r["kind"] == "iteration 1")
    assert model.coreset_error_ == pytest.approx(estimate / first - 1, rel=1e-12)
    assert abs(model.coreset_error_) < 0.2
