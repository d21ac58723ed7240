"""From where on a figure is drift, and why there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from dkmeans.errors import ArgumentError


@dataclass(frozen=True)
class Thresholds:
    """Greatest values that are no drift yet. What chance may give is no drift, whatever its size.

    Each figure beside is drift only if it is above its threshold *and* rows of the baseline's own
    distribution would show as much with a probability below `false_alarm`, divided by the number
    of figures that are tested: of so many nightly jobs on rows that have not changed, that share
    raises an alarm, or less. So inputs of few rows raise alarms for large changes only.
    """

    cluster_psi: float = 0.2
    """Population stability index of the shares of clusters. By custom below 0.1 is stable, 0.1 to
    0.25 has moved; 0.2 is a cluster that grows from 20 to 40 % of the rows."""

    distance_ks: float = 0.2
    """Kolmogorov-Smirnov statistic of the distances of a cluster's rows to its center: the share
    of rows, at some distance, by which there are more or fewer within it."""

    distance_shift: float = 0.25
    """Wasserstein distance of the same, as a share of the mean distance of the baseline: how far
    rows have moved outward or inward, on average."""

    center_shift: float = 0.5
    """How far the mean of a cluster has moved, in root mean squared distances of its rows to the
    center. By half of that a center is worth fitting again: it costs a quarter of the inertia."""

    feature_psi: float = 0.2
    """Population stability index of a feature, of about ten bins that have equal shares in the
    baseline."""

    mean_shift: float = 0.5
    """Shift of the mean of a feature in standard deviations: half of one is called medium."""

    variance_ratio: float = 2.0
    """Ratio of the variances of a feature, the larger over the smaller."""

    outside_share: float = 0.01
    """Share of rows with a feature outside of its range in the baseline, beyond what as many rows
    of the same distribution would have."""

    beyond_share: float = 0.01
    """Share of rows that lie beyond the 99th percentile of distances of the baseline, above what it
    was there: as many again."""

    missing_share: float = 0.01
    """Share of rows that lack a feature, or any, above what it was in the baseline."""

    false_alarm: float = 0.001
    """Probability of an alarm where nothing has changed, of all figures together: once in three
    years of nights."""

    @classmethod
    def checked(cls, given: Mapping[str, Any] | Self | None) -> Self:
        """Return thresholds, the defaults where none are given.

        Raises
        ------
        ArgumentError
            If there is none of a name, or a value cannot be.
        """
        if given is None:
            return cls()
        if isinstance(given, cls):
            given = asdict(given)
        if not isinstance(given, Mapping):
            raise ArgumentError(
                f"thresholds is a {type(given).__name__}; pass a mapping of names to numbers."
            )
        known = [one.name for one in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise ArgumentError(f"threshold {name!r} is none of {', '.join(known)}.")
            least = 1.0 if name == "variance_ratio" else 0.0
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not value >= least:
                raise ArgumentError(
                    f"threshold {name}={value!r} should be a number from {least:g} on."
                )
        if not 0 < given.get("false_alarm", 0.5) < 1:
            raise ArgumentError(
                f"threshold false_alarm={given['false_alarm']!r} should be between 0 and 1."
            )
        return cls(**given)
