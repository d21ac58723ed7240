"""How often rows that have not changed raise an alarm: no more often than is stated."""

import numpy as np
import pytest

from dkmeans import KMeans, with_baseline
from dkmeans.evaluation.drift.drift import drift_of
from dkmeans.evaluation.drift.passes import drift_request
from dkmeans.evaluation.drift.survey import survey_block
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.kernels.block import Block

NEVER = dict.fromkeys(vars(Thresholds()), 0.0) | {"variance_ratio": 1.0}


def world(n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of clusters of several sizes, with heavy tails, atoms, and rare values."""
    n = 200_000
    centers = 6 * rng.normal(size=(n_clusters, 6))
    labels = rng.choice(n_clusters, n, p=rng.dirichlet(np.full(n_clusters, 2.0)))
    X = centers[labels] + rng.normal(size=(n, 6))
    X[:, 3] = rng.standard_t(2, size=n)
    X[:, 4] = np.exp(2 * rng.normal(size=n))
    X[:, 5] = np.where(rng.random(n) < 0.97, 0.0, rng.integers(1, 50, n))
    return X


def alarms(k: int, n_base: int, n: int, n_times: int, thresholds: Thresholds) -> float:
    """The share of samples of so many rows that raise an alarm; baselines change now and then."""
    rng = np.random.default_rng(k * 1000 + n)
    X, found = world(k, rng), 0
    for number in range(n_times):
        if number % max(1, n_times // 4) == 0:
            base = X[rng.permutation(len(X))[:n_base]]
            fitted = KMeans(k, scale="standard", random_state=0, init="k-means++").fit(base)
            model = with_baseline(fitted, base)
            request = drift_request(model, scaled=False)
        rows = np.asfortranarray(X[rng.integers(0, len(X), n)])
        answer = survey_block(Block(rows, ((0, n),)), *request.broadcast)
        found += drift_of(model, answer, request, thresholds=thresholds).is_drift
    return found / n_times


@pytest.mark.parametrize(
    ("k", "n_base", "n", "n_times"),
    [(1, 5000, 200, 200), (5, 5000, 200, 200), (5, 20_000, 2000, 200), (20, 20_000, 1000, 200)],
)
def test_rows_that_have_not_changed_raise_no_alarm(k, n_base, n, n_times) -> None:
    assert alarms(k, n_base, n, n_times, Thresholds()) == 0.0


@pytest.mark.parametrize(("k", "n"), [(3, 300), (10, 2000)])
def test_chance_alone_is_told_from_drift_without_any_threshold(k, n) -> None:
    # of 200, 2 are expected at most; 7 would be less likely than 1 in 200
    given = Thresholds(**{**NEVER, "false_alarm": 0.01})
    assert alarms(k, 50_000, n, 200, given) <= 6 / 200


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 10, 50])
@pytest.mark.parametrize("n", [200, 1000, 5000, 20_000, 100_000])
def test_alarms_of_all_sizes(k, n) -> None:
    assert alarms(k, 20_000, n, 200, Thresholds()) <= 1 / 200
