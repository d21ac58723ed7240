"""What all scalers share: parts of a data set, features by name, input of any kind."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, clone
from sklearn.utils.validation import check_is_fitted

from dkmeans.algorithms.checks import check_enough
from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.estimators.containers import TransformerInKind
from dkmeans.estimators.outputs import by_rows, dtype_of
from dkmeans.kernels.block import Array, Block
from dkmeans.models.columns import FeatureColumn, matrix
from dkmeans.models.scaling import AnyScaling, Scaling
from dkmeans.partials.moments import Moments
from dkmeans.rows.progress import reporter
from dkmeans.rows.reading import as_rows
from dkmeans.rows.requests import Reduce
from dkmeans.rows.rows import Rows
from dkmeans.rows.with_features import rows_with


class Scaler(OneToOneFeatureMixin, TransformerInKind, BaseEstimator):
    """A map of rows to rows of as many features, learned or not."""

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
        ArgumentError
            If a parameter cannot be.
        InputRefused
            If X has no rows, or values that are not finite.
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        return self.partial_fit(X, sample_weight=sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from X beside what was learned before: all parts of a data set give its `fit`."""
        self._check_parameters()
        if self._is_fitted():
            rows = rows_with(X, self._columns, self.n_features_in_, None, sample_weight)
        else:
            rows = as_rows(X, sample_weight)
        try:
            self._see(rows)
        finally:
            if not isinstance(X, Rows):
                rows.close()
        if not self._is_fitted():
            self._columns = rows.columns
            self.n_features_in_ = rows.n_features
            if rows.feature_names is not None:
                self.feature_names_in_ = np.asarray(rows.feature_names, dtype=object)
        return self

    def merge(self, other: Self) -> Self:
        """Return a scaler as if it had seen what this one and `other` have seen.

        Neither is changed. Nothing is read.

        Parameters
        ----------
        other
            A fitted scaler of the same class, parameters and features.

        Raises
        ------
        ArgumentError
            If it is of another class, or has other parameters.
        FeaturesMismatch
            If it has other features.
        """
        check_is_fitted(self, "n_features_in_")
        if type(other) is not type(self):
            raise ArgumentError(
                f"other={other!r} should be a {type(self).__name__}, to merge with one."
            )
        check_is_fitted(other, "n_features_in_")
        theirs = other.get_params()
        for name, value in self.get_params().items():
            if theirs[name] != value:
                raise ArgumentError(
                    f"{name}={theirs[name]!r} of other should be {value!r}, to merge with it; fit "
                    "both with the same parameters."
                )
        if (self._columns, self.n_features_in_) != (other._columns, other.n_features_in_):
            raise FeaturesMismatch(
                f"other was fitted on {_features(other)}, this scaler on {_features(self)}; fit "
                "both on the same features, in the same order."
            )
        merged: Self = clone(self)
        for name in ("_columns", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(merged, name, getattr(self, name))
        merged._join(self, other)
        return merged

    def transform(self, X: Any) -> Any:
        """Scale X; of the kind that X is, lazy for Dask, `Rows` and URLs."""
        check_is_fitted(self, "n_features_in_")
        return self._apply(X, self._forward())

    def to_sklearn(self) -> Any:
        """Return scikit-learn's scaler of this name, fitted, with the same attributes."""
        check_is_fitted(self, "n_features_in_")
        theirs = self._sklearn()
        for name, value in vars(self).items():
            if name.endswith("_"):
                setattr(theirs, name, deepcopy(value))
        return theirs

    def _is_fitted(self) -> bool:
        return hasattr(self, "n_features_in_")

    def _apply(self, X: Any, function: Callable[[Array], Array]) -> Any:
        def of_memory(X: Any) -> Array:
            dtype = dtype_of(X, self._columns)
            return function(matrix(X, self._columns, self.n_features_in_, dtype))

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

    def _see(self, rows: Rows) -> None:
        """Learn from rows beside what was learned before."""

    def _join(self, one: Self, other: Self) -> None:
        """Learn what two others have learned."""

    def _forward(self) -> Callable[[Array], Array]:
        """Return the map of rows; it goes to workers, so without what was seen."""
        return self._scaling().transform

    def _scaling(self) -> AnyScaling:
        raise NotImplementedError

    def _sklearn(self) -> Any:
        """Return scikit-learn's scaler with the same parameters, not fitted."""
        raise NotImplementedError


class LinearScaler(Scaler):
    """A scaler that learns a shift and a factor of each feature."""

    n_samples_seen_: int | float
    _seen: Any
    """The partial of all rows seen."""

    def inverse_transform(self, X: Any) -> Any:
        """Map scaled X back to its own units; of the kind that X is, lazy for Dask."""
        check_is_fitted(self, "n_features_in_")
        return self._apply(X, partial(_back, self._scaling()))

    def _see(self, rows: Rows) -> None:
        known = self._seen if self._is_fitted() else None
        record: dict[str, Any] = {}
        asked = self._request(rows, known)
        found = rows.reduce(asked.from_block, *asked.broadcast, kind=asked.kind, record=record)
        reporter().ended(record)
        self._keep(found if known is None else known.merge(found))

    def _join(self, one: Self, other: Self) -> None:
        self._keep(one._seen.join(other._seen))

    def _keep(self, seen: Any) -> None:
        check_enough(seen.n_rows, seen.weight, 1)
        self._learn(seen)
        self._seen = seen
        self.n_samples_seen_ = seen.n_rows if seen.weight == seen.n_rows else seen.weight

    def _request(self, rows: Rows, known: Any) -> Reduce:
        """Return what to ask of rows, to merge with what is known."""
        origin = rows.pilot_mean() if known is None else known.origin
        return Reduce("moments", Moments.from_block, (origin,))

    def _learn(self, seen: Any) -> None:
        """Set the attributes that follow from all rows seen."""
        raise NotImplementedError

    def _scaling(self) -> Scaling:
        raise NotImplementedError


def _back(scaling: Scaling, X: Array) -> Array:
    return scaling.inverse_transform(X).astype(X.dtype, copy=False)


class _OfBlock:
    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function

    def __call__(self, block: Block) -> Array:
        return self._function(block.X)


def _features(scaler: Scaler) -> str:
    if scaler._columns is None:
        return f"{scaler.n_features_in_} features without names"
    return f"the columns {[column.name for column in scaler._columns]}"
