"""Tests of whether clusters differ: one-way ANOVA of means, and Bartlett's test of variances.

Both come from moments alone, for weights that count copies of rows, and are those of SciPy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkmeans.evaluation.profiles.group_moments import GroupMoments
from dkmeans.evaluation.shown import Section, Shown, brief, decimals, name, plain, probability
from dkmeans.kernels.block import Array

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_FEATURES = 20

CIRCULAR = (
    "These tests are circular: the clusters were made to differ in these very features, so that a "
    "small p value is no evidence that the clusters are real. With many rows, every difference is "
    "significant. Go by the effect sizes."
)


@dataclass(frozen=True, eq=False)
class Anova(Shown):
    """One-way analysis of variance of each feature over the clusters; empty clusters are left out.

    Where a test cannot be made, its figures are NaN and `reasons` says why.
    """

    feature_names: tuple[str, ...]
    """The features, `n_features` of them."""

    n_clusters: int
    """Number of clusters that are compared: those with rows."""

    weight: float
    """Sum of the weights of all rows."""

    f: Array
    """`(n_features,)` float64: variance between clusters over that within, each divided by its
    degrees of freedom; inf where clusters differ and have no variance within."""

    p_value: Array
    """`(n_features,)` float64: chance of an `f` as large if all clusters had the same mean."""

    eta_squared: Array
    """`(n_features,)` float64: share of the variance that lies between clusters, 0 to 1."""

    omega_squared: Array
    """`(n_features,)` float64: the same, less what chance alone would give; may be below 0."""

    reasons: tuple[str, ...]
    """Why a feature has no test; empty where it has one."""

    @property
    def df_between(self) -> float:
        """Degrees of freedom between clusters."""
        return float(self.n_clusters - 1)

    @property
    def df_within(self) -> float:
        """Degrees of freedom within clusters."""
        return self.weight - self.n_clusters

    @property
    def order(self) -> Array:
        """Indices of the features, those of the largest `eta_squared` first, NaN last."""
        return np.argsort(-self.eta_squared, kind="stable")

    def to_frame(self) -> "pd.DataFrame":
        """Return one row per feature, the largest effect first."""
        import pandas as pd

        order = self.order
        return pd.DataFrame(
            {
                "feature": [self.feature_names[i] for i in order],
                "eta_squared": self.eta_squared[order],
                "omega_squared": self.omega_squared[order],
                "f": self.f[order],
                "df_between": self.df_between,
                "df_within": self.df_within,
                "p_value": self.p_value[order],
                "reason": [self.reasons[i] for i in order],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values; infinities and NaN as None."""
        return {
            "n_clusters": self.n_clusters,
            "df_between": self.df_between,
            "df_within": plain(self.df_within),
            "features": plain(
                {
                    feature: {
                        "eta_squared": self.eta_squared[i],
                        "omega_squared": self.omega_squared[i],
                        "f": self.f[i],
                        "p_value": self.p_value[i],
                        "reason": self.reasons[i],
                    }
                    for i, feature in enumerate(self.feature_names)
                }
            ),
        }

    def sections(self) -> tuple[Section, ...]:
        """Return the features by their effect, and what the tests are worth."""
        shown = self.order[:_SHOWN_FEATURES]
        rows: list[tuple[str, ...]] = [
            (
                name(self.feature_names[i]),
                decimals(self.eta_squared[i], 3),
                brief(self.f[i]),
                probability(self.p_value[i]),
                self.reasons[i],
            )
            for i in shown
        ]
        columns: tuple[str, ...] = ("Feature", "Eta squared", "F", "p", "Remark")
        if not any(row[-1] for row in rows):
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        sentences = [
            "Eta squared is the share of a feature's variance that lies between the clusters: 1 if "
            "rows of one cluster are all alike in it, 0 if the clusters have the same mean.",
            CIRCULAR,
        ]
        if len(shown) < len(self.feature_names):
            sentences.insert(
                0,
                f"The {len(shown)} features of largest effect are shown; .anova.to_frame() has all "
                f"{len(self.feature_names):,}.",
            )
        title = "How far each feature separates the clusters (one-way ANOVA)"
        return (Section(title, tuple(sentences), columns, tuple(rows)),)


def one_way(moments: GroupMoments, feature_names: tuple[str, ...]) -> Anova:
    """Test for each feature whether its mean is the same in all clusters.

    Parameters
    ----------
    moments
        Weights, means and variances of the clusters.
    feature_names
        One for each feature.

    Returns
    -------
    Anova
        `f` and `p_value` as `scipy.stats.f_oneway` gives them for the rows themselves.
    """
    from scipy import special

    n_groups, total = moments.n_filled, moments.total
    between, within = moments.between, moments.within
    sum_of_squares = between + within
    constant = ~(sum_of_squares > 0)
    comparable = n_groups > 1
    testable = comparable and total > n_groups
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_within = within / (total - n_groups) if testable else np.full_like(within, np.nan)
        f = between / (n_groups - 1) / mean_within if testable else mean_within
        eta = between / sum_of_squares if comparable else np.full_like(within, np.nan)
        omega = (between - (n_groups - 1) * mean_within) / (sum_of_squares + mean_within)
    p_value = special.fdtrc(n_groups - 1, total - n_groups, f) if testable else f
    if not comparable:
        reasons = [f"{n_groups} cluster with rows" if n_groups else "no rows"] * len(f)
    elif not testable:
        reasons = ["no more rows than clusters"] * len(f)
    else:
        reasons = ["constant" if one else "" for one in constant]
    return Anova(feature_names, n_groups, total, f, p_value, eta, omega, tuple(reasons))


@dataclass(frozen=True, eq=False)
class EqualVariances:
    """Bartlett's test that a feature varies as much in every cluster, for each feature.

    Clusters of weight 1 or less have no variance and are left out. The test takes rows to be
    normally distributed, and sees heavy tails as unequal variances: `std_ratio` leads.
    """

    statistic: Array
    """`(n_features,)` float64; inf where some clusters have no variance, NaN where none has any
    or fewer than two clusters can be compared."""

    p_value: Array
    """`(n_features,)` float64: chance of a `statistic` as large if variances were equal."""

    std_ratio: Array
    """`(n_features,)` float64: largest standard deviation of a cluster over the smallest; inf if
    the smallest is 0, NaN where there is no test."""

    widest: Array
    """`(n_features,)` intp: label of the cluster with the largest standard deviation."""

    narrowest: Array
    """`(n_features,)` intp: label of the cluster with the smallest standard deviation."""


def bartlett(moments: GroupMoments, least_weight: float = 0.0) -> EqualVariances:
    """Test for each feature whether its variance is the same in all clusters.

    Parameters
    ----------
    moments
        Weights, means and variances of the clusters.
    least_weight
        Clusters of less weight are left out, too.

    References
    ----------
    .. [1] M. S. Bartlett, "Properties of sufficiency and statistical tests", Proc. Royal Soc. A
       160(901), 1937.
    """
    from scipy import special

    taken = np.flatnonzero((moments.weight > 1) & (moments.weight >= least_weight))
    n_groups = len(taken)
    if n_groups < 2:
        nothing = np.full(moments.n_features, np.nan)
        nobody = np.zeros(moments.n_features, np.intp)
        return EqualVariances(nothing, nothing, nothing, nobody, nobody)
    df = moments.weight[taken] - 1
    variance = moments.sample_variance[taken]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = df.sum() * np.log(df @ variance / df.sum()) - df @ np.log(variance)
        correction = 1 + ((1 / df).sum() - 1 / df.sum()) / (3 * (n_groups - 1))
        # equal variances give 0 up to rounding, on either side
        statistic = np.maximum(logs / correction, 0.0)
        ratio = np.sqrt(variance.max(axis=0) / variance.min(axis=0))
    p_value = special.chdtrc(n_groups - 1, statistic)
    widest, narrowest = taken[variance.argmax(axis=0)], taken[variance.argmin(axis=0)]
    return EqualVariances(statistic, p_value, ratio, widest, narrowest)
