"""Words for clusters: thresholds, order, odd names, shares of any size."""

import numpy as np
import pytest

from dkmeans.evaluation.profiles.words import differences, phrase, ranks, sentence

NAMES = ("income", "age", "tenure", "debt")


def test_differences_are_in_overall_deviations():
    mean = np.array([[3.0, 5.0, 7.0], [1.0, 5.0, np.nan]])
    found = differences(mean, np.array([2.0, 5.0, 7.0]), np.array([0.5, 0.0, 2.0]))
    np.testing.assert_array_equal(found, [[2, np.nan, 0], [-2, np.nan, np.nan]])


def test_ranks_put_the_largest_first_ties_in_order_and_nan_last():
    found = ranks(np.array([[0.5, -2.0, np.nan, 0.5], [np.nan] * 4]))
    assert found.tolist() == [[2, 1, 4, 3], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ([0.6, -0.7, 0, 0], "low age, high income"),
        ([2.0, -2.0, 1.99, 0], "very high income, very low age, high tenure"),
        ([0.5, 0.49, 0, 0], "high income"),
        ([1, 2, 3, 4], "very high debt, very high tenure, very high age"),
        ([0.49, -0.49, 0, 0], "near the average in all features"),
        ([np.nan, np.nan, -1, np.nan], "low tenure"),
        ([np.nan] * 4, "near the average in all features"),
    ],
)
def test_phrases(difference, words):
    assert phrase(np.array(difference, float), NAMES) == words


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ("net income (EUR)", "high net income (EUR)"),
        ("a, b", 'high "a, b"'),
        ("a: 12%", 'high "a: 12%"'),
        ("two\nlines\t\x1b[31m", r"high two\nlines\t\x1b[31m"),
        ("", 'high ""'),
        (" x", 'high " x"'),
        ("Größe", "high Größe"),
        ("x" * 50, f"high {'x' * 37}..."),
    ],
)
def test_odd_names_stay_on_one_line_and_apart(odd, shown):
    assert phrase(np.array([1.0]), (odd,)) == shown


@pytest.mark.parametrize(
    ("weight", "total", "part"),
    [
        (12, 100, "12% of rows"),
        (1, 3, "33% of rows"),
        (4.2, 100, "4.2% of rows"),
        (0.31, 100, "0.31% of rows"),
        (99_999, 100_000, ">99% of rows"),
        (100, 100, "100% of rows"),
        (17, 4_898_431, "17 of 4,898,431 rows"),
        (2.5, 4_898_431, "2.5 of 4,898,431 rows"),
    ],
)
def test_shares_of_any_size_can_be_read(weight, total, part):
    assert sentence("low age", weight, total) == f"low age: {part}"


def test_empty_clusters_are_called_so():
    assert sentence("near the average in all features", 0.0, 10.0) == "empty: no rows"
