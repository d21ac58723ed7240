"""The passes of a profile: two of them, and what they find is what NumPy finds on all rows."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.errors import TooLarge
from dkmeans.evaluation.asked import opened
from dkmeans.evaluation.demand import profile_demand
from dkmeans.evaluation.profiles import survey
from dkmeans.evaluation.profiles.edges import Bins
from dkmeans.evaluation.profiles.parts import Examples, Histogram
from dkmeans.evaluation.profiles.passes import profile_statistics
from dkmeans.evaluation.profiles.statistics import ProfileStatistics
from dkmeans.kernels.block import Array
from dkmeans.models.filling import Filling
from dkmeans.models.model import Model
from dkmeans.models.scaling import Normalization, Scaling
from dkmeans.partials.cells import Cells
from dkmeans.rows.engine import LocalEngine, Slot
from dkmeans.rows.task_memory import task_bytes
from tests.conftest import write_parquet

N, K, D = 4000, 5, 3
LEVELS = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]
SCALINGS = {
    "none": None,
    "standard": Scaling("standard", np.array([5.0, -2.0, 100.0]), np.array([2.0, 3.0, 5.0])),
    "normalize": Normalization(),
}


@pytest.fixture(scope="module")
def X() -> Array:
    """A mixture of four; its second feature has many ties."""
    rng = np.random.default_rng(0)
    means = np.array([[0, 0, 100], [9, -4, 70], [5, 6, 140], [-7, 2, 100]])
    X = means[rng.choice(4, N, p=[0.6, 0.3, 0.09, 0.01])] + rng.normal(size=(N, D)) * [1, 1, 4]
    X[:, 1] = np.round(X[:, 1])
    return X


def model_of(X: Array, scale: str = "none", dtype: str = "float64", k: int = K) -> Model:
    """Rows as centers, and one that no row is near: an empty cluster."""
    scaling = SCALINGS[scale]
    zeros, ones = np.zeros((k, D)), np.ones(k)
    model = Model(zeros, scaling, None, dtype, np.arange(k), ones, ones, zeros)
    centers = model.scale(np.asfortranarray(X[:k].astype(dtype))).astype(np.float64)
    centers[-1] = centers[-1] if k == 1 else -10 * centers[0]
    model = replace(model, scaled_centers=centers)
    weights = np.bincount(labels_of(model, X), minlength=k).astype(float)
    return replace(model, weights=weights)


def labels_of(model: Model, X: Array) -> Array:
    return model.assign_scaled(model.scale(np.asfortranarray(X.astype(model.dtype)))).labels


def rows_of(X: Array, weight: Array | None = None, **options: Any) -> Rows:
    rows = Rows.from_array(X, weight, **{"block_rows": 900, **options})
    assert rows.n_blocks > 1
    return rows


def assert_same(one: Any, other: Any) -> None:
    """Assert that two results have the same bits, however deep."""
    assert type(one) is type(other)
    if isinstance(one, (ProfileStatistics, Examples, Histogram, Bins, Cells)):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n_examples", [0, 3])
@pytest.mark.parametrize("scale", SCALINGS)
def test_a_profile_takes_two_passes(X, scale, n_examples):
    rows = rows_of(X)
    found = profile_statistics(model_of(X, scale), rows, n_examples=n_examples)
    assert rows.n_passes == 2
    assert found.n_rows == N
    again = rows.scaled(SCALINGS["standard"])
    assert_same(profile_statistics(model_of(X, scale), again, n_examples=n_examples), found)
    assert rows.n_passes == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", SCALINGS)
def test_statistics_are_those_of_numpy_on_all_rows(X, scale, weighted, dtype):
    X = X.astype(dtype)
    model = model_of(X, scale, dtype)
    weight = np.random.default_rng(1).integers(0, 4, N).astype(float) if weighted else None
    found = profile_statistics(model, rows_of(X, weight))
    labels, copies = labels_of(model, X), np.ones(N, int) if weight is None else weight.astype(int)
    scaled = model.scale(np.asfortranarray(X)).astype(np.float64)
    values, low, high = found.quantiles(LEVELS)
    assert found.n_rows == N
    assert found.n_sampled == (copies > 0).sum()
    for c in range(K):
        own = np.repeat(np.flatnonzero(labels == c), copies[labels == c])
        assert found.weight[c] == len(own)
        if len(own) == 0:
            continue
        rows = X[own].astype(np.float64)
        np.testing.assert_allclose(found.mean[c], rows.mean(axis=0), rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(found.variance[c], rows.var(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(found.minimum[c], rows.min(axis=0))
        np.testing.assert_array_equal(found.maximum[c], rows.max(axis=0))
        covariance = np.cov(scaled[own].T, ddof=0)
        np.testing.assert_allclose(found.covariance[c], covariance, rtol=1e-7, atol=1e-9)
        far = ((scaled[own] - model.scaled_centers[c]) ** 2).sum(axis=1)
        tolerance = 1e-3 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(found.sq_distances[c], far.sum(), rtol=tolerance)
        np.testing.assert_allclose(found.spread[c], np.sqrt(far.mean()), rtol=tolerance)
        expected = np.quantile(rows, LEVELS, axis=0, method="inverted_cdf")
        assert (low[:, c] <= values[:, c]).all()
        assert (values[:, c] <= high[:, c]).all()
        assert (low[:, c] <= expected).all()
        assert (expected <= high[:, c]).all()
        # every value of the second feature is an edge
        np.testing.assert_array_equal(values[:, c, 1], expected[:, 1])
        np.testing.assert_array_equal(low[:, c, 1], high[:, c, 1])
        assert (high[:, c] - low[:, c] <= 0.75 * np.ptp(rows, axis=0)).all()
    np.testing.assert_array_equal(
        found.histogram.counts.sum(axis=2) + found.histogram.other,
        np.broadcast_to(found.weight[:, None], (K, D)),
    )
    assert found.histogram.bins.discrete.tolist() == [False, True, False]


def test_an_empty_cluster_is_nan_and_the_others_are_not(X):
    model = model_of(X)
    found = profile_statistics(model, rows_of(X), n_examples=2)
    assert found.weight[-1] == 0
    assert (found.weight[:-1] > 0).all()
    assert found.covariance is not None
    parts = [found.mean, found.variance, found.minimum, found.maximum, found.covariance]
    parts += [found.spread, *(part[1] for part in found.quantiles([0.5, 0.7]))]
    for part in parts:
        assert np.isnan(part[-1]).all()
        assert np.isfinite(part[:-1]).all()
    assert not found.histogram.counts[-1].any()
    assert found.typical is not None
    assert np.unique(found.typical.labels).tolist() == [0, 1, 2, 3]


def test_weight_w_is_w_copies(X):
    model = model_of(X)
    weight = np.random.default_rng(1).integers(0, 4, N).astype(float)
    weighted = profile_statistics(model, rows_of(X, weight))
    copied = profile_statistics(model, rows_of(np.repeat(X, weight.astype(int), axis=0)))
    assert weighted.n_rows == N
    assert copied.n_rows == weight.sum()
    for name in ("weight", "minimum", "maximum", "edges", "histogram"):
        assert_same(getattr(weighted, name), getattr(copied, name))
    for name in ("mean", "variance", "sq_distances", "covariance"):
        ours, theirs = getattr(weighted, name), getattr(copied, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(weighted.quantiles(LEVELS), copied.quantiles(LEVELS))


def test_what_is_found_does_not_depend_on_blocks_or_schedulers(X, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 300)
    monkeypatch.setattr(survey, "SAMPLE_ROWS_OF_A_CLUSTER", 1)
    whole = np.round(X)
    model = model_of(whole)
    first = profile_statistics(model, rows_of(whole), n_examples=4, seed=3)
    assert first.n_sampled == 300
    with dask.config.set(scheduler="synchronous"):
        rows = rows_of(whole, block_rows=130)
        second = profile_statistics(model, rows, n_examples=4, seed=3)
    for name in ("weight", "minimum", "maximum", "edges", "histogram", "typical", "boundary"):
        assert_same(getattr(first, name), getattr(second, name))
    np.testing.assert_allclose(first.variance, second.variance, rtol=1e-12)
    other = profile_statistics(model, rows_of(whole), seed=4)
    assert other.edges.shape != first.edges.shape or (other.edges != first.edges).any()


def brute_force(model: Model, X: Array, weight: Array, n: int, boundary: bool) -> list[int]:
    """Row numbers of examples, by a full sort of distances to all centers."""
    scaled = model.scale(np.asfortranarray(X)).astype(np.float64)
    far = np.sqrt(((scaled[:, None] - model.scaled_centers) ** 2).sum(axis=2))
    label, ordered = far.argmin(axis=1), np.sort(far, axis=1)
    by = 1 - ordered[:, 0] / ordered[:, 1] if boundary else ordered[:, 0]
    numbers: list[int] = []
    for c in range(model.n_clusters):
        near = by <= 0.5 if boundary else True
        own = np.flatnonzero((label == c) & (weight > 0) & near)
        numbers += own[np.argsort(by[own], kind="stable")][:n].tolist()
    return numbers


@pytest.mark.parametrize("scale", SCALINGS)
def test_examples_are_the_nearest_rows_and_those_on_the_boundary(X, scale):
    model, weight = model_of(X, scale), (np.arange(N) % 3 > 0).astype(float)
    found = profile_statistics(model, rows_of(X, weight), n_examples=3)
    for examples, boundary in ((found.typical, False), (found.boundary, True)):
        assert examples is not None
        expected = brute_force(model, X, weight, 3, boundary)
        assert examples.row_numbers.tolist() == expected
        assigned = model.assign(X[expected])
        np.testing.assert_array_equal(examples.labels, assigned.labels)
        np.testing.assert_array_equal(examples.X, X[expected])
        np.testing.assert_allclose(examples.distances, assigned.distances, rtol=1e-9)
        np.testing.assert_allclose(examples.second_distances, assigned.second_distances, rtol=1e-9)
        ratio = assigned.distances / assigned.second_distances
        np.testing.assert_allclose(examples.margins, 1 - ratio, rtol=1e-9, atol=1e-12)
        assert examples.keys == {}
    none = profile_statistics(model, rows_of(X))
    assert none.typical is none.boundary is None


def test_a_single_cluster_has_typical_rows_but_no_boundary(X):
    model = model_of(X, k=1)
    found = profile_statistics(model, rows_of(X), n_examples=2)
    assert found.weight.tolist() == [N]
    assert found.boundary is None
    assert found.typical is not None
    assert found.typical.row_numbers[0] == 0
    assert np.isnan(found.typical.margins).all()


def test_centers_that_coincide_have_rows_without_margin():
    X = np.array([[1.0, 1, 1], [1, 1, 1], [2, 2, 2]])
    model = replace(model_of(X, k=2), scaled_centers=np.ones((2, 3)))
    found = profile_statistics(model, Rows.from_array(X, block_rows=2), n_examples=3)
    assert found.boundary is not None
    assert found.boundary.margins.tolist() == [0, 0, 0]


def test_a_single_row_is_all_there_is():
    X = np.array([[1.5, -2.0, 3.0]])
    model = model_of(np.vstack([X, X + 1]), k=2)
    found = profile_statistics(model, Rows.from_array(X), n_examples=5)
    assert found.weight.tolist() == [1, 0]
    for part in (found.mean, found.minimum, found.maximum, *found.quantiles([0.3])[1]):
        np.testing.assert_array_equal(np.atleast_2d(part)[0], X[0])
    assert found.variance[0].tolist() == [0, 0, 0]
    assert found.typical is not None
    assert found.typical.row_numbers.tolist() == [0]


def test_rows_without_weight_have_no_statistics(X):
    found = profile_statistics(model_of(X), rows_of(X, np.zeros(N)), n_examples=2)
    assert (found.n_rows, found.n_sampled) == (N, 0)
    assert np.isnan(found.mean).all()
    assert np.isnan(found.quantiles([0.5])).all()
    assert not found.histogram.counts.any()
    assert found.typical is not None
    assert len(found.typical.labels) == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_small_clusters_have_edges_of_their_own_and_samples_stand_for_all(X, weighted, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 200)
    monkeypatch.setattr(survey, "SAMPLE_ROWS_OF_A_CLUSTER", 1)
    rng = np.random.default_rng(2)
    X = rng.normal(size=(20_000, D)) + np.where(np.arange(20_000) % 500 == 0, 60.0, 0.0)[:, None]
    model = replace(
        model_of(X, k=2), scaled_centers=np.array([[0.0] * 3, [60.0] * 3]), weights=np.ones(2)
    )
    weight = rng.uniform(0, 2, len(X)) if weighted else None
    labels = labels_of(model, X)
    weights = np.bincount(labels, weight, minlength=2).astype(float)
    assert weights[1] < 60
    model = replace(model, weights=weights)
    taken = []
    of = Bins.of

    def see(X: Array, weight: Array, most: int) -> Bins:
        taken.append((labels_of(model, X), weight))
        return of(X, weight, most)

    monkeypatch.setattr(Bins, "of", see)
    totals = np.zeros(2)
    for seed in range(12):
        found = profile_statistics(model, rows_of(X, weight, block_rows=5000), seed=seed)
        assert found.n_sampled == 200
        sampled, stands_for = taken[-1]
        assert (sampled == 1).sum() >= 15
        totals += np.bincount(sampled, stands_for, minlength=2)
    np.testing.assert_allclose(totals / 12, weights, rtol=0.1)


def test_rows_that_count_less_than_those_of_the_fit_are_sampled_rightly(monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 400)
    n = 10_000
    X = np.random.default_rng(3).normal(size=(n, D))
    model = replace(model_of(X, k=1), weights=np.array([float(n)]))
    taken = []
    of = Bins.of
    monkeypatch.setattr(Bins, "of", lambda *args: taken.append(args[1]) or of(*args))
    for seed in range(12):
        rows = rows_of(X, np.full(n, 0.1), block_rows=2000)
        found = profile_statistics(model, rows, seed=seed)
        assert found.n_sampled == 400
    np.testing.assert_allclose(np.mean([part.sum() for part in taken]), 0.1 * n, rtol=0.1)


def test_variances_of_normalized_rows_far_from_zero_lose_no_digits():
    X = np.random.default_rng(0).normal([1e7, 0, 0], size=(3000, D))
    centers = np.array([[1.0, 1e-7, 0.0], [1.0, -1e-7, 0.0]])
    model = replace(model_of(X, "normalize", k=2), scaled_centers=centers)
    found = profile_statistics(model, rows_of(X))
    labels = labels_of(model, X)
    for c in range(2):
        np.testing.assert_allclose(found.variance[c], X[labels == c].var(axis=0), rtol=1e-9)


def test_covariances_are_left_out_where_they_are_too_large(X, monkeypatch):
    with_them = profile_statistics(model_of(X), rows_of(X), n_examples=1)
    monkeypatch.setattr(survey, "SCATTER_BYTES", K * D * D * 8 - 1)
    found = profile_statistics(model_of(X), rows_of(X), n_examples=1)
    assert found.covariance is None
    left = replace(with_them, covariance=None)
    assert_same(found, left)


def test_missing_values_are_filled_as_the_model_says(X):
    holes = X.copy()
    holes[::7, 0] = np.nan
    model = replace(model_of(X), filling=Filling(np.array([2.5, 0.0, 0.0])))
    rows = rows_of(holes, missing="mean")
    with opened(model, rows, None) as filled:
        found = profile_statistics(model, filled, n_examples=1)
    assert rows.n_passes == 2
    assert rows.rows_read == 2 * N
    filled = rows_of(np.where(np.isnan(holes), 2.5, holes))
    assert_same(found, profile_statistics(model, filled, n_examples=1))


@pytest.fixture
def folder(X: Array, tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "in", X, n_files=4, row_group_rows=250, id=np.arange(N) * 3)


def read(folder: Path, **options: Any) -> Rows:
    asked = {"columns": ["f0", "f1", "f2"], "keys": ["id"], "dtype": "float64", **options}
    return dkmeans.read_parquet(str(folder), **{"block_rows": 200, **asked})


def test_examples_of_parquet_rows_have_their_keys(X, folder):
    rows = read(folder)
    assert rows.n_blocks > 1
    found = profile_statistics(model_of(X), rows, n_examples=2)
    assert rows.n_passes == 2
    for examples in (found.typical, found.boundary):
        assert examples is not None
        assert examples.keys == {"id": (examples.row_numbers * 3).tolist()}
        np.testing.assert_array_equal(examples.X, X[examples.row_numbers])


def test_examples_of_a_sample_of_the_rows_have_their_keys_too(X, folder):
    rows = read(folder).sample(0.3, seed=1)
    found = profile_statistics(model_of(X), rows, n_examples=2)
    assert found.n_rows < 0.4 * N
    assert found.typical is not None
    assert found.typical.keys == {"id": (found.typical.row_numbers * 3).tolist()}
    np.testing.assert_array_equal(found.typical.X, X[found.typical.row_numbers])


def test_rows_that_a_filter_drops_count_for_nothing(X, folder, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 100)
    monkeypatch.setattr(survey, "SAMPLE_ROWS_OF_A_CLUSTER", 1)
    kept = np.flatnonzero(np.arange(N) * 3 >= 3 * 3600)
    found = profile_statistics(model_of(X), read(folder, filters=[("id", ">=", 3 * 3600)]))
    # there are fewer rows than are stored: how many keys are small is not known
    assert (found.n_rows, found.n_sampled) == (len(kept), 100)
    expected = profile_statistics(model_of(X), rows_of(X[kept], block_rows=100))
    for name in ("weight", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_workers_find_what_threads_find(X, folder, client):
    rows = read(folder, client=client)
    assert_same(
        profile_statistics(model_of(X), rows, n_examples=2),
        profile_statistics(model_of(X), read(folder), n_examples=2),
    )


@pytest.mark.parametrize("fills", [False, True])
def test_files_that_are_left_out_leave_nothing_behind(X, folder, fills):
    path = folder / "part-1.parquet"
    stored = bytearray(path.read_bytes())
    stored[4:9000] = b"\xff" * 8996
    path.write_bytes(bytes(stored))
    model, missing = model_of(X), "raise"
    if fills:
        model, missing = replace(model, filling=Filling(np.array([2.5, 0.0, 0.0]))), "mean"
        write_parquet(folder, np.full((50, D), [np.nan, 1.0, 100.0]), n_files=1, id=np.arange(50))
        X = np.vstack([np.full((50, D), [2.5, 1.0, 100.0]), X[2000:]])
    else:
        X = X[np.r_[0:1000, 2000:N]]
    rows = read(folder, on_bad_file="skip", stage="none", missing=missing)
    with opened(replace(model, columns=rows.columns), rows, None) as filled:
        found = profile_statistics(model, filled, n_examples=2)
    assert rows.parquet is not None
    assert [url.rpartition("/")[2] for url, _ in rows.parquet.skipped] == ["part-1.parquet"]
    assert found.n_rows == len(X)
    expected = profile_statistics(model, rows_of(X, block_rows=100))
    for name in ("weight", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    assert found.typical is not None
    left_out = (50, 1050) if fills else (1000, 2000)
    assert not set(range(*left_out)) & set(found.typical.row_numbers.tolist())


def test_a_profile_that_does_not_fit_is_refused_before_it_begins(X, monkeypatch):
    rows, model = rows_of(X), model_of(X)
    need = task_bytes(rows, profile_demand(model, 3))
    slots = [Slot("small", 2, 2 * need - 1)]
    monkeypatch.setattr(LocalEngine, "slots", lambda self: tuple(slots))
    with pytest.raises(TooLarge, match="a task takes"):
        profile_statistics(model, rows, n_examples=3)
    assert rows.n_passes == 0
    slots[0] = Slot("large enough", 2, 2 * need)
    profile_statistics(model, rows, n_examples=3)
    assert rows.n_passes == 2


@pytest.mark.parametrize("offset", [1e5, 1e8])
def test_rows_far_from_the_centers_lose_no_digits(X, offset):
    model = model_of(X)
    far = X + offset
    rows = rows_of(far)
    found = profile_statistics(model, rows)
    assert rows.n_passes == 3
    labels = labels_of(model, far)
    for c in np.unique(labels):
        np.testing.assert_allclose(found.mean[c], far[labels == c].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.variance[c], far[labels == c].var(axis=0), rtol=1e-9)
