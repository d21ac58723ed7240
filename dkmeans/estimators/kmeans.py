"""`KMeans` with scikit-learn's names, for data of any size."""

from collections.abc import Sequence
from typing import Any

from dkmeans.algorithms.callbacks import Callback, Callbacks
from dkmeans.algorithms.demand import demand_of
from dkmeans.algorithms.kmeans import kmeans
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.settings import STARTS, KMeansSettings
from dkmeans.estimators.clusterer import Clusterer, seed_of
from dkmeans.rows.demand import Demand
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName


class KMeans(Clusterer):
    """k-means clustering of rows that may not fit in memory.

    Passes over the data: 1 for the read of "coreset", which finds the scale, too; else 1 for scale
    and first rows, and `init_rounds + 1` for k-means||. Then 1 for each iteration, 1 for each
    relocation of empty clusters, 1 more if `max_iter` ends the fit.

    Parameters
    ----------
    n_clusters
        Number of clusters.
    init
        "coreset": read all rows once, draw a weighted sample that stands for them, cluster it in
        memory, and go on from the best that is found. "k-means||" (alias "scalable"): seeding in
        few passes. "k-means++": greedy, exact, for rows that fit in one process. "random": rows.
        Or an array `(n_clusters, n_features)`, in the units of X.
    n_init
        Restarts from other seeds; the fit of least inertia is kept. They share passes, and those
        that are beaten are dropped. Of "coreset", restarts in memory: the best one, or two, go on
        to all rows. "auto" is 8 for "coreset", else 1.
    max_iter
        Most iterations.
    tol
        Stop when moving the centers to their rows' means would lower the inertia by at most this
        share of it. 0 goes on until the centers come out unchanged, bit for bit.
    random_state
        Seed; None for a fresh one, which the model records. The same seed gives the same bits for
        any number of workers.
    scale
        Applied to rows as they are read: "standard" (mean 0, variance 1), "minmax" (0 to 1),
        "maxabs" (greatest absolute value 1), "robust" (median 0, interquartile range 1; see
        `RobustScaler`), "normalize" (each row to length 1, so that distances tell directions apart)
        or None.
    oversampling_factor
        Candidates of a round of k-means||, in units of `n_clusters`.
    init_rounds
        Rounds of k-means||.
    coreset_size
        About how many rows the coreset has; all, if there are no more. None for 1024 for each
        cluster, at least 200 000 and at most 5 000 000. They have to fit in the memory of a worker.
    stage
        Where decoded blocks stay between passes: "memory", "disk", "none" or "auto", as in
        `read_parquet`. For input that is not `Rows` yet.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each pass. A fit
        whose state lies there goes on from it, also with other workers, memory or staging, and
        gives the bits that it would have given. Remove it to start afresh.
    callbacks
        A list of callables. Each is called after every pass with an `Event`: kind, name, number,
        inertia, gain, rows, seconds, centers. If one returns True, the fit ends as if `max_iter`
        were reached, with one more pass, so that centers, inertia and labels agree; seeding that
        is under way is ended first, and 0 iterations follow. Callbacks may have methods `began`,
        `ended` and `failed`, too, which hear of the fit as a whole. They run in this process.
    on_interrupt
        What Ctrl-C does once an iteration is over: "raise" `KeyboardInterrupt`, or "return" at
        once, with a `FitInterrupted` warning, the centers of least inertia among those whose
        inertia is known: the ones that entered the last iteration. A checkpoint stays and leads on.

    Attributes
    ----------
    cluster_centers_
        `(n_clusters, n_features)` float64, in the units of X; with `scale="normalize"`, which
        cannot be undone, means of rows of length 1.
    scaled_centers_
        The same in the space where distances are measured: of the scaled features.
    inertia_
        Weighted sum of squared distances in that space.
    labels_
        `(n_samples,)` index of each row's center: NumPy for in-memory input, a lazy Dask Array,
        which is not pickled, else.
    n_iter_
        Iterations made.
    converged_
        Whether the rule of `tol` was met.
    stopped_by_
        "callback" or "interrupt" if one ended the fit before its own rules did; else None.
    gain_
        What moving the centers once more would lower `inertia_` by, labels fixed.
    coreset_error_
        With `init="coreset"`: by what share the coreset overestimated the inertia of the centers
        that were solved on it. None with others.
    history_
        A record of each pass: kind, inertia, gain, shift, empty_clusters, seconds, rows_read,
        bytes_read. With `init="coreset"` it has, too, what are no passes: "pilot", the look at a
        few rows before the "read", and "solve", whose inertia is that of the coreset.
    n_passes_
        Passes made, those of all restarts together.
    model_
        The `Model`, to save and to predict with.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = KMeans(n_clusters=2, random_state=0).fit(X)
    >>> sorted(kmeans.cluster_centers_.tolist())
    [[1.0, 2.0], [10.0, 2.0]]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "coreset",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        scale: str | None = None,
        oversampling_factor: float = 2.0,
        init_rounds: int = 5,
        coreset_size: int | None = None,
        stage: StageName = "auto",
        checkpoint: str | None = None,
        callbacks: Sequence[Callback] | None = None,
        on_interrupt: str = "raise",
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
        self.coreset_size = coreset_size
        self.stage = stage
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.on_interrupt = on_interrupt

    def settings(self) -> KMeansSettings:
        """Return what a fit with these parameters is asked for."""
        return KMeansSettings(
            n_clusters=self.n_clusters,
            init=self.init,
            n_init=self._n_init(
                auto=STARTS if isinstance(self.init, str) and self.init == "coreset" else 1
            ),
            seed=seed_of(self.random_state),
            scale=self.scale,
            oversampling_factor=self.oversampling_factor,
            init_rounds=self.init_rounds,
            tol=self.tol,
            fresh_seed=self.random_state is None,
            max_iter=self.max_iter,
            coreset_size=self.coreset_size,
        )

    def _demand(self, settings: KMeansSettings, n_features: int, dtype: str) -> Demand:
        return demand_of(settings, n_features, dtype)

    def _keep(
        self, result: FitResult, rows: Rows, settings: KMeansSettings, of_all_rows: bool
    ) -> None:
        super()._keep(result, rows, settings, of_all_rows)
        self.coreset_error_ = result.coreset_error

    def _cluster(self, rows: Rows, settings: KMeansSettings, callbacks: Callbacks) -> FitResult:
        return kmeans(rows, settings, self.checkpoint, callbacks, self.on_interrupt)
