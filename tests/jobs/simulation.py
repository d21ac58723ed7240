"""A year of weekly batches that drift honestly, batches of garbage, and what gates see of them.

All in memory, with the library's own k-means and metrics. Every week a challenger is fitted, from
where the champion is as long as there are as many clusters, and judged; those that pass become the
champion, as in a retraining.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

import dkmeans
from dkmeans.jobs.figures import Figures, churn, misfit, quality, reading, shifts, stability

SPLIT_WEEK, DEATH_WEEK = 15, 30
Array = np.ndarray


@dataclass
class World:
    """Where the rows of each week come from."""

    seed: int
    n_features: int = 6
    n_clusters: int = 8
    separation: float = 3.0
    """Standard deviation of the centers, in those of the clusters."""

    n_rows: int = 4000
    speed: float = 0.04
    """How far a cluster moves in a week, in its own standard deviations."""

    split_weeks: int = 4
    """Weeks that the halves take to come 5 standard deviations apart."""

    death_weeks: int = 5
    """Weeks over which the share of the dying cluster falls to nothing."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        k, d = self.n_clusters, self.n_features
        self.shares = rng.dirichlet(np.full(k, 6.0))
        self.centers = rng.normal(scale=self.separation, size=(k, d))
        self.velocities = _unit(rng.normal(size=(k, d))) * self.speed
        self.spreads = rng.uniform(0.7, 1.3, size=(k, 1))
        self.apart = _unit(rng.normal(size=d))
        self.splitting, self.dying = (
            int(np.argmax(self.shares)),
            int(np.argsort(self.shares)[k // 4]),
        )
        self.units, self.origin = 10.0 ** rng.uniform(-2, 3, d), rng.normal(scale=5, size=d)

    def n_clusters_of(self, week: int) -> int:
        """How many clusters the rows of a week have."""
        return (
            self.n_clusters
            + (week >= SPLIT_WEEK + self.split_weeks - 1)
            - (week >= DEATH_WEEK + self.death_weeks - 1)
        )

    def rows(self, week: int) -> tuple[Array, Array]:
        """The rows of a week, `(n_rows, n_features)`, and the cluster of each."""
        rng = np.random.default_rng((self.seed, week))
        shares = self.shares * np.exp(rng.normal(scale=0.03, size=self.n_clusters))
        shares[self.dying] *= min(1.0, max(0.0, 1 - (week - DEATH_WEEK + 1) / self.death_weeks))
        n_rows = int(self.n_rows * (1 + 0.01 * rng.normal()))
        clusters = rng.choice(self.n_clusters, n_rows, p=shares / shares.sum())
        noise = rng.normal(size=(n_rows, self.n_features)) * self.spreads[clusters]
        X = self.centers[clusters] + week * self.velocities[clusters] + noise
        half = rng.integers(0, 2, n_rows) - 0.5
        weeks = min(self.split_weeks, max(0, week - SPLIT_WEEK + 1))
        moved = 5.0 * weeks / self.split_weeks * half[:, None] * self.apart
        X += np.where(clusters[:, None] == self.splitting, moved, 0.0)
        return (X + self.origin) * self.units, clusters


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@dataclass
class Champion:
    """The model that serves, and what is known of the rows of its fit: aggregates only."""

    model: dkmeans.Model
    ids: Array
    n_rows: int
    mean: Array
    std: Array
    low: Array
    high: Array
    far: float
    """Distance beyond which 1 % of its rows lie from their centers."""

    @classmethod
    def of(cls, model: dkmeans.Model, ids: Array, Z: Array) -> "Champion":
        """Keep what is to be known of the rows of a fit."""
        near = model.transform(Z).min(axis=1)
        far = float(np.quantile(near, 0.99))
        mean, std = Z.mean(axis=0), Z.std(axis=0)
        return cls(model, ids, len(Z), mean, std, Z.min(axis=0), Z.max(axis=0), far)


def fitted(Z: Array, n_clusters: int, champion: Champion | None) -> dkmeans.Model:
    """Fit a challenger, from where the champion is; with other starts if it has other clusters."""
    starts: list[object] = ["k-means++"] * 4
    if champion is not None:
        centers = champion.model.scaled_centers
        if len(centers) == n_clusters:
            starts = [centers]
        else:
            starts += _starts(centers, champion.model.predict(Z), Z, n_clusters)
    found = [
        dkmeans.KMeans(n_clusters, init=init, random_state=seed).fit(Z).model_
        for seed, init in enumerate(starts)
    ]
    return min(found, key=lambda model: model.inertia)


def _starts(centers: Array, labels: Array, Z: Array, n_clusters: int) -> list[Array]:
    """The champion's centers with one of them halved, or without one of them."""
    if n_clusters < len(centers):
        return [np.delete(centers, j, axis=0) for j in range(len(centers))]
    starts = []
    for j in range(len(centers)):
        rows = Z[labels == j] - centers[j]
        if len(rows) > Z.shape[1]:
            long = np.linalg.svd(np.cov(rows.T))[0][:, 0]
            pair = centers[j] + np.outer([-1.0, 1.0], long * (rows @ long).std())
            starts.append(np.concatenate([np.delete(centers, j, axis=0), pair]))
    return starts


def continued(champion: Champion, challenger: dkmeans.Model, flow: Array) -> Array:
    """Cluster ids of the challenger: the champion's where most rows go, new ones elsewhere."""
    ids = np.full(challenger.n_clusters, -1)
    for old, new in zip(*linear_sum_assignment(-flow), strict=True):
        if flow[old, new] > 0:
            ids[new] = champion.ids[old]
    free = int(champion.ids.max()) + 1
    births = ids < 0
    ids[births] = free + np.arange(births.sum())
    return ids


def evaluated(model: dkmeans.Model, Z: Array) -> dict[str, float]:
    """The figures of quality of a model on some rows."""
    found = dkmeans.evaluate(model, Z, metrics=["inertia", "silhouette_simplified"])
    values = {name: figure.value for name, figure in found.figures.items()}
    return quality(values, found.weights)


def measured(
    champion: Champion,
    Z: Array,
    n_clusters: int,
    n_missing: int = 0,
) -> tuple[dkmeans.Model, Array, Figures, Figures]:
    """Fit a challenger; return it, its ids, and the figures of both."""
    challenger = fitted(Z, n_clusters, champion)
    old = champion.model
    flow = np.zeros((old.n_clusters, challenger.n_clusters))
    before, after = old.predict(Z), challenger.predict(Z)
    np.add.at(flow, (before, after), 1.0)
    ids = continued(champion, challenger, flow)
    of_champion = evaluated(old, Z)
    near = old.transform(Z).min(axis=1)
    inertia_per_row = of_champion["inertia_per_row"]
    assert inertia_per_row is not None
    outside = ((champion.low > Z) | (champion.high < Z)).any(axis=1)
    figures = Figures.of(
        evaluated(challenger, Z),
        churn(champion.ids, ids, flow),
        misfit(inertia_per_row, old.inertia, float(old.weights.sum())),
        shifts(champion.mean, champion.std, Z.mean(axis=0), Z.std(axis=0)),
        reading(len(Z), expected=champion.n_rows, n_missing=n_missing),
        {
            "drift": stability(old.weights, np.bincount(before, minlength=old.n_clusters)),
            "new_region": float((near > champion.far).mean()),
            "outside_range": float(outside.mean()),
        },
    )
    return challenger, ids, figures, Figures.of(of_champion)


Garbage = Callable[[Array, Array, np.random.Generator], Array]


def _one_column(change: Callable[[Array], Array]) -> Garbage:
    def spoiled(X: Array, clusters: Array, rng: np.random.Generator) -> Array:
        X, j = X.copy(), int(rng.integers(X.shape[1]))
        X[:, j] = change(X[:, j])
        return X

    return spoiled


GARBAGE: dict[str, Garbage] = {
    "uniform noise": lambda X, _, rng: rng.uniform(X.min(axis=0), X.max(axis=0), X.shape),
    "normal noise": lambda X, _, rng: rng.normal(X.mean(axis=0), X.std(axis=0), X.shape),
    "columns shuffled": lambda X, _, rng: rng.permuted(X, axis=0),
    "columns exchanged": lambda X, _, rng: np.roll(X, 1, axis=1),
    "a column in thousandths": _one_column(lambda x: x * 1000),
    "a column in thousands": _one_column(lambda x: x / 1000),
    "a column in inches": _one_column(lambda x: x / 2.54),
    "a column in Fahrenheit": _one_column(lambda x: 1.8 * x + 32),
    "all columns in thousandths": lambda X, _, rng: X * 1000,
    "a column is zero": _one_column(np.zeros_like),
    "a column is its mean": _one_column(lambda x: np.full_like(x, x.mean())),
    "all columns are constant": lambda X, _, rng: np.broadcast_to(X.mean(axis=0), X.shape).copy(),
    "a tenth of the rows is missing": lambda X, _, rng: X[rng.random(len(X)) > 0.1],
    "delivered twice": lambda X, _, rng: np.concatenate([X, X]),
    "rows of one cluster only": lambda X, clusters, rng: X[clusters == rng.choice(clusters)],
    "as many rows, of one cluster": lambda X, clusters, rng: rng.choice(
        X[clusters == rng.choice(clusters)], len(X)
    ),
}
"""What a source may deliver by mistake, made of the honest rows of the week."""


@dataclass
class Seen:
    """What gates were shown of one batch."""

    kind: str
    """"honest", or which garbage."""

    week: int
    figures: Figures
    champion_figures: Figures


@dataclass
class Year:
    """A year of retraining in which every honest challenger is promoted, and no garbage."""

    world: World
    garbage_weeks: tuple[int, ...] = ()
    """Weeks in which every kind of garbage is tried, beside the honest batch."""

    weeks: int = 52
    champion: Champion = field(init=False)

    def seen(self) -> Iterator[Seen]:
        """Go through the year."""
        X, _ = self.world.rows(0)
        middle, width = X.mean(axis=0), X.std(axis=0)
        first = (X - middle) / width
        model = fitted(first, self.world.n_clusters_of(0), None)
        self.champion = Champion.of(model, np.arange(model.n_clusters), first)
        for week in range(1, self.weeks):
            X, clusters = self.world.rows(week)
            k = self.world.n_clusters_of(week)
            if week in self.garbage_weeks:
                for number, (kind, spoil) in enumerate(GARBAGE.items()):
                    rng = np.random.default_rng((self.world.seed, week, number))
                    Z = (spoil(X, clusters, rng) - middle) / width
                    _, _, figures, of_champion = measured(self.champion, Z, k)
                    yield Seen(kind, week, figures, of_champion)
            Z = (X - middle) / width
            model, ids, figures, of_champion = measured(self.champion, Z, k)
            yield Seen("honest", week, figures, of_champion)
            self.champion = Champion.of(model, ids, Z)
