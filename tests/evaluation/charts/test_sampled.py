"""The map and the silhouettes, against scikit-learn; the samples behind them, and their passes."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

from dkmeans import KMeans, Rows, evaluate
from dkmeans.errors import ArgumentError
from dkmeans.evaluation.charts import sampled
from dkmeans.evaluation.charts.map2d import Map2D
from dkmeans.evaluation.charts.sampled import SampledRows, sampled_rows
from dkmeans.evaluation.charts.silhouettes import Silhouettes


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    centers = rng.uniform(-6, 6, size=(5, 6))
    X = centers[rng.choice(5, 1200, p=[0.5, 0.3, 0.15, 0.04, 0.01])] + rng.normal(size=(1200, 6))
    X *= [1.0, 10.0, 0.1, 3.0, 1.0, 1.0]
    return X + 1000.0


@pytest.fixture(scope="module")
def model(data):
    return KMeans(5, random_state=0, scale="standard").fit(data).model_


def rows_of(X, **options):
    rows = Rows.from_array(X, block_rows=100, **options)
    assert rows.n_blocks > 1
    return rows


def signless(points, others):
    return points * np.sign((points * others).sum(axis=0))


def test_the_map_is_scikit_learns_pca_of_all_rows_in_one_pass(data, model):
    rows = rows_of(data)
    chart = Map2D.of(sampled_rows(model, rows, map_size=300, silhouette_size=0))
    assert rows.n_passes == 1
    pca = PCA(2).fit(model.prepare(data))
    np.testing.assert_allclose(chart.explained, pca.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(
        signless(chart.components.T, pca.components_.T), pca.components_.T, atol=1e-9
    )
    drawn = model.prepare(data)[chart.row_numbers]
    np.testing.assert_allclose(
        signless(chart.points, pca.transform(drawn)), pca.transform(drawn), atol=1e-9
    )
    centers = pca.transform(model.scaled_centers)
    np.testing.assert_allclose(signless(chart.centers, centers), centers, atol=1e-9)
    assert chart.point_clusters.tolist() == model.predict(data[chart.row_numbers]).tolist()
    assert (chart.n_sampled, chart.n_rows, chart.is_all) == (300, 1200, False)
    largest = np.abs(chart.components).argmax(axis=1)
    assert [names[0] for names in chart.leading] == [f"x{j}" for j in largest]
    assert (chart.components[[0, 1], largest] > 0).all()


def test_silhouettes_of_all_rows_are_scikit_learns_in_one_pass(data, model):
    rows = rows_of(data)
    chart = Silhouettes.of(sampled_rows(model, rows, map_size=0))
    assert rows.n_passes == 1
    labels = model.predict(data)
    expected = silhouette_samples(model.prepare(data), labels)
    assert [one.label for one in chart.clusters] == list(range(5))
    for one, values, shares, mean, negative in zip(
        chart.clusters, chart.values, chart.shares, chart.means, chart.negative
    ):
        own = np.sort(expected[labels == one.label])[::-1]
        np.testing.assert_allclose(values, own, atol=1e-12)
        np.testing.assert_allclose(shares, 1 / len(own))
        assert mean == pytest.approx(own.mean())
        assert negative == pytest.approx((own < 0).mean())
    assert chart.mean == chart.low == chart.high == pytest.approx(expected.mean())
    assert chart.weights.tolist() == np.bincount(labels).tolist()
    assert chart.is_all


def test_silhouettes_of_a_sample_are_near_those_of_all_rows(data, model):
    chart = Silhouettes.of(sampled_rows(model, data, map_size=0, silhouette_size=400))
    expected = silhouette_samples(model.prepare(data), model.predict(data))
    assert (chart.n_sampled, chart.is_all) == (400, False)
    assert chart.low < expected.mean() < chart.high
    labels = model.predict(data)
    for one, values, shares in zip(chart.clusters, chart.values, chart.shares):
        # small clusters are sampled, too
        assert len(values) >= min(12, (labels == one.label).sum())
        assert shares.sum() == pytest.approx(1)
        assert shares @ values == pytest.approx(expected[labels == one.label].mean(), abs=0.08)
    # the estimate is that of evaluations
    figure = evaluate(model, data, metrics="silhouette", sample_size=400).figures["silhouette"]
    assert abs(chart.mean - figure.value) < 3 * (figure.high - figure.low)


def test_a_row_of_weight_w_is_w_rows():
    X = np.array([[0.0, 0.0], [1.0, 0.5], [3.0, 0.2], [9.0, 1.0], [11.0, 2.0], [30.0, 0.0]])
    weight = np.array([3.0, 1.0, 2.0, 1.0, 0.0, 2.0])
    copies = np.repeat(X, weight.astype(int), axis=0)
    model = KMeans(3, init=X[[0, 3, 5]]).fit(X, sample_weight=weight).model_
    found, expected = (
        sampled_rows(model, rows, sample_weight=w) for rows, w in ((X, weight), (copies, None))
    )
    one, other = Silhouettes.of(found), Silhouettes.of(expected)
    labels = model.predict(copies)
    by_sklearn = silhouette_samples(copies, labels)
    for cluster, values, shares in zip(one.clusters, one.values, one.shares):
        assert shares @ values == pytest.approx(by_sklearn[labels == cluster.label].mean())
    np.testing.assert_allclose(one.means, other.means)
    assert one.weights.tolist() == other.weights.tolist()
    maps = Map2D.of(found), Map2D.of(expected)
    np.testing.assert_allclose(maps[0].components, maps[1].components, atol=1e-12)
    np.testing.assert_allclose(maps[0].mean, copies.mean(axis=0))
    assert maps[0].n_sampled == 5


def test_the_same_seed_draws_the_same_rows_however_they_are_cut(data, model):
    def drawn(rows, seed=0) -> SampledRows:
        return sampled_rows(model, rows, map_size=50, silhouette_size=60, random_state=seed)

    whole, cut, other = drawn(data), drawn(rows_of(data)), drawn(data, seed=1)
    for one in ("for_map", "for_silhouettes"):
        numbers = getattr(whole, one).row_numbers.tolist()
        assert getattr(cut, one).row_numbers.tolist() == numbers
        assert getattr(other, one).row_numbers.tolist() != numbers
    assert whole.for_silhouettes.stands_for.sum() == pytest.approx(1200, rel=0.3)


def test_rows_that_cannot_be_drawn_are_left_out_early_and_change_nothing(data, model, monkeypatch):
    quick = sampled_rows(model, data, map_size=30, silhouette_size=40)
    monkeypatch.setattr(sampled, "_AMPLE", 1e9)
    slow = sampled_rows(model, data, map_size=30, silhouette_size=40)
    for one in ("for_map", "for_silhouettes"):
        a, b = getattr(quick, one), getattr(slow, one)
        assert a.row_numbers.tolist() == b.row_numbers.tolist()
        assert a.stands_for.tolist() == b.stands_for.tolist()
        assert len(a.X) in (30, 40)


def test_too_many_features_for_products_have_a_map_of_the_sample(data, model, monkeypatch):
    monkeypatch.setattr(sampled, "SCATTER_BYTES", 8 * 5**2)
    found = sampled_rows(model, data, map_size=5000, silhouette_size=0)
    assert found.scatter is None
    chart = Map2D.of(found)
    pca = PCA(2).fit(model.prepare(data))
    np.testing.assert_allclose(chart.explained, pca.explained_variance_ratio_)
    assert chart.notes == ("axes are those of the sample: there are too many features",)
    assert chart.is_all


def test_maps_of_what_varies_in_one_direction_or_none():
    X = np.array([[1.0], [2.0], [9.0]])
    chart = Map2D.of(sampled_rows(KMeans(2, random_state=0).fit(X), X))
    assert chart.explained.tolist() == [1, 0]
    np.testing.assert_allclose(np.sort(chart.points[:, 0]), [-3, -2, 5])
    assert not chart.points[:, 1].any()
    alike = np.ones((4, 3))
    chart = Map2D.of(sampled_rows(KMeans(1).fit(alike), alike))
    assert not chart.explained.any()
    assert not chart.components.any()
    assert chart.leading == ((), ())


def test_many_clusters_are_the_largest_and_others(data, model):
    chart = Map2D.of(sampled_rows(model, data, silhouette_size=0), most_clusters=2)
    assert len(chart.clusters) == 2
    assert len(chart.other_centers) == 3
    assert set(chart.point_clusters.tolist()) == {-1, 0, 1}
    assert chart.notes[0].startswith("the 2 largest of 5 clusters")


def test_empty_clusters_are_left_out(data, model):
    some = data[model.predict(data) < 3]
    chart = Silhouettes.of(sampled_rows(model, some, map_size=0))
    assert [one.label for one in chart.clusters] == [0, 1, 2]
    assert chart.notes == ("without 2 empty clusters",)


def test_what_cannot_be_drawn_is_refused(data, model):
    with pytest.raises(ArgumentError, match="leave nothing to draw"):
        sampled_rows(model, data, map_size=0, silhouette_size=0)
    with pytest.raises(ArgumentError, match="map_size=-1"):
        sampled_rows(model, data, map_size=-1)
    found = sampled_rows(model, data, map_size=0, silhouette_size=10)
    with pytest.raises(ArgumentError, match="map_size above 0"):
        Map2D.of(found)
    with pytest.raises(ArgumentError, match="Number of labels is 1"):
        Silhouettes.of(sampled_rows(KMeans(1).fit(data), data, map_size=0, silhouette_size=10))


def test_small_clusters_are_measured_too():
    X = np.random.default_rng(0).normal(size=(1200, 2))
    X[:10] += 50
    model = KMeans(2, init=X[[0, -1]]).fit(X).model_
    sample = sampled_rows(model, X, map_size=0, silhouette_size=100).for_silhouettes
    is_small = sample.labels == 0
    assert is_small.sum() >= 8
    # what they stand for tells that there are few of them
    assert sample.stands_for[is_small].sum() == pytest.approx(10, rel=0.3)
    assert sample.stands_for[~is_small].sum() == pytest.approx(1190, rel=0.3)
