"""All metrics of a model on some rows, together."""

from collections.abc import Iterable
from typing import Any

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.agreement.agreement import Agreement
from dkmeans.evaluation.asked import model_of, opened
from dkmeans.evaluation.demand import evaluation_demand
from dkmeans.evaluation.evaluation import Evaluation
from dkmeans.evaluation.metrics import METRICS, Figure, Metric
from dkmeans.evaluation.passes import of_fit, of_model
from dkmeans.evaluation.statistics import Need, Sampling, Statistics
from dkmeans.models.model import Model
from dkmeans.rows.input_digest import input_digest
from dkmeans.rows.reading import is_lazy, is_out_of_memory
from dkmeans.rows.rows import Rows
from dkmeans.rows.task_memory import check_fits


def evaluate(
    model: Any,
    X: Any,
    y_true: Any = None,
    *,
    sample_weight: Any = None,
    metrics: Iterable[str] | None = None,
    sample_size: int | None = 10_000,
    random_state: int | None = 0,
) -> Evaluation:
    """Compute metrics of a model on some rows, all of them in two passes.

    On the rows of the fit its statistics are used again: inertia, explained share and
    Calinski-Harabasz take no pass then, all metrics together take one. One more pass counts rows of
    unknown number (Dask DataFrames), one draws a sample again where a few rows have most of the
    weight.

    Parameters
    ----------
    model
        A `Model`, or a fitted estimator.
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    y_true
        True labels, to compare clusters with: `(n_samples,)`, cut as X is; or the name of a column
        of X. For `Rows`, one that they were opened with, `read_parquet(labels=[...])`.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.
    metrics
        Which to compute, by name; None for all.

        - "inertia": weighted sum of squared distances to centers.
        - "explained_share": 1 - inertia / sum of squared distances to the mean of all rows.
        - "calinski_harabasz", "davies_bouldin": as scikit-learn's.
        - "silhouette": by Euclidean distances between rows, of a sample of `sample_size` of them;
          exact if there are no more.
        - "silhouette_squared": by squared distances between all rows, exact, as Spark's.
        - "silhouette_simplified": by distances to the centers of the model, those of clusters that
          have no rows here among them.

        In all silhouettes rows that are alone in their cluster count as 0.
    sample_size
        Rows to sample, by weight, for "silhouette"; None for all.
    random_state
        Seed of the sample; None for a fresh one.

    Returns
    -------
    Evaluation
        Shown as text or in a notebook; `to_frame()` has a row for each cluster.

    Raises
    ------
    ArgumentError
        If there is no metric of a name.
    FeaturesMismatch
        If X has other features than the model.
    """
    model = model_of(model)
    chosen = chosen_metrics(metrics)
    sampling = Sampling.checked(sample_size, random_state)
    check_truth(y_true, X)
    labels = () if y_true is None else (y_true,)
    with opened(model, X, sample_weight, labels) as rows:
        return _evaluated(model, rows, chosen, y_true is not None, sampling)


def check_truth(y_true: Any, X: Any) -> None:
    """Raise `ArgumentError` if true labels must be a column of X and are not."""
    if y_true is None or isinstance(y_true, str) or is_lazy(X) or not is_out_of_memory(X):
        return
    raise ArgumentError(
        f"y_true is a {type(y_true).__name__}; for Parquet and Rows name a column of true labels."
    )


def chosen_metrics(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the metrics that are asked for, in order.

    Raises
    ------
    ArgumentError
        If there is none of a name, or none is asked for.
    """
    known = tuple(metric.name for metric in METRICS)
    if names is None:
        return known
    asked = (names,) if isinstance(names, str) else tuple(names)
    for name in asked:
        if name not in known:
            raise ArgumentError(f"metrics={name!r} is none of {', '.join(known)}.")
    if not asked:
        raise ArgumentError(f"metrics={names!r} names none of {', '.join(known)}.")
    return tuple(name for name in known if name in asked)


def _evaluated(
    model: Model, rows: Rows, chosen: tuple[str, ...], has_truth: bool, sampling: Sampling
) -> Evaluation:
    asked = [metric for metric in METRICS if metric.name in chosen]
    needs: set[Need] = {need for metric in asked for need in metric.needs}
    if has_truth:
        needs.add("truth")
    known = known_of_fit(model, rows)
    before = rows.n_passes
    demand = evaluation_demand(model, needs, sampling)
    check_fits(rows, demand, rows.engine.slots())
    found = of_model(rows, model, needs, known=known, sampling=sampling)
    # not if files had to be left out meanwhile
    reused = known is not None and found.inertias is known.inertias
    return evaluation_of(model, found, asked, n_passes=rows.n_passes - before, reused=reused)


def evaluation_of(
    model: Model, found: Statistics, asked: Iterable[Metric], *, n_passes: int, reused: bool
) -> Evaluation:
    """Compute metrics of what passes have found."""
    figures: dict[str, Figure] = {}
    undefined: dict[str, str] = {}
    for metric in asked:
        try:
            figures[metric.name] = metric.of(found)
        except ArgumentError as error:
            undefined[metric.name] = str(error)
    return Evaluation(
        found.clusters.n_rows,
        model.cluster_ids,
        found.clusters.weight,
        figures,
        undefined,
        None if found.truth is None else Agreement.of(found.truth),
        n_passes,
        reused,
        dict(model.cluster_names),
    )


def known_of_fit(model: Model, rows: Rows) -> Statistics | None:
    """Return what the model knows of `rows`, if these are the rows of its fit."""
    fitted_to = model.provenance.get("input")
    if fitted_to is None or fitted_to != input_digest(rows):
        return None
    return of_fit(model)
