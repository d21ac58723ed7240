"""What is checked, each figure against its threshold and against chance."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dkmeans.evaluation.drift import chances, figures
from dkmeans.evaluation.drift.comparison import ClusterDrift, FeatureDrift
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.models.shares import Shares, psi

ALL_ROWS = "all rows"


@dataclass(frozen=True)
class Check:
    """One figure of one cluster, feature, or all rows."""

    metric: str
    """The name of its threshold."""

    subject: str
    """"cluster 3", the name of a feature, or "all rows"."""

    value: float
    threshold: float

    probability: float
    """That rows of the distribution of the baseline differ as much or more, in the test that the
    figure rests on; NaN if there are too few rows for it, which is never drift."""

    test: tuple[str, int] = ("", 0)
    """Names the test: several figures of one cluster or feature rest on one."""

    place: int = 0
    """Label of the cluster, or number of the feature."""

    drifts: bool = False
    """Whether it is above its threshold and more than chance."""


def checked(
    clusters: ClusterDrift, features: FeatureDrift, shares: Shares, thresholds: Thresholds
) -> tuple[Check, ...]:
    """Judge all figures, together: what may be chance is shared among all tests."""
    found = [*_of_clusters(clusters), *_of_features(features, shares), *_of_rows(features, shares)]
    tests = {one.test for one in found if not np.isnan(one.probability)}
    level = thresholds.false_alarm / max(1, len(tests))
    out = []
    for one in found:
        threshold = getattr(thresholds, one.metric)
        drifts = one.value > threshold and one.probability < level
        out.append(replace(one, threshold=threshold, drifts=bool(drifts)))
    return tuple(out)


def _of_clusters(one: ClusterDrift) -> Iterator[Check]:
    then, now = figures.joined(one.base_weight, one.weight)
    yield Check(
        "cluster_psi",
        ALL_ROWS,
        psi(one.base_weight, one.weight),
        0.0,
        chances.of_counts(then, now),
        ("shares", 0),
    )
    for j, cluster_id in enumerate(one.cluster_id.tolist()):
        base, weight = float(one.base_weight[j]), float(one.weight[j])
        if not min(base, weight) > 0:
            continue
        name = f"cluster {cluster_id}"
        ks = float(one.ks[j])
        by_ks = chances.of_ks(ks, base, weight)
        moved = float(one.center_shift[j])
        by_mean = chances.of_center(moved, base, weight)
        test = ("distances", j)
        yield Check("distance_ks", name, ks, 0.0, by_ks, test, j)
        yield Check("distance_shift", name, float(one.shift[j]), 0.0, by_ks, test, j)
        yield Check("center_shift", name, moved, 0.0, by_mean, ("center", j), j)


def _of_features(one: FeatureDrift, shares: Shares) -> Iterator[Check]:
    for j, name in enumerate(one.feature):
        # of which values there are, and how many: outliers and heavy tails do not mislead it
        chance, test = float(one.probability[j]), ("feature", j)
        ratio = float(one.variance_ratio[j])
        either = max(ratio, 1 / ratio) if ratio > 0 else np.inf
        if shares.rows > 0:
            yield Check("feature_psi", name, float(one.psi[j]), 0.0, chance, test, j)
            yield Check("mean_shift", name, abs(float(one.mean_shift[j])), 0.0, chance, test, j)
            yield Check("variance_ratio", name, float(either), 0.0, chance, test, j)
        then, now = float(one.base_missing[j]), float(one.missing[j])
        if not np.isnan(then + now):
            yield _missing(name, then, now, shares, ("missing", j), j)


def _of_rows(features: FeatureDrift, shares: Shares) -> Iterator[Check]:
    if shares.rows > 0:
        d = len(features.feature)
        by_range = chances.of_excess(
            shares.outside * shares.rows, shares.rows, 2 * d, shares.base_rows
        )
        yield Check(
            "outside_share", ALL_ROWS, shares.excess_outside(d), 0.0, by_range, ("outside", 0)
        )
        by_limit = chances.of_excess(
            shares.beyond * shares.rows,
            shares.rows,
            shares.base_beyond * shares.base_rows + shares.n_limits,
            shares.base_rows,
        )
        yield Check("beyond_share", ALL_ROWS, shares.excess_beyond, 0.0, by_limit, ("beyond", 0))
    if not np.isnan(shares.base_incomplete + shares.incomplete):
        yield _missing(
            ALL_ROWS, shares.base_incomplete, shares.incomplete, shares, ("incomplete", 0), -1
        )


def _missing(
    subject: str, then: float, now: float, shares: Shares, test: tuple[str, int], place: int
) -> Check:
    chance = chances.of_excess(
        now * shares.all_rows, shares.all_rows, then * shares.base_all + 1, shares.base_all
    )
    return Check("missing_share", subject, max(0.0, now - then), 0.0, chance, test, place)
