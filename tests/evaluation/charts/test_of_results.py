"""What charts take from models and results, against NumPy."""

import numpy as np
import pytest

from dkmeans import KMeans, MiniBatchKMeans, drift, lineage, profile, sweep, with_baseline
from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts.centers import Centers
from dkmeans.evaluation.charts.convergence import Convergence
from dkmeans.evaluation.charts.distributions import LEVELS, Distributions
from dkmeans.evaluation.charts.drift import DriftFigures
from dkmeans.evaluation.charts.elbow import Elbow
from dkmeans.evaluation.charts.flow import Flow
from dkmeans.evaluation.sweeps.result import Sweep
from tests.evaluation.sweeps.scores import scores_of


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(900, 4)) * [1.0, 20.0, 0.2, 1.0] + 50
    X[:300, 0] += 9
    X[300:500, 2] -= 3
    X[:, 3] = 7
    return X


@pytest.fixture(scope="module")
def model(data):
    with pytest.warns(UserWarning, match="constant"):
        return KMeans(3, random_state=0, scale="standard").fit(data).model_


def z_scores(X, model):
    labels = model.predict(X)
    means = np.array([X[labels == j].mean(axis=0) for j in range(model.n_clusters)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return (means - X.mean(axis=0)) / np.where(np.ptp(X, axis=0) > 0, X.std(axis=0), np.nan)


def test_centers_of_a_profile_are_z_scores_of_means(data, model):
    chart = Centers.of(profile(model, data), model=model)
    z = z_scores(data, model)
    np.testing.assert_allclose(chart.z, z[:, chart.places], atol=1e-9)
    between = np.bincount(model.predict(data)) / len(data) @ np.nan_to_num(z) ** 2
    np.testing.assert_allclose(chart.separation, np.sort(between)[::-1], atol=1e-9)
    assert chart.features[-1] == "x3"
    assert chart.unit == "standard deviations of all rows"
    assert chart.notes == ()


@pytest.mark.parametrize("way", ["standard", "baseline"])
def test_models_know_z_scores_by_their_scaling_or_baseline(data, way):
    X = data[:, :3]
    fitted = KMeans(3, random_state=0, scale="standard" if way == "standard" else None, tol=0)
    model = fitted.fit(X).model_
    if way == "baseline":
        model = with_baseline(model, X)
    chart = Centers.of(model)
    np.testing.assert_allclose(chart.z, z_scores(X, model)[:, chart.places], atol=1e-6)
    np.testing.assert_allclose(chart.values, model.centers[:, chart.places])
    assert chart.unit == "standard deviations of all rows"


def test_other_models_measure_centers_by_centers(data):
    model = KMeans(3, random_state=0).fit(data).model_
    chart = Centers.of(model)
    assert chart.unit == "standard deviations of the centers"
    shares = model.weights / model.weights.sum()
    moved = model.centers - shares @ model.centers
    with np.errstate(invalid="ignore"):
        expected = moved / np.sqrt(shares @ moved**2)
    varied = chart.places != 3
    np.testing.assert_allclose(chart.z[:, varied], expected[:, chart.places[varied]])
    assert np.isnan(chart.z[:, ~varied]).all()


def test_centers_are_reduced_by_stated_rules_and_by_choice(data, model):
    chart = Centers.of(model, most_features=2, most_clusters=1)
    assert chart.z.shape == (1, 2)
    assert chart.notes[0] == "the 2 features that set clusters apart the most, of 4"
    assert chart.notes[1].startswith("the 1 largest of 3 clusters")
    chosen = Centers.of(model, features=["x3", 0], clusters=[2, 0])
    assert chosen.features == ("x3", "x0")
    assert [one.cluster_id for one in chosen.clusters] == [2, 0]
    assert chosen.notes == ()


def test_distributions_are_quantiles_and_shares_of_rows(data, model):
    found = profile(model, data)
    chart = Distributions.of(found, most_features=2)
    assert [one.place for one in chart.features] == Centers.of(found).places[:2].tolist()
    labels = model.predict(data)
    for one in chart.features:
        for j in range(3):
            own = data[labels == j, one.place]
            # counted between edges: exact to the width of a cell
            np.testing.assert_allclose(one.boxes[j], np.quantile(own, LEVELS), atol=0.1 * own.std())
            assert (one.minimum[j], one.maximum[j]) == (own.min(), own.max())
            assert one.mean[j] == pytest.approx(own.mean())
            edges = np.concatenate([[-np.inf], one.edges[1:-1], [np.inf]])
            np.testing.assert_allclose(one.heights[j], np.histogram(own, edges)[0] / len(own))
        assert one.overall_mean == pytest.approx(data[:, one.place].mean())
    (constant,) = Distributions.of(found, features="x3").features
    assert constant.is_discrete
    assert constant.edges.tolist() == [7]
    assert (constant.heights == 1).all()


def test_distributions_need_quantiles(data, model):
    with pytest.raises(ArgumentError, match="boxes need a profile"):
        Distributions.of(profile(model, data, quantiles=[0.5]))


def test_convergence_is_the_history_of_the_fit(data):
    fitted = KMeans(3, init="k-means||", random_state=0, tol=0).fit(data)
    chart = Convergence.of(fitted)
    known = ~np.isnan(chart.inertia)
    history = [record["inertia"] for record in fitted.history_]
    assert chart.inertia[known].tolist() == [one for one in history if one is not None]
    assert chart.passes.tolist() == list(range(1, len(history) + 1))
    assert (np.diff(chart.inertia[known]) <= 0).all()
    assert chart.final == fitted.inertia_
    assert chart.outcome == f"converged after {fitted.n_iter_} iterations"
    assert not chart.is_estimate.any()
    # a coreset is solved without a pass
    coreset = Convergence.of(KMeans(3, random_state=0).fit(data))
    assert coreset.kinds[:2] == ("read", "solve")
    assert coreset.passes[:3].tolist() == [1, 1, 2]
    assert coreset.is_estimate.tolist()[:2] == [False, True]
    stopped = KMeans(3, init="k-means||", random_state=0, max_iter=1, tol=0).fit(data)
    assert Convergence.of(stopped).outcome == "not converged after 1 iteration"
    assert Convergence.of(MiniBatchKMeans(3, random_state=0).fit(data)).n_clusters == 3


def test_a_model_without_history_is_refused(model):
    from dataclasses import replace

    with pytest.raises(ArgumentError, match="no history"):
        Convergence.of(replace(model, provenance={}))


def test_drift_is_told_worst_first(data):
    based = with_baseline(KMeans(3, random_state=0).fit(data[:, :3]).model_, data[:, :3])
    later = data[:450, :3] + [0, 0, 5.0]
    found = drift(based, later)
    chart = DriftFigures.of(found, most_features=2, most_clusters=1)
    assert chart.features[0] == "x2"
    assert chart.psi.tolist() == sorted(found.features.psi, reverse=True)[:2]
    assert chart.psi_drifts[0]
    assert chart.mean[0] - chart.base_mean[0] == pytest.approx(
        later[:, 2].mean() - data[:, 2].mean()
    )
    assert {one.metric: one.value for one in chart.checks} == pytest.approx(
        {
            metric: max((one.drifts, one.value) for one in found.checks if one.metric == metric)[1]
            for metric in found.figures
        }
    )
    assert [one.drifts for one in chart.checks] == sorted(
        (one.drifts for one in chart.checks), reverse=True
    )
    first = chart.checks[0]
    assert first.ratio == pytest.approx(first.value / first.threshold)
    changes = np.abs(found.clusters.share - found.clusters.base_share)
    assert chart.clusters[0].label == changes.argmax()
    assert chart.feature_notes == ("the 2 features that differ the most, of 3",)


def test_flow_is_the_table_of_rows_in_common(data):
    X = data[:, :3]
    old, new = (KMeans(k, random_state=k).fit(X) for k in (3, 4))
    found = lineage(old, new, X)
    chart = Flow.of(found)
    for i, one in enumerate(chart.old):
        for j, other in enumerate(chart.new):
            both = (old.labels_ == one.label) & (new.labels_ == other.label)
            assert chart.weight[i, j] == both.sum()
    assert chart.weight.shape == (4, 5)
    assert not chart.weight[-1].any()
    assert not chart.weight[:, -1].any()
    assert chart.churn == found.churn
    kept = {one.cluster_id for one in found.kept}
    assert {one.cluster_id for one, is_kept in zip(chart.new, chart.is_kept) if is_kept} == kept
    few = Flow.of(found, most_clusters=1)
    assert few.weight.shape == (2, 2)
    assert few.weight.sum() == len(X)
    assert (few.n_other_old, few.n_other_new) == (2, 3)
    assert few.notes[1].startswith("after: the 1 largest of 4")
    with pytest.raises(ArgumentError, match="without rows"):
        Flow.of(lineage(old, new))


def test_colors_and_names_go_on_with_ids(data):
    X = data[:, :3]
    old = KMeans(2, random_state=0).fit(X).model_.renamed({0: "first"}, colors={0: "#010203"})
    found = lineage(old, KMeans(2, random_state=0).fit(X), X)
    chart = Flow.of(found, champion=old)
    for side in (chart.old, chart.new):
        assert (side[0].text, side[0].color) == ("0 first", "#010203")


def test_elbow_has_the_curves_that_are_defined():
    scores = (scores_of(1, silhouette=None, silhouette_simplified=None), *map(scores_of, (2, 40)))
    chart = Elbow.of(Sweep(scores, {}, 2, 40, "so.", 100, 1, 0))
    assert chart.inertia.counts.tolist() == [1, 2, 40]
    assert chart.inertia.values.tolist() == [1000, 500, 25]
    by_name = {curve.name: curve.counts.tolist() for curve in chart.silhouettes}
    assert by_name["silhouette"] == [2, 40]
    assert by_name["silhouette_squared"] == [1, 2, 40]
    assert chart.marks == ((40, "recommended"), (2, "elbow"))
    assert chart.is_wide
    found = sweep(np.arange(12.0)[:, None], [1, 2, 3], random_state=0)
    assert not Elbow.of(found).is_wide
