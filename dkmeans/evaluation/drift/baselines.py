"""Give models what the rows of their fit were like."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dkmeans.evaluation.asked import model_of
from dkmeans.evaluation.drift.passes import as_kept, found_baselines
from dkmeans.models.baseline import Baseline
from dkmeans.models.model import Model


def with_baseline(model: Any, X: Any, *, sample_weight: Any = None) -> Model:
    """Return a model with a baseline: aggregates of rows, which `drift` compares others with.

    One pass over the rows; of `Rows` that a fit has just staged, over kept blocks. One more counts
    rows of unknown number (Dask DataFrames).

    Parameters
    ----------
    model
        A `Model`, or a fitted estimator. Not modified.
    X
        The rows of the fit, or others that are as they should be: a URL or path of Parquet, `Rows`,
        a Dask Array or DataFrame, a NumPy array, a pandas DataFrame or an Arrow table. Rows with
        missing values that the model does not fill count for nothing but what is missing.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.

    Returns
    -------
    Model
        The same, with `baseline`; what the pass took is added to its history.

    Raises
    ------
    FeaturesMismatch
        If X has other features than the model.
    TooFewRows
        If no row has any weight.
    TooLarge
        If a task does not fit in the memory of the workers.

    Examples
    --------
    >>> import numpy as np
    >>> from dkmeans import KMeans
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> model = with_baseline(KMeans(3, random_state=0).fit(X), X)
    >>> model.baseline.n_rows, model.provenance["history"][-1]["kind"]
    (500, 'baseline')
    """
    model = model_of(model)
    record: dict[str, Any] = {}
    with as_kept(model, X, sample_weight) as (rows, scaled):
        (found,) = found_baselines([model], rows, scaled, record)
    return _with(model, found, record)


def with_baselines(models: Mapping[int, Model], X: Any) -> dict[int, Model]:
    """Return models of one scaling and filling, as a sweep has them, with baselines: one pass."""
    record: dict[str, Any] = {}
    with as_kept(next(iter(models.values())), X, None) as (rows, scaled):
        found: Sequence[Baseline] = found_baselines([*models.values()], rows, scaled, record)
    return {
        k: _with(model, one, record) for (k, model), one in zip(models.items(), found, strict=True)
    }


def _with(model: Model, baseline: Baseline, record: Mapping[str, Any]) -> Model:
    provenance = dict(model.provenance)
    if "history" in provenance:
        provenance["history"] = [*provenance["history"], dict(record)]
    for name, more in (
        ("n_passes", 1),
        *((one, record[one]) for one in ("rows_read", "bytes_read")),
    ):
        if name in provenance:
            provenance[name] += more
    return replace(model, baseline=baseline, provenance=provenance)
