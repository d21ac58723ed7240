"""The figures of agreement between labels and clusters, each from the weights of their pairs."""

from math import inf, isqrt, sqrt
from typing import Any, Literal

import numpy as np

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.agreement.expected import expected_mutual_information
from dkmeans.kernels.block import Array
from dkmeans.partials.contingency import Contingency

AverageMethod = Literal["arithmetic", "geometric", "min", "max"]

_EXACT_UP_TO = 2**53
"""Sums of whole numbers up to here are exact as float64."""

_SQUARE_IN_64_BITS = isqrt(2**63 - 1)


def adjusted_rand(table: Contingency) -> float:
    """Return the Rand index of two labelings, 0 on average by chance and 1 if they are the same.

    Weights are copies: with whole ones the figure is exactly that of scikit-learn's
    `adjusted_rand_score` on rows repeated so often, whatever their number. Others enter the same
    formula, which counts pairs of different rows; scale weights to a mean of about one. NaN if all
    are so small that there are less than no such pairs.

    References
    ----------
    .. [1] L. Hubert, P. Arabie, "Comparing partitions", Journal of Classification 2, 1985.
    """
    # no two rows are together in one labeling only
    if len(table.pairs) == len(table.values_true) == len(table.values_pred):
        return 1.0
    total, squares, squares_true, squares_pred = _sums_of_squares(table)
    together, pred_only, true_only = squares - total, squares_pred - squares, squares_true - squares
    apart = total**2 - pred_only - true_only - squares
    if squares_true < total or squares_pred < total:
        return float("nan")
    most = (together + true_only) * (true_only + apart) + (together + pred_only) * (
        pred_only + apart
    )
    return 2.0 * (together * apart - true_only * pred_only) / most if most else float("nan")


def fowlkes_mallows(table: Contingency) -> float:
    """Return how many of the pairs of rows that are together in one labeling are so in the other.

    The geometric mean of the shares in either direction; 0 if no two rows are together in both.
    Weights as for `adjusted_rand`.

    References
    ----------
    .. [1] E. Fowlkes, C. Mallows, "A method for comparing two hierarchical clusterings", JASA
       78(383), 1983.
    """
    total, squares, squares_true, squares_pred = _sums_of_squares(table)
    together = squares - total
    if squares_true < total or squares_pred < total:
        return float("nan")
    if together <= 0:
        return 0.0
    return sqrt(together / (squares_pred - total)) * sqrt(together / (squares_true - total))


def purity(table: Contingency) -> float:
    """Return the share of the weight whose true label is the heaviest one of its cluster.

    1.0 if there is no weight.
    """
    if not len(table.pairs):
        return 1.0
    heaviest = np.zeros(len(table.values_pred))
    np.maximum.at(heaviest, table.pairs[:, 1], table.weight)
    return float(heaviest.sum() / table.total_weight)


def homogeneity_completeness_v_measure(
    table: Contingency, beta: float = 1.0
) -> tuple[float, float, float]:
    """Return how far clusters hold one label each, labels lie in one cluster each, and the mean.

    Parameters
    ----------
    table
        The weights of pairs; only their proportions matter.
    beta
        How many times as much completeness counts in the harmonic mean.

    Raises
    ------
    ArgumentError
        If `beta` is negative or not finite.

    References
    ----------
    .. [1] A. Rosenberg, J. Hirschberg, "V-Measure: a conditional entropy-based external cluster
       evaluation measure", EMNLP-CoNLL 2007.
    """
    if not 0 <= beta < inf:
        raise ArgumentError(f"beta={beta} should be a number from zero on.")
    information, of_true, of_pred = _information(table)
    homogeneity = information / of_true if of_true else 1.0
    completeness = information / of_pred if of_pred else 1.0
    both = homogeneity * completeness
    mean = (1 + beta) * both / (beta * homogeneity + completeness) if both else 0.0
    return homogeneity, completeness, mean


def normalized_mutual_info(
    table: Contingency, average_method: AverageMethod = "arithmetic"
) -> float:
    """Return the mutual information of two labelings, as a share of the mean of their entropies.

    Parameters
    ----------
    table
        The weights of pairs; only their proportions matter.
    average_method
        The mean: "arithmetic", "geometric", "min" or "max".

    Raises
    ------
    ArgumentError
        If there is no such mean.
    """
    _check_method(average_method)
    if len(table.values_true) == len(table.values_pred) <= 1:
        return 1.0
    information, of_true, of_pred = _information(table)
    return information / _average(average_method, of_true, of_pred) if information else 0.0


def adjusted_mutual_info(table: Contingency, average_method: AverageMethod = "arithmetic") -> float:
    """Return the mutual information beyond that by chance, as a share of the most there can be.

    The information by chance is that of labels dealt out to rows anew, which takes whole rows:
    where weights are fractions, those of labels and of clusters are rounded, so that both have
    the same sum. Scale weights to a mean of about one.

    Where each row has a label of its own, only chance is left: that is 0, also with "min", for
    which scikit-learn gives the sign of a rounding error.

    Parameters
    ----------
    table
        The weights of pairs.
    average_method
        The mean of the entropies: "arithmetic", "geometric", "min" or "max".

    Raises
    ------
    ArgumentError
        If there is no such mean.

    References
    ----------
    .. [1] N. Vinh, J. Epps, J. Bailey, "Information theoretic measures for clusterings comparison:
       variants, properties, normalization and correction for chance", JMLR 11, 2010.
    """
    _check_method(average_method)
    if len(table.pairs) == len(table.values_true) == len(table.values_pred):
        return 1.0
    if table.total_weight in (len(table.values_true), len(table.values_pred)) and is_whole(table):
        return 0.0
    if min(len(table.values_true), len(table.values_pred)) == 1:
        return 0.0
    information, of_true, of_pred = _information(table)
    n = round(table.total_weight)
    by_chance = expected_mutual_information(
        _rounded(table.weight_true, n), _rounded(table.weight_pred, n)
    )
    least = float(np.finfo(np.float64).eps)
    room, gain = _average(average_method, of_true, of_pred) - by_chance, information - by_chance
    # room is not negative, but for rounding
    room = min(room, -least) if room < 0 else max(room, least)
    return gain / room


def is_whole(table: Contingency) -> bool:
    """Whether all weights, and their sums, are whole numbers, exactly so."""
    return table.total_weight <= _EXACT_UP_TO and bool((table.weight % 1 == 0).all())


def _sums_of_squares(table: Contingency) -> tuple[Any, Any, Any, Any]:
    """The total weight, and the sums of squares of pairs, labels and clusters.

    Integers without limit if the weights are whole, else float64.
    """
    total: Any = table.total_weight
    weights: tuple[Array, ...] = (table.weight, table.weight_true, table.weight_pred)
    if is_whole(table):
        total = int(total)
        weights = tuple(weight.astype(np.int64) for weight in weights)
        if total > _SQUARE_IN_64_BITS:
            weights = tuple(weight.astype(object) for weight in weights)
    squares, squares_true, squares_pred = (type(total)(np.dot(one, one)) for one in weights)
    return total, squares, squares_true, squares_pred


def _information(table: Contingency) -> tuple[float, float, float]:
    """The mutual information, and the entropies of labels and of clusters, in nats."""
    of_true, of_pred = _entropy(table.weight_true), _entropy(table.weight_pred)
    if min(len(table.values_true), len(table.values_pred)) <= 1:
        return 0.0, of_true, of_pred
    # where one labeling tells the other, without a rounding error
    if len(table.pairs) == len(table.values_pred):
        return of_true, of_true, of_pred
    if len(table.pairs) == len(table.values_true):
        return of_pred, of_true, of_pred
    total = table.total_weight
    by_chance = table.weight_true[table.pairs[:, 0]] * table.weight_pred[table.pairs[:, 1]]
    ratio = table.weight * total / by_chance
    information = float(np.dot(table.weight / total, np.log(ratio)))
    # a sum of nothing but rounding errors is none
    if information < np.finfo(np.float64).eps:
        information = 0.0
    return min(information, of_true, of_pred), of_true, of_pred


def _entropy(weight: Array) -> float:
    if len(weight) <= 1:
        return 0.0
    share = weight / weight.sum()
    return float(-np.dot(share, np.log(share)))


def _rounded(weight: Array, total: int) -> Array:
    """Whole numbers near `weight` that add up to `total`: the largest fractions are rounded up."""
    whole = np.floor(weight)
    left = total - int(whole.sum())
    whole[np.argsort(whole - weight, kind="stable")[: max(0, left)]] += 1
    return whole


def _average(method: str, one: float, other: float) -> float:
    if method == "arithmetic":
        return (one + other) / 2
    if method == "geometric":
        return sqrt(one * other)
    return min(one, other) if method == "min" else max(one, other)


def _check_method(method: str) -> None:
    if method not in ("arithmetic", "geometric", "min", "max"):
        raise ArgumentError(
            f"average_method={method!r} should be 'arithmetic', 'geometric', 'min' or 'max'."
        )
