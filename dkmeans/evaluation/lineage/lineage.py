"""The lineage of two models on some rows, in one call."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from dkmeans.evaluation.asked import answers, model_of, opened
from dkmeans.evaluation.demand import flow_demand
from dkmeans.evaluation.lineage.flow import check_features, flow_request, of_nothing
from dkmeans.evaluation.lineage.match import match
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.models.model import Model
from dkmeans.partials.contingency import Contingency
from dkmeans.rows.known import RowsChanged
from dkmeans.rows.task_memory import check_fits


def lineage(
    champion: Any,
    challenger: Any,
    X: Any = None,
    *,
    sample_weight: Any = None,
    least_new_id: int = 0,
) -> Lineage:
    """Find which clusters of a new model are which of the one before, in one pass over rows.

    One more pass counts rows of unknown number (Dask DataFrames). See `match` for how.

    Parameters
    ----------
    champion, challenger
        The old and the new model: a `Model`, or a fitted estimator. `continued(challenger,
        champion, lineage)` gives the new one the old ids.
    X
        `(n_samples, n_features)`, the rows that both label: a URL or path of Parquet, `Rows`, a
        Dask Array or DataFrame, a NumPy array, a pandas DataFrame or an Arrow table. None to match
        by centers alone.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    least_new_id
        New ids are at least this.

    Returns
    -------
    Lineage
        Shown as text or in a notebook; `to_frame()` has a row for each cluster.

    Raises
    ------
    ArgumentError
        If X is None and the centers of the models cannot be compared.
    FeaturesMismatch
        If X or the models have other features.
    TooLarge
        If a task does not fit in the memory of the workers, or clusters are too many to match.

    Examples
    --------
    >>> from dkmeans import KMeans, lineage
    >>> X = [[0.0], [1.0], [9.0], [11.0], [30.0]]
    >>> old = KMeans(init=[[0.0], [10.0]], n_clusters=2).fit(X)
    >>> new = KMeans(init=[[30.0], [10.0], [0.0]], n_clusters=3).fit(X)
    >>> found = lineage(old, new, X)
    >>> found.new_ids.tolist(), found.churn
    ([2, 1, 0], 0.2)
    """
    old, new = model_of(champion), model_of(challenger)
    check_features(old, new)
    flow = None if X is None else flow_between(old, new, X, sample_weight)
    return match(old, new, flow, least_new_id=least_new_id)


def flow_between(
    champion: Model, challenger: Model, X: Any, sample_weight: Any = None
) -> Contingency:
    """Count the rows that each pair of clusters has in common, by label, in one pass.

    Parameters are those of `lineage`.
    """
    request = flow_request(champion, challenger)
    with opened(_reader(champion, challenger), X, sample_weight) as rows:
        raw = rows.scaled(None)
        check_fits(raw, flow_demand(champion, challenger), raw.engine.slots())
        while True:
            with suppress(RowsChanged):
                return answers(raw, [request])[0]


def _reader(champion: Model, challenger: Model) -> Model:
    """A model whose rows serve both: of the wider dtype, and with gaps if one of them fills any."""
    dtype = max(champion.dtype, challenger.dtype)  # "float64" comes after "float32"
    fills = champion.filling is not None or challenger.filling is not None
    named = champion if champion.columns is not None else challenger
    return replace(named, dtype=dtype, filling=of_nothing(named.n_features) if fills else None)
