"""All of a model that can be shown, as plain values."""

from typing import Any

from dkmeans.models.files import model_id
from dkmeans.models.model import Model


def describe(model: Model) -> dict[str, Any]:
    """Return all of a model that can be shown, as plain values."""
    shares = model.weights / max(model.weights.sum(), 1e-300)
    ids, centers = model.cluster_ids.tolist(), model.centers.tolist()
    return {
        "id": model_id(model),
        "n_clusters": model.n_clusters,
        "n_features": model.n_features,
        "feature_names": None if model.feature_names is None else list(model.feature_names),
        "dtype": model.dtype,
        "scale": None if model.scaling is None else model.scaling.kind,
        "inertia": model.inertia,
        "next_cluster_id": model.next_cluster_id,
        "baseline": model.baseline is not None,
        "clusters": [
            {
                "cluster_id": ids[j],
                "name": model.cluster_names.get(ids[j]),
                "color": model.cluster_colors.get(ids[j]),
                "size": float(model.weights[j]),
                "share": float(shares[j]),
                "inertia": float(model.inertias[j]),
                "center": centers[j],
            }
            for j in range(model.n_clusters)
        ],
        "parameters": dict(model.parameters),
        "provenance": dict(model.provenance),
    }
