"""`MiniBatchKMeans` with scikit-learn's names, for data of any size and for streams."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from dkmeans.algorithms.callbacks import Callback, Callbacks
from dkmeans.algorithms.demand import minibatch_demand
from dkmeans.algorithms.incremental import followed, started
from dkmeans.algorithms.lloyd import Fit
from dkmeans.algorithms.minibatch import MiniBatchResult, minibatch
from dkmeans.algorithms.settings import MiniBatchSettings
from dkmeans.algorithms.stream import HalfLifeUnit, LearningRate, Stream
from dkmeans.errors import ArgumentError
from dkmeans.estimators.clusterer import Clusterer, seed_of
from dkmeans.rows.demand import Demand
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.with_features import rows_with


class MiniBatchKMeans(Clusterer):
    """k-means whose centers follow batches of rows.

    Each step assigns the rows of one batch, drawn at random from several places of the data, and
    moves the centers they are nearest to. A sample that is held out says when to stop. Passes: 1
    for scale and sample, 1 for each epoch, 1 that assigns all rows to the final centers. Inertia
    and labels are exact.

    Parameters
    ----------
    n_clusters
        Number of clusters.
    init
        "k-means||" (alias "scalable"), "k-means++" or "random": how a sample of the rows, spread
        over all of them, is seeded, whose local optimum the first batch starts from. Or an array
        `(n_clusters, n_features)`, in the units of X.
    n_init
        Seedings of the sample from other seeds; the one that suits the held-out rows best is kept.
        "auto" is 3.
    init_size
        Rows of the sample to seed from. None for `max(3 * batch_size, 300 * n_clusters)`, fewer
        where that is more than 64 MiB.
    batch_size
        Stored rows of a step, those that a filter drops included.
    n_slots
        Blocks that a step draws from; more where blocks are small. Up to `8 * n_slots` leaves (a
        leaf has up to 8 blocks) are open at a time: what is not staged is kept on local disks until
        all of its rows are drawn.
    learning_rate
        "count": each row moves its center by one over the number of rows that it has had (Sculley).
        "share": a batch moves a center by the square root of the share of its rows in the batch
        (Schwartzman). That goes on faster for longer, and stays unsteady where rows are stored in
        some order.
    max_epochs
        Most epochs: each visits every row once.
    max_no_improvement
        Stop after so many looks in a row, at the held-out rows, that have not lowered their inertia
        by `tol` of it, or after as many rows as there are; before the first epoch is over only if
        the centers have no more than that to gain. None goes on for `max_epochs`.
    tol
        See `max_no_improvement`. The seeding stops by it, too.
    reassignment_ratio
        Centers with less than this part of the mean weight of a center, twice in a row, are seeded
        again by distance. 0 leaves them alone.
    half_life, half_life_unit
        The weight of what came before a batch is halved for each `half_life` of "rows" (their
        weights are counted) or "batches" that pass. None forgets nothing. Needs
        `learning_rate="count"`.
    random_state
        Seed; None for a fresh one, which the model records. The same seed gives the same bits for
        any number of workers.
    scale
        As for `KMeans`. A stream has no first pass to learn it from: use a scaler's `partial_fit`.
    oversampling_factor, init_rounds
        Of k-means||, as for `KMeans`.
    stage
        Where decoded blocks stay between passes: "memory", "disk", "none" or "auto", as in
        `read_parquet`. For input that is not `Rows` yet.
    checkpoint
        A folder, on any fsspec URL, where the state of the fit is stored after each epoch, and once
        a minute. A fit whose state lies there goes on from it and gives the bits that it would have
        given. Remove it to start afresh.
    callbacks
        As for `KMeans`; also called after each step, with the inertia and gain of its batch. If one
        returns True, the epoch ends at once, and the final pass follows. Not called by
        `partial_fit`.
    on_interrupt
        What Ctrl-C does once a step is over: "raise" `KeyboardInterrupt`, or "return" at once, with
        a `FitInterrupted` warning, the centers as they are; figures are then estimates from the
        held-out rows. A checkpoint stays and leads on.

    Attributes
    ----------
    cluster_centers_
        `(n_clusters, n_features)` float64, in the units of X.
    scaled_centers_
        The same in the space where distances are measured: of the scaled features.
    inertia_
        Weighted sum of squared distances in that space: of all rows after `fit`; after
        `partial_fit` of all rows so far, each to the center that it had when it came, forgotten as
        `half_life` says.
    labels_
        `(n_samples,)` index of each row's center, as for `KMeans`; not after `partial_fit`.
    n_iter_, n_steps_
        Epochs begun, and steps made; after `partial_fit` both are steps.
    converged_
        Whether `max_no_improvement` stopped it.
    stopped_by_
        "callback" or "interrupt" if one ended the fit before its own rules did; else None.
    gain_
        What moving the centers once more would lower `inertia_` by, labels fixed.
    history_
        A record of each pass, as of `KMeans`; inertia and gain of epochs are those of the held-out
        rows.
    n_passes_
        Passes made, an epoch counted as one.
    model_
        The `Model`, to save and to predict with.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    References
    ----------
    .. [1] D. Sculley, "Web-scale k-means clustering", WWW 2010.
    .. [2] G. Schwartzman, "Mini-batch k-means terminates within O(d/epsilon) iterations", ICLR
       2023.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> kmeans = MiniBatchKMeans(n_clusters=2, random_state=0).fit(X)
    >>> sorted(kmeans.cluster_centers_.tolist())
    [[1.0, 2.0], [10.0, 2.0]]
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means||",
        n_init: int | str = "auto",
        init_size: int | None = None,
        batch_size: int = 16_384,
        n_slots: int = 8,
        learning_rate: LearningRate = "count",
        max_epochs: int = 100,
        max_no_improvement: int | None = 10,
        tol: float = 1e-3,
        reassignment_ratio: float = 0.01,
        half_life: float | None = None,
        half_life_unit: HalfLifeUnit = "rows",
        random_state: Any = None,
        scale: str | None = None,
        oversampling_factor: float = 2.0,
        init_rounds: int = 5,
        stage: StageName = "auto",
        checkpoint: str | None = None,
        callbacks: Sequence[Callback] | None = None,
        on_interrupt: str = "raise",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.init_size = init_size
        self.batch_size = batch_size
        self.n_slots = n_slots
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.max_no_improvement = max_no_improvement
        self.tol = tol
        self.reassignment_ratio = reassignment_ratio
        self.half_life = half_life
        self.half_life_unit = half_life_unit
        self.random_state = random_state
        self.scale = scale
        self.oversampling_factor = oversampling_factor
        self.init_rounds = init_rounds
        self.stage = stage
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.on_interrupt = on_interrupt

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Follow X, as one batch: one pass over it.

        The first call seeds from a sample of X. After `fit`, the stream goes on from there, with
        each row of the fit counted once.

        Parameters
        ----------
        X
            `(n_samples, n_features)`, of any kind that `fit` takes.
        y
            Ignored.
        sample_weight
            `(n_samples,)`: weight w means w copies of a row.

        Raises
        ------
        ArgumentError
            If a parameter cannot be, or `scale` is to be learned from a stream.
        InputRefused
            If the data cannot be clustered, or differ in their features from those before.
        """
        settings = self.checked_settings()
        goes_on = hasattr(self, "_stream")
        if goes_on:
            model = self.model_
            if settings.n_clusters != len(model.scaled_centers):
                raise ArgumentError(
                    f"n_clusters={settings.n_clusters!r} differs from the "
                    f"{len(model.scaled_centers)} clusters that the stream has; keep it, or begin "
                    "a stream with another estimator."
                )
            settings = replace(settings, seed=int(model.provenance["seed"]))
            rows = rows_with(
                X, model.columns, model.n_features, model.dtype, sample_weight, model.filling
            ).scaled(model.scaling)
        elif settings.scale is not None:
            raise ArgumentError(
                f"scale={settings.scale!r} cannot be learned from a stream; scale X with a scaler "
                "of its own, which has partial_fit, or call fit first."
            )
        else:
            rows = as_rows(X, sample_weight, stage=self.stage)
        try:
            stream = followed(rows, self._stream if goes_on else started(rows, settings), settings)
            ledger = stream.ledger
            fit = Fit(stream.centers, ledger, stream.n_steps, False, ledger.gain(stream.centers))
            before = self.model_.provenance if goes_on else {}
            result = MiniBatchResult(
                fit,
                rows.scaling,
                settings.seed,
                (),
                before.get("run_id", uuid.uuid4().hex),
                before.get("n_passes", 0) + rows.n_passes,
                before.get("rows_read", 0) + rows.rows_read,
                before.get("bytes_read", 0) + rows.bytes_read,
                stream,
            )
            self._keep(result, rows, settings, of_all_rows=False)
        finally:
            if not isinstance(X, Rows):
                rows.close()
        if hasattr(self, "labels_"):
            del self.labels_
        return self

    def settings(self) -> MiniBatchSettings:
        """Return what a fit with these parameters is asked for."""
        return MiniBatchSettings(
            n_clusters=self.n_clusters,
            init=self.init,
            n_init=self._n_init(auto=3),
            seed=seed_of(self.random_state),
            scale=self.scale,
            oversampling_factor=self.oversampling_factor,
            init_rounds=self.init_rounds,
            tol=self.tol,
            fresh_seed=self.random_state is None,
            batch_size=self.batch_size,
            n_slots=self.n_slots,
            init_size=self.init_size,
            learning_rate=self.learning_rate,
            half_life=self.half_life,
            half_life_unit=self.half_life_unit,
            max_epochs=self.max_epochs,
            max_no_improvement=self.max_no_improvement,
            reassignment_ratio=self.reassignment_ratio,
        )

    def _demand(self, settings: MiniBatchSettings, n_features: int, dtype: str) -> Demand:
        return minibatch_demand(settings, n_features, dtype)

    def _cluster(
        self, rows: Rows, settings: MiniBatchSettings, callbacks: Callbacks
    ) -> MiniBatchResult:
        return minibatch(rows, settings, self.checkpoint, callbacks, self.on_interrupt)

    def _keep(
        self, result: Any, rows: Rows, settings: MiniBatchSettings, of_all_rows: bool
    ) -> None:
        super()._keep(result, rows, settings, of_all_rows)
        self._stream: Stream = result.stream
        self.n_steps_ = result.stream.n_steps
