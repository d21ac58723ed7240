"""Sampled silhouettes: the exact value lies in the interval as often as is said."""

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics as reference

from dkmeans import metrics
from dkmeans.kernels.block import Array

N = 5000
N_SEEDS = 100
LEAST = 90
"""Of so many seeds, for an interval of 95 %: fewer come by chance in 1 of 80 populations."""

Population = tuple[Array, Array, Array | None]


def unequal(rng: np.random.Generator) -> Population:
    """Overlapping clusters, the largest 13 times the smallest."""
    labels = rng.choice(6, N, p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03])
    return 2 * rng.normal(size=(6, 4))[labels] + rng.normal(size=(N, 4)), labels, None


def weighted(rng: np.random.Generator) -> Population:
    """The same with weights, which are copies."""
    X, labels, _ = unequal(rng)
    return X, labels, rng.choice([1, 2, 6], N, p=[0.7, 0.2, 0.1])


def unlike(rng: np.random.Generator) -> Population:
    """Clusters of unlike spread, with heavy tails; every tenth row is in the wrong one."""
    labels = rng.choice(5, N, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    spread = np.array([1.0, 3.0, 0.3, 1.0, 0.5])[labels, None]
    X = 5 * rng.normal(size=(5, 3))[labels] + spread * rng.standard_t(3, size=(N, 3))
    labels[rng.random(N) < 0.1] = 0
    return X, labels, None


@pytest.mark.parametrize("draw", [unequal, weighted, unlike])
def test_the_exact_value_lies_in_95_percent_intervals(
    draw: Callable[[np.random.Generator], Population],
) -> None:
    X, labels, weight = draw(np.random.default_rng(5))
    copies = np.ones(N, int) if weight is None else weight
    exact = reference.silhouette_score(np.repeat(X, copies, axis=0), np.repeat(labels, copies))
    found = [
        metrics.silhouette_score(
            X, labels, sample_weight=weight, sample_size=500, random_state=seed
        )
        for seed in range(N_SEEDS)
    ]
    assert {one.n_sampled for one in found} == {500}
    assert sum(one.low <= exact <= one.high for one in found) >= LEAST
    # wide enough, but not by much: intervals half as wide would not do
    middle = np.array([(one.low + one.high) / 2 for one in found])
    half = np.array([(one.high - one.low) / 2 for one in found])
    assert (abs(exact - middle) <= half / 2).sum() < LEAST
    errors = np.array(found, float) - exact
    assert abs(errors.mean()) < 0.3 * errors.std()
