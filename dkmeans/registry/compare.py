"""How two models differ: what was asked for, what it cost, and where clusters have moved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.models.scaling import Scaling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ClusterChange:
    """One cluster in both models; None where it is not."""

    cluster_id: int
    """Its number."""

    size_before: float | None
    """Sum of its sample weights in the first model."""

    size_after: float | None
    """In the second."""

    share_before: float | None
    """Its part of all weights in the first model, from 0 to 1."""

    share_after: float | None
    """In the second."""

    shift: float | None
    """Distance between its centers in the scaled units of the first model; None also where the
    models do not measure in one space."""


@dataclass(frozen=True)
class Comparison:
    """What differs from one model to another."""

    differing: Mapping[str, tuple[Any, Any]]
    """Values of both models by name, of those that differ: n_clusters, features, dtype, scaling,
    and what the fit was asked for (`parameters.<name>`)."""

    inertia_per_row: tuple[float | None, float | None]
    """Weighted mean of the squared distances, each in its own scaled units and on its own rows."""

    is_one_space: bool
    """Whether both have the same features and scale them alike, so that inertias compare."""

    clusters: tuple[ClusterChange, ...]
    """By cluster id."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "differing": {key: list(pair) for key, pair in self.differing.items()},
            "inertia_per_row": list(self.inertia_per_row),
            "one_space": self.is_one_space,
            "clusters": [vars(change) for change in self.clusters],
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return the clusters as a table, one row each."""
        import pandas as pd

        names = list(ClusterChange.__dataclass_fields__)
        rows = [vars(change) for change in self.clusters]
        return pd.DataFrame(rows, columns=names).set_index("cluster_id")


def compare(before: Model, after: Model) -> Comparison:
    """Compare two models, cluster by cluster id."""
    pairs = {
        "n_clusters": (before.n_clusters, after.n_clusters),
        "features": (_features(before), _features(after)),
        "dtype": (before.dtype, after.dtype),
        "scaling": (_scaling(before), _scaling(after)),
    }
    for name in sorted({*before.parameters, *after.parameters}):
        pair = (before.parameters.get(name), after.parameters.get(name))
        pairs[f"parameters.{name}"] = pair
    same_features = pairs["features"][0] == pairs["features"][1]
    return Comparison(
        {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        (_per_row(before), _per_row(after)),
        same_features and pairs["scaling"][0] == pairs["scaling"][1],
        _clusters(before, after, same_features),
    )


def _clusters(before: Model, after: Model, same_features: bool) -> tuple[ClusterChange, ...]:
    first, second = _labels(before), _labels(after)
    moved = _in_space_of(before, after) if same_features else None
    changes = []
    for cluster_id in sorted({*first, *second}):
        i, j = first.get(cluster_id), second.get(cluster_id)
        shift = None
        if moved is not None and i is not None and j is not None:
            shift = float(np.linalg.norm(moved[j] - before.scaled_centers[i]))
        changes.append(
            ClusterChange(
                cluster_id,
                _at(before.weights, i),
                _at(after.weights, j),
                _at(before.weights / max(before.weights.sum(), 1e-300), i),
                _at(after.weights / max(after.weights.sum(), 1e-300), j),
                shift,
            )
        )
    return tuple(changes)


def _in_space_of(before: Model, after: Model) -> Array | None:
    """The centers of the second model where the first one measures; None if they cannot be."""
    linear = (None, Scaling)
    kinds = [None if one.scaling is None else type(one.scaling) for one in (before, after)]
    if all(kind in linear for kind in kinds):
        centers = np.asarray(after.centers, np.float64)
        return centers if before.scaling is None else before.scaling.transform(centers)
    return after.scaled_centers if before.scaling == after.scaling else None


def _labels(model: Model) -> dict[int, int]:
    return {int(cluster_id): label for label, cluster_id in enumerate(model.cluster_ids)}


def _features(model: Model) -> Any:
    if model.columns is None:
        return f"{model.n_features} without names"
    return [{"name": column.name, "width": column.width} for column in model.columns]


def _scaling(model: Model) -> str | None:
    if model.scaling is None:
        return None
    return f"{model.scaling.kind} {model.scaling.name}"


def _per_row(model: Model) -> float | None:
    weight = float(model.weights.sum())
    return model.inertia / weight if weight > 0 else None


def _at(values: Array, label: int | None) -> float | None:
    return None if label is None else float(values[label])
