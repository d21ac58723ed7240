"""Figures by hand, for tests of what is made of them."""

from typing import Any

from dkmeans.evaluation.sweeps.scores import Scores


def scores_of(k: int, **figures: Any) -> Scores:
    """The figures of k clusters, as of rows where nothing is remarkable but what is given."""
    usual: dict[str, Any] = {
        "inertia": 1000.0 / k,
        "explained_share": 0.5,
        "gain": 0.25,
        "smallest_cluster": 20.0,
        "smallest_share": 0.1,
        "calinski_harabasz": 300.0,
        "davies_bouldin": 0.75,
        "silhouette": 0.4,
        "silhouette_squared": 0.6,
        "silhouette_simplified": 0.5,
        "silhouette_reference": 0.5,
        "adjusted_rand": 1.0,
    }
    return Scores(n_clusters=k, **{**usual, **figures})
