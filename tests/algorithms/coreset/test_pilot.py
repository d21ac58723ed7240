"""What a pilot tells: a scale, cells, and about what they hold."""

import warnings

import numpy as np
import pytest

from dkmeans import KMeans, Rows, read_parquet
from dkmeans.algorithms.coreset.pilot import MOST_CELLS, n_cells, pilot_of, pilot_size
from dkmeans.models.scaling import Normalization
from dkmeans.rows.pilot import PilotRows
from tests.algorithms.coreset.surveys import pilot_from, survey
from tests.conftest import write_parquet


def pilot_rows(X, expanded=None):
    expanded = np.ones(len(X)) if expanded is None else np.asarray(expanded, float)
    return PilotRows(np.asfortranarray(X), expanded, {})


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    centers = rng.uniform(-30, 30, size=(6, 3))
    X = centers[rng.integers(0, 6, 3000)] + rng.normal(size=(3000, 3))
    return X * [1.0, 1000.0, 1e-3] + [5.0, -1e6, 0.0]


def scaled_by_hand(X, scale):
    if scale is None:
        return X
    if scale == "normalize":
        return X / np.linalg.norm(X, axis=1, keepdims=True)
    shift, unit = {
        "standard": (X.mean(axis=0), X.std(axis=0)),
        "minmax": (X.min(axis=0), np.ptp(X, axis=0)),
        "maxabs": (np.zeros(3), np.abs(X).max(axis=0)),
        "robust": (
            np.median(X, axis=0),
            np.quantile(X, 0.75, axis=0) - np.quantile(X, 0.25, axis=0),
        ),
    }[scale]
    return (X - shift) / unit


@pytest.mark.parametrize("scale", [None, "standard", "minmax", "maxabs", "robust", "normalize"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_are_clusters_of_the_scaled_rows(X, scale, dtype):
    found = pilot_of(pilot_rows(X.astype(dtype)), scale, 6, 0)
    X = X.astype(dtype).astype(np.float64)
    expected = scaled_by_hand(X, scale)
    given = X if found.scaling is None else found.scaling.transform(X)
    # of unscaled float32, sums of squares would be far off without a point within the data
    np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-6)
    assert isinstance(found.scaling, Normalization) == (scale == "normalize")
    assert len(found.centers) == 12
    cell = ((expected[:, None] - found.centers) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(found.weight, np.bincount(cell, minlength=12), atol=3)
    assert found.weight.sum() == 3000
    np.testing.assert_allclose(found.mean, X.mean(axis=0), rtol=1e-6)
    # twice as many as there are clusters: what is left is within these
    inertia = ((expected - found.centers[cell]) ** 2).sum()
    assert inertia < 0.2 * ((expected - expected.mean(axis=0)) ** 2).sum()


def test_rows_count_by_what_they_stand_for():
    X = np.repeat([[0.0], [10.0]], [3, 5], axis=0)
    found = pilot_of(pilot_rows(X, [100, 100, 100, 1, 1, 1, 1, 1]), "standard", 1, 0)
    assert found.mean == pytest.approx([50 / 305])
    order = found.centers[:, 0].argsort()
    assert found.weight[order].tolist() == [300, 5]
    std = np.sqrt(np.average((X[:, 0] - 50 / 305) ** 2, weights=[100] * 3 + [1] * 5))
    np.testing.assert_allclose(found.centers[order, 0], [-50 / 305 / std, (10 - 50 / 305) / std])


@pytest.mark.parametrize("scale", ["standard", "minmax", "maxabs", "robust"])
def test_a_feature_that_is_constant_in_the_pilot_warns_nobody(scale):
    X = np.random.default_rng(0).normal(size=(500, 3))
    X[:, 1] = 7.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pilot_of(pilot_rows(X), scale, 4, 0)
    assert np.isfinite(found.centers).all()
    assert len(found.weight) == 8


@pytest.mark.parametrize("n_distinct", [1, 3, 7])
def test_of_fewer_distinct_rows_than_cells_none_is_without_weight(n_distinct):
    values = np.arange(2.0 * n_distinct).reshape(n_distinct, 2) ** 2
    X = values[np.arange(60) % n_distinct]
    found = pilot_of(pilot_rows(X), None, 5, 0)
    assert (found.weight > 0).all()
    assert found.weight.sum() == 60
    assert len(found.centers) == n_distinct
    np.testing.assert_allclose(sorted(found.centers.tolist()), values, atol=1e-12)


def test_one_row_is_enough():
    found = pilot_of(pilot_rows(np.array([[3.0, 4.0]]), [2.0]), None, 50, 0)
    np.testing.assert_array_equal(found.centers, [[3.0, 4.0]])
    assert found.weight.tolist() == [2.0]
    assert found.mean.tolist() == [3.0, 4.0]


def test_cells_are_two_for_each_cluster_as_long_as_they_are_few():
    assert [n_cells(k) for k in (1, 8, 512)] == [2, 16, 1024]
    assert n_cells(800) == MOST_CELLS
    assert n_cells(3000) == 3000


def test_a_pilot_is_no_larger_than_it_has_to_be():
    assert pilot_size(8, 100) == 2**14
    assert pilot_size(512, 100) == 64 * 1024
    assert pilot_size(5000, 100) == 2**17
    # of wide rows only as many as fit, but one for each cell at least
    assert pilot_size(8, 2**20) == 256
    assert pilot_size(3000, 2**20) == 3000


def test_a_pilot_of_few_rows_that_filters_leave_still_draws_well():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20_000, 2))
    weight = np.zeros(20_000)
    weight[::400] = 1.0
    rows = Rows.from_array(X, weight, block_rows=500)
    pilot = pilot_from(rows, 3)
    assert pilot.weight.sum() == pytest.approx(50)
    found, _ = survey(rows, 1000, pilot=pilot)
    assert found.is_everything
    assert sorted(found.row_numbers) == list(range(0, 20_000, 400))


def test_a_fit_goes_on_where_the_pilot_has_found_fewer_rows_than_clusters(tmp_path):
    X = np.random.default_rng(1).normal(size=(20_000, 2))
    # 2 of 200 row groups are looked at, which have 3 of these each
    keep = np.arange(20_000) % 37
    folder = write_parquet(tmp_path / "in", X, n_files=2, row_group_rows=100, keep=keep)
    for filters in ([("keep", "==", 5)], [("keep", ">", 5)]):
        rows = read_parquet(
            str(folder), columns=["f0", "f1"], filters=filters, dtype="float64", block_rows=500
        )
        model = KMeans(8, init="coreset", coreset_size=400, random_state=0, scale="standard")
        model.fit(rows)
        kept = X[keep == 5] if filters[0][1] == "==" else X[keep > 5]
        Z = (kept - kept.mean(axis=0)) / kept.std(axis=0)
        sq_distances = ((Z[:, None] - model.scaled_centers_) ** 2).sum(axis=2).min(axis=1)
        assert model.inertia_ == pytest.approx(sq_distances.sum(), rel=1e-6)
        assert model.inertia_ < 0.3 * 2 * len(kept)


def test_a_pilot_without_rows_has_all_rows_drawn_alike():
    X = np.random.default_rng(2).normal(size=(5000, 2))
    rows = Rows.from_array(np.vstack([X, X]), np.repeat([1.0, 0.0], 5000), block_rows=500)
    found, _ = survey(rows, 6000)
    assert found.is_everything
    assert found.row_numbers.tolist() == list(range(5000))
    np.testing.assert_array_equal(found.X, X.astype(found.X.dtype))
