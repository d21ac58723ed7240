"""Figures against SciPy and definitions on raw values, and p values against frequencies."""

import numpy as np
import pytest
from scipy import stats

from dkmeans.evaluation.drift import chances, figures
from dkmeans.evaluation.drift.figures import DistanceShift
from dkmeans.kernels.log_bins import DistanceBins
from dkmeans.models.shares import psi

BINS = DistanceBins.of(4.0, 1)


def table_of(distances: np.ndarray) -> np.ndarray:
    return BINS.table(distances**2, np.zeros(len(distances), np.int32), None, 1)


@pytest.mark.parametrize(
    ("base", "now"),
    [
        (stats.chi(3), stats.chi(3)),
        (stats.chi(3), stats.chi(3, scale=1.3)),
        (stats.chi(30), stats.chi(30, loc=1.0)),
        (stats.lognorm(1.0), stats.lognorm(1.2)),
        (stats.uniform(0, 4), stats.norm(2, 0.1)),
    ],
)
def test_shifts_of_distances_are_scipys_within_the_width_of_a_bin(base, now) -> None:
    rng = np.random.default_rng(0)
    then = np.abs(base.rvs(20_000, random_state=rng))
    later = np.abs(now.rvs(3000, random_state=rng))
    found = DistanceShift.between(table_of(then), table_of(later), BINS)
    exact = stats.ks_2samp(then, later).statistic
    most = max(np.max(one) / one.sum() for one in (table_of(then), table_of(later)))
    assert exact - most <= found.ks[0] <= exact + 1e-12
    moved = stats.wasserstein_distance(then, later)
    # each row lies within its bin, 1.6 % of its distance wide
    assert found.wasserstein[0] * found.base_mean[0] == pytest.approx(
        moved, abs=0.016 * (then.mean() + later.mean())
    )
    assert found.base_mean[0] == pytest.approx(then.mean(), rel=0.008)
    assert found.now_mean[0] == pytest.approx(later.mean(), rel=0.008)


def test_equal_distances_are_no_shift_and_none_are_nan() -> None:
    table = table_of(np.array([0.0, 1.0, 2.0, 9.0]))
    found = DistanceShift.between(table, 3 * table, BINS)
    assert (found.ks[0], found.wasserstein[0]) == (0.0, 0.0)
    assert np.isnan(DistanceShift.between(table, 0 * table, BINS).ks[0])


def test_a_shift_of_the_whole_is_its_length() -> None:
    # of bins that distances fill evenly
    then = np.linspace(1.0, 2.0, 100_001)
    found = DistanceShift.between(table_of(then), table_of(then + 3.0), BINS)
    assert found.wasserstein[0] * found.base_mean[0] == pytest.approx(3.0, rel=1e-3)
    assert found.ks[0] == 1.0


def test_stability_is_its_definition() -> None:
    base, now = np.array([50.0, 30.0, 20.0]), np.array([20.0, 30.0, 150.0])
    p, q = base / 100, now / 200
    assert psi(base, now) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert psi(base, 7 * base) == 0.0
    # no row counts for half of one
    assert psi(np.array([5.0, 5.0]), np.array([10.0, 0.0])) == pytest.approx(
        0.5 * np.log(2) + (0.05 - 0.5) * np.log(0.1)
    )
    assert psi(base, 0 * now) == 0.0


@pytest.mark.parametrize(
    ("base", "n_now", "groups"),
    [
        ([10] * 20, 1000, [i // 2 for i in range(20)]),
        # what has a tenth or more stands alone, if enough rows lie before
        ([5, 900, 5, 90], 1000, [0, 1, 2, 2]),
        ([1, 900, 99], 1000, [0, 0, 1]),
        ([1, 990, 9], 100, [0, 0, 0]),
        # of few rows bins are few: five each are expected
        ([10] * 20, 20, [i // 5 for i in range(20)]),
        ([10] * 20, 4, [0] * 20),
        ([1000], 1000, [0]),
    ],
)
def test_bins_are_grouped_by_the_baseline(base, n_now, groups) -> None:
    weights = np.array(base, float)
    now = np.full(len(base), n_now / len(base))
    found = figures.equal_groups(weights, now)
    assert found.tolist() == groups
    assert figures.grouped(weights, found).sum() == weights.sum()


def test_small_clusters_are_tested_together() -> None:
    base, now = np.array([500.0, 2.0, 1.0, 400.0, 97.0]), np.array([50.0, 0, 1, 40, 9])
    then, later = figures.joined(base, now)
    # less than five of a hundred rows are expected in clusters of less than 50 of a thousand
    assert then.tolist() == [500.0, 400.0, 100.0]
    assert later.sum() == now.sum()
    assert figures.joined(base[:1], now[:1])[0].tolist() == [500.0]


def test_the_test_of_counts_is_scipys() -> None:
    base, now = np.array([500.0, 300.0, 200.0]), np.array([40.0, 35.0, 25.0])
    expected = stats.chi2_contingency(np.stack([base, now]), correction=False).pvalue
    assert chances.of_counts(base, now) == pytest.approx(expected)
    assert np.isnan(chances.of_counts(base[:1], now[:1]))
    assert np.isnan(chances.of_counts(base, 0 * now))


def test_the_test_of_distances_is_scipys() -> None:
    rng = np.random.default_rng(1)
    then, later = rng.normal(size=4000), rng.normal(0.1, 1, size=900)
    exact = stats.ks_2samp(then, later, method="asymp")
    # scipy corrects for the size of samples, by little
    assert chances.of_ks(exact.statistic, 4000, 900) == pytest.approx(exact.pvalue, rel=0.15)


def test_rows_beyond_limits_that_others_chose_are_as_many_as_is_told() -> None:
    rng = np.random.default_rng(2)
    n, m, r = 400, 300, 5
    counts = []
    for _ in range(4000):
        limit = np.sort(rng.normal(size=n))[-r]
        counts.append((rng.normal(size=m) > limit).sum())
    counts = np.array(counts)
    for count in (2, 5, 9):
        found = chances.of_excess(count, m, r, n)
        assert found == pytest.approx((counts >= count).mean(), abs=0.025)
    assert chances.of_excess(0, m, r, n) == 1.0


def test_means_of_rows_that_vary_along_one_line_move_as_often_as_is_told() -> None:
    rng = np.random.default_rng(3)
    n, m = 200, 50
    shifts = np.abs(
        rng.normal(size=(20_000, n)).mean(axis=1) - rng.normal(size=(20_000, m)).mean(axis=1)
    )
    for shift in (0.2, 0.4):
        assert chances.of_center(shift, n, m) == pytest.approx((shifts > shift).mean(), abs=0.01)
    assert np.isnan(chances.of_center(5.0, 1000, 19))


def test_the_area_between_shares_that_cross_within_a_bin_is_that_of_two_triangles() -> None:
    left, right = np.array([-1.0, 1.0, 0.0]), np.array([1.0, 1.0, -3.0])
    assert figures._area(left, right, np.array([2.0, 3.0, 1.0])) == 1.0 + 3.0 + 1.5
