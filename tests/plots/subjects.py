"""What plots are drawn of, in tests: few and many features and clusters."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from dkmeans import KMeans, Model, drift, lineage, plots, profile, with_baseline
from dkmeans.evaluation.charts.sampled import SampledRows, sampled_rows
from dkmeans.evaluation.drift.result import Drift
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.evaluation.profiles.result import Profile


@dataclass(frozen=True, eq=False)
class Subject:
    X: pd.DataFrame
    model: Model
    profile: Profile
    sampled: SampledRows
    drift: Drift
    lineage: Lineage


@cache
def subject(n_features: int, n_clusters: int) -> Subject:
    """A model with everything that is drawn of it; some clusters have names, long ones too."""
    rng = np.random.default_rng(n_features + n_clusters)
    places = rng.normal(size=(n_clusters, n_features)) * np.linspace(1, 4, n_features)
    sizes = rng.dirichlet(np.full(n_clusters, 0.8))
    rows = places[rng.choice(n_clusters, 2000, p=sizes)] + rng.normal(size=(2000, n_features))
    names = [f"a rather long name of a feature {j}" for j in range(n_features)]
    X = pd.DataFrame(rows * 10.0 ** (np.arange(n_features) % 7 - 2), columns=names)

    def fitted(seed: int) -> Model:
        start = X.sample(n_clusters, random_state=seed).to_numpy()
        found = KMeans(n_clusters, init=start, max_iter=3, tol=0.1, scale="standard").fit(X)
        return found.model_

    first, second = np.argsort(-fitted(0).weights, kind="stable")[:2].tolist()
    named = {first: "$night_owls$", second: "those who come back now and then"}
    model = with_baseline(fitted(0), X).renamed(named, colors={first: "#334455"})
    later = X.iloc[:900].copy()
    later.iloc[:, 0] *= 1.7
    return Subject(
        X,
        model,
        profile(model, X),
        sampled_rows(model, X, map_size=500, silhouette_size=400),
        drift(model, later),
        lineage(model, fitted(1), X),
    )


def drawings(of: Subject) -> dict[str, Any]:
    """Every plot as a function of Axes, or None."""
    return {
        "sizes": lambda ax: plots.sizes(of.model, ax=ax),
        "convergence": lambda ax: plots.convergence(of.model, ax=ax),
        "centers_heatmap": lambda ax: plots.centers_heatmap(of.profile, model=of.model, ax=ax),
        "silhouette": lambda ax: plots.silhouette(of.sampled, ax=ax),
        "map2d": lambda ax: plots.map2d(of.sampled, ax=ax),
        "box": lambda ax: plots.distributions(of.profile, features=0, model=of.model, ax=ax),
        "histogram": lambda ax: plots.distributions(
            of.profile, features=[1], kind="histogram", ax=ax
        ),
        "violins": lambda ax: plots.distributions(of.profile, kind="violin", model=of.model, ax=ax),
        "checks": lambda ax: plots.drift(of.drift, ax=ax),
        "features": lambda ax: plots.drift(of.drift, kind="features", ax=ax),
        "clusters": lambda ax: plots.drift(of.drift, kind="clusters", model=of.model, ax=ax),
        "flow": lambda ax: plots.flow(of.lineage, ax=ax),
    }
