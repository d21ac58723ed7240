"""The jackknife by groups, on means and squares of means, whose errors are known."""

import numpy as np
import pytest

from dkmeans.evaluation.silhouettes.delete_a_group import (
    Groups,
    degrees_of_freedom,
    deviations,
    pseudo_values,
)


def replicated_means(values, labels, n_clusters, n_groups, seed, noise=1.0):
    """Means of clusters by replicate, `(n_groups + 1, n_clusters)`."""
    groups = Groups.random(labels, n_clusters, n_groups, seed)
    sums = []
    for of_rows in (values, np.ones(len(values))):
        varying = np.zeros((n_groups + 1, n_clusters))
        np.add.at(varying, (groups.of_row, labels), noise * of_rows)
        sums.append(groups.replicates(np.bincount(labels, of_rows, n_clusters), varying))
    return sums[0] / sums[1]


def test_rows_are_dealt_evenly_and_at_random():
    labels = np.repeat([0, 1, 3], [100, 5, 23])
    groups = Groups.random(labels, 4, 10, 0)
    assert set(groups.of_row) == set(range(1, 11))
    held = np.array([np.bincount(groups.of_row[labels == c], minlength=11)[1:] for c in range(4)])
    assert (held[0] == 10).all()
    assert sorted(held[1]) == [0] * 5 + [1] * 5
    assert set(held[3]) == {2, 3}
    # not in turn: rows may be stored in an order that means something
    assert len(set(np.diff(groups.of_row[:100]) % 10)) > 5
    again, other = Groups.random(labels, 4, 10, 0), Groups.random(labels, 4, 10, 1)
    np.testing.assert_array_equal(groups.of_row, again.of_row)
    assert (groups.of_row != other.of_row).mean() > 0.5


@pytest.mark.parametrize("n_rows", [2, 3, 11, 12, 24, 120])
@pytest.mark.parametrize("noise", [1.0, 0.5])
def test_variance_and_bias_of_clusters_of_any_size(n_rows, noise):
    n_groups, found = 12, []
    labels = np.repeat([0, 1], [n_rows, 1])
    rng = np.random.default_rng(n_rows)
    for seed in range(1 if n_rows <= n_groups else 300):
        values = np.append(rng.normal(3, 2, n_rows), 7.0)
        means = replicated_means(values, labels, 2, n_groups, seed, noise)
        expected = values[:n_rows].var(ddof=1) / n_rows
        variance = (deviations(pseudo_values(means[0], means[1:])) ** 2).sum(axis=0)
        # the square of a mean is too large by the variance of the mean
        squares = pseudo_values(means[0] ** 2, means[1:] ** 2)
        bias = (means[0] ** 2 - squares.mean(axis=0)) / expected
        assert variance[1] == 0
        assert means[:, 1].tolist() == [7] * (n_groups + 1)
        found.append((variance[0] / expected, bias[0]))
    if n_rows <= n_groups and noise == 1:
        # each row is a group
        np.testing.assert_allclose(found, 1, rtol=1e-9)
    else:
        np.testing.assert_allclose(np.mean(found, axis=0), noise**2, rtol=0.1)


def test_pseudo_values_of_means_are_the_means_of_groups():
    values, labels = np.arange(12.0), np.zeros(12, int)
    groups = Groups.random(labels, 1, 4, 0)
    means = replicated_means(values, labels, 1, 4, 0)
    found = pseudo_values(means[0], means[1:])[:, 0]
    expected = [values[groups.of_row == g].mean() for g in range(1, 5)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # the whole may be seen in the way of each replicate
    by_replicate = pseudo_values(np.array([1.0, 2.0]), np.array([0.5, 3.0]))
    assert by_replicate.tolist() == [1.5, 1.0]


def test_changes_of_rows_are_those_of_sums():
    rng = np.random.default_rng(3)
    labels = np.sort(rng.integers(0, 5, 60))
    groups = Groups.random(labels, 5, 7, 0)
    values = rng.normal(size=60)
    varying = np.zeros((8, 5))
    np.add.at(varying, (groups.of_row, labels), values)
    by_sums = groups.replicates(np.bincount(labels, values, 5), varying)
    each = values[:, None] * (1 + groups.changes(slice(0, 60), labels))
    by_rows = np.array([np.bincount(labels, column, 5) for column in each.T])
    np.testing.assert_allclose(by_rows, by_sums, atol=1e-12)
    some = groups.changes(slice(10, 20), labels[10:20])
    np.testing.assert_array_equal(some, groups.changes(slice(0, 60), labels)[10:20])


def test_no_groups_change_nothing():
    groups = Groups.random(np.array([0, 0, 1]), 3, 0, 0)
    whole = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(groups.replicates(whole, np.zeros((1, 3))), whole[None])


def test_degrees_of_freedom():
    assert degrees_of_freedom(np.ones(30)) == 29
    assert degrees_of_freedom(np.zeros(30)) == 29
    assert degrees_of_freedom(np.eye(30)[0]) == 1
    assert degrees_of_freedom(np.eye(30)[:3].sum(axis=0) * 5) == pytest.approx(7)
    rng = np.random.default_rng(0)
    many = [degrees_of_freedom(rng.normal(size=30)) for _ in range(200)]
    assert 20 < np.mean(many) < 29
