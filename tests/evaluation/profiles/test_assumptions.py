"""The checks of what k-means assumes: rows made to keep and to break each, and what is unknown."""

import json

import numpy as np
import pytest

from dkmeans.evaluation.profiles.findings import FEATURES, LENGTHS, SIZES, SPREADS, VARIANCES
from tests.evaluation.profiles.groups import Groups, draw

CHECKS = ("sizes", "spreads", "shapes", "features", "variances")


def normal(n, scale, mean=0.0, seed=0):
    return mean + np.random.default_rng(seed).normal(size=(n, 4)) * scale


def findings(*rows, **given):
    found = Groups(tuple(rows)).profile(**given).assumptions
    return dict(zip(CHECKS, found.findings, strict=True))


def test_round_clusters_of_like_size_are_fine():
    found = findings(normal(300, 1.0), normal(400, 1.2, 9, seed=1), normal(350, 0.9, -9, seed=2))
    assert {check: one.verdict for check, one in found.items()} == dict.fromkeys(CHECKS, "fine")
    assert found["sizes"].value == pytest.approx(400 / 300)
    assert found["sizes"].sentence == "Cluster 1 has 1.33 times the rows of cluster 0."
    assert 1 < found["shapes"].value < 1.5


@pytest.mark.parametrize(("n", "verdict"), [(99, "fine"), (100, "notable"), (1000, "strong")])
def test_sizes(n, verdict):
    found = findings(normal(n, 1.0), normal(10, 1.0, 9))["sizes"]
    assert found.value == n / 10
    assert found.verdict == verdict
    assert ("outliers" in found.sentence) == (verdict != "fine")


@pytest.mark.parametrize(("times", "verdict"), [(1.9, "fine"), (2.1, "notable"), (4.1, "strong")])
def test_spreads(times, verdict):
    rows = normal(100, 1.0)
    found = findings(rows, 50 + times * rows)["spreads"]
    assert found.value == pytest.approx(times)
    assert found.verdict == verdict
    assert found.sentence.startswith(f"Cluster 1 is {times} times as wide as cluster 0.")


@pytest.mark.parametrize(("times", "verdict"), [(2.9, "fine"), (3.1, "notable"), (6.1, "strong")])
def test_shapes(times, verdict):
    # exactly round, then stretched along a diagonal
    axes, _ = np.linalg.qr(normal(100, 1.0) - normal(100, 1.0).mean(axis=0))
    turn, _ = np.linalg.qr(normal(4, 1.0))
    long = (axes * [times, 1, 1, 1]) @ turn
    found = findings(axes - axes.mean(axis=0), 9 + long)["shapes"]
    assert found.value == pytest.approx(times, rel=1e-3)
    assert found.verdict == verdict
    assert "cluster 1" in found.sentence.lower()
    share = times**2 / (times**2 + 3)
    assert (f"{share:.0%} of its variance" in found.sentence) == (verdict != "fine")


@pytest.mark.parametrize(("times", "verdict"), [(3.5, "fine"), (4.5, "notable"), (11, "strong")])
def test_features(times, verdict):
    scale = np.array([1.0, 1.0, times, 1.0])
    rows = np.column_stack([normal(200, 1.0)[:, 0]] * 4) * scale
    found = findings(rows, rows + 50)["features"]
    assert found.value == pytest.approx(times)
    assert found.verdict == verdict
    assert f"f2 varies {times:g} times as much as f0" in found.sentence


def test_features_are_judged_where_distances_are_measured():
    groups = Groups((normal(200, [1, 100, 1, 1]), normal(200, [1, 100, 1, 1], 9, seed=1)))
    scale = np.array([1, 100, 1, 1])
    moments = groups.moments
    unscaled = groups.profile().assumptions.findings[3]
    scaled = groups.profile(
        scaled_mean=moments.mean / scale, scaled_variance=moments.variance / scale**2
    ).assumptions.findings[3]
    assert (unscaled.verdict, scaled.verdict) == ("strong", "fine")


def test_constant_features_are_named_apart():
    a, b = normal(50, 1.0), normal(60, 1.0, seed=1)
    a[:, 2] = b[:, 2] = 0.1
    a[:, 3], b[:, 3] = 1, 2
    found = findings(a, b)["features"]
    assert found.verdict == "fine"
    assert found.sentence.endswith("Constant in all rows: f2. Constant within every cluster: f3.")


@pytest.mark.parametrize(("times", "verdict"), [(2.9, "fine"), (3.1, "notable"), (11, "strong")])
def test_variances(times, verdict):
    rows = normal(100, 1.0)
    found = findings(rows, 90 + rows * [1, times, times, 2 * times])["variances"]
    assert found.value == pytest.approx(times)
    assert found.verdict == verdict
    assert f"f3, varies {2 * times:.3g} times as much in cluster 1 as in" in found.sentence


def test_variances_that_are_zero_in_some_clusters():
    a, b = normal(50, 1.0), normal(60, 1.0, 9, seed=1)
    a[:, 1:] = 5
    found = findings(a, b)["variances"]
    assert found.value == np.inf
    assert found.verdict == "strong"
    assert "Half of the features or more" in found.sentence
    assert "f1 varies in cluster 1 and not in cluster 0" in found.sentence


def test_small_clusters_are_not_judged_by_spread_or_shape():
    found = findings(normal(50, 1.0), normal(60, 1.0, 9), normal(9, 100.0), normal(2, 1e-9, 99))
    assert found["spreads"].verdict == "fine"
    assert found["shapes"].verdict == "fine"
    assert found["variances"].verdict == "fine"
    assert found["sizes"].value == 30


def test_empty_clusters_are_counted_and_left_out():
    groups = draw((30, 0, 40))
    found = groups.profile().assumptions
    assert found.findings[0].value == pytest.approx(4 / 3)
    assert "Empty clusters: 1 of 3." in found.findings[0].sentence
    assert np.isnan(found.spread[1])


@pytest.mark.parametrize(
    ("rows", "unknown"),
    [
        ((normal(50, 1.0),), {"sizes", "spreads", "variances"}),
        ((normal(5, 1.0), normal(5, 1.0, 9)), {"spreads", "shapes", "variances"}),
        ((np.ones((20, 4)), np.zeros((30, 4))), {"spreads", "shapes", "features", "variances"}),
        ((np.zeros((0, 4)), np.zeros((0, 4))), set(CHECKS)),
    ],
)
def test_what_cannot_be_judged_is_unknown_and_says_why(rows, unknown):
    found = findings(*rows)
    assert {check for check, one in found.items() if one.verdict == "unknown"} == unknown
    for check in unknown:
        assert np.isnan(found[check].value)
        assert found[check].sentence.endswith(".")


def test_without_covariances_shapes_are_unknown_and_the_rest_is_not():
    groups = draw((100, 200))
    variance = groups.moments.variance
    with_them = groups.profile().assumptions
    without = groups.profile(scatter=None, scaled_variance=variance).assumptions
    assert without.findings[2].verdict == "unknown"
    assert "not computed" in without.findings[2].sentence
    for i in (0, 1, 3, 4):
        assert without.findings[i].verdict == with_them.findings[i].verdict
        assert without.findings[i].value == pytest.approx(with_them.findings[i].value)
    neither = groups.profile(scatter=None).assumptions
    assert [one.verdict == "unknown" for one in neither.findings] == [False, False, *[True] * 3]


def test_frames_dict_and_text():
    found = draw((30, 40, 0)).profile().assumptions
    assert found.to_frame()["verdict"].tolist() == [one.verdict for one in found.findings]
    assert found.clusters.columns.tolist() == [
        "cluster_id",
        "spread",
        "elongation",
        "longest_share",
    ]
    assert found.features["feature"].tolist() == ["f0", "f1", "f2"]
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["clusters"][2]["spread"] is None
    flat = " ".join(str(found).split())
    assert all(one.check in flat for one in found.findings)
    assert flat.count("Cluster") >= 3


def test_thresholds_grow():
    assert all(1 < low < high for low, high in (SIZES, SPREADS, LENGTHS, FEATURES, VARIANCES))
