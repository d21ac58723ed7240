"""Rows in clusters, and what passes over them would find, by NumPy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dkmeans.evaluation.profiles.edges import Bins
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.profiles.parts import Histogram, Quantiles
from dkmeans.evaluation.profiles.result import Profile

PROBABILITIES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


@dataclass(frozen=True)
class Groups:
    """Rows of each cluster, each `(n_rows, n_features)`, with integer weights or without."""

    rows: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray, ...] | None = None

    @property
    def copies(self):
        """The rows of each cluster, each as often as it weighs."""
        if self.weights is None:
            return self.rows
        pairs = zip(self.rows, self.weights, strict=True)
        return tuple(np.repeat(X, weight.astype(int), axis=0) for X, weight in pairs)

    @property
    def moments(self):
        weights = self.weights or tuple(np.ones(len(X)) for X in self.rows)
        pairs = list(zip(self.rows, weights, strict=True))
        d = self.rows[0].shape[1]
        total = np.array([weight.sum() for _, weight in pairs])
        mean = np.array([_mean(X, weight, d) for X, weight in pairs])
        variance = np.array(
            [_mean((X - m) ** 2, weight, d) for (X, weight), m in zip(pairs, mean, strict=True)]
        )
        return GroupMoments(total, mean, variance)

    def profile(self, **others: Any):
        moments, copies = self.moments, self.copies
        d = moments.n_features
        least = np.array([X.min(axis=0) if len(X) else np.full(d, np.inf) for X in copies])
        most = np.array([X.max(axis=0) if len(X) else np.full(d, -np.inf) for X in copies])
        scatter = np.array(
            [np.atleast_2d(np.cov(X.T, bias=True)) if len(X) else np.zeros((d, d)) for X in copies]
        )
        given = {
            "feature_names": [f"f{i}" for i in range(d)],
            "cluster_ids": None,
            "weight": moments.weight,
            "mean": moments.mean,
            "variance": moments.variance,
            "minimum": least,
            "maximum": most,
            "spread": np.sqrt(moments.variance.sum(axis=1)),
            "scaled_mean": moments.mean,
            "scatter": scatter,
        }
        return Profile.from_statistics(**given | others)

    def quantiles(self, bound: float = 0.0):
        d = self.rows[0].shape[1]
        value = np.array(
            [
                np.quantile(X, PROBABILITIES, axis=0).T
                if len(X)
                else np.full((d, len(PROBABILITIES)), np.nan)
                for X in self.copies
            ]
        )
        return Quantiles(PROBABILITIES, value, value - bound, value + bound)

    def histogram(self, n_bins: int = 4):
        X = np.concatenate(self.copies)
        edges = np.linspace(X.min(axis=0), X.max(axis=0), n_bins + 1).T
        k, d = len(self.copies), X.shape[1]
        counts = np.zeros((k, d, n_bins + 1))
        for j, group in enumerate(self.copies):
            for i in range(d):
                counts[j, i, :n_bins] = np.histogram(group[:, i], edges[i])[0]
        return Histogram(Bins(edges, np.zeros(d, bool)), counts, np.zeros((k, d)))


def _mean(X, weight, n_features):
    return weight @ X / weight.sum() if weight.sum() else np.full(n_features, np.nan)


def draw(sizes, n_features=3, *, seed=0, offset=0.0, weighted=False):
    """Clusters of these sizes, with means and deviations of their own."""
    random = np.random.default_rng(seed)
    rows = tuple(
        offset
        + random.normal(random.normal(0, 2, n_features), random.uniform(0.5, 3), (n, n_features))
        for n in sizes
    )
    weights = tuple(random.integers(0, 4, n).astype(float) for n in sizes) if weighted else None
    return Groups(rows, weights)
