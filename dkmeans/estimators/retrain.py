"""`retrain`: a model that follows new rows without reading the old ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dkmeans.algorithms.callbacks import Callback, Callbacks
from dkmeans.algorithms.demand import demand_of
from dkmeans.algorithms.result import FitResult
from dkmeans.algorithms.retraining import CHAMPION, RetrainSettings
from dkmeans.algorithms.retraining import retrain as retrain_rows
from dkmeans.estimators.clusterer import warn_of
from dkmeans.estimators.provenance import parent_of, provenance
from dkmeans.models.model import Model
from dkmeans.rows.rows import Rows
from dkmeans.rows.staging import StageName
from dkmeans.rows.task_memory import check_fits
from dkmeans.rows.with_features import rows_with, tell


def retrain(
    model: Model,
    X: Any,
    *,
    decay: float = 1.0,
    sample_weight: Any = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    stage: StageName = "auto",
    checkpoint: str | None = None,
    callbacks: Sequence[Callback] | None = None,
    on_interrupt: str = "raise",
) -> Model:
    """Let a model follow new rows, and remember the rows that it came of by their sums alone.

    Lloyd's iterations over the new rows, one pass each, from the centers of the model. Its scaling
    is kept. The old rows stay in their clusters, with the weights, means and inertias that the
    model has of them, the weights multiplied by `decay`. The inertia of both is what each iteration
    lowers, and what `tol` is a share of.

    Clusters that split, or come new, are not found by so small steps: see `window_fit`.

    Parameters
    ----------
    model
        Where to begin: the champion.
    X
        The new rows alone, `(n_samples, n_features)`, of any kind that `KMeans.fit` takes. Columns
        are found by name where the model has names.
    decay
        What the weights of the old rows are multiplied by, above 0 and at most 1: 1 to forget
        nothing; `0.5 ** (age / half_life)` for rows that lose half of their weight in each
        `half_life`, `age` being the time since the model was fitted, in the same unit.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    max_iter
        Most iterations.
    tol
        Stop when moving the centers would lower the inertia of new and old rows by at most this
        share of it. 0 goes on until the centers come out unchanged, bit for bit.
    stage, checkpoint, callbacks, on_interrupt
        As for `KMeans`; events have the inertia of new and old rows.

    Returns
    -------
    Model
        The challenger, with the champion's scaling, columns and cluster ids. `weights`, `inertias`
        and `scaled_means` are those of new and old rows: the ledger that the next retraining
        decays. `provenance["retrained"]` tells `decay`, the number, weight and inertia of the new
        rows alone, `provenance["parent"]` the run and the id of the champion.

    Raises
    ------
    ArgumentError
        If a parameter cannot be.
    FeaturesMismatch
        If X has not the features of the model.
    InputRefused
        If there are no new rows, or they cannot be used.
    InputChanged
        If the checkpoint belongs to another fit.

    Examples
    --------
    >>> import numpy as np
    >>> from dkmeans import KMeans
    >>> champion = KMeans(2, random_state=0).fit([[0.0], [2.0], [8.0], [10.0]]).model_
    >>> challenger = retrain(champion, [[4.0], [4.0]], decay=0.5)
    >>> sorted(challenger.centers.ravel().tolist())
    [3.0, 9.0]
    """
    settings = RetrainSettings.of(model, decay=decay, max_iter=max_iter, tol=tol)
    settings.check()
    told = Callbacks(callbacks)
    rows = rows_with(
        X, model.columns, model.n_features, model.dtype, sample_weight, model.filling, stage
    )
    try:
        demand = demand_of(settings, rows.n_features, rows.dtype)
        check_fits(rows, demand, rows.engine.slots())
        told.began(_parameters(model, settings))
        result = retrain_rows(rows, model, settings, checkpoint, told, on_interrupt)
        warn_of(result.fit, settings, result.n_passes)
        challenger = _challenger(model, result, rows, settings)
        told.ended(challenger)
    except BaseException as error:
        told.failed(error)
        raise
    finally:
        if isinstance(X, Rows):
            tell(X, rows)
        else:
            rows.close()
    return challenger


def _challenger(champion: Model, result: FitResult, rows: Rows, settings: RetrainSettings) -> Model:
    fit = result.fit
    assert fit.of_rows is not None
    found = {
        **provenance(result, rows, settings, of_all_rows=False),
        "parent": parent_of(champion),
        "retrained": {
            "decay": settings.decay,
            "rows": fit.of_rows.n_rows,
            "weight": float(fit.of_rows.weight.sum()),
            "inertia": fit.of_rows.inertia,
        },
    }
    return replace(
        champion,
        scaled_centers=fit.centers,
        weights=fit.ledger.weight,
        inertias=fit.ledger.sq_distances,
        scaled_means=fit.ledger.centers(otherwise=fit.centers),
        dtype=rows.dtype,
        filling=champion.filling if rows.known.filling is None else rows.known.filling,
        # that of other rows
        baseline=None,
        parameters=_parameters(champion, settings),
        provenance=found,
    )


def _parameters(champion: Model, settings: RetrainSettings) -> Mapping[str, Any]:
    """Return what the champion was asked for, with what is asked for now."""
    asked = ("n_clusters", "max_iter", "tol", "decay")
    now = {name: getattr(settings, name) for name in asked}
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in now.items()
    }
    return {**champion.parameters, "init": CHAMPION, **plain}
