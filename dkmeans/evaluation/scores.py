"""Metrics of labels, with the names and signatures of scikit-learn, for rows of any kind and size.

Labels are given, by whatever clusterer; `dkmeans.evaluate` is for those of a model. Weight w means
w copies of a row.
"""

from typing import Any, Literal

from dkmeans.errors import ArgumentError
from dkmeans.evaluation import metrics
from dkmeans.evaluation.agreement import agreement
from dkmeans.evaluation.agreement.agreement import AverageMethod
from dkmeans.evaluation.passes import of_labels
from dkmeans.evaluation.silhouettes.score import SilhouetteMethod, SilhouetteScore, metric_of
from dkmeans.evaluation.statistics import Need, Sampling, Statistics
from dkmeans.partials.contingency import Contingency
from dkmeans.rows.reading import as_rows
from dkmeans.rows.rows import Rows


def calinski_harabasz_score(X: Any, labels: Any, *, sample_weight: Any = None) -> float:
    """Return the variance between clusters over that within, each by its degrees of freedom.

    One pass; two where labels lie so far apart that digits would be lost. Rows of unknown number
    are counted in one more.

    Parameters
    ----------
    X
        `(n_samples, n_features)`: a URL or path of Parquet, `Rows`, a Dask Array or DataFrame, a
        NumPy array, a pandas DataFrame or an Arrow table.
    labels
        `(n_samples,)`: the cluster of each row, cut as X is; or the name of a column of X. For
        `Rows`, one that they were opened with, `read_parquet(labels=[...])`. Numbers or text.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row. For `Rows`, name the column there.

    Raises
    ------
    ArgumentError
        If all rows have one label, or each its own.

    References
    ----------
    .. [1] T. Calinski, J. Harabasz, "A dendrite method for cluster analysis", Communications in
       Statistics 3(1), 1974.
    """
    return metrics.calinski_harabasz(_found(X, labels, sample_weight, "within")[1]).value


def davies_bouldin_score(X: Any, labels: Any, *, sample_weight: Any = None) -> float:
    """Return the mean over clusters of the worst ratio of spreads to the distance of the means.

    Two passes. From 0; less is better.

    Parameters
    ----------
    X, labels, sample_weight
        As for `calinski_harabasz_score`.

    Raises
    ------
    ArgumentError
        If all rows have one label, or each its own.

    References
    ----------
    .. [1] D. Davies, D. Bouldin, "A cluster separation measure", IEEE Trans. Pattern Analysis and
       Machine Intelligence 1(2), 1979.
    """
    return metrics.davies_bouldin(_found(X, labels, sample_weight, "spread")[1]).value


def silhouette_score(
    X: Any,
    labels: Any,
    *,
    metric: Literal["euclidean"] = "euclidean",
    method: SilhouetteMethod = "sampled",
    sample_size: int | None = 10_000,
    random_state: int | None = 0,
    sample_weight: Any = None,
) -> SilhouetteScore:
    """Return how much nearer rows are to their own cluster than to the next one, from -1 to 1.

    Two passes. Rows that are alone in their cluster count as 0. Rows of unknown number are counted
    in one more pass; where a few rows have most of the weight, a sample is drawn again in another.

    Parameters
    ----------
    X, labels, sample_weight
        As for `calinski_harabasz_score`.
    metric
        Only "euclidean".
    method
        - "sampled": by Euclidean distances between rows, of a sample; with a confidence interval,
          which is wide where clusters lie on top of each other, and knows nothing of a few extreme
          rows that are not in the sample. Exact, and scikit-learn's, if there are no more than
          `sample_size` rows.
        - "squared": by squared distances between all rows, exact in linear time, as Spark's.
        - "simplified": by distances to the means of clusters.
    sample_size
        Rows to sample, by weight; None for all, which takes their number squared distances.
    random_state
        Seed of the sample; None for a fresh one.

    Returns
    -------
    SilhouetteScore
        A float that knows its confidence interval (`low`, `high`) and the score of each cluster
        (`per_cluster`, by label).

    Raises
    ------
    ArgumentError
        If all rows have one label, or each its own.

    References
    ----------
    .. [1] P. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
       cluster analysis", J. Computational and Applied Mathematics 20, 1987.
    """
    if metric != "euclidean":
        raise ArgumentError(f"metric={metric!r} should be 'euclidean'; scale or transform X first.")
    wanted = metric_of(method)
    sampling = Sampling.checked(sample_size, random_state)
    values, found = _found(X, labels, sample_weight, *wanted.needs, sampling=sampling)
    return SilhouetteScore.of(wanted.of(found), method, values)


def adjusted_rand_score(labels_true: Any, labels_pred: Any, *, sample_weight: Any = None) -> float:
    """Return how alike two labellings are by pairs of rows: 1 if they are the same, 0 by chance.

    One pass over the labels; scikit-learn's figure exactly.

    Parameters
    ----------
    labels_true, labels_pred
        `(n_samples,)` each: NumPy arrays, lists, Series, or Dask collections that are cut alike.
        Numbers or text.
    sample_weight
        `(n_samples,)`: weight w means w copies of a row.

    References
    ----------
    .. [1] L. Hubert, P. Arabie, "Comparing partitions", J. Classification 2, 1985.
    """
    return agreement.adjusted_rand(_contingency(labels_true, labels_pred, sample_weight))


def adjusted_mutual_info_score(
    labels_true: Any,
    labels_pred: Any,
    *,
    average_method: AverageMethod = "arithmetic",
    sample_weight: Any = None,
) -> float:
    """Return the mutual information of two labellings: 1 if they are the same, 0 by chance.

    One pass over the labels. `average_method` is the mean of the entropies that it is divided by:
    "arithmetic", "geometric", "min" or "max". Other parameters are as for `adjusted_rand_score`.

    References
    ----------
    .. [1] N. Vinh, J. Epps, J. Bailey, "Information theoretic measures for clusterings comparison",
       J. Machine Learning Research 11, 2010.
    """
    table = _contingency(labels_true, labels_pred, sample_weight)
    return agreement.adjusted_mutual_info(table, average_method)


def normalized_mutual_info_score(
    labels_true: Any,
    labels_pred: Any,
    *,
    average_method: AverageMethod = "arithmetic",
    sample_weight: Any = None,
) -> float:
    """Return the mutual information of two labellings, from 0 to 1, by the mean of their entropies.

    One pass over the labels. Many clusters raise it by chance: see `adjusted_mutual_info_score`,
    whose parameters it has.
    """
    table = _contingency(labels_true, labels_pred, sample_weight)
    return agreement.normalized_mutual_info(table, average_method)


def homogeneity_completeness_v_measure(
    labels_true: Any, labels_pred: Any, *, beta: float = 1.0, sample_weight: Any = None
) -> tuple[float, float, float]:
    """Return how pure clusters are, how whole the true classes, and the harmonic mean of both.

    One pass over the labels. `beta` is how much more completeness counts than homogeneity. Other
    parameters are as for `adjusted_rand_score`.

    References
    ----------
    .. [1] A. Rosenberg, J. Hirschberg, "V-Measure: a conditional entropy-based external cluster
       evaluation measure", EMNLP-CoNLL 2007.
    """
    table = _contingency(labels_true, labels_pred, sample_weight)
    return agreement.homogeneity_completeness_v_measure(table, beta)


def fowlkes_mallows_score(
    labels_true: Any, labels_pred: Any, *, sample_weight: Any = None
) -> float:
    """Return the geometric mean of precision and recall of pairs of rows, from 0 to 1.

    One pass over the labels; scikit-learn's figure exactly. Parameters are as for
    `adjusted_rand_score`.

    References
    ----------
    .. [1] E. Fowlkes, C. Mallows, "A method for comparing two hierarchical clusterings", J.
       American Statistical Association 78, 1983.
    """
    return agreement.fowlkes_mallows(_contingency(labels_true, labels_pred, sample_weight))


def purity_score(labels_true: Any, labels_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the share of rows whose true label is the most frequent one of their cluster.

    One pass over the labels. Many clusters raise it: with one for each row it is 1. Parameters are
    as for `adjusted_rand_score`.
    """
    return agreement.purity(_contingency(labels_true, labels_pred, sample_weight))


def _found(
    X: Any, labels: Any, sample_weight: Any, *needs: Need, sampling: Sampling | None = None
) -> tuple[tuple[Any, ...], Statistics]:
    """Find the labels that rows came with, and what is needed of their clusters."""
    rows = as_rows(X, sample_weight, labels=(labels,))
    try:
        return of_labels(rows, needs, sampling=sampling)
    finally:
        if not isinstance(X, Rows):
            rows.close()


def _contingency(labels_true: Any, labels_pred: Any, sample_weight: Any) -> Contingency:
    rows = Rows.of_labels(labels_true, labels_pred, sample_weight=sample_weight)
    try:
        table = rows.reduce(Contingency.from_block, kind="contingency")
    finally:
        rows.close()
    assert isinstance(table, Contingency)
    return table
