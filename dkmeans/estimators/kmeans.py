"""`KMeans` with scikit-learn's names, for data of any size."""

import secrets
import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from dkmeans.algorithms.demand import demand_of
from dkmeans.algorithms.kmeans import KMeansFit, kmeans
from dkmeans.algorithms.settings import Settings
from dkmeans.errors import ArgumentError, ConvergenceWarning
from dkmeans.estimators.outputs import by_rows, rows_with
from dkmeans.estimators.provenance import parameters, provenance
from dkmeans.kernels.block import Array, Block
from dkmeans.kernels.nearest import distances, nearest
from dkmeans.models.model import Model
from dkmeans.rows.plan import Demand, check_fits
from dkmeans.rows.reading import as_rows, is_out_of_memory
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """k-means clustering of rows that may not fit in memory.

    Passes over the data: 1 for scale and first rows, `init_rounds + 1` for k-means||, 1 for each
    iteration, 1 for each relocation of empty clusters, 1 more if `max_iter` ends the fit.

    Parameters
    ----------
    n_clusters
        Number of clusters.
    init
        "k-means||" (alias "scalable"): seeding in few passes. "k-means++": greedy, exact, for rows
        that fit in one process. "random": rows. Or an array `(n_clusters, n_features)`, in the
        units of X.
    n_init
        Restarts from other seeds; the fit of least inertia is kept. They share passes. "auto" is 1.
    max_iter
        Most iterations.
    tol
        Stop when moving the centers to their rows' means would lower the inertia by at most this
        share of it. 0 goes on until the centers come out unchanged, bit for bit.
    random_state
        Seed; None for a fresh one, which the model records. The same seed gives the same bits for
        any number of workers.
    scale
        "standard" (mean 0, variance 1), "minmax" (0 to 1) or None: applied to features as they are
        read.
    oversampling_factor
        Candidates of a round of k-means||, in units of `n_clusters`.
    init_rounds
        Rounds of k-means||.
    stage
        Where decoded blocks stay between passes: "memory", "disk", "none" or "auto", as in
        `read_parquet`. For input that is not `Rows` yet.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each pass. A fit
        whose state lies there goes on from it, also with other workers, memory or staging, and
        gives the bits that it would have given. Remove it to start afresh.

    Attributes
    ----------
    cluster_centers_
        `(n_clusters, n_features)` float64, in the units of X.
    scaled_centers_
        The same in the space where distances are measured: of the scaled features.
    inertia_
        Weighted sum of squared distances in that space.
    labels_
        `(n_samples,)` index of each row's center: NumPy for in-memory input, a lazy Dask Array
        else.
    n_iter_
        Iterations made.
    converged_
        Whether the rule of `tol` was met.
    gain_
        What moving the centers once more would lower `inertia_` by, labels fixed.
    history_
        A record of each pass: kind, inertia, gain, shift, empty_clusters, seconds, rows_read,
        bytes_read.
    n_passes_
        Passes made, those of all restarts together.
    model_
        The `Model`, to save and to predict with.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> sorted(kmeans.cluster_centers_.tolist())
    [[1.0, 2.0], [10.0, 2.0]]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means||",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        scale: str | None = None,
        oversampling_factor: float = 2.0,
        init_rounds: int = 5,
        stage: StageName = "auto",
        checkpoint: str | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.scale = scale
        self.oversampling_factor = oversampling_factor
        self.init_rounds = init_rounds
        self.stage = stage
        self.checkpoint = checkpoint

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
        settings = self.settings()
        settings.check()
        rows = as_rows(X, sample_weight, stage=self.stage)
        fitted = rows if sample is None else rows.sample(sample)
        try:
            demand = demand_of(settings, fitted.n_features, fitted.dtype)
            check_fits(fitted, demand, fitted.engine.slots())
            result = kmeans(fitted, settings, self.checkpoint)
            self._keep(result, fitted, replace(settings, seed=result.seed))
            if fitted is not rows and fitted.parquet is not None and rows.parquet is not None:
                rows.leave_out(
                    [one for one in fitted.parquet.skipped if one not in rows.parquet.skipped]
                )
            self.labels_ = self._labels(X, rows)
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
        model = self.model_
        return by_rows(
            X,
            model.predict,
            _Labels(model),
            columns=model.columns,
            n_features=model.n_features,
            dtype="int32",
            input_dtype=model.dtype,
            names=None,
            name="label",
            filling=model.filling,
        )

    def transform(self, X: Any) -> Any:
        """Return the distance of each row to each center, in scaled units.

        `(n_samples, n_clusters)`, of the kind that `predict` returns.
        """
        check_is_fitted(self)
        model = self.model_
        return by_rows(
            X,
            model.transform,
            _Distances(model),
            columns=model.columns,
            n_features=model.n_features,
            dtype=model.dtype,
            input_dtype=model.dtype,
            names=self.get_feature_names_out().tolist(),
            name="",
            filling=model.filling,
        )

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Find the clusters of X and return the label of each row, as `predict` does."""
        self.fit(X, sample_weight=sample_weight)
        if isinstance(self.labels_, np.ndarray) and not hasattr(X, "iloc"):
            return self.labels_
        return self.predict(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Return minus the inertia of X: a float, or a lazy one for lazy input."""
        check_is_fitted(self)
        model = self.model_
        if is_out_of_memory(X):
            rows = rows_with(
                X, model.columns, model.n_features, model.dtype, sample_weight, model.filling
            )
            return -rows.map(_Inertia(model), dtype="float64").sum()
        return model.score(X, sample_weight)

    @property
    def _n_features_out(self) -> int:
        return int(self.scaled_centers_.shape[0])

    def settings(self) -> Settings:
        """Return what a fit with these parameters is asked for."""
        n_init = 1 if self.n_init == "auto" else self.n_init
        if isinstance(n_init, str):
            raise ArgumentError(f"n_init={n_init!r} should be an integer or 'auto'.")
        if not isinstance(self.init, str):
            n_init = 1
        return Settings(
            self.n_clusters,
            self.init,
            n_init,
            self.max_iter,
            self.tol,
            _seed(self.random_state),
            self.scale,
            self.oversampling_factor,
            self.init_rounds,
            fresh_seed=self.random_state is None,
        )

    def demand(self, n_features: int, dtype: str) -> Demand:
        """Return what a fit asks of rows with so many features, for `Rows.plan`."""
        settings = self.settings()
        settings.check()
        return demand_of(settings, n_features, dtype)

    def _keep(self, result: KMeansFit, rows: Rows, settings: Settings) -> None:
        fit = result.fit
        if fit.n_distinct < settings.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({fit.n_distinct}) found smaller than n_clusters "
                f"({settings.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.model_ = Model(
            scaled_centers=fit.centers,
            scaling=result.scaling,
            columns=rows.columns,
            dtype=rows.dtype,
            cluster_ids=np.arange(settings.n_clusters),
            weights=fit.ledger.weight,
            inertias=fit.ledger.sq_distances,
            filling=rows.known.filling,
            parameters=parameters(settings),
            provenance=provenance(result, rows, settings),
        )
        self.scaled_centers_ = fit.centers
        self.cluster_centers_ = self.model_.centers
        self.inertia_ = fit.inertia
        self.n_iter_ = fit.n_iter
        self.converged_ = fit.converged
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


def _seed(random_state: Any) -> int:
    if random_state is None:
        return secrets.randbits(63)
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31))
    raise ArgumentError(f"random_state={random_state!r} should be an integer or None.")
