"""Stream: Sculley's rule row by row, Schwartzman's by a formula, forgetting, starved centers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkmeans.algorithms.stream import GRACE, PATIENCE, Pace, Stream
from dkmeans.errors import ArgumentError
from dkmeans.kernels.block import Block
from dkmeans.partials import ClusterSums, merge_all
from tests.strategies import blocks_of

RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(5, 3)) * 4 + [100.0, 0.0, -3.0]


def drawn(n_rows, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    X = MEANS[rng.integers(0, 5, n_rows)] + rng.normal(size=(n_rows, 3))
    return X.astype(dtype), rng.choice([0.0, 0.0, 0.5, 1.0, 3.0], n_rows)


def sums_of(stream, X, weight=None, n_blocks=1):
    return merge_all(
        ClusterSums.from_block(block, stream.centers, stream.ledger.origin)
        for block in blocks_of(X, n_blocks, weight)
    )


def labels_of(X, centers):
    return ((X[:, None].astype(np.float64) - centers) ** 2).sum(axis=2).argmin(axis=1)


def sculley(centers, counts, X, weight):
    """Follow a batch as the paper does: labels first, then a step of its own for each row."""
    labels = labels_of(X, centers)
    centers = centers.copy()
    for x, w, j in zip(X.astype(np.float64), weight, labels, strict=True):
        if w > 0:
            counts[j] += w
            eta = w / counts[j]
            centers[j] = (1 - eta) * centers[j] + eta * x
    return centers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_count_is_sculleys_rule_row_by_row(dtype, weighted):
    centers = MEANS + 1.5
    stream, counts = Stream.start(centers), np.zeros(5)
    for number in range(6):
        X, weight = drawn(300, number, dtype)
        weight = weight if weighted else np.ones(len(X))
        stream = stream.after(
            sums_of(stream, X, weight if weighted else None, n_blocks=3), Pace("count")
        )
        centers = sculley(centers, counts, X, weight)
        np.testing.assert_allclose(stream.centers, centers, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(stream.ledger.weight, counts, rtol=1e-12)
    assert stream.centers.dtype == np.float64
    assert (stream.n_steps, stream.n_unseen, stream.ledger.n_rows) == (6, 1800, 1800)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
def test_share_moves_centers_by_the_root_of_their_share(dtype, weighted):
    centers = MEANS + 1.5
    stream = Stream.start(centers)
    for number in range(6):
        X, weight = drawn(200, number, dtype)
        weight = weight if weighted else np.ones(len(X))
        stream = stream.after(sums_of(stream, X, weight, n_blocks=2), Pace("share"))
        labels, wide = labels_of(X, centers), X.astype(np.float64)
        for j in range(5):
            mine = weight[labels == j]
            if mine.sum() > 0:
                alpha = np.sqrt(mine.sum() / weight.sum())
                mean = np.average(wide[labels == j], axis=0, weights=mine)
                centers[j] = (1 - alpha) * centers[j] + alpha * mean
        np.testing.assert_allclose(stream.centers, centers, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rate", ["count", "share"])
def test_a_batch_without_weight_moves_nothing(rate):
    start = Stream.start(MEANS)
    stream = start.after(sums_of(start, *drawn(50, 0)), Pace(rate))
    X, _ = drawn(40, 1)
    after = stream.after(sums_of(stream, X, np.zeros(40)), Pace(rate))
    np.testing.assert_array_equal(after.centers, stream.centers)
    np.testing.assert_array_equal(after.ledger.weight, stream.ledger.weight)


def test_starting_takes_a_copy_and_changes_nothing_of_it():
    centers = MEANS.copy()
    stream = Stream.start(centers)
    centers += 1
    np.testing.assert_array_equal(stream.centers, MEANS)
    stream.after(sums_of(stream, drawn(50, 0)[0]), Pace())
    np.testing.assert_array_equal(stream.centers, MEANS)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["count", "share"]),
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from([None, 7.0]),
)
def test_weight_w_stands_for_w_copies_of_the_row(rate, weights, half_life):
    pace = Pace(rate, half_life if rate == "count" else None)
    rng = np.random.default_rng(0)
    one = many = Stream.start(np.array([[-2.0, 0.0], [3.0, 1.0], [9.0, 9.0]]))
    for weight in weights:
        w = np.array(weight)
        X = rng.integers(-4, 5, (len(w), 2)).astype(np.float64)
        one = one.after(sums_of(one, X, w.astype(np.float64)), pace)
        many = many.after(sums_of(many, np.repeat(X, w, axis=0)), pace)
    np.testing.assert_allclose(one.centers, many.centers, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(one.ledger.weight, many.ledger.weight)


# forgetting


@pytest.mark.parametrize("unit", ["rows", "batches"])
def test_forgetting_weighs_rows_by_their_age(unit):
    half_life = 130.0 if unit == "rows" else 1.7
    pace = Pace("count", half_life, unit)
    stream = Stream.start(MEANS)
    seen, ages, labels = [], [], []
    for number in range(8):
        X, weight = drawn(40 + 10 * number, number)
        passed = weight.sum() if unit == "rows" else 1.0
        ages = [age + passed for age in ages]
        labels.append(labels_of(X, stream.centers))
        stream = stream.after(sums_of(stream, X, weight), pace)
        seen.append((X, weight))
        ages.append(0.0)
        for j in range(5):
            mass = [
                w * (label == j) * 0.5 ** (age / half_life)
                for (_, w), label, age in zip(seen, labels, ages, strict=True)
            ]
            total = np.concatenate(mass)
            assert stream.ledger.weight[j] == pytest.approx(total.sum(), rel=1e-12)
            if total.sum() > 0:
                mean = np.average(np.concatenate([X for X, _ in seen]), axis=0, weights=total)
                np.testing.assert_allclose(stream.centers[j], mean, rtol=1e-12)


def lag(half_life, unit, n_batches, batch_rows=400, drift=0.05):
    """How far centers are behind a mixture that moves by `drift` with each batch."""
    # apart in the feature that does not move
    means = np.array([[0.0, 0.0], [0.0, 30.0], [0.0, 60.0]])
    stream = Stream.start(means)
    pace = Pace("count", half_life, unit)
    rng = np.random.default_rng(0)
    behind = []
    for number in range(n_batches):
        X = means[rng.integers(0, 3, batch_rows)] + rng.normal(size=(batch_rows, 2))
        X[:, 0] += drift * number
        stream = stream.after(sums_of(stream, X), pace)
        behind.append(drift * number - stream.centers[:, 0].mean())
    return np.array(behind)


@pytest.mark.parametrize(("half_life", "unit"), [(4.0, "batches"), (1600.0, "rows")])
def test_centers_that_forget_follow_a_drift_within_a_constant_lag(half_life, unit):
    # the mean age of the weight is 1 / (2^(1/h) - 1) batches for a half-life of h batches
    expected = 0.05 / (2 ** (1 / 4) - 1)
    assert expected == pytest.approx(0.05 * 4 / np.log(2), rel=0.1)
    behind = lag(half_life, unit, 120)
    assert behind[-60:].mean() == pytest.approx(expected, rel=0.1)
    assert abs(behind[60:90].mean() - behind[90:].mean()) < 0.1 * expected


def test_centers_that_forget_nothing_fall_back_for_ever():
    behind = lag(None, "rows", 60)
    # the mean age of all batches so far is half their number
    assert behind[-1] == pytest.approx(0.05 * 59 / 2, rel=0.1)
    assert behind[-1] == pytest.approx(2 * behind[29], rel=0.2)


def test_a_center_that_gets_no_rows_stays_where_it_is_however_much_is_forgotten():
    stream = Stream.start(np.array([[0.0, 0.0], [50.0, 50.0]]))
    pace = Pace("count", 0.5, "batches")
    stream = stream.after(sums_of(stream, np.array([[49.0, 50.0], [1.0, 0.0]])), pace)
    left = stream.centers[1].copy()
    np.testing.assert_array_equal(left, [49.0, 50.0])
    for _ in range(2000):
        stream = stream.after(sums_of(stream, np.array([[1.0, 1.0]])), pace)
        # the last bits of a mean that is almost forgotten may change
        np.testing.assert_allclose(stream.centers[1], left, rtol=1e-12)
    assert stream.ledger.weight[1] == 0
    assert np.isfinite(stream.centers).all()


def test_a_half_life_far_below_a_batch_keeps_the_last_batch_only():
    stream = Stream.start(MEANS)
    for number in range(3):
        X, _ = drawn(100, number)
        labels = labels_of(X, stream.centers)
        stream = stream.after(sums_of(stream, X), Pace("count", 1e-300))
    for j in range(5):
        np.testing.assert_allclose(stream.centers[j], X[labels == j].mean(axis=0), rtol=1e-12)
    assert stream.ledger.weight.sum() == 100


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rate": "sculley"}, "learning_rate='sculley' is not known"),
        ({"half_life_unit": "seconds"}, "half_life_unit='seconds' is not known"),
        ({"half_life": 0}, "half_life=0 should be a number above 0"),
        ({"half_life": -3.0}, "half_life=-3.0 should be a number above 0"),
        ({"half_life": float("nan")}, "half_life=nan should be a number above 0"),
        ({"half_life": 5, "learning_rate": "share"}, "half_life=5 goes with learning_rate='count'"),
    ],
)
def test_a_pace_that_cannot_be_is_refused_by_name(values, words):
    with pytest.raises(ArgumentError, match=words):
        Pace(**values).check()


# starved centers


def test_a_center_starves_after_several_looks_in_a_row():
    stream = Stream.start(MEANS)
    full, short = np.full(5, 100.0), np.array([100.0, 100.0, 100.0, 100.0, 0.1])
    for _ in range(PATIENCE - 1):
        stream = stream.look(short, 0.01)
        assert stream.starved.tolist() == []
    assert stream.look(short, 0.01).starved.tolist() == [4]
    # one look that finds it fed begins anew
    stream = stream.look(full, 0.01)
    for _ in range(PATIENCE - 1):
        stream = stream.look(short, 0.01)
        assert stream.starved.tolist() == []


def test_a_ratio_of_zero_lets_no_center_starve():
    stream = Stream.start(MEANS)
    for _ in range(5):
        stream = stream.look(np.array([0.0, 0.0, 0.0, 0.0, 1.0]), 0.0)
        assert stream.starved.tolist() == []


def test_a_center_that_was_seeded_again_is_spared_for_some_looks():
    stream = Stream.start(MEANS)
    short = np.array([0.0, 100.0, 100.0, 100.0, 100.0])
    for _ in range(PATIENCE):
        stream = stream.look(short, 0.01)
    stream = stream.reseeded(stream.starved, MEANS[:1] + 7)
    looks = 0
    while len(stream.starved) == 0:
        stream = stream.look(short, 0.01)
        looks += 1
    assert looks == GRACE + PATIENCE


def test_a_look_ends_the_count_of_unseen_rows():
    stream = Stream.start(MEANS)
    stream = stream.after(sums_of(stream, drawn(70, 0)[0]), Pace())
    assert stream.n_unseen == 70
    stream = stream.look(stream.ledger.weight, 0.01)
    assert stream.n_unseen == 0
    assert stream.after(sums_of(stream, drawn(30, 1)[0]), Pace()).n_unseen == 30


def test_seeding_again_empties_the_ledger_of_these_centers_alone():
    start = Stream.start(MEANS)
    before = start.after(sums_of(start, drawn(500, 0)[0]), Pace())
    rows = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    after = before.reseeded(np.array([3, 1]), rows)
    np.testing.assert_array_equal(after.centers[[3, 1]], rows)
    np.testing.assert_array_equal(after.centers[[0, 2, 4]], before.centers[[0, 2, 4]])
    assert after.ledger.weight[[1, 3]].tolist() == [0, 0]
    np.testing.assert_array_equal(after.ledger.sums[[0, 2, 4]], before.ledger.sums[[0, 2, 4]])
    assert before.ledger.weight.sum() == 500
    # its next row is its center
    X = np.array([[1.5, 2.0, 3.0]])
    follows = after.after(
        ClusterSums.from_block(Block(X, ((0, 1),)), after.centers, MEANS[0]), Pace()
    )
    j = int(labels_of(X, after.centers)[0])
    assert j == 3
    assert follows.ledger.weight[3] == 1
