"""Scalers that learn from data of any size in one pass, equal to scikit-learn's."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from dkmeans.algorithms.checks import check_enough
from dkmeans.errors import ArgumentError
from dkmeans.estimators.containers import TransformerInKind
from dkmeans.estimators.outputs import by_rows, dtype_of, rows_with
from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, matrix
from dkmeans.models.scaling import Scaling
from dkmeans.partials.moments import Moments
from dkmeans.rows.progress import reporter
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows


class _MomentsScaler(OneToOneFeatureMixin, TransformerInKind, BaseEstimator):
    """What scalers share that learn moments and map each feature linearly."""

    n_features_in_: int
    _columns: tuple[FeatureColumn, ...] | None

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from X, in one pass.

        Parameters
        ----------
        X
            `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, Dask, NumPy, pandas or
            Arrow.
        y
            Ignored.
        sample_weight
            `(n_samples,)`; weight w means w copies of a row.

        Raises
        ------
        InputRefused
            If X has no rows, or values that are not finite.
        """
        self._reset()
        return self.partial_fit(X, sample_weight=sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from X beside what was learned before: all parts of a data set give its `fit`."""
        self._check_parameters()
        known: Moments | None = getattr(self, "_moments", None)
        if known is None:
            rows = as_rows(X, sample_weight)
        else:
            rows = rows_with(X, self._columns, self.n_features_in_, None, sample_weight)
        try:
            origin = rows.pilot_mean() if known is None else known.origin
            record: dict[str, Any] = {}
            moments = rows.reduce(Moments.from_block, origin, kind="moments", record=record)
            reporter().ended(record)
        finally:
            if not isinstance(X, Rows):
                rows.close()
        assert isinstance(moments, Moments)
        seen = moments if known is None else known.merge(moments)
        check_enough(seen.n_rows, seen.weight, 1)
        self._moments = seen
        if known is None:
            self._columns = rows.columns
            self.n_features_in_ = rows.n_features
            if rows.feature_names is not None:
                self.feature_names_in_ = np.asarray(rows.feature_names, dtype=object)
        self.n_samples_seen_: int | float = (
            seen.n_rows if seen.weight == seen.n_rows else seen.weight
        )
        self._learn(seen)
        return self

    def transform(self, X: Any) -> Any:
        """Scale X; of the kind that X is, lazy for Dask, `Rows` and URLs."""
        check_is_fitted(self, "_moments")
        return self._apply(X, self._forward)

    def inverse_transform(self, X: Any) -> Any:
        """Map scaled X back to its own units; of the kind that X is, lazy for Dask."""
        check_is_fitted(self, "_moments")
        return self._apply(X, self._backward)

    def _reset(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") or name == "_moments"]:
            delattr(self, name)

    def _apply(self, X: Any, function: Any) -> Any:
        def of_memory(X: Any) -> Array:
            dtype = dtype_of(X, self._columns)
            rows: Array = function(matrix(X, self._columns, self.n_features_in_, dtype))
            return rows

        return by_rows(
            X,
            of_memory,
            _OfBlock(function),
            columns=self._columns,
            n_features=self.n_features_in_,
            dtype=None,
            input_dtype=None,
            names=self.get_feature_names_out().tolist(),
            name="",
        )

    def _check_parameters(self) -> None:
        """Raise if a parameter cannot be."""

    def _learn(self, moments: Moments) -> None:
        raise NotImplementedError

    def _forward(self, X: Array) -> Array:
        raise NotImplementedError

    def _backward(self, X: Array) -> Array:
        raise NotImplementedError


class _OfBlock:
    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, block: Block) -> Array:
        rows: Array = self._function(block.X)
        return rows


class StandardScaler(_MomentsScaler):
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
        `(n_features,)` float64: mean, population variance, and its root, 1 for constant features.
    n_samples_seen_
        Rows, or their weight if they have weights.
    """

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _learn(self, moments: Moments) -> None:
        scaling = Scaling.from_moments("standard", moments)
        self.mean_ = scaling.shift
        self.var_ = moments.variance if self.with_std else None
        self.scale_ = scaling.factor if self.with_std else None

    def _forward(self, X: Array) -> Array:
        return self._scaling().transform(X)

    def _backward(self, X: Array) -> Array:
        return self._scaling().inverse_transform(X).astype(X.dtype, copy=False)

    def _scaling(self) -> Scaling:
        shift = self.mean_ if self.with_mean else np.zeros(self.n_features_in_)
        factor = np.ones(self.n_features_in_) if self.scale_ is None else self.scale_
        return Scaling("standard", shift, factor)


class MinMaxScaler(_MomentsScaler):
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
        if not self.feature_range[0] < self.feature_range[1]:
            raise ArgumentError(
                f"feature_range={self.feature_range!r} should be (low, high), low < high."
            )

    def _learn(self, moments: Moments) -> None:
        scaling = Scaling.from_moments("minmax", moments)
        low, high = self.feature_range
        self.data_min_, self.data_max_ = moments.minimum, moments.maximum
        self.data_range_ = moments.maximum - moments.minimum
        self.scale_ = (high - low) / scaling.factor
        self.min_ = low - self.data_min_ * self.scale_

    def _forward(self, X: Array) -> Array:
        out = self._scaling().transform(X)
        return np.clip(out, *self.feature_range, out=out) if self.clip else out

    def _backward(self, X: Array) -> Array:
        return self._scaling().inverse_transform(X).astype(X.dtype, copy=False)

    def _scaling(self) -> Scaling:
        return Scaling(
            "minmax", self.data_min_ - self.feature_range[0] / self.scale_, 1 / self.scale_
        )
