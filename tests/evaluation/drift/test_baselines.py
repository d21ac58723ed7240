"""A baseline is that of the rows, however they are cut, stored, weighted and scaled."""

import dataclasses

import numpy as np
import pytest

import dkmeans
from dkmeans import KMeans, Rows, with_baseline
from dkmeans.errors import ArgumentError, FeaturesMismatch, TooFewRows
from dkmeans.evaluation.drift.baselines import with_baselines
from dkmeans.evaluation.drift.passes import baseline_request, baselines_of
from dkmeans.kernels.log_bins import n_signed_cells, signed_edges
from dkmeans.models.scaling import Normalization
from dkmeans.partials.moments import Moments
from dkmeans.rows.requests import Reduce
from tests.conftest import write_parquet
from tests.models.test_baseline import assert_equal

K = 5


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Integer-valued rows of five clusters: sums of them are exact."""
    rng = np.random.default_rng(0)
    centers = rng.integers(-60, 60, (K, 3))
    return np.round(centers[rng.integers(0, K, 3000)] + 8 * rng.normal(size=(3000, 3)))


@pytest.fixture(scope="module", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def exact_model(X: np.ndarray, dtype: str) -> dkmeans.Model:
    """A model about whose mean sums of integers are exact: it is a multiple of an eighth."""
    model = KMeans(K, random_state=0).fit(X.astype(dtype)).model_
    whole = np.round(model.scaled_centers)
    return dataclasses.replace(
        model, scaled_centers=whole, scaled_means=whole, weights=np.array([64.0] * 4 + [256.0])
    )


def test_it_is_what_numpy_finds(X, dtype) -> None:
    model = KMeans(K, scale="standard", random_state=0).fit(X.astype(dtype)).model_
    found = with_baseline(model, X.astype(dtype)).baseline
    scaled = model.prepare(X.astype(dtype)).astype(float)
    labels = model.predict(X.astype(dtype))
    sq = ((scaled - model.scaled_centers[labels]) ** 2).sum(axis=1)
    assert found.n_rows == found.weight == 3000
    np.testing.assert_array_equal(found.cluster_weights, np.bincount(labels))
    np.testing.assert_allclose(found.cluster_sq_distances, np.bincount(labels, sq), rtol=1e-4)
    for j in range(K):
        np.testing.assert_allclose(
            found.cluster_means[j], scaled[labels == j].mean(axis=0), atol=1e-5
        )
    np.testing.assert_allclose(found.mean, scaled.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.variance, scaled.var(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(found.minimum, scaled.min(axis=0))
    np.testing.assert_array_equal(found.maximum, scaled.max(axis=0))
    assert found.missing.tolist() == [0.0] * 3
    assert found.incomplete == 0.0
    n_cells = n_signed_cells(found.feature_bits)
    for j in range(3):
        of_feature = found.features.keys // n_cells == j
        low, high = signed_edges(found.features.keys[of_feature] - j * n_cells, found.feature_bits)
        moved = scaled[:, j] - found.origin[j]
        inside = [((moved >= a) & (moved < b) if a >= 0 else (moved > a) & (moved <= b)).sum()
                  for a, b in zip(low, high)]  # fmt: skip
        np.testing.assert_array_equal(found.features.weights[of_feature], inside)
    table = found.distance_table
    for j in range(K):
        expected = np.histogram(sq[labels == j], [*found.bins.edges, np.inf])[0]
        # float32 distances may lie on the other side of an edge
        assert np.abs(np.cumsum(table[j]) - np.cumsum(expected)).max() <= (dtype == "float32") * 3


@pytest.mark.parametrize("block_rows", [1, 7, 400, 3000])
def test_blocks_do_not_matter(X, dtype, block_rows) -> None:
    model = exact_model(X, dtype)
    some = X[: 60 if block_rows == 1 else None].astype(dtype)
    rows = Rows.from_array(some, block_rows=block_rows)
    assert rows.n_blocks == -(-len(some) // block_rows)
    assert_equal(with_baseline(model, rows).baseline, with_baseline(model, some).baseline)


def test_weights_are_copies(X, dtype) -> None:
    model = exact_model(X, dtype)
    weight = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    one = with_baseline(model, X.astype(dtype), sample_weight=weight).baseline
    other = with_baseline(model, np.repeat(X, weight.astype(int), axis=0).astype(dtype)).baseline
    same = {"n_rows": other.n_rows}
    for name in ("distances", "features"):
        same[name] = dataclasses.replace(getattr(one, name), n_rows=other.n_rows)
    assert_equal(dataclasses.replace(one, **same), other)


def test_rows_that_a_fit_keeps_are_not_read_again(X, tmp_path) -> None:
    folder = write_parquet(tmp_path / "in", X)
    for missing in ("raise", "drop", "mean"):
        rows = dkmeans.read_parquet(str(folder), stage="memory", missing=missing, block_rows=500)
        fitted = KMeans(K, scale="standard", random_state=0).fit(rows)
        before = rows.n_passes, rows.bytes_read
        model = with_baseline(fitted, rows)
        assert (rows.n_passes, rows.bytes_read) == (before[0] + 1, before[1])
        told = model.provenance
        assert told["history"][-1]["kind"] == "baseline"
        assert told["n_passes"] == fitted.n_passes_ + 1
        assert told["bytes_read"] == fitted.model_.provenance["bytes_read"]
        assert fitted.model_.baseline is None
        assert model.baseline.n_rows == len(X)
        rows.close()


def test_it_shares_a_pass_with_others(X) -> None:
    model = KMeans(K, scale="standard", random_state=0).fit(X).model_
    rows = Rows.from_array(X, block_rows=700)
    request = baseline_request(model, scaled=True)
    other = Reduce("moments", Moments.from_block, (np.zeros(3),))
    found, moments = rows.scaled(model.scaling).run([request, other])
    assert rows.n_passes == 1
    assert moments.n_rows == 3000
    (shared,) = baselines_of(found, request, (np.zeros(3), 0.0))
    alone = with_baseline(model, Rows.from_array(X, block_rows=700)).baseline
    assert_equal(shared, alone)


def test_rows_as_stored_and_as_scaled_have_the_same(X) -> None:
    for scale in (None, "standard", "robust", "normalize"):
        model = KMeans(K, scale=scale, random_state=0).fit(X).model_
        kept = with_baseline(model, Rows.from_array(X, block_rows=700)).baseline
        stored = with_baseline(model, Rows.from_array(X, block_rows=700, missing="mean")).baseline
        assert_equal(kept, stored)


def test_models_of_a_sweep_get_theirs_in_one_pass(X) -> None:
    rows = Rows.from_array(X, block_rows=700)
    swept = dkmeans.sweep(rows, [2, 3, 5], 1, scale="standard", random_state=0)
    before = rows.n_passes
    found = with_baselines(swept.models, rows)
    assert rows.n_passes == before + 1
    for k, model in found.items():
        alone = with_baseline(swept.models[k], rows).baseline
        assert model.baseline.cluster_weights.tolist() == alone.cluster_weights.tolist()
        np.testing.assert_array_equal(model.baseline.distances.keys, alone.distances.keys)
        np.testing.assert_allclose(model.baseline.mean, alone.mean, atol=1e-12)
        assert model.baseline.bins == alone.bins


def test_missing_values_are_counted_where_they_can_be(X, tmp_path) -> None:
    lacking = X.copy()
    lacking[:30, 0] = np.nan
    lacking[20:90, 2] = np.nan
    shares = [0.01, 0.0, 70 / 3000]
    # a model that fills, of rows that come as they are stored, and as they were kept
    rows = Rows.from_array(lacking, missing="mean", block_rows=500)
    fitted = KMeans(K, scale="standard", random_state=0).fit(rows)
    kept = with_baseline(fitted, rows).baseline
    np.testing.assert_allclose(kept.missing, shares)
    assert np.isnan(kept.incomplete)
    stored = with_baseline(fitted, lacking).baseline
    np.testing.assert_allclose(stored.missing, shares)
    assert stored.incomplete == pytest.approx(90 / 3000)
    np.testing.assert_array_equal(stored.cluster_weights, kept.cluster_weights)
    np.testing.assert_allclose(stored.mean, kept.mean, atol=1e-15)
    # a model that fills nothing: of rows that lack one nothing else counts
    refusing = KMeans(K, scale="standard", random_state=0).fit(X)
    found = with_baseline(refusing, lacking).baseline
    np.testing.assert_allclose(found.missing, shares)
    assert (found.n_rows, found.weight) == (3000, 2910)
    alone = with_baseline(refusing, X[90:]).baseline
    np.testing.assert_allclose(found.mean, alone.mean)
    np.testing.assert_array_equal(found.features.weights, alone.features.weights)
    np.testing.assert_array_equal(found.minimum, alone.minimum)
    # rows that are dropped before a pass sees them
    folder = write_parquet(tmp_path / "in", lacking)
    rows = dkmeans.read_parquet(str(folder), missing="drop", dtype="float64")
    dropped = with_baseline(refusing, rows).baseline
    assert dropped.weight == 2910
    assert dropped.incomplete == pytest.approx(90 / 3000)
    assert np.isnan(dropped.missing).all()


@pytest.mark.parametrize("value", [1e16, 1e-30, -3e15])
def test_float32_extremes_are_counted(value) -> None:
    X = np.array([[value, 1.0], [value, 2.0], [0.0, 1.0], [-value / 2, 0.0]] * 10, np.float32)
    for k in (1, 2):
        model = with_baseline(KMeans(k, random_state=0).fit(X), X)
        found = model.baseline
        assert found.weight == 40
        assert np.isfinite(found.to_numbers()).all()
        assert dkmeans.drift(model, X).verdict == "no drift"
        assert found.distances.weights.sum() == 40


def test_rows_all_alike_have_one() -> None:
    X = np.full((50, 2), 3.25)
    with pytest.warns(dkmeans.errors.ConvergenceWarning):
        fitted = KMeans(3, random_state=0).fit(X)
    model = with_baseline(fitted, X)
    assert model.baseline.p99_distance < 1e-3
    assert dkmeans.drift(model, X).verdict == "no drift"
    found = dkmeans.drift(model, X + 1)
    assert found["outside_share"] > 0.9
    assert found.is_drift


def test_rows_of_no_weight_have_none(X) -> None:
    model = KMeans(K, random_state=0).fit(X).model_
    with pytest.raises(TooFewRows, match=r"baseline needs a row of positive weight .* 9 rows"):
        with_baseline(model, X[:9], sample_weight=np.zeros(9))
    with pytest.raises(TooFewRows):
        with_baseline(model, np.full((4, 3), np.nan))


def test_what_cannot_be_is_refused(X) -> None:
    model = KMeans(K, random_state=0).fit(X).model_
    with pytest.raises(FeaturesMismatch):
        with_baseline(model, X[:, :2])
    with pytest.raises(ArgumentError, match="not fitted"):
        with_baseline(KMeans(3), X)


def test_lengths_are_gone_where_rows_are_scaled_to_one(X) -> None:
    model = KMeans(K, scale="normalize", random_state=0).fit(X).model_
    assert isinstance(model.scaling, Normalization)
    found = with_baseline(model, X).baseline
    assert (np.abs([found.minimum, found.maximum]) <= 1 + 1e-12).all()
    np.testing.assert_allclose(with_baseline(model, 3 * X).baseline.mean, found.mean)


def test_a_cluster_of_workers_finds_the_same(X, tmp_path, client) -> None:
    folder = str(write_parquet(tmp_path / "in", X))
    options = {"dtype": "float64", "block_rows": 200}
    model = (
        KMeans(K, scale="standard", random_state=0)
        .fit(dkmeans.read_parquet(folder, **options))
        .model_
    )
    here = with_baseline(model, dkmeans.read_parquet(folder, **options))
    rows = dkmeans.read_parquet(folder, client=client, **options)
    assert rows.n_blocks > 8
    there = with_baseline(model, rows)
    rows.close()
    assert_equal(there.baseline, here.baseline)
