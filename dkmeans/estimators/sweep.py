"""`sweep`: fits for several numbers of clusters, their figures, and the one that stands out."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dkmeans.algorithms.callbacks import Callback, Callbacks
from dkmeans.algorithms.checks import check_enough
from dkmeans.algorithms.demand import demand_of
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.sweep import Swept, fit_each
from dkmeans.errors import ArgumentError, ConvergenceWarning
from dkmeans.estimators.fitted_model import fitted_model
from dkmeans.estimators.kmeans import KMeans
from dkmeans.estimators.provenance import parameters
from dkmeans.evaluation.demand import sweep_demand
from dkmeans.evaluation.statistics import check_integer
from dkmeans.evaluation.sweeps.choice import choose, elbow_of
from dkmeans.evaluation.sweeps.passes import of_fits
from dkmeans.evaluation.sweeps.result import Sweep
from dkmeans.evaluation.sweeps.scores import sampling_of, scores_of
from dkmeans.models.model import Model
from dkmeans.rows.demand import Demand
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.task_memory import check_fits

SWEEP_N_INIT = 3
"""Restarts of each number of clusters, if no others are asked for."""


def sweep(
    X: Any,
    n_clusters: Iterable[int] = range(2, 11),
    n_init: int = SWEEP_N_INIT,
    *,
    sample_weight: Any = None,
    init: str = "coreset",
    scale: str | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    random_state: Any = None,
    coreset_size: int | None = None,
    oversampling_factor: float = 2.0,
    init_rounds: int = 5,
    stage: StageName = "auto",
    checkpoint: str | None = None,
    callbacks: Sequence[Callback] | None = None,
    sample: float | None = None,
    sample_size: int | None = 3_000,
) -> Sweep:
    """Cluster rows for several numbers of clusters at once, and compare them.

    All fits share their passes; one more finds the figures of all. It is two where centers are so
    far from their rows that digits would be lost, or a few rows have most of the weight.

    Parameters
    ----------
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    n_clusters
        Numbers of clusters, in any order; repeated ones count once.
    n_init
        Restarts of each; the fit of least inertia is kept, and compared with the best of the
        others. With 1 there is none to compare with.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    init, scale, max_iter, tol, random_state, coreset_size, oversampling_factor, init_rounds, stage
        As for `KMeans`; `init` is a name.
    checkpoint
        A folder, on any fsspec URL, where the state of the fits is stored after each pass; a sweep
        whose state lies there goes on from it.
    callbacks
        As for `KMeans`, of all fits together; `ended` gets the recommended model, or that of the
        most clusters if none is.
    sample
        Sweep over a share of the rows (a float up to 1) or about so many of them, as `Rows.sample`
        draws them; None for all.
    sample_size
        Rows for the silhouette by distances between rows, which takes their number squared
        distances for each number of clusters; None to leave it out.

    Returns
    -------
    Sweep
        Shown as text or in a notebook; `models[k]`, `model`, `plot()`, `save(url)`.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    InputRefused
        If the data cannot be clustered.

    Notes
    -----
    The elbow is that of the inertia, by the Kneedle criterion. Recommended is the k whose
    silhouette by distances to centers is furthest above that of rows without clusters: what k-means
    finds in uniform noise of the same spread. It is so by 0.05 at least, of few rows by more, and
    fits from two seeds agree (adjusted Rand index of 0.8 or more). If there is no such k, none
    stands out.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(100, 2)) + at for at in ([0, 0], [9, 0], [0, 9])])
    >>> found = sweep(X, range(2, 7), random_state=0)
    >>> found.recommended, found.elbow
    (3, 3)
    """
    counts = checked_counts(n_clusters)
    if not isinstance(init, str):
        raise ArgumentError("init should be a name: one array does not fit several n_clusters.")
    if sample_size is not None:
        check_integer("sample_size", sample_size, 1)
    estimator = KMeans(
        counts[-1],
        init=init,
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
        random_state=random_state,
        scale=scale,
        oversampling_factor=oversampling_factor,
        init_rounds=init_rounds,
        coreset_size=coreset_size,
    )
    asked = Sweeping(estimator, counts, sample_size)
    settings = asked.settings()
    told = Callbacks(callbacks)
    rows = as_rows(X, sample_weight, stage=stage)
    swept = rows if sample is None else rows.sample(sample)
    try:
        if swept.n_source_rows is not None:
            check_enough(swept.n_source_rows, 1.0, counts[-1])
        demand = asked.demand(swept.n_features, swept.dtype)
        check_fits(swept, demand, swept.engine.slots())
        told.began({**parameters(settings), "n_clusters": counts})
        found = _sweep(swept, settings, counts, checkpoint, told, sample_size)
        told.ended(found.models[found.recommended or counts[-1]])
    except BaseException as error:
        told.failed(error)
        raise
    finally:
        if swept is not rows:
            swept.close()
        if not isinstance(X, Rows):
            rows.close()
    return found


@dataclass(frozen=True)
class Sweeping:
    """What a sweep will ask of rows, for `Rows.plan`.

    Examples
    --------
    >>> import numpy as np
    >>> from dkmeans import KMeans, Rows
    >>> rows = Rows.from_array(np.arange(60.0).reshape(30, 2))
    >>> rows.plan(Sweeping(KMeans(init="coreset", n_init=3, max_iter=8), [2, 4, 6])).most_passes
    11
    """

    estimator: KMeans
    """With the parameters of the sweep, but for the numbers of clusters."""

    n_clusters: Iterable[int]
    """The numbers of clusters."""

    sample_size: int | None = 3_000
    """Rows for the silhouette by distances between rows."""

    def settings(self) -> KMeansSettings:
        """Return what the fits are asked for.

        Raises
        ------
        ArgumentError
            If a value cannot be.
        """
        counts = checked_counts(self.n_clusters)
        settings = replace(self.estimator.settings(), n_clusters=counts[-1], each=tuple(counts))
        settings.check()
        return settings

    def demand(self, n_features: int, dtype: str) -> Demand:
        """Return what fits and figures ask of rows with so many features."""
        settings = self.settings()
        figures = sweep_demand(settings.each, self.sample_size, n_features, dtype)
        return replace(demand_of(settings, n_features, dtype), then=figures)


def checked_counts(n_clusters: Iterable[int]) -> list[int]:
    """Return numbers of clusters, ascending, each once.

    Raises
    ------
    ArgumentError
        If there are none, or one is no integer from 1 on.
    """
    try:
        given = list(n_clusters)
    except TypeError:
        raise ArgumentError(
            f"n_clusters={n_clusters!r} should be several integers, as range(2, 11)."
        ) from None
    counts = sorted({check_integer("n_clusters", k, 1) for k in given})
    if not counts:
        raise ArgumentError(f"n_clusters={n_clusters!r} has no numbers; give some.")
    return counts


def _sweep(
    rows: Rows,
    settings: KMeansSettings,
    counts: Sequence[int],
    checkpoint: str | None,
    callbacks: Callbacks,
    sample_size: int | None,
) -> Sweep:
    before = rows.n_passes, rows.bytes_read
    fits = fit_each(rows, settings, counts, checkpoint, callbacks)
    models = {k: _model(fit, rows, settings, k) for k, fit in fits.items()}
    _warn_of(fits)
    seed = next(iter(fits.values())).result.seed
    found, sampled = of_fits(rows, list(models.values()), sampling_of(sample_size, seed))
    others = [fit.other for fit in fits.values()]
    scores = scores_of(list(models.values()), others, found, sampled, sample_size, seed)
    elbow = elbow_of(list(models), [one.inertia for one in scores])
    n_rows = found[0].clusters.n_rows
    choice = choose(scores, elbow, n_rows)
    return Sweep(
        tuple(scores),
        models,
        elbow,
        choice.n_clusters,
        choice.reason,
        n_rows,
        rows.n_passes - before[0],
        rows.bytes_read - before[1],
    )


def _model(fit: Swept, rows: Rows, settings: KMeansSettings, k: int) -> Model:
    asked = replace(settings, n_clusters=k, seed=fit.result.seed)
    return fitted_model(fit.result, rows, asked, True)


def _warn_of(fits: Mapping[int, Swept]) -> None:
    """Warn of numbers of clusters that are more than the distinct rows."""
    empty = [k for k, fit in fits.items() if fit.result.fit.n_distinct < k]
    if empty:
        most = max(fits[k].result.fit.n_distinct for k in empty)
        warnings.warn(
            f"from n_clusters={empty[0]} on there are clusters without rows: only {most} have "
            "some, possibly due to duplicate points in X.",
            ConvergenceWarning,
            stacklevel=4,
        )
