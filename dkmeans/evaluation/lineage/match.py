"""Match the clusters of a new model to those of the one before."""

from typing import Any

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.lineage.fates import Birth, Death, Kept, Table, merges, splits
from dkmeans.evaluation.lineage.flow import check_features
from dkmeans.evaluation.lineage.matching import (
    best_heirs,
    center_distances,
    check_pairs,
    closeness,
    overlaps,
    similarities,
)
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.evaluation.statistics import check_integer
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.partials.contingency import Contingency


def match(
    champion: Model,
    challenger: Model,
    flow: Contingency | None,
    *,
    least_new_id: int = 0,
) -> Lineage:
    """Find which clusters of `challenger` are which of `champion`. Makes no pass.

    Clusters are assigned so that kept ones have the most in common: the Jaccard index of their
    rows, and a tenth as much the distance of their centers, in the scaled units of the champion.
    Two clusters with an index below `matching.LEAST_OVERLAP` are not the same. Clusters that have
    no rows in either model are told by their centers alone, which are the same if they moved at
    most half of the way to the champion's next center. So are all without `flow`. Of equally good
    assignments the lowest id goes to the lowest label.

    Parameters
    ----------
    champion
        The model whose ids go on.
    challenger
        The new model. Its own ids do not matter.
    flow
        The weight of each pair of labels, of the same rows under both: the answer to
        `flow_request(champion, challenger)`. None if there are no rows: then nothing is known of
        churn, splits and merges.
    least_new_id
        New ids are at least this. After a rollback the champion may be older than models that were
        published: pass the greatest `next_cluster_id` of them all, so that no id comes twice.

    Raises
    ------
    ArgumentError
        If `flow` is that of other models, or centers are all there is, and cannot be compared.
    FeaturesMismatch
        If the models have other features.
    TooLarge
        If there are too many pairs of clusters.
    """
    check_features(champion, challenger)
    check_pairs(champion.n_clusters, challenger.n_clusters)
    floor = check_integer("least_new_id", least_new_id, 0)
    weight = None if flow is None else _weights(flow, champion.n_clusters, challenger.n_clusters)
    distances = center_distances(champion, challenger)
    near = None if distances is None else closeness(champion.scaled_centers, distances)
    if weight is None and near is None:
        raise ArgumentError(
            "one model measures the directions of rows and the other does not: their centers "
            "cannot be compared; pass the flow of rows between them."
        )
    overlap = None if weight is None else overlaps(weight)
    # the lowest id chooses first
    order = np.argsort(champion.cluster_ids, kind="stable")
    heirs = np.empty(champion.n_clusters, np.int64)
    heirs[order] = best_heirs(similarities(overlap, near)[order])
    next_id = max(champion.next_cluster_id, floor)
    new_ids, next_id = _numbered(champion.cluster_ids, heirs, challenger.n_clusters, next_id)
    table = None if weight is None else Table(weight, champion.cluster_ids, new_ids)
    return Lineage(
        old_ids=champion.cluster_ids,
        new_ids=new_ids,
        next_cluster_id=next_id,
        cluster_names=dict(champion.cluster_names),
        kept=tuple(
            Kept(
                int(champion.cluster_ids[i]),
                i,
                int(heirs[i]),
                _at(overlap, i, int(heirs[i])),
                _at(distances, i, int(heirs[i])),
            )
            for i in order.tolist()
            if heirs[i] >= 0
        ),
        births=tuple(
            Birth(int(new_ids[j]), j, () if table is None else table.of_new(j))
            for j in np.flatnonzero(~np.isin(np.arange(len(new_ids)), heirs)).tolist()
        ),
        deaths=tuple(
            Death(int(champion.cluster_ids[i]), i, () if table is None else table.of_old(i))
            for i in order.tolist()
            if heirs[i] < 0
        ),
        splits=() if table is None else splits(table, heirs),
        merges=() if table is None else merges(table, heirs),
        table=table,
        n_rows=None if flow is None else flow.n_rows,
    )


def _weights(flow: Contingency, n_old: int, n_new: int) -> Array:
    """The weight of each pair of labels, `(n_old, n_new)` float64."""
    sides = (("champion", flow.values_true, n_old), ("challenger", flow.values_pred, n_new))
    for role, labels, k in sides:
        wrong: list[Any] = [one for one in labels if type(one) is not int or not 0 <= one < k]
        if wrong:
            raise ArgumentError(
                f"flow has the label {wrong[0]!r} of the {role}, which has {k} clusters; pass what "
                "flow_request(champion, challenger) found."
            )
    weight = np.zeros((n_old, n_new))
    old, new = (np.array(labels, np.int64) for _, labels, _ in sides)
    weight[old[flow.pairs[:, 0]], new[flow.pairs[:, 1]]] = flow.weight
    return weight


def _numbered(old_ids: Array, heirs: Array, n_new: int, next_id: int) -> tuple[Array, int]:
    """The ids of new clusters by label, new ones from `next_id` on, and what comes after them."""
    new_ids = np.full(n_new, -1, np.int64)
    new_ids[heirs[heirs >= 0]] = old_ids[heirs >= 0]
    born = new_ids < 0
    n_born = int(born.sum())
    new_ids[born] = next_id + np.arange(n_born)
    return new_ids, next_id + n_born


def _at(values: Array | None, i: int, j: int) -> float | None:
    if values is None or np.isnan(values[i, j]):
        return None
    return float(values[i, j])
