"""k-means|| by what it draws and where it ends; k-means++ on gathered rows."""

import logging

import numpy as np
import pytest

from dkmeans import Rows, read_parquet
from dkmeans.algorithms.begun import Wanted
from dkmeans.algorithms.drive import drive
from dkmeans.algorithms.lloyd import lloyd
from dkmeans.algorithms.seeding import (
    Drawn,
    plus_plus,
    scalable_kmeans_plus_plus,
    scalable_passes,
)
from dkmeans.errors import ArgumentError
from dkmeans.partials import WeightedSample
from tests.conftest import write_parquet


def watched(passes, partials):
    """Run an algorithm as it is and note each partial that it gets."""
    request = next(passes)
    while True:
        answer = yield request
        partials.append(answer.partial)
        try:
            request = passes.send(answer)
        except StopIteration as stop:
            return stop.value


def seed_by_rounds(rows, first, n_clusters, *, seed=0, oversampling_factor=2.0, n_rounds=5):
    """Return the centers, the samples of the rounds, and the cells of the candidates."""
    partials = []
    passes = scalable_passes(
        Drawn((np.atleast_2d(first),)),
        n_clusters,
        seed=seed,
        oversampling_factor=oversampling_factor,
        n_rounds=n_rounds,
    )
    ((centers, history),) = drive(rows, [watched(passes, partials)])
    return centers, partials[:-1], partials[-1], history


def cost_of(X, centers):
    return ((X[:, None, :] - centers) ** 2).sum(axis=2).min(axis=1).sum()


@pytest.mark.parametrize(("n_clusters", "factor"), [(3, 2.0), (30, 2.0), (60, 2.0), (30, 0.5)])
def test_each_round_draws_a_number_of_rows_proportional_to_k(n_clusters, factor):
    X = np.random.default_rng(0).normal(size=(3000, 3))
    rows = Rows.from_array(X, block_rows=400)
    assert rows.n_blocks > 1
    centers, rounds, cells, history = seed_by_rounds(
        rows, X[0], n_clusters, oversampling_factor=factor
    )
    expected = round(factor * n_clusters)
    assert [len(sample.X) for sample in rounds] == [expected] * 5
    assert cells.n_clusters == 1 + 5 * expected
    assert len(history) == rows.n_passes == 6
    assert centers.shape == (n_clusters, 3)


def test_no_row_is_drawn_twice_and_no_candidate_again():
    X = np.random.default_rng(1).normal(size=(500, 2))
    _, rounds, _, _ = seed_by_rounds(Rows.from_array(X, block_rows=70), X[3], 20)
    drawn = np.concatenate([sample.row_numbers for sample in rounds])
    assert len(set(drawn)) == len(drawn) == 200
    assert 3 not in drawn


def test_costs_are_those_of_the_candidates_so_far():
    X = np.random.default_rng(2).normal(size=(1000, 4)) + 1e4
    _, rounds, cells, history = seed_by_rounds(Rows.from_array(X, block_rows=130), X[0], 10)
    candidates = X[:1]
    for sample, record in zip(rounds, history[:-1], strict=True):
        assert record["cost"] == pytest.approx(cost_of(X, candidates), rel=1e-9)
        candidates = np.concatenate([candidates, X[sample.row_numbers]])
    assert history[-1]["cost"] == pytest.approx(cost_of(X, candidates), rel=1e-9)
    nearest = ((X[:, None, :] - candidates) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(cells.weight, np.bincount(nearest, minlength=len(candidates)))


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory):
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(40, 3)) * 20)[rng.integers(0, 40, 120_000)] + rng.normal(
        size=(120_000, 3)
    )
    folder = tmp_path_factory.mktemp("many") / "rows"
    return write_parquet(folder, X.astype(np.float32), row_group_rows=30_000)


def test_blocks_and_filters_that_keep_all_rows_draw_the_same_candidates(many_rows):
    drawn, ends = [], []
    for block_rows, filters in [
        (1000, None),
        (100_000, None),
        (1000, [("f0", ">", -1e6)]),
        (100_000, [("f0", ">", -1e6)]),
    ]:
        rows = read_parquet(str(many_rows), block_rows=block_rows, filters=filters)
        assert rows.n_blocks > 100 if block_rows == 1000 else rows.n_blocks > 1
        first = rows.reduce(WeightedSample.from_block, 1, 7, ("first",))
        centers, rounds, _, _ = seed_by_rounds(rows, first.X, 40, seed=7, n_rounds=3)
        drawn.append(np.concatenate([first.row_numbers, *(s.row_numbers for s in rounds)]))
        ends.append(lloyd(rows, centers)[0].inertia)
        rows.close()
    assert len(drawn[0]) == 1 + 3 * 80
    for other in drawn[1:]:
        np.testing.assert_array_equal(other, drawn[0])
    np.testing.assert_allclose(ends, ends[0], rtol=1e-6)


def test_other_seeds_draw_other_candidates():
    X = np.random.default_rng(4).normal(size=(2000, 2))
    rows = Rows.from_array(X, block_rows=300)
    (_, first, _, _), (_, other, _, _) = (seed_by_rounds(rows, X[0], 10, seed=s) for s in (1, 2))
    assert set(first[0].row_numbers) != set(other[0].row_numbers)


def test_each_round_draws_from_random_numbers_of_its_own():
    # all rows are equally far from each other, so that no round changes the importance of a row
    X = np.eye(300)
    _, rounds, _, _ = seed_by_rounds(Rows.from_array(X, block_rows=70), X[0], 10, n_rounds=2)
    # the same numbers again would leave only keys above the first round's threshold
    assert rounds[1].keys[0] < rounds[0].keys[-1]


def test_rows_of_weight_zero_are_never_candidates():
    X = np.concatenate([np.random.default_rng(5).normal(size=(300, 2)), np.full((10, 2), 1e5)])
    weight = np.concatenate([np.ones(300), np.zeros(10)])
    rows = Rows.from_array(X, weight, block_rows=50)
    centers, rounds, _, _ = seed_by_rounds(rows, X[0], 10)
    assert all((sample.row_numbers < 300).all() for sample in rounds)
    assert np.abs(centers).max() < 10


def test_heavy_rows_are_drawn_more_often():
    X = (
        np.repeat([[0.0], [1.0], [-1.0]], [1, 200, 200], axis=0)
        + np.linspace(0, 1e-3, 401)[:, None]
    )
    weight = np.where(X[:, 0] > 0.5, 9.0, 1.0)
    rows = Rows.from_array(X, weight, block_rows=60)
    heavy = [
        int(
            (
                seed_by_rounds(rows, X[0], 1, seed=s, oversampling_factor=1, n_rounds=1)[1][0].X > 0
            ).sum()
        )
        for s in range(40)
    ]
    # 36 of 40 in the mean; a fair coin would give 20
    assert 30 <= sum(heavy) <= 40


def test_it_ends_early_when_every_row_is_a_candidate():
    X = np.repeat(np.arange(6.0)[:, None], 20, axis=0)
    rows = Rows.from_array(X, block_rows=25)
    centers, rounds, _, history = seed_by_rounds(rows, X[0], 6, oversampling_factor=10)
    # copies of a candidate are at distance 0 once a round has found them
    assert len(history) < 6
    assert len(rounds[-1].X) == 0
    np.testing.assert_allclose(np.sort(centers[:, 0]), np.arange(6.0))


def test_fewer_candidates_than_clusters_are_repeated_and_never_the_origin(caplog):
    X = np.repeat([[50.0, 60.0], [70.0, 80.0]], 10, axis=0)
    with caplog.at_level(logging.WARNING, logger="dkmeans"):
        centers, _, _, _ = seed_by_rounds(Rows.from_array(X, block_rows=6), X[0], 5)
    assert "2 candidates for 5 clusters" in caplog.text
    assert centers.shape == (5, 2)
    assert {tuple(center) for center in centers} == {(50.0, 60.0), (70.0, 80.0)}


def test_no_rounds_leave_the_first_candidate_alone():
    X = np.random.default_rng(6).normal(size=(100, 2))
    centers, rounds, cells, _ = seed_by_rounds(
        Rows.from_array(X, block_rows=30), X[0], 1, n_rounds=0
    )
    assert (len(rounds), cells.n_clusters) == (0, 1)
    np.testing.assert_allclose(centers[0], X.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_separated_clusters_are_all_found(blobs, dtype):
    X, truth = blobs
    rows = Rows.from_array(X.astype(dtype), block_rows=600)
    centers = scalable_kmeans_plus_plus(rows, 10, seed=0)
    assert rows.n_passes == 7
    off = np.sqrt(((centers[:, None, :] - truth) ** 2).sum(axis=2))
    assert sorted(off.argmin(axis=1)) == list(range(10))
    assert off.min(axis=1).max() < 0.5


def test_a_float32_offset_does_not_cost_clusters(blobs):
    X, truth = blobs
    rows = Rows.from_array((X + 1e4).astype(np.float32), block_rows=600)
    centers = scalable_kmeans_plus_plus(rows, 10, seed=1)
    assert cost_of(X, centers - 1e4) < 1.1 * cost_of(X, truth)


def test_plus_plus_gathers_the_rows_in_one_pass_for_all_seeds(blobs):
    X, truth = blobs
    rows = Rows.from_array(X, block_rows=600)
    starts = plus_plus(rows, [Wanted(10, seed) for seed in (0, 1, 2)])
    assert rows.n_passes == 1
    assert not np.array_equal(starts[0], starts[1])
    for start in starts:
        nearest = ((start[:, None, :] - truth) ** 2).sum(axis=2).argmin(axis=1)
        assert sorted(nearest) == list(range(10))


def test_plus_plus_does_not_depend_on_blocks(blobs):
    starts = [
        plus_plus(Rows.from_array(blobs[0], block_rows=b), [Wanted(10, 5)])[0] for b in (99, 5000)
    ]
    np.testing.assert_array_equal(*starts)


def test_plus_plus_on_too_many_rows_names_the_other_way(monkeypatch):
    monkeypatch.setattr("dkmeans.algorithms.seeding.MOST_PLUS_PLUS_BYTES", 1000)
    rows = Rows.from_array(np.ones((500, 2)), block_rows=100)
    with pytest.raises(ArgumentError, match=r"init='k-means\+\+' .* Use init='k-means\|\|'"):
        plus_plus(rows, [Wanted(3, 0)])
    assert rows.n_passes == 0
