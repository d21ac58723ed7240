"""The expected mutual information: scikit-learn's on small tables, exact sums on large ones."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import hypergeom
from sklearn.metrics.cluster import expected_mutual_information as of_scikit_learn

from dkmeans.evaluation.agreement.expected import (
    SERIES_FROM,
    _by_counts,
    _by_series,
    expected_mutual_information,
)
from tests.laws import checked


@checked
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=200))
def test_small_tables_expect_what_scikit_learn_says(rows):
    dense = np.zeros((6, 6), np.int64)
    np.add.at(dense, tuple(np.array(rows).T), 1)
    dense = dense[dense.any(axis=1)][:, dense.any(axis=0)]
    expected = of_scikit_learn(csr_array(dense), int(dense.sum()))
    found = expected_mutual_information(dense.sum(axis=1), dense.sum(axis=0))
    assert found == pytest.approx(expected, rel=0, abs=1e-10)


def slowly(a, b, n):
    """E[x log(x / mean)] by SciPy's probabilities of every count that can be."""
    counts = np.arange(max(0, a + b - n), min(a, b) + 1)
    off = counts - a * b / n
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(counts > 0, counts * np.log1p(off * n / (a * b)) - off, a * b / n)
    chance = hypergeom.pmf(counts, n, a, b)
    return float((chance * gain).sum() / chance.sum())


CELLS = [
    (1, 1, 10),
    (3, 999_990, 1_000_000),
    (200, 900_000, 1_000_000),
    (999_995, 997_000, 1_000_000),
    (5_000, 5_000, 10_000),
    (40_000, 40_000, 1_000_000),
    (100_000, 30_000, 10_000_000),
    (20_000, 990_000, 1_000_000),
    (300_000, 400_000, 1_000_000),
]


@pytest.mark.parametrize(("a", "b", "n"), CELLS)
def test_a_cell_gives_what_all_its_counts_give(a, b, n):
    both = np.array([float(a)]), np.array([float(b)]), float(n)
    expected = pytest.approx(slowly(a, b, n), rel=1e-8)  # SciPy's own digits
    assert _by_counts(*both)[0] == expected
    if a * b / n >= SERIES_FROM:
        assert _by_series(*both)[0] == expected


@pytest.mark.parametrize("n", [10**6, 10**10])
@pytest.mark.parametrize("mean", [SERIES_FROM, 3000.0, 50_000.0])
def test_the_series_and_the_counts_agree(n, mean):
    a = np.floor(np.geomspace(2 * mean, n / 2, 8))
    b = np.floor(mean * n / a)
    np.testing.assert_allclose(_by_series(a, b, n), _by_counts(a, b, n), rtol=4e-12)


def test_cells_are_summed_whatever_their_widths_and_number():
    random = np.random.default_rng(2)
    true = random.multinomial(200_000, random.dirichlet(np.full(90, 0.2)))
    pred = random.multinomial(200_000, random.dirichlet(np.full(70, 0.2)))
    true, pred = true[true > 0], pred[pred > 0]
    cells = [slowly(int(a), int(b), 200_000) for a in true for b in pred]
    found = expected_mutual_information(true, pred)
    assert found == pytest.approx(sum(cells) / 200_000, rel=1e-8)


def test_ten_billion_rows_take_no_longer():
    random = np.random.default_rng(0)
    n = 10**10
    true = random.multinomial(n, random.dirichlet(np.ones(30)))
    pred = random.multinomial(n, random.dirichlet(np.ones(100)))
    start = time.perf_counter()
    found = expected_mutual_information(true, pred)
    assert time.perf_counter() - start < 5  # one count after the other would take an hour
    # of large counts, (x - mean)^2 / (2 mean) is all that matters
    assert found == pytest.approx(29 * 99 / (2 * n), rel=1e-4)


def test_one_label_or_one_row_tells_nothing():
    assert expected_mutual_information(np.array([5]), np.array([2, 3])) == 0.0
    assert expected_mutual_information(np.array([2, 3]), np.array([5])) == 0.0
    assert expected_mutual_information(np.array([1, 0]), np.array([0, 1])) == 0.0
    # a label without rows is none
    expected = expected_mutual_information(np.array([2, 3]), np.array([4, 1]))
    assert expected_mutual_information(np.array([2, 0, 3]), np.array([4, 1, 0])) == expected
    assert expected > 0
