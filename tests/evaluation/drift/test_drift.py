"""Planted drifts are found and named, nothing else is, in one pass."""

import json
import re
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import dkmeans
from dkmeans import KMeans, Rows, drift, with_baseline
from dkmeans.errors import ArgumentError, FeaturesMismatch
from dkmeans.evaluation.drift.drift import drift_of
from dkmeans.evaluation.drift.passes import drift_request
from dkmeans.evaluation.drift.thresholds import Thresholds
from dkmeans.evaluation.metrics import METRICS
from dkmeans.partials.moments import Moments
from dkmeans.rows.requests import Reduce

CENTERS = np.array(
    [[0.0, 0, 0, 0], [20, 0, 0, 5], [0, 20, 0, -5], [20, 20, 10, 0], [-20, 0, 10, 5]]
)
SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
UNITS = np.array([1.0, 10.0, 0.1, 1000.0])
NAMES = ["age", "income", "rate", "visits"]


class World:
    """Rows of five clusters, in units of their own, that can be changed before they are drawn."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.centers, self.shares = CENTERS.copy(), SHARES.copy()
        self.widths = np.ones(5)

    def labels(self, n: int) -> np.ndarray:
        return self.rng.choice(5, n, p=self.shares / self.shares.sum())

    def rows(self, n: int) -> pd.DataFrame:
        labels = self.labels(n)
        X = self.rng.normal(size=(n, 4)) * self.widths[labels, None] + self.centers[labels]
        return pd.DataFrame(X * UNITS, columns=NAMES)


@pytest.fixture(scope="module")
def model() -> dkmeans.Model:
    """Five clusters, ids not labels, of 20 000 rows."""
    X = World(1).rows(20_000)
    fitted = KMeans(5, scale="standard", random_state=0, init="k-means++", n_init=5).fit(X)
    return with_baseline(fitted, X)


def cluster_at(model: dkmeans.Model, center: np.ndarray) -> int:
    """The id of the cluster at a center of the world."""
    point = pd.DataFrame([center * UNITS], columns=NAMES)
    return int(model.assign(point).cluster_ids[0])


def drifting(found: dkmeans.Drift) -> set[tuple[str, str]]:
    return {(one.metric, one.subject) for one in found.checks if one.drifts}


def test_rows_of_the_same_kind_have_not_drifted(model) -> None:
    found = drift(model, World(2).rows(10_000))
    assert found.verdict == "no drift"
    assert not found.is_drift
    assert found.reasons == ()
    assert found.region is None
    # every threshold but that of chance has its figure
    assert {*found.figures} == {*vars(Thresholds())} - {"false_alarm"}
    assert all(found[name] < getattr(Thresholds(), name) for name in found.figures)


def test_shares_that_shift_are_found(model) -> None:
    world = World(3)
    world.shares[[0, 4]] = 0.1, 0.3
    found = drift(model, world.rows(5000))
    assert ("cluster_psi", "all rows") in drifting(found)
    grown, shrunk = cluster_at(model, CENTERS[4]), cluster_at(model, CENTERS[0])
    (said,) = (one for one in found.reasons if one.startswith("Shares of clusters"))
    assert re.search(rf"cluster {grown} has (29|30|31)% of rows, had 10%", said)
    assert re.search(rf"cluster {shrunk} has (9|10|11)[.0-9]*% of rows, had 30%", said)
    assert not {one for one in drifting(found) if one[0].startswith(("distance", "center"))}
    p, q = found.clusters.base_share, found.clusters.share
    assert found["cluster_psi"] == pytest.approx(((q - p) * np.log(q / p)).sum())


def test_a_cluster_that_moves_is_found(model) -> None:
    world = World(4)
    world.centers[3] += [0, 0, 1.5, 1.5]
    found = drift(model, world.rows(5000))
    name = f"cluster {cluster_at(model, CENTERS[3])}"
    assert {(metric, name) for metric in ("center_shift", "distance_ks")} <= drifting(found)
    assert {one for one in drifting(found) if one[1].startswith("cluster")} <= {
        (metric, name) for metric in ("center_shift", "distance_ks", "distance_shift")
    }
    assert any(one.startswith(f"C{name[1:]} moved") for one in found.reasons)


def test_a_cluster_that_widens_is_found(model) -> None:
    world = World(5)
    world.widths[1] = 1.7
    found = drift(model, world.rows(5000))
    name = f"cluster {cluster_at(model, CENTERS[1])}"
    assert {(metric, name) for metric in ("distance_shift", "distance_ks")} <= drifting(found)
    assert not [one for one in drifting(found) if one[0] == "center_shift"]
    assert any(one.startswith(f"C{name[1:]} is 1.") and "as wide" in one for one in found.reasons)
    at = found.clusters.cluster_id.tolist().index(int(name.split()[1]))
    assert found.clusters.width_ratio[at] == pytest.approx(1.7, rel=0.05)


def test_a_feature_in_other_units_is_found(model) -> None:
    X = World(6).rows(5000)
    X["rate"] *= 2.5
    found = drift(model, X)
    assert {("variance_ratio", "rate"), ("feature_psi", "rate")} <= drifting(found)
    assert not [one for one in drifting(found) if one[1] in ("age", "income", "visits")]
    at = NAMES.index("rate")
    assert found.features.variance_ratio[at] == pytest.approx(2.5**2, rel=0.1)
    assert any(one.startswith("rate shifted: mean") for one in found.reasons)
    assert found.features.mean[at] == pytest.approx(X["rate"].mean(), rel=1e-5)
    assert found.features.std[at] == pytest.approx(X["rate"].std(ddof=0), rel=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.06, 0.3])
def test_a_new_cluster_far_away_is_found_with_its_place_and_size(model, share) -> None:
    X, n_new = World(7).rows(10_000), int(share * 10_000)
    # within the range of each feature, where no rows were
    place = np.array([-20.0, 20, 0, 0])
    new = (place + 0.8 * np.random.default_rng(8).normal(size=(n_new, 4))) * UNITS
    X.iloc[:n_new] = new
    found = drift(model, X)
    assert ("beyond_share", "all rows") in drifting(found)
    assert found.region.compact
    np.testing.assert_allclose(found.region.center / UNITS, place, atol=0.2)
    assert found.region.share == pytest.approx(share, abs=max(3 * found.region.share_error, 0.004))
    at = cluster_at(model, place)
    assert found.region.cluster_id == at
    (said,) = (one for one in found.reasons if "a new region has" in one)
    assert "age -" in said
    assert f"fall to cluster {at}" in said


def test_a_new_region_is_described_by_what_sets_it_apart_first() -> None:
    rng = np.random.default_rng(19)
    names = [f"f{j}" for j in range(7)]
    X = pd.DataFrame(rng.normal(size=(4000, 7)), columns=names)
    X.loc[:1999, "f0"] += 20
    model = with_baseline(KMeans(2, random_state=0).fit(X).model_, X)
    X.loc[3900:, "f6"] += 12
    X.loc[3900:, "f4"] -= 6
    found = drift(model, X)
    (said,) = (one for one in found.reasons if "a new region has" in one)
    assert "around f6 1" in said
    assert said.index("f6 ") < said.index("f4 -")
    far = np.argsort(-np.abs(found.region.shift))[:2]
    assert [names[j] for j in far] == ["f6", "f4"]
    assert np.linalg.norm(found.region.shift) == pytest.approx(found.region.distance)


def test_rows_that_scatter_are_no_region(model) -> None:
    X = World(9).rows(10_000)
    rng = np.random.default_rng(10)
    X.iloc[:800] = rng.uniform(-20, 30, size=(800, 4)) * UNITS
    found = drift(model, X)
    assert ("beyond_share", "all rows") in drifting(found)
    assert not found.region.compact
    assert any("they lie in no one place" in one for one in found.reasons)


def test_values_out_of_range_are_found(model) -> None:
    X = World(11).rows(5000)
    X.loc[:249, "income"] = 5000.0
    X.loc[250:299, "age"] = -300.0
    found = drift(model, X)
    assert ("outside_share", "all rows") in drifting(found)
    assert found.shares.outside == pytest.approx(0.06, abs=0.002)
    (said,) = (one for one in found.reasons if "outside of the range" in one)
    assert "5.0% have income above" in said
    assert "have age below" in said


def test_missing_values_are_found_whether_the_model_fills_them_or_not(model) -> None:
    X = World(12).rows(5000)
    X.loc[:399, "visits"] = np.nan
    found = drift(model, X)
    assert {("missing_share", "visits"), ("missing_share", "all rows")} == drifting(found)
    assert any("visits is missing in 8.0% of rows" in one for one in found.reasons)
    assert (found.n_rows, found.shares.rows) == (5000, 4600)
    lacking = World(13).rows(20_000)
    lacking.loc[:199, "visits"] = np.nan
    rows = Rows.from_array(lacking, missing="mean")
    filling = KMeans(5, scale="standard", random_state=0).fit(rows)
    for filled in (with_baseline(filling, rows), with_baseline(filling, lacking)):
        found = drift(filled, X)
        assert ("missing_share", "visits") in drifting(found)
        assert found["missing_share"] == pytest.approx(0.07)
        assert drift(filled, lacking).verdict == "no drift"


def test_it_takes_one_pass_of_rows_of_every_kind(model, tmp_path) -> None:
    X = World(14).rows(4000)
    X["rate"] *= 1.5
    folder = tmp_path / "in"
    folder.mkdir()
    X.to_parquet(folder / "rows.parquet", row_group_size=700)
    expected = drift(model, X)
    assert expected.n_passes == 1
    kinds: list[Any] = [
        str(folder),
        dkmeans.read_parquet(str(folder), columns=NAMES, dtype="float64", block_rows=600),
        Rows.from_array(X, block_rows=333),
        da.from_array(X.to_numpy(), chunks=(900, 4)),
        Rows.from_array(X, block_rows=450, missing="mean"),
        Rows.from_array(X, block_rows=450, missing="drop"),
    ]
    for rows in kinds:
        found = drift(model, rows)
        assert found.n_passes == 1
        assert drifting(found) == drifting(expected)
        for name, value in expected.figures.items():
            assert found[name] == pytest.approx(value, abs=1e-9), (rows, name)
    assert kinds[1].n_passes == kinds[2].n_passes == 1


def test_it_shares_a_pass_with_others(model) -> None:
    X = World(15).rows(4000)
    rows = Rows.from_array(X, block_rows=700)
    request = drift_request(model, scaled=True)
    other = Reduce("moments", Moments.from_block, (np.zeros(4),))
    found, _ = rows.scaled(model.scaling).run([request, other])
    assert rows.n_passes == 1
    shared, alone = drift_of(model, found, request, (np.zeros(4), 0.0)), drift(model, X)
    assert shared.figures == pytest.approx(alone.figures, abs=1e-12)
    assert [one.drifts for one in shared.checks] == [one.drifts for one in alone.checks]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_are_copies_and_blocks_do_not_matter(dtype) -> None:
    X = World(16).rows(6000).to_numpy().astype(dtype)
    model = with_baseline(KMeans(5, scale="standard", random_state=0).fit(X), X)
    later = World(17).rows(1500).to_numpy().astype(dtype) * np.array([1, 1.4, 1, 1], dtype)
    weight = np.random.default_rng(0).integers(0, 4, len(later))
    copies = drift(model, np.repeat(later, weight, axis=0))
    for found in (
        drift(model, later, sample_weight=weight),
        drift(model, Rows.from_array(later, weight, block_rows=100)),
    ):
        assert drifting(found) == drifting(copies)
        for name, value in copies.figures.items():
            assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("n", [0, 1, 2, 19])
def test_few_rows_raise_no_alarm(model, n) -> None:
    X = World(18).rows(30).iloc[:n]
    if n == 0:
        with pytest.raises(dkmeans.errors.TooFewRows):
            drift(model, X)
        return
    found = drift(model, X)
    assert not found.is_drift
    assert found.n_rows == n
    json.dumps(found.to_dict(), allow_nan=False)
    assert str(found)


def test_rows_of_no_weight_are_not_judged(model) -> None:
    X = World(19).rows(50)
    found = drift(model, X, sample_weight=np.zeros(50))
    assert found.verdict == "unknown"
    assert "too few rows to tell" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_one_row_far_away_is_no_drift(model) -> None:
    X = World(20).rows(1)
    X["age"] = 1e6
    assert drift(model, X).verdict != "drift"


def test_one_cluster_has_drift_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 3))
    model = with_baseline(KMeans(1).fit(X), X)
    assert drift(model, rng.normal(size=(3000, 3))).verdict == "no drift"
    found = drift(model, rng.normal([1.5, 0, 0], size=(3000, 3)))
    assert found.is_drift
    assert ("center_shift", "cluster 0") in drifting(found)


def test_thresholds_are_the_users(model) -> None:
    world = World(21)
    world.shares[[0, 4]] = 0.25, 0.15
    X = world.rows(5000)
    assert drift(model, X).verdict == "no drift"
    found = drift(model, X, thresholds={"cluster_psi": 0.02})
    assert drifting(found) == {("cluster_psi", "all rows")}
    # never below what chance gives
    none = dict.fromkeys(vars(Thresholds()), 0.0) | {"variance_ratio": 1.0, "false_alarm": 1e-4}
    assert drift(model, World(22).rows(2000), thresholds=none).verdict == "no drift"


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ({"psi": 0.1}, "threshold 'psi' is none of cluster_psi, "),
        ({"feature_psi": -1}, "threshold feature_psi=-1 should be a number from 0 on"),
        ({"feature_psi": "high"}, "feature_psi='high' should be a number"),
        ({"feature_psi": float("nan")}, "feature_psi=nan should be a number"),
        ({"variance_ratio": 0.5}, "variance_ratio=0.5 should be a number from 1 on"),
        ({"false_alarm": 1.0}, "false_alarm=1.0 should be between 0 and 1"),
        (0.1, "thresholds is a float"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(model, thresholds, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        drift(model, World(23).rows(10), thresholds=thresholds)


def test_a_model_without_a_baseline_says_what_to_do() -> None:
    X = World(24).rows(100)
    fitted = KMeans(2, random_state=0).fit(X)
    with pytest.raises(ArgumentError, match=r"no baseline .* dkmeans.with_baseline\(model, rows"):
        drift(fitted, X)


def test_rows_of_other_features_are_refused(model) -> None:
    with pytest.raises(FeaturesMismatch):
        drift(model, World(25).rows(10)[["age", "income"]])


def test_the_result_is_shown_as_text_html_frame_and_plain_values(model) -> None:
    X = World(26).rows(3000)
    X["rate"] *= 3
    found = drift(model, X)
    text, page = str(found), found._repr_html_()
    for word in ("Drift: 3,000 rows, 20,000 in the baseline", "rate shifted", "feature_psi"):
        assert word in text
        assert word in page
    assert max(map(len, text.splitlines())) <= 120
    frame = found.to_frame()
    assert set(frame.columns) == {
        *("metric", "subject", "value", "threshold", "probability", "drifts")
    }
    assert frame.drifts.sum() == len(drifting(found))
    assert len(found.clusters_frame()) == 5
    assert found.features_frame().set_index("feature").loc["rate", "variance_ratio"] > 8
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["verdict"] == "drift"
    assert told["figures"]["variance_ratio"] == found["variance_ratio"]
    assert told["reasons"] == list(found.reasons)
    with pytest.raises(KeyError):
        found["no such metric"]
    assert "silhouette" in {one.name for one in METRICS}


def test_features_that_had_one_value_drift_when_they_vary() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=4000), np.full(4000, 7.0)])
    with pytest.warns(dkmeans.errors.ConstantFeature):
        fitted = KMeans(2, scale="standard", random_state=0).fit(X)
    model = with_baseline(fitted, X)
    assert drift(model, X[:2000]).verdict == "no drift"
    later = X[:2000].copy()
    later[:200, 1] = 8.0
    found = drift(model, later)
    assert ("outside_share", "all rows") in drifting(found)


@pytest.mark.parametrize("k", [1, 4, 25])
def test_a_model_of_rows_of_length_one_has_drift(k) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(6000, 5)) + 3 * rng.normal(size=(k, 5))[rng.integers(0, k, 6000)]
    model = with_baseline(KMeans(k, scale="normalize", random_state=0).fit(X[:4000]), X[:4000])
    assert drift(model, 100 * X[4000:]).verdict == "no drift"
    assert drift(model, X[4000:] * [9, 1, 1, 1, 1]).verdict == "drift"


def test_named_clusters_are_called_by_their_names(model) -> None:
    grown = cluster_at(model, CENTERS[4])
    named = model.renamed({grown: "night owls"})
    world = World(2)
    world.shares[4] += 0.4
    world.centers[4, 1] += 2
    found = drift(named, world.rows(10_000))
    called = f"{grown} (night owls)"
    assert any(f"cluster {called} has" in one for one in found.reasons)
    assert any(one.startswith(f"Cluster {called} ") for one in found.reasons)
    assert called in str(found)
    # others by their numbers alone, as all of a model without names
    assert "night owls" not in str(drift(model, world.rows(10_000)))
