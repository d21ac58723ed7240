"""The checks of what k-means assumes: each a value, a verdict, and a sentence for people."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dkmeans.evaluation.profiles.anova import EqualVariances
from dkmeans.evaluation.profiles.shape import Shape
from dkmeans.evaluation.shown import brief, name, share
from dkmeans.kernels.block import Array

Verdict = Literal["fine", "notable", "strong", "unknown"]

SIZES = (10.0, 100.0)
"""Ratio of the largest to the smallest cluster from which on it is notable, and strong."""

SPREADS = (2.0, 4.0)
"""The same for the ratio of the widest to the narrowest cluster. Borders lie halfway between
means: next to a cluster twice as wide, they should lie at a third of the way."""

LENGTHS = (3.0, 6.0)
"""The same for the length of a cluster over its width. Few rows of round clusters reach 2 by
chance."""

FEATURES = (4.0, 10.0)
"""The same for standard deviations of features within clusters: the squares of the widest count 16
and 100 times as much in distances."""

VARIANCES = (3.0, 10.0)
"""The same for the standard deviations of one feature in different clusters, in the median of
features."""

LEAST_WEIGHT = 10.0
"""Clusters of fewer rows say nothing of spread or shape, and are not judged."""

ROWS_PER_FEATURE = 2.0
"""Rows for each feature that a cluster needs for its shape to be judged: with fewer, chance alone
makes it long."""

_NO_VARIANCES = "Variances in the space of distances were not computed."


@dataclass(frozen=True)
class Finding:
    """One assumption, and how far it is from true."""

    check: str
    """What is checked."""

    value: float
    """How far it is from true, 1 being perfect; NaN if it cannot be judged."""

    verdict: Verdict
    """"fine", "notable" or "strong" by the thresholds of this module; "unknown" for NaN."""

    sentence: str
    """What it means for k-means, and what to try."""


def sizes(weight: Array, ids: Array) -> Finding:
    """Compare the largest cluster with the smallest that has rows."""
    check = "Clusters of like size"
    filled = np.flatnonzero(weight > 0)
    empty = len(weight) - len(filled)
    lost = f" Empty clusters: {empty:,} of {len(weight):,}." if empty else ""
    if len(filled) < 2:
        return _unknown(check, f"Fewer than two clusters have rows.{lost}")
    large, small = filled[weight[filled].argmax()], filled[weight[filled].argmin()]
    ratio = weight[large] / weight[small]
    verdict = _verdict(ratio, SIZES)
    text = f"Cluster {ids[large]} has {brief(ratio)} times the rows of cluster {ids[small]}."
    if verdict != "fine":
        text += (
            " Small clusters may be outliers, and k-means prefers to cut large ones in pieces: "
            "look at the rows of the small ones, and try other n_clusters."
        )
    return Finding(check, float(ratio), verdict, text + lost)


def spreads(spread: Array, judged: Array, ids: Array) -> Finding:
    """Compare the widest with the narrowest of the clusters that are `judged`."""
    check = "Clusters of like spread"
    taken = np.flatnonzero(judged & ~np.isnan(spread))
    if len(taken) < 2:
        return _unknown(check, f"Fewer than two clusters have {LEAST_WEIGHT:g} rows or more.")
    wide, narrow = taken[spread[taken].argmax()], taken[spread[taken].argmin()]
    if spread[wide] == 0:
        return _unknown(check, "The rows of each cluster are all alike.")
    if spread[narrow] == 0:
        ratio = np.inf
        text = f"Cluster {ids[wide]} has spread; the rows of cluster {ids[narrow]} are all alike."
    else:
        ratio = spread[wide] / spread[narrow]
        text = f"Cluster {ids[wide]} is {brief(ratio)} times as wide as cluster {ids[narrow]}."
    verdict = _verdict(ratio, SPREADS)
    if verdict != "fine":
        text += (
            " k-means draws borders halfway between means, so that wide clusters lose their edges "
            "to narrow neighbors: try more clusters, a transform of skewed features (such as the "
            "logarithm), or a Gaussian mixture."
        )
    return Finding(check, float(ratio), verdict, text)


def shapes(shape: Shape, weight: Array, ids: Array) -> Finding:
    """Judge the longest of the clusters that have rows enough."""
    check = "Round clusters"
    if shape.unknown:
        return _unknown(check, "Covariances were not computed: there are too many features.")
    if shape.n_features < 2:
        return _unknown(check, "Fewer than two features vary: clusters have no shape.")
    least = max(LEAST_WEIGHT, ROWS_PER_FEATURE * shape.n_features)
    taken = np.flatnonzero((weight >= least) & ~np.isnan(shape.elongation))
    if not len(taken):
        return _unknown(check, f"No cluster has spread and the {least:g} rows that shapes need.")
    longest = taken[shape.elongation[taken].argmax()]
    value = shape.elongation[longest]
    verdict = _verdict(value, LENGTHS)
    times = f"{brief(value)} times as long as it is wide on average"
    if np.isinf(value):
        times = "a line"
    if verdict == "fine":
        return Finding(
            check, float(value), verdict, f"The longest, cluster {ids[longest]}, is {times}."
        )
    n_long = int((shape.elongation[taken] >= LENGTHS[0]).sum())
    others = f"; {n_long:,} of {len(taken):,} clusters are long" if n_long > 1 else ""
    text = (
        f"Cluster {ids[longest]} is {times}, with {share(shape.longest_share[longest], 1)} of its "
        f"variance along one axis{others}. k-means tends to cut such shapes in two: try more "
        "clusters, fewer correlated features (or whitened principal components), or a Gaussian "
        "mixture."
    )
    return Finding(check, float(value), verdict, text)


def features(std: Array, between: Array, feature_names: tuple[str, ...]) -> Finding:
    """Compare features by `std` within clusters; those that do not vary there are named apart."""
    check = "Features of like scale"
    if np.isnan(std).any():
        return _unknown(check, _NO_VARIANCES)
    varied = np.flatnonzero(std > 0)
    apart = _listed("Constant in all rows", (std == 0) & (between == 0), feature_names)
    apart += _listed("Constant within every cluster", (std == 0) & (between > 0), feature_names)
    if len(varied) < 2:
        return _unknown(check, f"Fewer than two features vary within clusters.{apart}")
    wide, narrow = varied[std[varied].argmax()], varied[std[varied].argmin()]
    ratio = std[wide] / std[narrow]
    verdict = _verdict(ratio, FEATURES)
    first, last = name(feature_names[wide]), name(feature_names[narrow])
    text = f"Within clusters, {first} varies {brief(ratio)} times as much as {last}"
    if verdict == "fine":
        text += "."
    else:
        text += (
            " where distances are measured, and counts for more in them. If features differ in "
            'unit or scale, fit with scale="standard" or "robust"; if they are scaled, '
            f"{last} is what clusters are split by."
        )
    return Finding(check, float(ratio), verdict, text + apart)


def variances(
    found: EqualVariances, known: bool, feature_names: tuple[str, ...], ids: Array
) -> Finding:
    """Judge how much the standard deviation of the median feature differs between clusters."""
    check = "Features alike in all clusters"
    if not known:
        return _unknown(check, _NO_VARIANCES)
    tested = np.flatnonzero(~np.isnan(found.std_ratio))
    if not len(tested):
        return _unknown(check, "No feature varies in two clusters that are large enough.")
    ratios = found.std_ratio[tested]
    middle, most = float(np.median(ratios)), tested[ratios.argmax()]
    verdict = _verdict(middle, VARIANCES)
    wide, narrow = ids[found.widest[most]], ids[found.narrowest[most]]
    worst, ratio = name(feature_names[most]), found.std_ratio[most]
    if np.isinf(middle):
        text = "Half of the features or more vary in some clusters and not at all in others"
    else:
        text = (
            f"The median feature varies {brief(middle)} times as much in one cluster as in another"
        )
    if np.isinf(ratio):
        text += f"; {worst} varies in cluster {wide} and not in cluster {narrow}."
    else:
        text += (
            f"; the worst, {worst}, varies {brief(ratio)} times as much in cluster {wide} as in "
            f"cluster {narrow}."
        )
    if verdict != "fine":
        text += (
            " k-means has one yardstick for all clusters, so that what is far off in a narrow "
            "cluster counts as near: transform skewed features (such as by the logarithm), or try "
            "a Gaussian mixture."
        )
    return Finding(check, middle, verdict, text)


def _verdict(value: float, limits: tuple[float, float]) -> Verdict:
    if value >= limits[1]:
        return "strong"
    return "notable" if value >= limits[0] else "fine"


def _unknown(check: str, why: str) -> Finding:
    return Finding(check, float("nan"), "unknown", why)


def _listed(what: str, which: Array, feature_names: tuple[str, ...]) -> str:
    found = [name(feature_names[i]) for i in np.flatnonzero(which)]
    if not found:
        return ""
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
    return f" {what}: {', '.join(found[:3])}{more}."
