"""The assignment of old to new clusters: the best of all, by trying all."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dkmeans.errors import TooLarge
from dkmeans.evaluation.lineage.matching import (
    LEAST_OVERLAP,
    best_heirs,
    check_pairs,
    closeness,
    overlaps,
    similarities,
)

tables = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 3))
)
checked = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def all_assignments(n_old: int, n_new: int) -> list[np.ndarray]:
    """Every way to give some old clusters a new one of their own, -1 for none."""
    found = []
    for size in range(min(n_old, n_new) + 1):
        for old in combinations(range(n_old), size):
            for new in permutations(range(n_new), size):
                heirs = np.full(n_old, -1)
                heirs[list(old)] = new
                found.append(heirs)
    return found


def gain(similarity: np.ndarray, heirs: np.ndarray) -> float:
    return sum(similarity[i, j] for i, j in enumerate(heirs) if j >= 0)


@checked
@given(tables)
def test_no_assignment_of_all_is_better(similarity: np.ndarray) -> None:
    heirs = best_heirs(similarity)
    assigned = heirs >= 0
    assert len(set(heirs[assigned])) == assigned.sum()
    assert all(similarity[i, heirs[i]] > 0 for i in np.flatnonzero(assigned))
    best = max(gain(similarity, one) for one in all_assignments(*similarity.shape))
    assert gain(similarity, heirs) == best


@checked
@given(tables)
def test_no_exchange_of_two_gives_an_equally_good_one_that_comes_first(
    similarity: np.ndarray,
) -> None:
    heirs = best_heirs(similarity)
    best = gain(similarity, heirs)

    def place(one: np.ndarray) -> list[float]:
        return [np.inf if j < 0 else j for j in one]

    for other in all_assignments(*similarity.shape):
        used = all(similarity[i, j] > 0 for i, j in enumerate(other) if j >= 0)
        if used and (other != heirs).sum() <= 2 and gain(similarity, other) == best:
            assert place(heirs) <= place(other)


def test_equal_ones_go_to_the_lowest() -> None:
    assert best_heirs(np.ones((3, 3))).tolist() == [0, 1, 2]
    assert best_heirs(np.ones((2, 4))).tolist() == [0, 1]
    assert best_heirs(np.ones((4, 2))).tolist() == [0, 1, -1, -1]
    assert best_heirs(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist() == [1, 0]
    assert best_heirs(np.zeros((2, 2))).tolist() == [-1, -1]


def test_a_pair_that_is_worse_for_itself_may_be_better_for_all() -> None:
    # the best pair first would leave 0.9 + 0.0
    similarity = np.array([[0.9, 0.8], [0.8, 0.0]])
    assert best_heirs(similarity).tolist() == [1, 0]


def test_overlaps_are_jaccard_indices() -> None:
    weight = np.array([[6.0, 4.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    expected = [[0.6, 4 / 12, 0], [0, 2 / 6, 0], [0, 0, np.nan]]
    np.testing.assert_allclose(overlaps(weight), expected, rtol=1e-15)


def test_closeness_is_told_next_to_the_distance_between_old_centers() -> None:
    old = np.array([[0.0], [10.0], [10.0], [50.0]])
    distances = np.abs(old - np.array([[0.0, 5.0, 10.0, 30.0]]))
    np.testing.assert_allclose(
        closeness(old, distances),
        [[1, 0.5, 0, 0], [0, 0.5, 1, 0], [0, 0.5, 1, 0], [0, 0, 0, 0.5]],
    )
    # the only place: whatever is nearest is near
    alone = closeness(np.zeros((2, 1)), np.array([[3.0, 4.0], [3.0, 4.0]]))
    np.testing.assert_allclose(alone, [[0.625, 0.5]] * 2)
    assert closeness(np.zeros((1, 1)), np.zeros((1, 2))).tolist() == [[1.0, 1.0]]


def test_pairs_with_too_little_in_common_are_no_candidates() -> None:
    overlap = np.array([[LEAST_OVERLAP, np.nextafter(LEAST_OVERLAP, 0), np.nan, np.nan]])
    near = np.array([[0.0, 1.0, 0.5, 0.49]])
    found = similarities(overlap, near)
    assert (found > 0).tolist() == [[True, False, True, False]]
    assert (similarities(overlap, None) > 0).tolist() == [[True, False, False, False]]
    assert (similarities(None, near) > 0).tolist() == [[False, True, True, False]]


def test_centers_count_less_than_rows_and_more_than_nothing() -> None:
    overlap, near = np.array([[0.5, 0.45]]), np.array([[0.0, 1.0]])
    assert similarities(overlap, near).argmax() == 1
    assert similarities(np.array([[0.6, 0.45]]), near).argmax() == 0


def test_too_many_pairs_are_refused() -> None:
    check_pairs(8192, 8192)
    with pytest.raises(TooLarge, match="8193 old and 8192 new"):
        check_pairs(8193, 8192)
