"""What a pass finds of rows for a baseline, and for what is compared with one. Run by tasks."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.log_bins import FEATURE_BITS, DistanceBins
from dkmeans.kernels.nearest import nearest
from dkmeans.models.baseline import Baseline
from dkmeans.models.filling import Filling
from dkmeans.models.limits import Limits, distance_bins
from dkmeans.models.model import Model
from dkmeans.models.scaling import AnyScaling
from dkmeans.partials.base import Partial
from dkmeans.partials.cluster_sums import ClusterSums
from dkmeans.partials.log_histograms import LogHistograms
from dkmeans.partials.missing_values import MissingValues
from dkmeans.partials.moments import Moments
from dkmeans.partials.outside import Outside
from dkmeans.partials.together import Together
from dkmeans.partials.weighted_sample import WeightedSample

SAMPLE_ROWS = 2_000
"""Rows that are sampled of those that lie farther from their center than nearly all did."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What to find in each block, under one or several models of one scaling and filling."""

    centers: tuple[Array, ...]
    """Of each model, `(n_clusters, n_features)`, in the space where distances are measured."""

    bins: tuple[DistanceBins, ...]
    """Of the squared distances to the centers of each model."""

    origin: Array
    """`(n_features,)` float64, in that space: a point within the data."""

    scaling: AnyScaling | None
    """From rows as they come to that space; None if they come scaled."""

    filling: Filling | None
    """What stands for missing values; None if rows that lack one count for nothing else."""

    stand_in: Array
    """`(n_features,)` float64, in the units of rows: any values for rows that count for nothing."""

    limits: Limits | None = None
    """For what is compared with a baseline."""

    seed: int = 0
    """Of the sample of rows beyond."""

    @classmethod
    def of(cls, models: tuple[Model, ...], *, scaled: bool) -> Self:
        """Prepare to survey rows that come in the space of the models, if `scaled`, or as stored.

        Bins are about the mean of the rows of the fit, and around its mean squared distance.
        """
        first = models[0]
        weights = first.weights / (first.weights.sum() or 1.0)
        # each model of a sweep has this mean, up to rounding
        origin = weights @ first.scaled_means
        return cls(
            tuple(model.scaled_centers for model in models),
            tuple(distance_bins(model) for model in models),
            origin if weights.any() else first.scaled_centers.mean(axis=0),
            None if scaled else first.scaling,
            None if scaled else first.filling,
            first.centers.mean(axis=0),
        )

    @classmethod
    def like(cls, model: Model, baseline: Baseline, *, scaled: bool, seed: int = 0) -> Self:
        """Prepare to survey rows that are to be compared with `baseline`."""
        return replace(
            cls.of((model,), scaled=scaled),
            bins=(baseline.bins,),
            origin=baseline.origin,
            limits=Limits.of(baseline),
            seed=seed,
        )


def survey_block(block: Block, survey: Survey) -> Together:
    """Find in a block what a baseline is made of.

    The parts: `Moments` "moments", `LogHistograms` "features", `MissingValues` "missing"; of model
    i `ClusterSums` "sums i" and `LogHistograms` "distances i"; with limits `Outside` "outside" and
    `WeightedSample` "beyond".
    """
    block, missing = _complete(block, survey)
    parts: dict[str, Partial] = {
        "moments": Moments.from_block(block, survey.origin),
        "features": LogHistograms.of_features(block, survey.origin, FEATURE_BITS),
        "missing": missing,
    }
    for i, (centers, bins) in enumerate(zip(survey.centers, survey.bins, strict=True)):
        k = len(centers)
        labels, sq_distances = nearest(block.X, centers)
        parts[f"sums {i}"] = ClusterSums.from_labels(block, labels, sq_distances, k, survey.origin)
        parts[f"distances {i}"] = LogHistograms.of_distances(
            sq_distances, labels, block.weight, k, bins
        )
    if survey.limits is not None:
        limits = survey.limits
        parts["outside"] = Outside.from_block(block, limits.minimum, limits.maximum)
        importance = block.weights * (sq_distances >= limits.sq_distances[labels])
        parts["beyond"] = WeightedSample.from_block(
            block, SAMPLE_ROWS, survey.seed, ("drift",), importance
        )
    return Together(parts)


def _complete(block: Block, survey: Survey) -> tuple[Block, MissingValues]:
    """Count what is missing; give rows without missing values, in the space of the models."""
    X, weight, lacking = block.X, block.weight, None
    if block.n_rows and np.isnan(X.min(axis=0)).any():
        lacking = np.isnan(X)
    missing = MissingValues.from_lacking(lacking, weight, (block.n_rows, block.n_features))
    if lacking is not None and survey.filling is not None:
        X = survey.filling.transform(X)
    elif lacking is not None:
        X = np.asfortranarray(np.where(lacking, survey.stand_in.astype(X.dtype), X))
        weight = np.where(lacking.any(axis=1), 0.0, block.weights)
    if survey.scaling is not None:
        X = survey.scaling.transform(X)
    return replace(block, X=X, weight=weight), missing


def to_units(model: Model, X: Any) -> Array:
    """Return points `(n, n_features)` of the space of a model in the units of the data.

    Those of rows scaled to length 1 stay in that space.
    """
    points = np.asarray(X, np.float64)
    return points if model.scaling is None else model.scaling.inverse_transform(points)
