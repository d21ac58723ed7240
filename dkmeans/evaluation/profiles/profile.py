"""What the clusters of a model are, on some rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of, opened
from dkmeans.evaluation.profiles.parts import Quantiles
from dkmeans.evaluation.profiles.passes import profile_statistics
from dkmeans.evaluation.profiles.result import Profile
from dkmeans.evaluation.profiles.statistics import ProfileStatistics
from dkmeans.evaluation.statistics import check_integer
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling
from dkmeans.rows.rows import Rows

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Those that a profile has unless others are asked for."""


def profile(
    model: Any,
    X: Any,
    *,
    sample_weight: Any = None,
    quantiles: Sequence[float] = QUANTILES,
    n_examples: int = 0,
    random_state: int = 0,
) -> Profile:
    """Describe the clusters of a model, in the units of the data: two passes over the rows.

    Missing values count as what the model fills them with. One more pass counts rows of unknown
    number (Dask DataFrames), or is made where rows are very far from the centers. The statistics of
    a cluster of one or two rows are these rows: beware where they are personal data.

    Parameters
    ----------
    model
        A `Model`, or a fitted estimator.
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    quantiles
        Which quantiles of each cluster and feature to tell, from 0 to 1: each with bounds that it
        is proven to lie between.
    n_examples
        Rows to show of each cluster: so many that are nearest to its center, and so many that are
        about as near to another; with their keys, if X is `Rows` from `read_parquet(keys=[...])`.
        They may be personal data: none unless asked for.
    random_state
        Seed of the sample of rows that decides where values are counted apart.

    Returns
    -------
    Profile
        Shown as text or in a notebook; `to_frame()` has a row for each cluster and feature.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    FeaturesMismatch
        If X has other features than the model.
    TooLarge
        If a task does not fit in the memory of the workers.
    """
    model = model_of(model)
    levels = checked_levels(quantiles)
    n_examples = check_integer("n_examples", n_examples, 0)
    seed = check_integer("random_state", random_state, 0)
    with opened(model, X, sample_weight) as rows:
        found = profile_statistics(model, rows, n_examples=n_examples, seed=seed)
        return profile_of(model, rows, found, levels)


def checked_levels(quantiles: Sequence[float]) -> Array:
    """Return quantiles as an ascending array, `(n_quantiles,)` float64.

    Raises
    ------
    ArgumentError
        If one cannot be, or there is none.
    """
    try:
        levels = np.unique(np.asarray(quantiles, np.float64))
    except (TypeError, ValueError):
        levels = np.empty(0)
    if not len(levels) or not (levels[0] >= 0 and levels[-1] <= 1):
        raise ArgumentError(f"quantiles={quantiles!r} should be numbers from 0 to 1, at least one.")
    return levels


def profile_of(model: Model, rows: Rows, found: ProfileStatistics, levels: Array) -> Profile:
    """Return the profile of what passes over `rows` have found; `levels` are its quantiles."""
    value, low, high = (np.moveaxis(one, 0, 2) for one in found.quantiles(levels.tolist()))
    scaled_mean, scaled_variance = model.scaled_centers, None
    if model.scaling is None:
        scaled_mean, scaled_variance = found.mean, found.variance
    elif isinstance(model.scaling, Scaling):
        scaled_mean = (found.mean - model.scaling.shift) / model.scaling.factor
        scaled_variance = found.variance / model.scaling.factor**2
    empty = ~(found.weight > 0)[:, None]
    return Profile.from_statistics(
        feature_names=model.feature_names,
        cluster_ids=model.cluster_ids,
        weight=found.weight,
        mean=found.mean,
        variance=found.variance,
        minimum=found.minimum,
        maximum=found.maximum,
        spread=found.spread,
        scaled_mean=np.where(empty, model.scaled_centers, scaled_mean),
        scaled_variance=scaled_variance,
        scatter=found.covariance,
        quantiles=Quantiles(levels, value, low, high),
        histogram=found.histogram,
        representatives=found.typical,
        boundary=found.boundary,
        weighted=rows.weighted,
        cluster_names=model.cluster_names,
    )
