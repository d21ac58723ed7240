"""The elbow, which is kneed's, and the rule by which a number of clusters is recommended."""

import warnings

import kneed
import numpy as np
import pytest

import dkmeans
from dkmeans.evaluation.sweeps.choice import choose, elbow_of
from tests.evaluation.sweeps.scores import scores_of

N = 10_000
"""Rows."""


@pytest.mark.parametrize("bend", [2, 5, 9])
def test_the_elbow_of_two_lines_is_where_they_meet(bend):
    counts = list(range(1, 13))
    curve = [100 - 10 * k if k <= bend else 100 - 10 * bend - 0.5 * (k - bend) for k in counts]
    assert elbow_of(counts, curve) == bend


@pytest.mark.parametrize("seed", range(5))
def test_the_elbow_is_that_of_kneed(seed):
    rng = np.random.default_rng(seed)
    counts = sorted(rng.choice(np.arange(1, 60), 15, replace=False).tolist())
    curve = np.sort(rng.exponential(size=15))[::-1].cumsum()[::-1] / np.array(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = kneed.KneeLocator(counts, curve, curve="convex", direction="decreasing").elbow
    assert elbow_of(counts, curve.tolist()) == expected


@pytest.mark.parametrize(
    ("counts", "curve"),
    [
        ([4], [3.0]),
        ([2, 3], [3.0, 1.0]),
        ([2, 3, 4, 5], [7.0, 7.0, 7.0, 7.0]),
        ([2, 3, 4, 5], [0.0, 0.0, 0.0, 0.0]),
        ([2, 3, 4, 5], [7.0, 7.0 - 1e-12, 7.0, 7.0 - 2e-12]),
    ],
)
def test_few_numbers_and_flat_curves_have_no_elbow(counts, curve):
    assert elbow_of(counts, curve) is None


def test_a_straight_line_has_no_elbow():
    assert elbow_of([1, 2, 3, 4, 5], [9.0, 7.0, 5.0, 3.0, 1.0]) is None


def test_the_k_furthest_above_rows_without_clusters_stands_out():
    # the silhouette itself is greatest for k=2, as it is for rows without clusters
    scores = [
        scores_of(2, silhouette_simplified=0.8, silhouette_reference=0.7),
        scores_of(3, silhouette_simplified=0.75, silhouette_reference=0.5, smallest_share=0.04),
        scores_of(4, silhouette_simplified=0.6, silhouette_reference=0.5),
    ]
    found = choose(scores, 4, N)
    assert found.n_clusters == 3
    assert found.reason == (
        "k=3 stands out: its silhouette by distances to centers is further above that of rows "
        "without clusters (0.750 against 0.500) than that of any other k, fits from two seeds "
        "agree (adjusted Rand index 1.00), the smallest cluster has 4.0% of the rows, and the "
        "elbow is at k=4."
    )
    assert choose(scores, 3, N).reason.endswith("and the elbow is there, too.")
    assert "elbow" not in choose(scores, None, N).reason


def test_a_k_on_which_two_seeds_differ_is_passed_over():
    scores = [
        scores_of(2, silhouette_simplified=0.9, adjusted_rand=0.3),
        scores_of(3, silhouette_simplified=0.6, adjusted_rand=0.8),
        scores_of(4),
    ]
    found = choose(scores, None, N)
    assert found.n_clusters == 3
    assert "than that of any other k whose fits from two seeds agree" in found.reason
    none = choose([scores[0], scores_of(3, silhouette_simplified=0.9, adjusted_rand=0.79)], None, N)
    assert none.n_clusters is None
    assert "from two seeds differ (adjusted Rand index 0.79 at most, for k=3)" in none.reason


def test_one_seed_is_not_compared():
    scores = [scores_of(k, adjusted_rand=None) for k in (2, 4)]
    scores.insert(1, scores_of(3, silhouette_simplified=0.6, adjusted_rand=None))
    found = choose(scores, None, N)
    assert found.n_clusters == 3
    assert "seed" not in found.reason


def test_none_stands_out_where_silhouettes_are_as_without_clusters():
    scores = [scores_of(k, silhouette_simplified=0.5 + k / 100) for k in (2, 3, 4)]
    found = choose(scores, 3, N)
    assert found.n_clusters is None
    assert "0.540 against 0.500 at most, for k=4" in found.reason


def test_few_rows_must_show_more():
    scores = [scores_of(2), scores_of(3, silhouette_simplified=0.6)]
    found = [choose(scores, None, n).n_clusters for n in (10**9, 100, 60, 30)]
    assert found == [3, 3, None, None]


def test_clusters_without_rows_and_undefined_silhouettes_do_not_stand_out():
    empty = scores_of(5, silhouette_simplified=1.0, smallest_cluster=0.0)
    one = scores_of(1, silhouette_simplified=None, silhouette_reference=None)
    assert choose([one, empty], None, N).n_clusters is None
    fair = scores_of(4, silhouette_simplified=0.6)
    assert choose([one, fair, empty], None, N).n_clusters == 4


def test_equals_go_to_the_smaller_and_the_largest_is_not_the_end():
    alike = [scores_of(k, silhouette_simplified=0.7) for k in (3, 4)]
    assert choose(alike, None, N).n_clusters == 3
    rising = [scores_of(2), scores_of(3, silhouette_simplified=0.7)]
    assert choose(rising, None, N).reason.endswith("and larger k may stand out more.")
    # one k has nothing to stand out among
    assert "than that of" not in choose(alike[:1], None, N).reason
    assert choose(alike[:1], None, N).n_clusters == 3


@pytest.mark.parametrize(
    ("name", "counts", "expected"),
    [
        ("sipu_s1", range(11, 20), 15),
        ("sipu_s2", range(11, 20), 15),
        ("sipu_a1", range(16, 25), 20),
        ("sipu_unbalance", range(2, 13), 8),
    ],
)
def test_known_numbers_of_clusters_are_found(name, counts, expected, oracle_data):
    rows = dkmeans.read_parquet(str(oracle_data / f"{name}.parquet"), columns=["x0", "x1"])
    found = dkmeans.sweep(rows, counts, random_state=0, sample_size=None)
    assert found.recommended == expected


@pytest.mark.parametrize(
    "rows",
    [
        lambda rng: rng.uniform(size=(3000, 1)),
        lambda rng: rng.uniform(size=(3000, 2)) * [3, 1],
        lambda rng: rng.uniform(size=(2000, 8)),
        lambda rng: rng.normal(size=(3000, 3)) * [1, 2, 4],
    ],
)
def test_nothing_stands_out_in_noise(rows):
    X = rows(np.random.default_rng(0))
    found = dkmeans.sweep(X, range(2, 11), random_state=0, sample_size=None)
    assert found.recommended is None
    assert "hardly above those of rows without clusters" in found.reason
