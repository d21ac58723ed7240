"""Many short lines of weekly retrains, with events of every haste, and what gates see of them.

In memory, and without passes: fits are scikit-learn's, figures those of jobs. Where
`tests.jobs.simulation` follows a year of a few worlds, this asks how often gates are wrong: over
few and many clusters, slow and fast drift, splits, deaths and births that take from one week to
five, challengers that begin at the champion and ones that know nothing of it; and over garbage that
is plain to see, and garbage that is not.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from threadpoolctl import ThreadpoolController

from dkmeans.jobs import figures
from dkmeans.jobs.figures import Figures
from tests.jobs.simulation import GARBAGE, Garbage

Array = np.ndarray
_POOLS = ThreadpoolController()
SPLIT, DEATH, BIRTH, WEEKS = 4, 10, 16, 22
GARBAGE_WEEKS = (2, 14)


@dataclass(frozen=True)
class Recipe:
    """Where the rows of a line come from, and how its challengers are fitted."""

    seed: int
    n_clusters: int
    n_features: int
    speed: float = 0.04
    """How far a cluster moves in a week, in its own standard deviations."""

    separation: float = 3.0
    """Standard deviation of the centers, in those of the clusters."""

    haste: int = 5
    """Weeks that an event takes: a split to come 5 standard deviations apart, a death, a birth."""

    is_fresh: bool = False
    """Whether challengers have as many clusters as the rows, and starts of their own; else they
    have always as many, and begin at the champion."""

    in_one_unit: bool = False
    n_rows: int = 1500


class World:
    """The rows of every week of a line."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        k, d = recipe.n_clusters, recipe.n_features
        rng = np.random.default_rng((recipe.seed, k, d))
        self.shares = rng.dirichlet(np.full(k, 6.0))
        self.centers = rng.normal(scale=recipe.separation, size=(k, d))
        self.velocities = _unit(rng.normal(size=(k, d))) * recipe.speed
        self.spreads = rng.uniform(0.7, 1.3, (k, 1))
        self.apart = _unit(rng.normal(size=d))
        order = np.argsort(self.shares)
        self.splitting = int(order[-1])
        self.dying = int(order[k // 4] if order[k // 4] != self.splitting else order[0])
        self.half = rng.uniform(0.25, 0.5)
        self.born = rng.normal(scale=1.3 * recipe.separation, size=d)
        self.born_share = rng.uniform(0.05, 0.15)
        self.units = np.full(d, 10.0) if recipe.in_one_unit else 10.0 ** rng.uniform(-2, 3, d)
        self.origin = rng.normal(scale=5, size=d)

    def n_clusters_of(self, week: int) -> int:
        """How many clusters the rows of a week have."""
        haste = self.recipe.haste - 1
        so_far = (week >= SPLIT + haste, -(week >= DEATH + haste), week >= BIRTH)
        return self.recipe.n_clusters + sum(map(int, so_far))

    def event_of(self, week: int) -> str:
        """What happens in a week, or has in the one before."""
        names = {"split": SPLIT, "death": DEATH, "birth": BIRTH}
        now = [name for name, at in names.items() if at <= week <= at + self.recipe.haste]
        return now[0] if now else "drift"

    def gap(self, week: int) -> float:
        """How far the nearest two centers are apart, over the sum of their standard deviations."""
        centers = self.centers + week * self.velocities
        far = np.linalg.norm(centers[:, None] - centers, axis=2) / (self.spreads + self.spreads.T)
        return float(far[~np.eye(len(far), dtype=bool)].min())

    def rows(self, week: int) -> tuple[Array, Array]:
        """The rows of a week, and the cluster of each."""
        recipe, k = self.recipe, self.recipe.n_clusters
        rng = np.random.default_rng((recipe.seed, week, k))
        shares = self.shares * np.exp(rng.normal(scale=0.03, size=k))
        shares[self.dying] *= 1 - self._done(week, DEATH)
        born = self.born_share * self._done(week, BIRTH)
        shares = np.append((1 - born) * shares / shares.sum(), born)
        n_rows = int(recipe.n_rows * (1 + 0.01 * rng.normal()))
        clusters = rng.choice(k + 1, n_rows, p=shares)
        centers = np.vstack([self.centers + week * self.velocities, self.born])
        spreads = np.append(self.spreads, 1.0)[clusters, None]
        X = centers[clusters] + rng.normal(size=(n_rows, recipe.n_features)) * spreads
        moves = (clusters == self.splitting) & (rng.random(n_rows) < self.half)
        X[moves] += 5.0 * self._done(week, SPLIT) * self.apart
        return (X + self.origin) * self.units, clusters

    def _done(self, week: int, since: int) -> float:
        return min(1.0, max(0.0, (week - since + 1) / self.recipe.haste))


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _one_column(change: Callable[[Array, np.random.Generator], Array]) -> Garbage:
    def spoiled(X: Array, clusters: Array, rng: np.random.Generator) -> Array:
        X, j = X.copy(), int(rng.integers(X.shape[1]))
        X[:, j] = change(X[:, j], rng)
        return X

    return spoiled


def _zeros(share: float) -> Garbage:
    return _one_column(lambda x, rng: np.where(rng.random(len(x)) < share, 0.0, x))


def _swapped(X: Array, clusters: Array, rng: np.random.Generator) -> Array:
    order = np.arange(X.shape[1])
    i, j = rng.choice(len(order), 2, replace=False)
    order[[i, j]] = order[[j, i]]
    return X[:, order]


def _without_largest(X: Array, clusters: Array, rng: np.random.Generator) -> Array:
    left = X[clusters != np.bincount(clusters).argmax()]
    return left if len(left) else X[:1]


PLAIN: dict[str, Garbage] = {
    **{kind: spoil for kind, spoil in GARBAGE.items() if "noise" not in kind},
    "two columns exchanged": _swapped,
    "a column in cents": _one_column(lambda x, rng: 100 * x),
    "half of a column in cents": _one_column(
        lambda x, rng: np.where(rng.random(len(x)) < 0.5, 100 * x, x)
    ),
    "half of the files is missing": lambda X, clusters, rng: X[: len(X) // 2],
    "the largest cluster is missing": _without_largest,
    "uniform noise": GARBAGE["uniform noise"],
}
for _kind in ("columns shuffled", "as many rows, of one cluster", "rows of one cluster only"):
    del PLAIN[_kind]

SUBTLE: dict[str, Garbage] = {
    "columns shuffled": GARBAGE["columns shuffled"],
    "normal noise": GARBAGE["normal noise"],
    "as many rows, of one cluster": GARBAGE["as many rows, of one cluster"],
    "rows of one cluster only": GARBAGE["rows of one cluster only"],
    "one column shuffled": _one_column(lambda x, rng: rng.permutation(x)),
    "half of the rows shuffled": lambda X, clusters, rng: np.concatenate(
        [X[::2], rng.permuted(X[1::2], axis=0)]
    ),
    "a column has the other sign": _one_column(lambda x, rng: -x),
    "5 % of a column is 0": _zeros(0.05),
    "20 % of a column is 0": _zeros(0.2),
    "50 % of a column is 0": _zeros(0.5),
    "a tenth of the rows is 0": lambda X, clusters, rng: np.where(
        rng.random((len(X), 1)) < 0.1, 0.0, X
    ),
    "as many rows, without the largest cluster": lambda X, clusters, rng: rng.choice(
        _without_largest(X, clusters, rng), len(X)
    ),
}
"""Of which some rows, or some worlds, look as honest ones may: those of a birth, of a death."""


@dataclass
class Served:
    """A champion, and what is known of the rows of its fit: aggregates only."""

    centers: Array
    ids: Array
    weights: Array
    means: Array
    inertia: float
    mean: Array
    std: Array
    within: Array
    """`(n_features,)`: standard deviation within clusters."""

    far: float
    n_rows: int
    next_id: int

    @classmethod
    def of(cls, centers: Array, Z: Array, ids: Array, next_id: int) -> "Served":
        """Take what is to be known of the rows of a fit."""
        distances = _distances(centers, Z)
        near, labels = distances.min(axis=1), distances.argmin(axis=1)
        weights, means = _clusters(labels, Z, centers)
        return cls(
            centers,
            ids,
            weights,
            means,
            float((near**2).sum()),
            Z.mean(axis=0),
            Z.std(axis=0),
            _within(weights, means, Z),
            float(np.quantile(near, 0.99)),
            len(Z),
            max(next_id, int(ids.max()) + 1),
        )


def _distances(centers: Array, Z: Array) -> Array:
    squares = (Z**2).sum(axis=1)[:, None] - 2 * Z @ centers.T + (centers**2).sum(axis=1)
    return np.sqrt(np.maximum(squares, 0))


def _clusters(labels: Array, Z: Array, centers: Array) -> tuple[Array, Array]:
    k = len(centers)
    weights = np.bincount(labels, minlength=k).astype(float)
    sums = np.stack([np.bincount(labels, column, k) for column in Z.T], axis=1)
    full = weights[:, None] > 0
    return weights, np.where(full, sums / np.maximum(weights, 1)[:, None], centers)


def _within(weights: Array, means: Array, Z: Array) -> Array:
    between = weights / len(Z) @ (means - Z.mean(axis=0)) ** 2
    return np.sqrt(np.maximum(Z.var(axis=0) - between, 0))


def _silhouette(distances: Array) -> float | None:
    if distances.shape[1] < 2:
        return None
    two = np.partition(distances, 1, axis=1)
    return float((1 - two[:, 0] / np.maximum(two[:, 1], 1e-300)).mean())


@dataclass
class Seen:
    """What gates were shown of one batch, and figures that they might look at."""

    recipe: Recipe
    week: int
    kind: str
    """"honest", or which garbage."""

    event: str
    figures: Figures
    champion_figures: Figures
    refit: float
    """The challenger's inertia per row, by that of the champion on its own rows."""

    unexplained: float
    """Churn, but for rows that a split or a merge has moved."""

    spread: float
    """`spread_change`, but for what other shares of clusters explain."""

    within: float
    """`spread_change` within the champion's clusters."""


def _fitted(Z: Array, k: int, champion: Served | None) -> Array:
    k = min(k, len(np.unique(Z[:50], axis=0)), len(Z))
    starts = {"init": "k-means++", "n_init": 4}
    if champion is not None and len(champion.centers) == k:
        starts = {"init": champion.centers, "n_init": 1}
    # noise takes hundreds of iterations to settle, and nothing comes of it
    fit = KMeans(k, **starts, max_iter=50, random_state=0)
    # threads that wait for each other would take longer than such small fits
    with _POOLS.limit(limits=1):
        found: Array = fit.fit(Z).cluster_centers_
    return found


def measured(
    champion: Served, Z: Array, k: int, *, is_fresh: bool
) -> tuple[Array, Array, dict[str, Any]]:
    """Fit a challenger; return its centers, its ids, and what was seen of it."""
    centers = _fitted(Z, k, None if is_fresh else champion)
    before, after = _distances(champion.centers, Z), _distances(centers, Z)
    labels, near = before.argmin(axis=1), before.min(axis=1)
    flow = np.zeros((len(champion.centers), len(centers)))
    np.add.at(flow, (labels, after.argmin(axis=1)), 1.0)
    ids, explained = _continued(champion, flow)
    weights, means = _clusters(labels, Z, champion.centers)
    shares, old_mean = weights / len(Z), weights / len(Z) @ champion.means
    expected = np.sqrt(champion.within**2 + shares @ (champion.means - old_mean) ** 2)
    inertias = [float((one.min(axis=1) ** 2).mean()) for one in (before, after)]
    qualities = [
        {"inertia_per_row": inertia, "silhouette": _silhouette(distances)}
        for inertia, distances in zip(inertias, (before, after), strict=True)
    ]
    own = (champion.inertia, float(champion.n_rows))
    mean, std = Z.mean(axis=0), Z.std(axis=0)

    def spread_from(old: Array, new: Array) -> float:
        return figures.shifts(mean, old, mean, new)["spread_change"]

    return (
        centers,
        ids,
        {
            "figures": Figures.of(
                qualities[1],
                figures.churn(champion.ids, ids, flow),
                figures.misfit(inertias[0], *own),
                figures.shifts(champion.mean, champion.std, mean, std),
                figures.reading(len(Z), expected=champion.n_rows),
                {
                    "drift": figures.stability(champion.weights, weights),
                    "new_region": float((near > champion.far).mean()),
                },
            ),
            "champion_figures": Figures.of(qualities[0]),
            "refit": figures.misfit(inertias[1], *own)["misfit"],
            "unexplained": 1 - float(flow[explained].sum()) / len(Z),
            "spread": spread_from(expected, std),
            "within": spread_from(champion.within, _within(weights, means, Z)),
        },
    )


def _continued(champion: Served, flow: Array) -> tuple[Array, Array]:
    """Ids of the challenger, and which pairs of clusters are the same, or split, or merged."""
    both = flow / (flow.sum(axis=1, keepdims=True) + flow.sum(axis=0) - flow + 1e-9)
    ids, explained = np.full(flow.shape[1], -1), np.zeros(flow.shape, bool)
    for old, new in zip(*linear_sum_assignment(-both), strict=True):
        if both[old, new] >= 0.1:
            ids[new], explained[old, new] = champion.ids[old], True
    for new in np.flatnonzero(ids < 0):
        old = int(flow[:, new].argmax())
        explained[old, new] |= flow[old, new] >= 0.5 * flow[:, new].sum()
    for old in np.flatnonzero(~np.isin(champion.ids, ids)):
        new = int(flow[old].argmax())
        explained[old, new] |= flow[old, new] >= 0.5 * flow[old].sum()
    born = ids < 0
    ids[born] = champion.next_id + np.arange(born.sum())
    return ids, explained


def seen(recipe: Recipe, garbage: dict[str, Garbage]) -> Iterator[Seen]:
    """Go through a line in which every honest challenger is promoted, and no garbage."""
    world = World(recipe)
    X, _ = world.rows(0)
    middle, width = X.mean(axis=0), X.std(axis=0)
    Z = (X - middle) / width
    centers = _fitted(Z, recipe.n_clusters, None)
    champion = Served.of(centers, Z, np.arange(len(centers)), 0)
    for week in range(1, WEEKS):
        X, clusters = world.rows(week)
        k = world.n_clusters_of(week) if recipe.is_fresh else recipe.n_clusters
        event = world.event_of(week)
        for number, (kind, spoil) in enumerate(garbage.items()):
            # where one cluster is all there is, parts of it are as good as the whole
            if week not in GARBAGE_WEEKS or ("cluster" in kind and len(np.unique(clusters)) < 2):
                continue
            spoiled = spoil(X, clusters, np.random.default_rng((recipe.seed, week, number)))
            Z = (spoiled - middle) / width
            _, _, found = measured(champion, Z, k, is_fresh=recipe.is_fresh)
            yield Seen(recipe, week, kind, event, **found)
        Z = (X - middle) / width
        centers, ids, found = measured(champion, Z, k, is_fresh=recipe.is_fresh)
        yield Seen(recipe, week, "honest", event, **found)
        champion = Served.of(centers, Z, ids, champion.next_id)


def recipes(seed: int = 0) -> list[Recipe]:
    """Lines of 2 to 12 clusters, slow and fast, apart and overlapping, warm and fresh."""
    shapes = ((2, 3), (3, 4), (5, 2), (5, 6), (12, 8))
    paces = ((0.04, 3.0), (0.15, 3.0), (0.04, 1.5))
    found = []
    for number, ((k, d), (speed, separation), haste) in enumerate(
        itertools.product(shapes, paces, (1, 2, 5))
    ):
        for is_fresh in (False, True):
            one_unit = number % 2 == 0
            given = (seed + number, k, d, speed, separation, haste, is_fresh, one_unit)
            found.append(Recipe(*given))
    return found
