"""Give a new model the cluster ids of the one before."""

from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.models.model import Model


def continued(challenger: Any, champion: Any, lineage: Lineage) -> Model:
    """Return the challenger with the champion's ids, names and colors for the clusters it kept.

    New clusters get new numbers, and no name; those that are gone are retired for good. Labels,
    centers, and so what is predicted but for the ids, stay what they are.

    Parameters
    ----------
    challenger, champion
        The two models, each a `Model` or a fitted estimator.
    lineage
        What `match` found of them.

    Raises
    ------
    ArgumentError
        If `lineage` is that of other models, or one of them is no fitted model.
    """
    challenger, champion = model_of(challenger), model_of(champion)
    if not np.array_equal(lineage.old_ids, champion.cluster_ids):
        raise ArgumentError(
            "lineage is that of another champion, with other cluster ids; match these two models."
        )
    if len(lineage.new_ids) != challenger.n_clusters:
        raise ArgumentError(
            f"lineage has {len(lineage.new_ids)} new clusters, the challenger "
            f"{challenger.n_clusters}; match these two models."
        )
    kept = {one.cluster_id for one in lineage.kept}
    return replace(
        challenger,
        cluster_ids=lineage.new_ids.copy(),
        cluster_names={key: name for key, name in champion.cluster_names.items() if key in kept},
        cluster_colors={
            key: color for key, color in champion.cluster_colors.items() if key in kept
        },
        next_cluster_id=lineage.next_cluster_id,
    )
