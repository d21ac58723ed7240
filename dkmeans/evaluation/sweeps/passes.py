"""What is found of several models of the same rows, together: one pass, after their fits."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from dkmeans.evaluation.passes import (
    Wants,
    is_too_small,
    most_key_of,
    of_fit,
    side_by_side,
    wants_of_model,
)
from dkmeans.evaluation.statistics import Need, Sampling, Statistics
from dkmeans.models.model import Model
from dkmeans.partials.weighted_sample import WeightedSample
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows

_NEEDS: frozenset[Need] = frozenset(("inertias", "margins", "within", "spread", "squared"))


def of_fits(
    rows: Rows, models: Sequence[Model], sampling: Sampling
) -> tuple[list[Statistics], WeightedSample]:
    """Find statistics of rows under each of several models that were fitted to them, and a sample.

    One pass, for all of them; one more where centers are so far from their rows that digits would
    be lost, or a few rows have most of the weight. Two where files had to be left out meanwhile.

    Parameters
    ----------
    rows
        The rows of the fits, unscaled.
    models
        Of one scaling.
    sampling
        Of the sample, which is scaled, and drawn by weight: the same rows for all models.
    """
    scaled = rows.scaled(models[0].scaling)
    known: list[Statistics | None] = [of_fit(model) for model in models]
    weight = float(models[0].weights.sum())
    while True:
        wanting: list[Wants[Any]] = [
            wants_of_model(model, _NEEDS, known=one)
            for model, one in zip(models, known, strict=True)
        ]
        with suppress(RowsChanged):
            found: list[Any] = side_by_side(scaled, [*wanting, _sample(sampling, weight)])
            return found[:-1], found[-1]
        # files were left out: these are other rows
        known = [None] * len(models)


def _sample(sampling: Sampling, weight: float) -> Wants[WeightedSample]:
    """Draw rows by weight; again if few came, as those of a few rows are most of the weight."""
    sample: WeightedSample
    for most_key in (most_key_of(sampling, weight), np.inf):
        drawn = (sampling.size, sampling.seed, ("silhouette",), None, most_key)
        sample = yield Reduce("sample", WeightedSample.from_block, drawn)
        if most_key == np.inf or not is_too_small(sample):
            break
    return sample
