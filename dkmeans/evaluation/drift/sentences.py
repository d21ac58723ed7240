"""Say in sentences what has drifted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from dkmeans.evaluation.drift.checks import Check
from dkmeans.evaluation.drift.comparison import ClusterDrift, FeatureDrift
from dkmeans.evaluation.drift.region import Region
from dkmeans.evaluation.shown import brief, cluster, name, share
from dkmeans.models.shares import Shares

_MOST = 5
"""Sentences of one kind; the tables have all."""

_NAMED = 3


def reasons(
    checks: Iterable[Check],
    clusters: ClusterDrift,
    features: FeatureDrift,
    shares: Shares,
    region: Region | None,
    names: Mapping[int, str],
) -> tuple[str, ...]:
    """Return a sentence for each thing that has drifted, the worst of a kind first.

    Clusters go by their id, and by their name where `names` has one.
    """
    drifted = [one for one in checks if one.drifts]
    metrics = {one.metric for one in drifted}
    said: list[str] = []
    if "missing_share" in metrics:
        lacking = [one for one in drifted if one.metric == "missing_share"]
        said += _most([_missing(one, features, shares) for one in _worst(lacking)], "features")
    if "outside_share" in metrics:
        said.append(_outside(features, shares))
    if "beyond_share" in metrics:
        said.append(_beyond(shares, region, features, names))
    if "cluster_psi" in metrics:
        (one,) = (one for one in drifted if one.metric == "cluster_psi")
        said.append(_shares(one, clusters, names))
    of_clusters = [
        one for one in drifted if one.metric in ("distance_ks", "distance_shift", "center_shift")
    ]
    said += _most(list(_by_place(of_clusters, clusters, names)), "clusters")
    of_features = [
        one for one in drifted if one.metric in ("feature_psi", "mean_shift", "variance_ratio")
    ]
    places = dict.fromkeys(one.place for one in _worst(of_features))
    said += _most([_feature(j, features) for j in places], "features")
    return tuple(said)


def _worst(checks: Sequence[Check]) -> list[Check]:
    """Order checks by how far they are above their thresholds."""
    return sorted(checks, key=lambda one: -one.value / max(one.threshold, 1e-12))


def _most(said: list[str], what: str) -> list[str]:
    more = len(said) - _MOST
    return said if more <= 0 else [*said[:_MOST], f"So do {more:,} more {what}."]


def _missing(one: Check, features: FeatureDrift, shares: Shares) -> str:
    if one.place < 0:
        then, now, what = shares.base_incomplete, shares.incomplete, "Rows lack values"
    else:
        then, now = features.base_missing[one.place], features.missing[one.place]
        what = f"{name(one.subject)} is missing"
    return f"{what} in {share(now, 1)} of rows; in the baseline in {share(then, 1)}."


def _outside(features: FeatureDrift, shares: Shares) -> str:
    both = features.below + features.above
    named = []
    for j in np.argsort(-both, kind="stable")[:_NAMED]:
        for part, side, limit in (
            (features.below[j], "below", features.base_minimum[j]),
            (features.above[j], "above", features.base_maximum[j]),
        ):
            if part > 0:
                named.append(
                    f"{share(part, 1)} have {name(features.feature[j])} {side} {brief(limit)}"
                )
    return (
        f"{share(shares.outside, 1)} of rows lie outside of the range of the baseline: "
        f"{', '.join(named[:_NAMED])}."
    )


def _beyond(
    shares: Shares, region: Region | None, features: FeatureDrift, names: Mapping[int, str]
) -> str:
    text = (
        f"{share(shares.beyond, 1)} of rows lie farther from their centers than all but "
        f"{share(shares.base_beyond, 1)} did"
    )
    if region is None:
        return f"{text}."
    if not region.compact:
        return f"{text}; they lie in no one place."
    # first what sets it apart
    order = np.argsort(-np.abs(region.shift), kind="stable")[:_MOST]
    at = ", ".join(f"{name(features.feature[j])} {brief(region.center[j])}" for j in order)
    more = ", ..." if len(features.feature) > _MOST else ""
    return (
        f"{text}: a new region has {share(region.share, 1)} of rows, around {at}{more}, which fall "
        f"to cluster {cluster(region.cluster_id, names)}."
    )


def _shares(one: Check, clusters: ClusterDrift, names: Mapping[int, str]) -> str:
    p, q = clusters.base_share, clusters.share
    part = np.abs(q - p)
    named = [
        f"cluster {cluster(clusters.cluster_id[j], names)} has {share(q[j], 1)} of rows, had "
        f"{share(p[j], 1)}"
        for j in np.argsort(-part, kind="stable")[:_NAMED]
        if part[j] > 0
    ]
    return f"Shares of clusters shifted (PSI {brief(one.value)}): {'; '.join(named)}."


def _by_place(
    checks: Sequence[Check], clusters: ClusterDrift, names: Mapping[int, str]
) -> Iterator[str]:
    """One sentence for each cluster of some checks."""
    for j in dict.fromkeys(one.place for one in _worst(checks)):
        metrics = {one.metric for one in checks if one.place == j}
        who = f"Cluster {cluster(clusters.cluster_id[j], names)}"
        by_distance = (
            f"mean distance to its center {brief(clusters.distance[j])}, was "
            f"{brief(clusters.base_distance[j])} (KS {brief(clusters.ks[j])})"
        )
        width = clusters.width_ratio[j]
        if "center_shift" in metrics:
            yield (
                f"{who} moved: the mean of its rows, by {brief(clusters.center_shift[j])} of their "
                f"root mean squared distance; {by_distance}."
            )
        elif width > 1:
            yield f"{who} is {brief(width)} times as wide: {by_distance}."
        else:
            yield f"{who} has {brief(width)} of the width it had: {by_distance}."


def _feature(j: int, features: FeatureDrift) -> str:
    return (
        f"{name(features.feature[j])} shifted: mean {brief(features.mean[j])}, was "
        f"{brief(features.base_mean[j])}; standard deviation {brief(features.std[j])}, was "
        f"{brief(features.base_std[j])} (PSI {brief(features.psi[j])})."
    )
