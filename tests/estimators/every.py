"""Every public estimator, found by itself, with parameters for quick tests."""

import inspect

from sklearn.base import BaseEstimator

import dkmeans

QUICK = {"n_clusters": 3, "max_iter": 10, "random_state": 0}


def quick(kind: type[BaseEstimator]) -> BaseEstimator:
    """An estimator whose fit takes a moment."""
    taken = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in QUICK.items() if name in taken})


PUBLIC = [getattr(dkmeans, name) for name in dkmeans.__all__]
ESTIMATORS = [
    quick(kind) for kind in PUBLIC if inspect.isclass(kind) and issubclass(kind, BaseEstimator)
]
CLUSTERERS = [estimator for estimator in ESTIMATORS if hasattr(estimator, "predict")]
WEIGHTED = [
    estimator
    for estimator in ESTIMATORS
    if "sample_weight" in inspect.signature(estimator.fit).parameters
]


def name_of(value: object) -> str:
    """Name an estimator in the id of a test."""
    return type(value).__name__ if isinstance(value, BaseEstimator) else str(value)
