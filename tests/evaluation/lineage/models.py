"""Models by their centers, and the flow of rows between them, for tests."""

from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.kernels.block import Labels
from dkmeans.models.model import Model
from dkmeans.partials.contingency import Contingency


def model_of(centers: Any, **changes: Any) -> Model:
    """A model that measures in the units of the data unless `changes` say otherwise."""
    centers = np.asarray(centers, float)
    centers = centers[:, None] if centers.ndim == 1 else centers
    k = len(centers)
    given = {
        "scaled_centers": centers,
        "scaling": None,
        "columns": None,
        "dtype": "float64",
        "cluster_ids": np.arange(k),
        "weights": np.ones(k),
        "inertias": np.ones(k),
        "scaled_means": centers,
    }
    return Model(**given | changes)


def flow_of(weight: Any, n_rows: int | None = None) -> Contingency:
    """The flow whose table is `weight`, old clusters by new ones; of rows without weights."""
    weight = np.asarray(weight, float)
    old, new = np.indices(weight.shape).reshape(2, -1)
    one, other = (
        Labels(codes.astype(np.int32), tuple(range(k)))
        for codes, k in zip((old, new), weight.shape, strict=True)
    )
    found = Contingency.from_pairs(one, other, weight.ravel())
    return replace(found, n_rows=int(weight.sum()) if n_rows is None else n_rows)


def spread(k: int) -> Model:
    """A model of k clusters that are far from each other."""
    return model_of(100.0 * np.arange(k))
