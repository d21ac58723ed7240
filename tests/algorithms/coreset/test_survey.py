"""The read: what it draws stands for all rows without bias, whatever blocks they come in."""

import dask
import dask.array as da
import numpy as np
import pytest

import dkmeans
from dkmeans import Rows
from dkmeans.algorithms.coreset.pilot import Pilot
from dkmeans.models.scaling import Scaling
from tests.algorithms.coreset.surveys import pilot_from, survey
from tests.conftest import write_parquet

N = 4000
SIZE = 200


@pytest.fixture(scope="module")
def X():
    """Clusters of unlike sizes and spreads, and a few rows far away."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10, 10, size=(6, 3))
    label = rng.choice(6, N, p=[0.5, 0.2, 0.15, 0.1, 0.04, 0.01])
    X = centers[label] + rng.normal(size=(N, 3)) * np.array([0.5, 1, 1, 2, 0.1, 3])[label][:, None]
    X[::900] += 50
    return X


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).choice([0.0, 0.5, 1.0, 3.0], N)


def cell_of(X, pilot):
    scaled = X if pilot.scaling is None else pilot.scaling.transform(X)
    sq_distances = ((scaled[:, None].astype(float) - pilot.centers) ** 2).sum(axis=2)
    return sq_distances.argmin(axis=1), sq_distances.min(axis=1)


def inertia_at(X, weight, centers):
    return weight @ ((X[:, None] - centers) ** 2).sum(axis=2).min(axis=1)


CENTERS = np.array([[0.0, 0, 0], [5, 5, 5], [-5, 5, 0], [50, 50, 50], [-3, -8, 2]])


def estimates(X, weight):
    """Some sums over weighted rows: total, first moments, second ones, inertia at some centers."""
    return np.array([weight.sum(), *(weight @ X), *(weight @ X**2), inertia_at(X, weight, CENTERS)])


def uncalibrated(coreset, share):
    """Rows and weights of a part before their cells' totals are looked at."""
    n = np.searchsorted(coreset.depth, share)
    return coreset.X[:n], coreset.weight[:n] / -np.expm1(-share * coreset.rate[:n])


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_the_coreset_are_those_over_all_rows(X, weights, weighted, share):
    weight = weights if weighted else np.ones(N)
    rows = Rows.from_array(X, weight if weighted else None, block_rows=500)
    assert rows.n_blocks == 8
    pilot = pilot_from(rows, 3)
    n_seeds = 100
    raw, calibrated = [], []
    for seed in range(n_seeds):
        coreset, _ = survey(rows, SIZE, seed, pilot=pilot)
        assert SIZE * 0.8 <= len(coreset.depth) <= SIZE
        raw.append(estimates(*uncalibrated(coreset, share)))
        calibrated.append(estimates(*coreset.part(share)))
    truth = estimates(X, weight)
    scale = estimates(np.abs(X), weight)
    error = np.std(raw, axis=0, ddof=1) / np.sqrt(n_seeds)
    # within four standard errors, which are small
    assert (error < 0.08 * scale).all()
    assert (np.abs(np.mean(raw, axis=0) - truth) <= 4 * error).all()
    # ratios to exact totals have a bias that is small beside their spread
    spread = np.std(calibrated, axis=0, ddof=1)
    assert (np.abs(np.mean(calibrated, axis=0) - truth) <= 0.5 * spread + 1e-9 * scale).all()
    # and have totals exactly
    assert spread[0] <= 1e-12 * truth[0]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_each_cell_add_up_to_its_total(X, weights, weighted, share):
    weight = weights if weighted else np.ones(N)
    rows = Rows.from_array(X, weight if weighted else None, block_rows=300)
    pilot = pilot_from(rows, 4)
    coreset, _ = survey(rows, SIZE, 5, pilot=pilot)
    cell, _ = cell_of(X, pilot)
    totals = np.bincount(cell, weight, minlength=len(pilot.centers))
    np.testing.assert_allclose(coreset.cell_weight, totals, rtol=1e-12)
    part, of_part = coreset.part(share)
    assert len(part) == len(of_part) > 3
    found = np.bincount(coreset.cell[: len(part)], of_part, minlength=len(totals))
    # a cell without rows has given its weight to the nearest one that has some
    filled = np.flatnonzero(np.bincount(coreset.cell[: len(part)], minlength=len(totals)))
    expected = np.zeros_like(totals)
    for j, total in enumerate(totals):
        gap = ((pilot.centers[filled] - pilot.centers[j]) ** 2).sum(axis=1)
        expected[j if j in filled else filled[gap.argmin()]] += total
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert of_part.sum() == pytest.approx(weight.sum(), rel=1e-12)
    assert (len(filled) < len(totals)) == (share == 0.05)


def test_smaller_parts_are_within_larger_ones(X):
    rows = Rows.from_array(X, block_rows=500)
    coreset, _ = survey(rows, SIZE, pilot=pilot_from(rows, 3))
    whole, _ = coreset.part(1.0)
    assert len(whole) == len(coreset.depth)
    sizes = []
    for share in (0.1, 0.3, 0.7):
        part, _ = coreset.part(share)
        np.testing.assert_array_equal(part, whole[: len(part)])
        sizes.append(len(part))
    np.testing.assert_allclose(sizes, np.array([0.1, 0.3, 0.7]) * len(whole), rtol=0.4)


def test_no_row_is_there_twice(X):
    rows = Rows.from_array(X, block_rows=500)
    twice = 0
    for seed in range(20):
        coreset, _ = survey(rows, 1500, seed, pilot=pilot_from(rows, 3))
        assert len(np.unique(coreset.row_numbers)) == len(coreset.row_numbers)
        twice += 1500 - len(coreset.row_numbers)
    # some are drawn by both draws
    assert twice > 100


def test_rows_are_drawn_as_often_as_their_rate_says(X, weights):
    rows = Rows.from_array(X, weights, block_rows=500)
    pilot = pilot_from(rows, 3)
    drawn, expected, n_seeds = np.zeros(N), np.zeros(N), 200
    cell, sq_distance = cell_of(X, pilot)
    by_distance = weights * sq_distance
    by_cell = weights / pilot.weight[cell]
    for seed in range(n_seeds):
        coreset, _ = survey(rows, SIZE, seed, pilot=pilot)
        drawn[coreset.row_numbers] += 1
        one = coreset.row_numbers
        # what the rate is made of: the least squares of two importances
        factors, rest, *_ = np.linalg.lstsq(
            np.column_stack([by_distance[one], by_cell[one]]), coreset.rate, rcond=None
        )
        assert rest < 1e-9 * (coreset.rate**2).sum()
        expected -= np.expm1(-(by_distance * factors[0] + by_cell * factors[1]))
    assert (drawn[weights == 0] == 0).all()
    sure = weights > 0
    deviation = (drawn - expected)[sure] / np.sqrt(np.maximum(expected[sure], 1))
    assert abs(drawn.sum() / expected.sum() - 1) < 0.01
    assert np.mean(deviation**2) < 1.2
    assert np.abs(deviation).max() < 6


def test_weight_w_stands_for_w_copies():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(600, 2)) * [1, 5]
    weight = rng.integers(0, 4, 600)
    copies = np.repeat(X, weight, axis=0)
    pilot = pilot_from(Rows.from_array(X, block_rows=100), 2)
    found = []
    for rows in (
        Rows.from_array(X, weight, block_rows=100),
        Rows.from_array(copies, block_rows=100),
    ):
        some = []
        for seed in range(100):
            coreset, _ = survey(rows, 80, seed, pilot=pilot)
            np.testing.assert_allclose(coreset.cell_weight.sum(), weight.sum())
            Z, w = coreset.part(1.0)
            inertia = inertia_at(Z, w, np.array([[0.0, 0], [1, 5], [-1, -5]]))
            far = np.abs(Z[:, 1]) > 5
            some.append([inertia, w @ Z[:, 1] ** 2, w[far].sum(), w @ Z[:, 0]])
        found.append(np.array(some))
    error = np.sqrt(sum(one.var(axis=0, ddof=1) for one in found) / 100)
    assert (np.abs(found[0].mean(axis=0) - found[1].mean(axis=0)) < 4 * error).all()


def test_far_rows_are_always_drawn(X):
    rows = Rows.from_array(X, block_rows=500)
    mean = X.mean(axis=0)
    # a pilot that knows nothing of them
    pilot = Pilot(mean, None, mean[None], np.array([float(N)]))
    for seed in range(30):
        coreset, _ = survey(rows, 8 * SIZE, seed, pilot=pilot)
        assert set(range(0, N, 900)) <= set(coreset.row_numbers)


# all rows


@pytest.mark.parametrize("size", [N, 3 * N])
def test_if_all_rows_fit_the_coreset_is_all_rows(X, weights, size):
    rows = Rows.from_array(X, weights, block_rows=300)
    for pilot in (None, pilot_from(rows, 3)):
        coreset, _ = survey(rows, 2 * size, pilot=pilot)
        assert coreset.is_everything
        order = coreset.row_numbers.argsort()
        kept = np.flatnonzero(weights)
        np.testing.assert_array_equal(coreset.row_numbers[order], kept)
        for share in (1.0, 0.5):
            Z, w = coreset.part(share)
            np.testing.assert_array_equal(Z[order], X[kept])
            np.testing.assert_allclose(w[order], weights[kept], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fit_to_all_rows_is_exact(X, weights, dtype):
    rows = Rows.from_array(X.astype(dtype), weights, block_rows=300)
    model = dkmeans.KMeans(5, init="coreset", coreset_size=N, random_state=0, tol=0).fit(rows)
    assert model.coreset_error_ == pytest.approx(0, abs=1e-9 if dtype == "float64" else 1e-6)
    assert "pilot" not in [record["kind"] for record in model.history_]
    expected = inertia_at(X.astype(dtype).astype(float), weights, model.cluster_centers_)
    assert model.inertia_ == pytest.approx(expected, rel=1e-6)


# the same rows


def bits_of(coreset):
    return (
        coreset.row_numbers.tolist(),
        coreset.X.tobytes(),
        coreset.depth.tobytes(),
        coreset.rate.tobytes(),
        coreset.weight.tobytes(),
        coreset.cell.tolist(),
    )


@pytest.mark.parametrize("k", [2, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_features", [3, 20])
def test_blocks_of_any_size_give_the_same_coreset(weights, dtype, k, n_features):
    rng = np.random.default_rng(4)
    X = (rng.normal(size=(N, n_features)) + rng.choice([0, 100], (N, 1))).astype(dtype)
    found = []
    # 16384 rows are a tile
    for block_rows, scheduler in ((N, "synchronous"), (613, "threads"), (90, "synchronous")):
        with dask.config.set(scheduler=scheduler):
            rows = Rows.from_array(X, weights, block_rows=block_rows)
            coreset, _ = survey(rows, 300, 7, pilot=pilot_from(rows, k, scale="standard"))
        found.append(coreset)
    assert rows.n_blocks == 45
    for coreset in found[1:]:
        assert coreset.row_numbers.tolist() == found[0].row_numbers.tolist()
        assert coreset.cell.tolist() == found[0].cell.tolist()
        assert bits_of(coreset) == bits_of(found[0])
        # exact totals are rounded as blocks are added up
        np.testing.assert_allclose(coreset.cell_weight, found[0].cell_weight, rtol=1e-14)
        np.testing.assert_allclose(coreset.part(1.0)[1], found[0].part(1.0)[1], rtol=1e-12)


def test_workers_and_stages_give_the_same_coreset(X, weights, client, tmp_path):
    folder = str(write_parquet(tmp_path / "in", X, n_files=8, row_group_rows=100, w=weights))
    expected = None
    for options in (
        {"block_rows": 100},
        {"block_rows": 37, "stage": "none"},
        {"block_rows": 100, "client": client, "stage": "none"},
        {"block_rows": 1000, "client": client, "stage": "disk"},
    ):
        with dkmeans.read_parquet(folder, weight="w", dtype="float64", **options) as rows:
            coreset, _ = survey(rows, 300, 7, pilot=pilot_from(rows, 5))
        expected = expected or bits_of(coreset)
        assert bits_of(coreset) == expected


def test_chunks_of_dask_give_the_same_coreset(X):
    found = []
    for chunk in (250, 1100):
        rows = Rows.from_dask(da.from_array(X, chunks=(chunk, 3)))
        coreset, _ = survey(rows, 300, 7, pilot=pilot_from(rows, 5))
        found.append(bits_of(coreset))
    assert found[0] == found[1]


def test_another_seed_draws_another_coreset(X):
    rows = Rows.from_array(X, block_rows=500)
    pilot = pilot_from(rows, 3)
    drawn = [set(survey(rows, SIZE, seed, pilot=pilot)[0].row_numbers) for seed in (0, 1)]
    assert len(drawn[0] & drawn[1]) < 0.5 * SIZE


# scale


@pytest.mark.parametrize("scale", ["standard", "minmax", "maxabs", "robust", "normalize"])
@pytest.mark.parametrize("with_pilot", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_scaled_as_all_rows_ask_for(X, weights, scale, with_pilot, dtype):
    X = X.astype(dtype)
    rows = Rows.from_array(X, weights, block_rows=500)
    pilot = pilot_from(rows, 3, scale=scale) if with_pilot else None
    coreset, scaling = survey(rows, SIZE if with_pilot else N, scale=scale, pilot=pilot)
    np.testing.assert_array_equal(coreset.X, scaling.transform(X[coreset.row_numbers]))
    assert coreset.X.dtype == dtype
    assert coreset.X.flags.f_contiguous
    if scale == "standard":
        assert isinstance(scaling, Scaling)
        mean = np.average(X.astype(float), axis=0, weights=weights)
        np.testing.assert_allclose(scaling.shift, mean, rtol=1e-12)
        # the pilot knew some rows only
        assert with_pilot is False or not np.array_equal(scaling.shift, pilot.scaling.shift)
