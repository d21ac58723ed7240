"""Scalers that learn from data of any size in one pass, equal to scikit-learn's."""

from collections.abc import Callable
from functools import partial
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from sklearn import preprocessing

from dkmeans.algorithms.checks import is_real
from dkmeans.errors import ArgumentError
from dkmeans.estimators.scaler import LinearScaler
from dkmeans.kernels.block import Array
from dkmeans.models.scaling import LinearName, Scaling
from dkmeans.partials.moments import Moments
from dkmeans.partials.quantiles import Quantiles
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows


def _is_pair(value: Any) -> bool:
    """Whether it is two finite numbers."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(is_real(number) and abs(number) < np.inf for number in value)
    )


class StandardScaler(LinearScaler):
    """Give each feature mean 0 and variance 1.

    One pass over the data; float64 sums about a point within the data, so that a large offset costs
    no digits.

    Parameters
    ----------
    with_mean, with_std
        Whether to move the mean to 0, and whether to divide by the standard deviation.

    Attributes
    ----------
    mean_, var_, scale_
        `(n_features,)` float64: mean, population variance, and its root, 1 for constant features;
        the latter two are None without `with_std`, all three without both.
    n_samples_seen_
        Rows, or their weight if they have weights.
    """

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _learn(self, seen: Moments) -> None:
        scaling = Scaling.from_moments("standard", seen)
        self.mean_ = scaling.shift if self.with_mean or self.with_std else None
        self.var_ = seen.variance if self.with_std else None
        self.scale_ = scaling.factor if self.with_std else None

    def _scaling(self) -> Scaling:
        return _linear(
            "standard", self.mean_ if self.with_mean else None, self.scale_, self.n_features_in_
        )

    def _sklearn(self) -> Any:
        return preprocessing.StandardScaler(with_mean=self.with_mean, with_std=self.with_std)


class MinMaxScaler(LinearScaler):
    """Map each feature's range to an interval.

    Parameters
    ----------
    feature_range
        The interval.
    clip
        Whether to move transformed values into the interval.

    Attributes
    ----------
    min_, scale_
        `(n_features,)` float64: `X * scale_ + min_` is the transformed X.
    data_min_, data_max_, data_range_
        `(n_features,)` float64: of the rows seen.
    n_samples_seen_
        Rows, or their weight if they have weights.
    """

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def _check_parameters(self) -> None:
        if not (_is_pair(self.feature_range) and self.feature_range[0] < self.feature_range[1]):
            raise ArgumentError(
                f"feature_range={self.feature_range!r} should be (low, high), low < high."
            )

    def _learn(self, seen: Moments) -> None:
        scaling = Scaling.from_moments("minmax", seen)
        low, high = self.feature_range
        self.data_min_, self.data_max_ = seen.minimum, seen.maximum
        self.data_range_ = seen.maximum - seen.minimum
        self.scale_ = (high - low) / scaling.factor
        self.min_ = low - self.data_min_ * self.scale_

    def _forward(self) -> Callable[[Array], Array]:
        forward = super()._forward()
        return partial(_clipped, forward, self.feature_range) if self.clip else forward

    def _scaling(self) -> Scaling:
        return Scaling(
            "minmax", self.data_min_ - self.feature_range[0] / self.scale_, 1 / self.scale_
        )

    def _sklearn(self) -> Any:
        return preprocessing.MinMaxScaler(self.feature_range, clip=self.clip)


class MaxAbsScaler(LinearScaler):
    """Divide each feature by its greatest absolute value; zeros stay zeros.

    Attributes
    ----------
    max_abs_, scale_
        `(n_features,)` float64: the greatest absolute value; 1 in `scale_` for features that are
        zero throughout.
    n_samples_seen_
        Rows, or their weight if they have weights.
    """

    def _learn(self, seen: Moments) -> None:
        self.max_abs_ = np.maximum(np.abs(seen.minimum), np.abs(seen.maximum))
        self.scale_ = Scaling.from_moments("maxabs", seen).factor

    def _scaling(self) -> Scaling:
        return _linear("maxabs", None, self.scale_, self.n_features_in_)

    def _sklearn(self) -> Any:
        return preprocessing.MaxAbsScaler()


class RobustScaler(LinearScaler):
    """Give each feature median 0 and a range between two percentiles of 1, whatever its outliers.

    One pass over the data. Percentiles are scikit-learn's, of the rows repeated by their weights,
    for features of up to 4096 distinct values. For features of more they come from a mergeable
    sketch, in at most 64 KiB per feature: the rank of each is off by at most 0.2 % of the weight.

    Parameters
    ----------
    with_centering, with_scaling
        Whether to move the median to 0, and whether to divide by the range.
    quantile_range
        The percentiles that the range lies between, from 0 to 100.
    unit_variance
        Whether to give normally distributed features variance 1 instead.

    Attributes
    ----------
    center_, scale_
        `(n_features,)` float64: the median, and the range, 1 where the percentiles are equal; None
        if they are not asked for.
    n_samples_seen_
        Rows, or their weight if they have weights.
    """

    def __init__(
        self,
        *,
        with_centering: bool = True,
        with_scaling: bool = True,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        unit_variance: bool = False,
    ) -> None:
        self.with_centering = with_centering
        self.with_scaling = with_scaling
        self.quantile_range = quantile_range
        self.unit_variance = unit_variance

    def _check_parameters(self) -> None:
        low, high = self.quantile_range if _is_pair(self.quantile_range) else (1, 0)
        if not 0 <= low <= high <= 100:
            raise ArgumentError(
                f"quantile_range={self.quantile_range!r} should be (low, high), "
                "0 <= low <= high <= 100."
            )
        if self.unit_variance and not 0 < low < high < 100:
            raise ArgumentError(
                f"unit_variance=True needs quantile_range={self.quantile_range!r} to be (low, "
                "high), 0 < low < high < 100: a normal distribution has no end."
            )

    def _learn(self, seen: Quantiles) -> None:
        low, high = self.quantile_range
        scaling = Scaling.from_quantiles(seen, percents=(low, high))
        self.center_ = scaling.shift if self.with_centering else None
        self.scale_ = scaling.factor if self.with_scaling else None
        if self.scale_ is not None and self.unit_variance:
            normal = NormalDist()
            self.scale_ = self.scale_ / (normal.inv_cdf(high / 100) - normal.inv_cdf(low / 100))

    def _request(self, rows: Rows, known: Quantiles | None) -> Reduce:
        return Reduce("quantiles", Quantiles.from_block)

    def _join(self, one: Self, other: Self) -> None:
        self._keep(one._seen.merge(other._seen))

    def _scaling(self) -> Scaling:
        return _linear("robust", self.center_, self.scale_, self.n_features_in_)

    def _sklearn(self) -> Any:
        return preprocessing.RobustScaler(
            with_centering=self.with_centering,
            with_scaling=self.with_scaling,
            quantile_range=self.quantile_range,
            unit_variance=self.unit_variance,
        )


def _clipped(forward: Callable[[Array], Array], bounds: tuple[float, float], X: Array) -> Array:
    out = forward(X)
    return np.clip(out, *bounds, out=out)


def _linear(
    kind: LinearName, shift: Array | None, factor: Array | None, n_features: int
) -> Scaling:
    """Return the scaling of features; None stands for none."""
    return Scaling(
        kind,
        np.zeros(n_features) if shift is None else shift,
        np.ones(n_features) if factor is None else factor,
    )
