"""The estimator of an algorithm by name, for command line and jobs."""

from typing import Any

from dkmeans.algorithms.settings import OWN_SETTINGS
from dkmeans.errors import ArgumentError
from dkmeans.estimators.clusterer import Clusterer
from dkmeans.estimators.kmeans import KMeans
from dkmeans.estimators.minibatch import MiniBatchKMeans


def estimator_of(
    algorithm: str,
    n_clusters: int,
    *,
    random_state: int | None,
    scale: str | None,
    checkpoint: str | None = None,
    **given: Any,
) -> Clusterer:
    """Return the estimator of an algorithm, not fitted.

    Parameters
    ----------
    algorithm
        A key of `OWN_SETTINGS`.
    n_clusters, random_state, checkpoint
        As the estimators have them.
    scale
        Also "none".
    given
        Other parameters; those that are None are as the estimator has them.

    Raises
    ------
    ArgumentError
        If a parameter goes with another algorithm.
    """
    for other, names in OWN_SETTINGS.items():
        for name in names:
            if other != algorithm and given.get(name) is not None:
                raise ArgumentError(f"{name}={given[name]!r} goes with algorithm {other!r}.")
    estimator = KMeans if algorithm == "lloyd" else MiniBatchKMeans
    return estimator(
        n_clusters,
        random_state=random_state,
        scale=None if scale == "none" else scale,
        checkpoint=checkpoint,
        **{name: value for name, value in given.items() if value is not None},
    )
