"""What all estimators of clusters share: fit to any input, predict in its kind, keep a model."""

import secrets
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from dkmeans.algorithms.callbacks import Callbacks
from dkmeans.algorithms.lloyd import Fit
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import Settings
from dkmeans.errors import ArgumentError, ConvergenceWarning, FitInterrupted
from dkmeans.estimators.containers import TransformerInKind
from dkmeans.estimators.fitted_model import fitted_model
from dkmeans.estimators.outputs import by_rows, like_frame
from dkmeans.estimators.provenance import parameters
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import distances, nearest
from dkmeans.models.model import Model
from dkmeans.rows.demand import Demand
from dkmeans.rows.part_source import weights_of
from dkmeans.rows.reading import as_rows, is_lazy, is_out_of_memory
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.task_memory import check_fits
from dkmeans.rows.with_features import rows_with


class Clusterer(ClassNamePrefixFeaturesOutMixin, TransformerInKind, ClusterMixin, BaseEstimator):
    """An estimator of clusters, but for the algorithm."""

    n_clusters: int
    init: Any
    n_init: int | str
    random_state: Any
    stage: StageName
    callbacks: Any

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, sample: float | None = None
    ) -> Self:
        """Find the clusters of X.

        Parameters
        ----------
        X
            `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame,
            a NumPy array, a pandas DataFrame or an Arrow table.
        y
            Ignored.
        sample_weight
            `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
        sample
            Fit on a share of the rows (a float up to 1) or about so many of them, as
            `Rows.sample` draws them; `labels_` are those of all rows. None for all.

        Raises
        ------
        ArgumentError
            If a parameter cannot be.
        InputRefused
            If the data cannot be clustered.
        """
        settings = self.checked_settings()
        callbacks = Callbacks(self.callbacks)
        rows = as_rows(X, sample_weight, stage=self.stage)
        fitted = rows if sample is None else rows.sample(sample)
        try:
            demand = self._demand(settings, fitted.n_features, fitted.dtype)
            check_fits(fitted, demand, fitted.engine.slots())
            callbacks.began(parameters(settings))
            result = self._cluster(fitted, settings, callbacks)
            warn_of(result.fit, settings, result.n_passes)
            of_all_rows = result.fit.stopped_by != "interrupt"
            self._keep(result, fitted, replace(settings, seed=result.seed), of_all_rows)
            if fitted is not rows and fitted.parquet is not None and rows.parquet is not None:
                rows.leave_out(
                    [one for one in fitted.parquet.skipped if one not in rows.parquet.skipped]
                )
            self.labels_ = self._labels(X, rows)
            callbacks.ended(self.model_)
        except BaseException as error:
            callbacks.failed(error)
            raise
        finally:
            if fitted is not rows:
                fitted.close()
            if not isinstance(X, Rows):
                rows.close()
        return self

    def predict(self, X: Any) -> Any:
        """Return the label of each row, the index of its nearest center, int32.

        `(n_samples,)`: NumPy for NumPy, a Series with the index for pandas, lazy for Dask, `Rows`,
        URLs.
        """
        check_is_fitted(self)
        return self._by_rows(X, self.model_.predict, _Labels(self.model_), "int32", None)

    def transform(self, X: Any) -> Any:
        """Return the distance of each row to each center, in scaled units.

        `(n_samples, n_clusters)`, of the kind that `predict` returns.
        """
        check_is_fitted(self)
        model, names = self.model_, self.get_feature_names_out().tolist()
        return self._by_rows(X, model.transform, _Distances(model), model.dtype, names)

    def _by_rows(
        self,
        X: Any,
        of_memory: Callable[[Any], Array],
        of_block: Callable[[Block], Array],
        dtype: str,
        names: list[str] | None,
    ) -> Any:
        """`by_rows` for X that has the features of the model."""
        model = self.model_
        return by_rows(
            X,
            of_memory,
            of_block,
            columns=model.columns,
            n_features=model.n_features,
            dtype=dtype,
            input_dtype=model.dtype,
            names=names,
            name="label",
            filling=model.filling,
        )

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Find the clusters of X and return the label of each row, as `predict` does."""
        self.fit(X, sample_weight=sample_weight)
        if is_lazy(self.labels_):
            return self.predict(X)
        if hasattr(X, "iloc"):
            return like_frame(self.labels_, X, None, "label")
        return self.labels_

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return minus the inertia of X: a float, or a lazy one for lazy input."""
        check_is_fitted(self)
        model = self.model_
        if is_out_of_memory(X):
            rows = rows_with(
                X, model.columns, model.n_features, model.dtype, sample_weight, model.filling
            )
            return -rows.map(_Inertia(model), dtype="float64").sum()
        if sample_weight is not None:
            sample_weight = weights_of(sample_weight, len(X), "X")
        return model.score(X, sample_weight)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out lazy labels: their graph may hold the data, or refer to a cluster."""
        state: dict[str, Any] = super().__getstate__()
        return {
            name: value
            for name, value in state.items()
            if not (name == "labels_" and is_lazy(value))
        }

    @property
    def _n_features_out(self) -> int:
        return int(self.scaled_centers_.shape[0])

    def settings(self) -> Settings:
        """Return what a fit with these parameters is asked for."""
        raise NotImplementedError

    def checked_settings(self) -> Any:
        """Return `settings`, unless a value cannot be."""
        settings = self.settings()
        settings.check()
        return settings

    def demand(self, n_features: int, dtype: str) -> Demand:
        """Return what a fit asks of rows with so many features, for `Rows.plan`."""
        return self._demand(self.checked_settings(), n_features, dtype)

    def _demand(self, settings: Any, n_features: int, dtype: str) -> Demand:
        raise NotImplementedError

    def _cluster(self, rows: Rows, settings: Any, callbacks: Callbacks) -> FitResult:
        """Fit to rows."""
        raise NotImplementedError

    def _n_init(self, auto: int) -> int:
        n_init = auto if self.n_init == "auto" else self.n_init
        if isinstance(n_init, str):
            raise ArgumentError(f"n_init={n_init!r} should be an integer or 'auto'.")
        return n_init if isinstance(self.init, str) else 1

    def _keep(self, result: Any, rows: Rows, settings: Any, of_all_rows: bool) -> None:
        fit = result.fit
        self.model_ = fitted_model(result, rows, settings, of_all_rows)
        self.scaled_centers_ = fit.centers
        self.cluster_centers_ = self.model_.centers
        self.inertia_ = fit.inertia
        self.n_iter_ = fit.n_iter
        self.converged_ = fit.converged
        self.stopped_by_ = fit.stopped_by
        self.gain_ = fit.gain
        self.history_ = list(result.history)
        self.n_passes_ = result.n_passes
        self.n_features_in_ = rows.n_features
        if rows.feature_names is not None:
            self.feature_names_in_ = np.asarray(rows.feature_names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _labels(self, X: Any, rows: Rows) -> Any:
        labels = rows.map(_Labels(self.model_), dtype="int32")
        return labels if is_out_of_memory(X) else labels.compute(scheduler="threads")


def warn_of(fit: Fit, settings: Settings, n_passes: int) -> None:
    """Warn of what the user may not want of a fit."""
    if fit.n_distinct < settings.n_clusters and fit.stopped_by != "interrupt":
        warnings.warn(
            f"Number of distinct clusters ({fit.n_distinct}) found smaller than n_clusters "
            f"({settings.n_clusters}). Possibly due to duplicate points in X.",
            ConvergenceWarning,
            stacklevel=3,
        )
    if fit.stopped_by == "interrupt":
        warnings.warn(
            f"the fit was interrupted after {n_passes} passes; this is the best that it had found.",
            FitInterrupted,
            stacklevel=3,
        )


class _Labels:
    """Labels of a block of unscaled rows."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, block: Block) -> Array:
        return nearest(self._model.scale(block.X), self._model.scaled_centers)[0]


class _Distances:
    """Distances of a block of unscaled rows to all centers."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, block: Block) -> Array:
        return distances(self._model.scale(block.X), self._model.scaled_centers)


class _Inertia:
    """Inertia of a block of unscaled rows, `(1,)`."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, block: Block) -> Array:
        _, sq_distances = nearest(self._model.scale(block.X), self._model.scaled_centers)
        return np.array([sq_distances.astype(np.float64) @ block.weights])


def seed_of(random_state: Any) -> int:
    """Return the seed that `random_state` stands for; None stands for a fresh one."""
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31))
    raise ArgumentError(f"random_state={random_state!r} should be an integer or None.")
