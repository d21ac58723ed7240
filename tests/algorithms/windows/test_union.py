"""Coresets of partitions, and what they are together: one of all their rows, without bias."""

from dataclasses import replace

import numpy as np
import pytest

from dkmeans import KMeans, Rows
from dkmeans.algorithms.coreset.precision import standard_error
from dkmeans.algorithms.settings import KMeansSettings
from dkmeans.algorithms.windows.partition import PartitionCoreset, draw
from dkmeans.algorithms.windows.sizes import is_enough, least_sizes, size_to_draw
from dkmeans.algorithms.windows.union import (
    check_alike,
    joined,
    joined_moments,
    learned_scaling,
    lessened,
)
from dkmeans.errors import FeaturesMismatch, SchemaMismatch
from dkmeans.models.columns import FeatureColumn
from dkmeans.models.model import Model

CENTERS = np.array([[0.0, 0, 0], [6, 0, 1], [-5, 5, 0], [20, -20, 5]])
N = (3000, 1000, 2000)


def settings(size: int, seed: int = 0, scale: str | None = None) -> KMeansSettings:
    return KMeansSettings(
        n_clusters=4, init="coreset", n_init=2, seed=seed, scale=scale, oversampling_factor=2.0,
        init_rounds=0, tol=1e-4, max_iter=1, coreset_size=size,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data() -> list[tuple[np.ndarray, np.ndarray]]:
    """Partitions with other shares of four clusters each, and weights."""
    rng = np.random.default_rng(0)
    found = []
    for day, n in enumerate(N):
        share = np.array([0.5, 0.3, 0.19, 0.01 + 0.1 * day])
        label = rng.choice(4, n, p=share / share.sum())
        X = CENTERS[label] + 0.5 * day + rng.normal(size=(n, 3)) * (1 + label)[:, None]
        found.append((X, rng.choice([0.0, 0.5, 1.0, 3.0], n)))
    return found


def parts_of(data, size: int, seed: int = 0, champion: Model | None = None):
    drawn = []
    for number, (X, weight) in enumerate(data):
        rows = Rows.from_array(X, weight, block_rows=400)
        part, _ = draw(rows, settings(size, 100 * seed + number), champion)
        drawn.append(part)
    return drawn


def estimates(X: np.ndarray, weight: np.ndarray) -> np.ndarray:
    cost = ((X[:, None] - CENTERS) ** 2).sum(axis=2).min(axis=1)
    return np.array([weight.sum(), *(weight @ X), *(weight @ X**2), weight @ cost])


@pytest.fixture(scope="module")
def champion(data) -> Model:
    """A model of the first partition alone."""
    X, weight = data[0]
    return KMeans(4, random_state=0, scale="standard").fit(X, sample_weight=weight).model_


@pytest.mark.parametrize("share", [1.0, 0.4])
@pytest.mark.parametrize("with_champion", [False, True])
def test_sums_over_the_union_are_those_over_all_rows(data, champion, with_champion, share):
    X, weight = (np.concatenate(both) for both in zip(*data, strict=True))
    truth, scale = estimates(X, weight), estimates(np.abs(X), weight)
    n_seeds = 40
    raw, whole = [], []
    for seed in range(n_seeds):
        parts = parts_of(data, 300, seed, champion if with_champion else None)
        coreset = joined(parts, None)
        n = int(np.searchsorted(coreset.depth, share))
        expanded = coreset.weight[:n] / -np.expm1(-share * coreset.rate[:n])
        raw.append(estimates(coreset.X[:n], expanded))
        whole.append(estimates(*coreset.part(share)))
    assert len(coreset.depth) <= 900
    error = np.std(raw, axis=0, ddof=1) / np.sqrt(n_seeds)
    assert (error < 0.03 * scale).all()
    assert (np.abs(np.mean(raw, axis=0) - truth) <= 4 * error).all()
    # calibration leaves the weight exact
    np.testing.assert_allclose(np.array(whole)[:, 0], truth[0], rtol=1e-12)


def test_the_standard_error_of_the_inertia_is_its_spread_at_most(data):
    X, weight = (np.concatenate(both) for both in zip(*data, strict=True))
    truth = estimates(X, weight)[-1]
    found, errors = [], []
    for seed in range(40):
        coreset = joined(parts_of(data, 300, seed), None)
        rows, expanded = coreset.part(1.0)
        cost = expanded * ((rows[:, None] - CENTERS) ** 2).sum(axis=2).min(axis=1)
        found.append(cost.sum())
        errors.append(standard_error(cost, coreset.rate) * cost.sum())
    spread = np.sqrt(np.mean((np.array(found) - truth) ** 2))
    # calibration helps, which the stated error does not count on
    assert 0.3 * np.mean(errors) < spread < 1.3 * np.mean(errors)
    assert np.mean(errors) < 0.1 * truth


def test_moments_and_scales_are_exactly_those_of_all_rows(data):
    parts = parts_of(data, 200)
    X, weight = (np.concatenate(both) for both in zip(*data, strict=True))
    mean = np.average(X, axis=0, weights=weight)
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    moments = joined_moments(parts)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-12)
    standard = learned_scaling("standard", parts)
    np.testing.assert_allclose(standard.factor, np.sqrt(variance), rtol=1e-12)
    minmax = learned_scaling("minmax", parts)
    np.testing.assert_array_equal(minmax.shift, X[weight > 0].min(axis=0))
    robust = learned_scaling("robust", parts)
    low, middle, high = np.percentile(np.repeat(X, (2 * weight).astype(int), axis=0), [25, 50, 75],
                                      axis=0)  # fmt: skip
    np.testing.assert_allclose(robust.factor, high - low, rtol=0.1)
    np.testing.assert_allclose(robust.shift, middle, atol=0.1 * (high - low).max())
    assert learned_scaling(None, parts) is None


def test_partitions_of_few_rows_are_kept_whole(data):
    parts = parts_of(data, 5000)
    coreset = joined(parts, None)
    assert coreset.is_everything
    X, weight = (np.concatenate(both) for both in zip(*data, strict=True))
    assert coreset.n_rows == len(X)
    assert len(coreset.depth) == (weight > 0).sum()
    np.testing.assert_allclose(estimates(*coreset.part(1.0)), estimates(X, weight), rtol=1e-12)


def test_a_partition_where_the_champion_has_seen_nothing_is_read_again(data, champion):
    far = data[1][0] * [1.0, 1.0, 200.0] + [0.0, 0.0, 3000.0]
    rows = Rows.from_array(far, block_rows=400)
    part, history = draw(rows, settings(250), champion)
    kinds = [record["kind"] for record in history]
    assert kinds[0] == "read"
    X, weight = part.coreset.part(1.0)
    spread = weight @ (X[:, 2] - np.average(X[:, 2], weights=weight)) ** 2
    exact = ((far[:, 2] - far[:, 2].mean()) ** 2).sum()
    assert spread == pytest.approx(exact, rel=0.25)


def test_what_is_kept_of_a_partition_is_in_the_units_of_the_data(data, champion):
    X, weight = data[0]
    part, _ = draw(Rows.from_array(X, weight, block_rows=400), settings(600), champion)
    np.testing.assert_allclose(part.coreset.cell_centers, champion.centers)
    numbers = part.coreset.row_numbers
    np.testing.assert_array_equal(part.coreset.X, X[numbers])
    np.testing.assert_array_equal(part.coreset.weight, weight[numbers])
    nearest = ((X[:, None] - part.coreset.cell_centers) ** 2 / champion.scaling.factor**2).sum(2)
    totals = np.bincount(nearest.argmin(axis=1), weight, minlength=4)
    np.testing.assert_allclose(part.coreset.cell_weight, totals)


def test_a_champion_saves_the_look_at_a_few_rows(data, champion):
    rows = Rows.from_array(*data[0], block_rows=400)
    kinds = [[record["kind"] for record in draw(rows, settings(300), one)[1]]
             for one in (None, champion)]  # fmt: skip
    assert kinds[0][:2] == ["pilot", "read"]
    assert kinds[1][0] == "read"


def test_unlike_partitions_are_refused(data, champion):
    first, second, _ = parts_of(data, 200)
    columns = tuple(FeatureColumn(name) for name in "abc")
    named: list[tuple[str, PartitionCoreset]] = [
        ("mon", replace(first, columns=columns)),
        ("tue", replace(second, columns=columns[::-1])),
    ]
    with pytest.raises(SchemaMismatch, match=r"partition tue has .*\['c', 'b', 'a'\], mon has"):
        check_alike(named, None)
    bare = KMeans(2, random_state=0).fit(data[0][0][:, :2]).model_
    with pytest.raises(FeaturesMismatch):
        check_alike(named[:1], bare)


def test_partitions_have_an_even_share_of_the_rows_at_least_and_more_are_drawn():
    n_rows = {"a": 100, "b": 100, "c": 800}
    assert least_sizes(n_rows, 500, 8) == {"a": 167, "b": 167, "c": 400}
    assert least_sizes({"a": 5}, 500, 8) == {"a": 500}
    assert least_sizes({str(i): 10 for i in range(100)}, 100, 8)["7"] == 8
    # half of few rows, the size of a window of many, and a share where there are many partitions
    assert size_to_draw(600, 4, 500, 125) == 300
    assert size_to_draw(9000, 4, 500, 125) == 500
    assert size_to_draw(9000, 40, 500, 13) == 100
    assert size_to_draw(60, 4, 500, 125) == 125
    assert is_enough(500, 900)
    assert not is_enough(500, 1100)


def test_what_is_drawn_from_a_union_stands_for_all_rows_too(data):
    X, weight = (np.concatenate(both) for both in zip(*data, strict=True))
    truth, scale = estimates(X, weight), estimates(np.abs(X), weight)
    found, partly, errors, sizes = [], [], [], []
    for seed in range(60):
        whole = joined(parts_of(data, 300, seed), None)
        fewer = lessened(whole, 300, CENTERS + 0.5, seed)
        found.append(estimates(*fewer.part(1.0)))
        partly.append(estimates(*fewer.part(0.5)))
        sizes.append((len(whole.depth), len(fewer.depth), np.searchsorted(fewer.depth, 0.5)))
        rows, expanded = fewer.part(1.0)
        cost = expanded * ((rows[:, None] - CENTERS) ** 2).sum(axis=2).min(axis=1)
        errors.append(standard_error(cost, fewer.rate) * cost.sum())
    assert np.mean(sizes, axis=0) == pytest.approx([800, 300, 160], rel=0.1)
    for some in (found, partly):
        error = np.std(some, axis=0, ddof=1) / np.sqrt(60)
        assert (error < 0.05 * scale).all()
        # ratios to exact totals have a small bias
        assert (np.abs(np.mean(some, axis=0) - truth) <= 4 * error + 0.01 * scale).all()
    np.testing.assert_allclose(np.array(found)[:, 0], truth[0], rtol=1e-12)
    spread = np.sqrt(np.mean((np.array(found)[:, -1] - truth[-1]) ** 2))
    assert 0.3 * np.mean(errors) < spread < 1.3 * np.mean(errors)


def test_a_union_of_few_rows_is_taken_as_it_is_and_far_rows_are_never_left_out(data):
    whole = joined(parts_of(data, 300), None)
    assert lessened(whole, len(whole.depth), CENTERS, 0) is whole
    everything = joined(parts_of(data, 5000), None)
    far = everything.X.copy(order="F")
    far[17] = 1e4
    fewer = lessened(replace(everything, X=far), 300, CENTERS, 0)
    assert (fewer.X == 1e4).all(axis=1).sum() == 1
    assert np.isinf(fewer.rate[(fewer.X == 1e4).all(axis=1)]).all()
    assert (np.diff(fewer.depth) >= 0).all()
    # where all rows are alike, none costs anything
    same = replace(everything, X=np.zeros_like(everything.X))
    assert 0 < len(lessened(same, 300, np.zeros((4, 3)), 0).depth) < 400
