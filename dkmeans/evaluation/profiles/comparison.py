"""Welch's t-test of pairs of clusters, feature by feature, with Holm's correction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.errors import TooLarge
from dkmeans.evaluation.profiles.anova import CIRCULAR
from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.shown import Section, Shown, brief, decimals, name, plain, probability
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_TESTS = 30

_MOST_TESTS = 5_000_000
"""Tests that one comparison of all pairs may make; each takes some 100 bytes."""

_MANY_DF = 1e4
"""Half the degrees of freedom from which on the first terms of a series are exact to 1e-9."""


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """Differences of means between pairs of clusters, a test for each pair and feature.

    Figures are NaN where a test cannot be made: where a cluster has weight 1 or less, or where
    both have the same value in all rows.
    """

    feature_names: tuple[str, ...]
    """The features, `n_features` of them."""

    cluster_ids: Array
    """`(n_pairs, 2)` int64: the clusters of each pair, as users number them."""

    means: Array
    """`(n_pairs, 2, n_features)` float64, in the units of the data."""

    t: Array
    """`(n_pairs, n_features)` float64: Welch's t; above 0 where the first mean is larger."""

    df: Array
    """`(n_pairs, n_features)` float64: Welch's degrees of freedom."""

    p_value: Array
    """`(n_pairs, n_features)` float64: two-sided, of each test alone."""

    p_holm: Array
    """`(n_pairs, n_features)` float64: `p_value` corrected for all tests that are here."""

    cohens_d: Array
    """`(n_pairs, n_features)` float64: difference in pooled standard deviations."""

    hedges_g: Array
    """`(n_pairs, n_features)` float64: `cohens_d` without its bias in small clusters."""

    @property
    def difference(self) -> Array:
        """First mean less the second, `(n_pairs, n_features)` float64."""
        return self.means[:, 0] - self.means[:, 1]

    @property
    def order(self) -> Array:
        """Flat indices of pairs and features, those of the largest `hedges_g` first, NaN last."""
        return np.argsort(-np.abs(self.hedges_g), axis=None, kind="stable")

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per pair and feature, in the order of both."""
        import pandas as pd

        n_pairs, n_features = self.t.shape
        return pd.DataFrame(
            {
                "cluster_a": np.repeat(self.cluster_ids[:, 0], n_features),
                "cluster_b": np.repeat(self.cluster_ids[:, 1], n_features),
                "feature": list(self.feature_names) * n_pairs,
                "mean_a": self.means[:, 0].ravel(),
                "mean_b": self.means[:, 1].ravel(),
                "difference": self.difference.ravel(),
                "cohens_d": self.cohens_d.ravel(),
                "hedges_g": self.hedges_g.ravel(),
                "t": self.t.ravel(),
                "df": self.df.ravel(),
                "p_value": self.p_value.ravel(),
                "p_holm": self.p_holm.ravel(),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; infinities and NaN as None."""
        frame = self.to_frame()
        return {"tests": [plain(dict(row)) for row in frame.to_dict("records")]}

    def sections(self) -> tuple[Section, ...]:
        """Return the largest differences, and what the tests are worth."""
        n_pairs, n_features = self.t.shape
        shown = self.order[:_SHOWN_TESTS]
        rows: list[tuple[str, ...]] = []
        for pair, i in zip(*np.unravel_index(shown, self.t.shape), strict=True):
            rows.append(
                (
                    *(map(str, self.cluster_ids[pair]) if n_pairs > 1 else ()),
                    name(self.feature_names[i]),
                    brief(self.means[pair, 0, i]),
                    brief(self.means[pair, 1, i]),
                    decimals(self.hedges_g[pair, i], 2, sign=True),
                    brief(self.t[pair, i]),
                    probability(self.p_holm[pair, i]),
                )
            )
        tested = int(np.isfinite(self.p_value).sum())
        sentences = [
            "Hedges' g is the difference of the means in pooled standard deviations. The t-test is "
            f"Welch's; p is corrected by Holm for all {tested:,} tests.",
            CIRCULAR,
        ]
        if len(shown) < self.t.size:
            sentences.insert(
                0,
                f"The {len(shown)} largest effects are shown; .to_frame() has all "
                f"{self.t.size:,} tests.",
            )
        if n_pairs == 1:
            a, b = self.cluster_ids[0]
            title = f"Clusters {a} and {b} compared"
            columns: tuple[str, ...] = (
                "Feature",
                f"Mean of {a}",
                f"Mean of {b}",
                "Hedges' g",
                "t",
                "p (Holm)",
            )
        else:
            title = f"{n_pairs:,} pairs of clusters compared in {n_features:,} features"
            columns = ("a", "b", "Feature", "Mean of a", "Mean of b", "Hedges' g", "t", "p (Holm)")
        return (Section(title, tuple(sentences), columns, tuple(rows)),)


def welch(
    moments: GroupMoments,
    pairs: Sequence[tuple[int, int]] | Array,
    feature_names: tuple[str, ...],
    cluster_ids: Array,
) -> Comparison:
    """Test for pairs of clusters whether the means of each feature are equal.

    Parameters
    ----------
    moments
        Weights, means and variances of the clusters.
    pairs
        Labels of the two clusters of each pair, `(n_pairs, 2)`.
    feature_names
        One for each feature.
    cluster_ids
        `(n_clusters,)`: the numbers that users see, by label.

    Returns
    -------
    Comparison
        `t`, `df` and `p_value` as `scipy.stats.ttest_ind(equal_var=False)` gives them for the rows
        themselves.

    References
    ----------
    .. [1] B. L. Welch, "The generalization of 'Student's' problem when several different
       population variances are involved", Biometrika 34(1-2), 1947.
    .. [2] L. V. Hedges, "Distribution theory for Glass's estimator of effect size and related
       estimators", Journal of Educational Statistics 6(2), 1981.
    """
    from scipy import special

    a, b = np.asarray(pairs, np.intp).reshape(-1, 2).T
    tested = (moments.weight > 1)[:, None]
    weight = np.where(tested, moments.weight[:, None], np.nan)
    variance = moments.sample_variance
    difference = moments.mean[a] - moments.mean[b]
    difference = np.where(difference**2 <= moments.noise, 0.0, difference)
    of_mean_a, of_mean_b = (variance / weight)[a], (variance / weight)[b]
    df_a, df_b = weight[a] - 1, weight[b] - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(of_mean_a + of_mean_b)
        df = (of_mean_a + of_mean_b) ** 2 / (of_mean_a**2 / df_a + of_mean_b**2 / df_b)
        pooled = (df_a * variance[a] + df_b * variance[b]) / (df_a + df_b)
        cohens_d = difference / np.sqrt(pooled)
    # without variance there are no degrees of freedom, but what differs surely does
    p_value = np.where(np.isinf(t), 0.0, 2 * special.stdtr(df, -np.abs(t)))
    bias = _bias_of_d(df_a + df_b)
    ids = np.column_stack([cluster_ids[a], cluster_ids[b]])
    means = np.stack([moments.mean[a], moments.mean[b]], axis=1)
    return Comparison(
        feature_names, ids, means, t, df, p_value, holm(p_value), cohens_d, cohens_d * bias
    )


def _bias_of_d(df: Array) -> Array:
    """What Cohen's d is to be multiplied by to be unbiased, of the shape of `df`."""
    from scipy import special

    half = df / 2
    # of many degrees of freedom the logarithms are so large that nothing is left of the difference
    few = np.minimum(half, _MANY_DF)
    exact = np.exp(special.gammaln(few) - special.gammaln(few - 0.5)) / np.sqrt(few)
    return np.where(half <= _MANY_DF, exact, 1 - 3 / (4 * df - 1))


def all_pairs(moments: GroupMoments) -> Array:
    """Return the labels of all pairs of clusters that have rows, `(n_pairs, 2)` intp.

    Raises
    ------
    TooLarge
        If they and the features make more tests than fit in memory.
    """
    filled = np.flatnonzero(moments.filled)
    n_tests = len(filled) * (len(filled) - 1) // 2 * moments.n_features
    if n_tests > _MOST_TESTS:
        raise TooLarge(
            f"Comparing all pairs of {len(filled):,} clusters in {moments.n_features:,} features "
            f"takes {n_tests:,} tests, more than {_MOST_TESTS:,}; compare two clusters: "
            "compare(a, b)."
        )
    return filled[np.column_stack(np.triu_indices(len(filled), 1))]


def holm(p_values: Array) -> Array:
    """Correct p values for their number, so that the chance of any false finding is kept.

    Parameters
    ----------
    p_values
        Of any shape; NaN stands for a test that was not made, and is not counted.

    Returns
    -------
    Array
        Of the same shape, each at most 1, in the same order as `p_values`.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
       of Statistics 6(2), 1979.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    flat = np.asarray(p_values, np.float64).ravel()
    made = np.flatnonzero(~np.isnan(flat))
    order = made[np.argsort(flat[made], kind="stable")]
    corrected = flat.copy()
    steps = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps * flat[order]), 1.0)
    return corrected.reshape(np.shape(p_values))
